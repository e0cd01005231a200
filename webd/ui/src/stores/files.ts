/**
 * One folder of the archive, or the hits of a search, and what is done to the files in it. The folder is the
 * route's; this store never navigates.
 */

import { defineStore } from 'pinia';
import { computed, reactive, ref } from 'vue';

import { api, sentenceOf } from '@/api/client';
import type { AssetEntry, AssetStats, BulkDelete, Doomed } from '@/api/types';

/** Entries asked for at first, and how many more each time; a year of hours in one folder would be 8,760. */
export const PORTION = 500;

export type SortColumn = 'name' | 'size' | 'duration' | 'modified';

const byName = new Intl.Collator(undefined, { numeric: true, sensitivity: 'base' });

/** Folders first, by name; files by the column. Equal ones go by path, so that polling never reshuffles them. */
export function sorted(entries: readonly AssetEntry[], column: SortColumn, descending: boolean): AssetEntry[] {
  const sign = descending ? -1 : 1;
  const value = (entry: AssetEntry): number => {
    if (column === 'size') return entry.size;
    if (column === 'duration') return entry.duration_seconds ?? -1;
    return Date.parse(entry.modified) || 0;
  };
  return [...entries].sort((a, b) => {
    if (a.type !== b.type) return a.type === 'directory' ? -1 : 1;
    // Folders have a name and a time only; by any other column they stay in the order of their names.
    const primary =
      column === 'name' || (a.type === 'directory' && column !== 'modified')
        ? byName.compare(a.name, b.name)
        : value(a) - value(b);
    const directed = column !== 'name' && a.type === 'directory' && column !== 'modified' ? primary : sign * primary;
    return directed || byName.compare(a.path, b.path);
  });
}

export const useFiles = defineStore('files', () => {
  const path = ref('');
  const parent = ref<string | null>(null);
  /** What is searched for; empty means that the folder is shown. */
  const words = ref('');
  const entries = ref<AssetEntry[]>([]);
  const stats = ref<AssetStats | null>(null);
  /** Entries in the folder, shown or not; undefined where a search didn't count them. */
  const total = ref<number | undefined>(0);
  const limit = ref(PORTION);
  const loading = ref(false);
  const failure = ref<string | null>(null);
  const column = ref<SortColumn>('modified');
  const descending = ref(true);
  const selected = reactive(new Set<string>());
  /** What came of the last deletion, if there is something to say. */
  const outcome = ref<BulkDelete | null>(null);
  const deleting = ref(false);

  let newest = 0;

  const shown = computed(() => sorted(entries.value, column.value, descending.value));
  const selection = computed(() => entries.value.filter((entry) => selected.has(entry.path)));

  /** Reads the list again; a newer request makes the answer of this one void. */
  async function refresh(): Promise<void> {
    const mine = ++newest;
    try {
      if (words.value === '') {
        const answer = await api.browse(path.value, limit.value);
        if (mine !== newest) return;
        entries.value = answer.entries;
        total.value = answer.total ?? answer.entries.length;
        parent.value = answer.parent;
      } else {
        const answer = await api.search(words.value);
        if (mine !== newest) return;
        entries.value = answer.entries;
        total.value = answer.truncated ? undefined : answer.entries.length;
        parent.value = null;
      }
      failure.value = null;
    } catch (error) {
      if (mine !== newest) return;
      entries.value = [];
      failure.value = sentenceOf(error);
    }
    loading.value = false;
    const deletable = new Set(entries.value.filter((e) => e.type === 'file' && !e.recording).map((e) => e.path));
    for (const gone of selected) if (!deletable.has(gone)) selected.delete(gone);
    try {
      const answer = await api.assetStats();
      if (mine === newest) stats.value = answer;
    } catch {
      // The list has said what is wrong, or it is only this line that is missing.
      if (mine === newest) stats.value = null;
    }
  }

  async function show(folder: string, search: string): Promise<void> {
    path.value = folder;
    words.value = search;
    entries.value = [];
    total.value = 0;
    limit.value = PORTION;
    selected.clear();
    outcome.value = null;
    loading.value = true;
    await refresh();
  }

  async function showMore(): Promise<void> {
    limit.value += PORTION;
    await refresh();
  }

  function sortBy(next: SortColumn): void {
    if (column.value === next) descending.value = !descending.value;
    else {
      column.value = next;
      // Names read upwards; of the rest one looks for the largest or latest.
      descending.value = next !== 'name';
    }
  }

  /** Deletes files as they were shown, and tells in {@link outcome} which of them, if any, are still there and why. */
  async function remove(doomed: readonly Doomed[]): Promise<void> {
    if (deleting.value || doomed.length === 0) return;
    deleting.value = true;
    const [only] = doomed;
    try {
      if (doomed.length === 1 && only !== undefined) {
        await api.deleteFile(only);
        outcome.value = { deleted: [only.path], failed: [] };
      } else {
        outcome.value = await api.deleteFiles(doomed);
      }
    } catch (error) {
      const detail = sentenceOf(error);
      outcome.value = { deleted: [], failed: doomed.map((failed) => ({ path: failed.path, detail })) };
    }
    for (const gone of outcome.value.deleted) selected.delete(gone);
    await refresh();
    deleting.value = false;
  }

  return {
    path,
    parent,
    words,
    entries,
    total,
    shown,
    stats,
    loading,
    failure,
    column,
    descending,
    selected,
    selection,
    outcome,
    deleting,
    refresh,
    show,
    showMore,
    sortBy,
    remove,
  };
});
