/** Which image the box runs, and what became of its updates. */

import { defineStore } from 'pinia';
import { computed, ref } from 'vue';

import { ApiError, api, sentenceOf } from '@/api/client';
import type { ImageReport } from '@/api/types';

export const useImage = defineStore('image', () => {
  /** Null where there is none to tell of: this machine is no appliance, or nothing has been heard yet. */
  const current = ref<ImageReport | null>(null);
  /** Why it is not known, though there should be something to know. */
  const failure = ref<string | null>(null);
  /** When the fallback was that somebody has read and put away. */
  const read = ref<string | null>(null);

  const fallback = computed(() => {
    const last = current.value?.fallback ?? null;
    return last?.at === read.value ? null : last;
  });

  async function refresh(): Promise<void> {
    try {
      current.value = await api.image();
      failure.value = null;
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) {
        current.value = null;
        failure.value = null;
      } else if (error instanceof ApiError && error.status !== 0) {
        // What was known may be wrong now.
        current.value = null;
        failure.value = sentenceOf(error);
      }
      // That the web server does not answer is told elsewhere, and what was heard of the image stays true.
    }
  }

  function putAway(): void {
    read.value = current.value?.fallback?.at ?? null;
  }

  return { current, failure, fallback, refresh, putAway };
});
