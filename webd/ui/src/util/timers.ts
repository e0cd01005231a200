/** Composables that repeat something while a component is shown. */

import { onBeforeUnmount, onMounted, ref, type Ref } from 'vue';

import { serverNow } from './clock';

/** The server's time in milliseconds since 1970, renewed each second. */
export function useNow(): Ref<number> {
  const now = ref(serverNow());
  let timer: ReturnType<typeof setInterval> | undefined;
  onMounted(() => (timer = setInterval(() => (now.value = serverNow()), 1000)));
  onBeforeUnmount(() => clearInterval(timer));
  return now;
}

/**
 * Runs `task` at once and then `pause` milliseconds after each end of it; not while the page is hidden, and at once
 * when it is shown again. `task` must not reject.
 */
export function usePolling(task: () => Promise<void>, pause: number): void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let running = false;
  let gone = false;

  async function run(): Promise<void> {
    if (running || gone || document.hidden) return;
    running = true;
    clearTimeout(timer);
    await task();
    running = false;
    if (!gone) timer = setTimeout(() => void run(), pause);
  }
  const shown = (): void => void run();

  onMounted(() => {
    document.addEventListener('visibilitychange', shown);
    void run();
  });
  onBeforeUnmount(() => {
    gone = true;
    clearTimeout(timer);
    document.removeEventListener('visibilitychange', shown);
  });
}
