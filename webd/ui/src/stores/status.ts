/** What the whole box does: engine, disk, warnings. */

import { defineStore } from 'pinia';
import { ref } from 'vue';

import { api, sentenceOf } from '@/api/client';
import type { ControlStatus } from '@/api/types';

export const useStatus = defineStore('status', () => {
  const current = ref<ControlStatus | null>(null);
  /** Why the web server could not be asked. */
  const failure = ref<string | null>(null);

  async function refresh(): Promise<void> {
    try {
      current.value = await api.status();
      failure.value = null;
    } catch (error) {
      failure.value = sentenceOf(error);
    }
  }

  return { current, failure, refresh };
});
