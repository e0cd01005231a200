/** The connection that moves the meters. Levels themselves go to the registry, past Vue. */

import { defineStore } from 'pinia';
import { computed, ref, shallowReactive } from 'vue';

import { LevelsSocket, type SocketState } from '@/api/socket';
import type { LevelsOfRecorder } from '@/api/types';
import { feed } from '@/meters/registry';

import { useRecorders } from './recorders';
import { useStatus } from './status';

/** How often, at most, a changed state in the levels makes the page ask for the list again. */
const ASK_AGAIN_MS = 500;

/** `ws://` or `wss://`, as the page itself came. */
export function levelsUrl(location: { protocol: string; host: string }): string {
  return `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws/levels`;
}

export const useLevels = defineStore('levels', () => {
  const state = ref<SocketState>('stopped');
  /** Whether the connection was open before and is not now. */
  const lost = ref(false);
  /** Names of the channels by recorder, renewed only when they change. */
  const channelNames = shallowReactive(new Map<string, readonly string[]>());
  let askedAt = -Infinity;

  function rename(recorders: readonly LevelsOfRecorder[]): void {
    for (const { recorder_id, channels } of recorders) {
      const known = channelNames.get(recorder_id);
      if (known?.length === channels.length && channels.every((c, i) => c.name === known[i])) continue;
      channelNames.set(
        recorder_id,
        channels.map((c) => c.name),
      );
    }
  }

  const socket = new LevelsSocket(() => new WebSocket(levelsUrl(window.location)), {
    onLevels(recorders) {
      const now = performance.now();
      for (const { recorder_id, channels } of recorders) feed(recorder_id, channels, now);
      rename(recorders);
      const list = useRecorders();
      if (now - askedAt > ASK_AGAIN_MS && list.loaded && list.heardStates(recorders)) {
        askedAt = now;
        void list.refresh();
      }
    },
    onEngine() {
      void useStatus().refresh();
      void useRecorders().refresh();
    },
    onState(next) {
      if (next === 'waiting') lost.value = true;
      else if (next === 'open') lost.value = false;
      state.value = next;
    },
  });

  const retry = (): void => {
    if (!document.hidden) socket.retryNow();
  };

  function start(): void {
    socket.start();
    window.addEventListener('online', retry);
    document.addEventListener('visibilitychange', retry);
  }

  function stop(): void {
    window.removeEventListener('online', retry);
    document.removeEventListener('visibilitychange', retry);
    socket.stop();
    lost.value = false;
  }

  return { state: computed(() => state.value), lost, channelNames, start, stop };
});
