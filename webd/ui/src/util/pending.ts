/** When something acts of which the server says in how many seconds. */

import { ref, watch, type Ref } from 'vue';

import { serverNow } from './clock';

/** Each answer is a little older than the one before when it comes; less than this is no other instant. */
const JITTER_MS = 5_000;

/**
 * The instant in milliseconds since 1970; null while nothing waits. `waits` gives something new with each answer, and
 * the instant stays where it was as long as it is the same.
 */
export function useActsAt(waits: () => { acts_in_seconds: number } | null | undefined): Ref<number | null> {
  const at = ref<number | null>(null);
  watch(
    waits,
    (pending) => {
      const next = pending ? serverNow() + pending.acts_in_seconds * 1000 : null;
      if (next === null || at.value === null || Math.abs(next - at.value) > JITTER_MS) at.value = next;
    },
    { immediate: true },
  );
  return at;
}
