/** What the recorders do, as the server last said, and the orders given to them. */

import { defineStore } from 'pinia';
import { computed, reactive, ref } from 'vue';

import { api, sentenceOf } from '@/api/client';
import type { LevelsOfRecorder, Recorder } from '@/api/types';
import { keepOnly } from '@/meters/registry';

/** Stands for "all recorders" where an order is tracked by recorder. */
export const ALL = '*';

export const useRecorders = defineStore('recorders', () => {
  const list = ref<Recorder[]>([]);
  /** Whether the list was ever received. */
  const loaded = ref(false);
  /** Why the last request for the list failed. */
  const failure = ref<string | null>(null);
  /** Recorders (or {@link ALL}) with an order under way. */
  const busy = reactive(new Set<string>());
  /** Why the last order to a recorder (or {@link ALL}) failed. */
  const refusals = reactive(new Map<string, string>());

  /** Answers to requests older than this are out of date. */
  let newest = 0;

  const recording = computed(() => list.value.filter((r) => r.state === 'recording'));

  async function refresh(): Promise<void> {
    const mine = ++newest;
    try {
      const answer = await api.recorders();
      if (mine !== newest) return;
      list.value = answer;
      loaded.value = true;
      failure.value = null;
      keepOnly(new Set(answer.map((r) => r.id)));
    } catch (error) {
      if (mine === newest) failure.value = sentenceOf(error);
    }
  }

  async function order(key: string, task: () => Promise<unknown>): Promise<void> {
    if (busy.has(key)) return;
    busy.add(key);
    refusals.delete(key);
    try {
      await task();
    } catch (error) {
      refusals.set(key, sentenceOf(error));
    }
    await refresh();
    busy.delete(key);
  }

  /** The levels carry each recorder's state; one that isn't ours means that the list is out of date. */
  function heardStates(recorders: readonly LevelsOfRecorder[]): boolean {
    return recorders.some(({ recorder_id, state }) => {
      const known = list.value.find((r) => r.id === recorder_id);
      return known === undefined || known.state !== state;
    });
  }

  return {
    list,
    loaded,
    failure,
    busy,
    refusals,
    recording,
    refresh,
    heardStates,
    start: (id: string) => order(id, () => api.start(id)),
    stop: (id: string) => order(id, () => api.stop(id)),
    startAll: () => order(ALL, api.startAll),
    stopAll: () => order(ALL, api.stopAll),
    /** Turns a recorder on: from then on it receives and meters. */
    turnOn: ({ id, config }: Recorder) =>
      order(id, async () => {
        if (config !== null) await api.configure(id, { ...config, enabled: true });
      }),
    /** Takes limits back that do not act yet: what is in force is set again, which counts at once. */
    keepAfterAll: ({ id, config, pending_limits }: Recorder) =>
      order(id, async () => {
        const retention = pending_limits?.in_force;
        if (config !== null && retention) await api.configure(id, { ...config, retention });
      }),
  };
});
