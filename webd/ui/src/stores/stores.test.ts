import { createPinia, setActivePinia } from 'pinia';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { ApiError, api } from '@/api/client';
import { aConfig, aRecorder, anEntry } from '@/testing';

import { sorted, useFiles } from './files';
import { levelsUrl } from './levels';
import { ALL, useRecorders } from './recorders';

beforeEach(() => setActivePinia(createPinia()));
afterEach(() => void vi.restoreAllMocks());

describe('recorders', () => {
  it('keep the last list when asking fails, and say why', async () => {
    const store = useRecorders();
    const ask = vi.spyOn(api, 'recorders').mockResolvedValueOnce([aRecorder()]);
    await store.refresh();
    expect(store.recording).toHaveLength(1);
    ask.mockRejectedValueOnce(new ApiError(503, 'The engine is away.'));
    await store.refresh();
    expect(store.list).toHaveLength(1);
    expect(store.failure).toBe('The engine is away.');
    ask.mockResolvedValueOnce([]);
    await store.refresh();
    expect(store.failure).toBeNull();
  });

  it('never let an answer from before an order overwrite the state after it', async () => {
    const store = useRecorders();
    let late: (list: ReturnType<typeof aRecorder>[]) => void = () => undefined;
    vi.spyOn(api, 'recorders')
      .mockReturnValueOnce(new Promise((resolve) => (late = resolve)))
      .mockResolvedValueOnce([aRecorder({ state: 'stopped' })]);
    vi.spyOn(api, 'stop').mockResolvedValue(undefined);
    const before = store.refresh();
    await store.stop('studio-1');
    late([aRecorder()]);
    await before;
    expect(store.list[0]?.state).toBe('stopped');
  });

  it('show why an order was refused until the next one', async () => {
    const store = useRecorders();
    vi.spyOn(api, 'recorders').mockResolvedValue([aRecorder({ state: 'stopped' })]);
    const start = vi.spyOn(api, 'start').mockRejectedValueOnce(new ApiError(409, 'It has no source.'));
    await store.start('studio-1');
    expect(store.refusals.get('studio-1')).toBe('It has no source.');
    expect(store.busy.size).toBe(0);
    start.mockResolvedValueOnce(undefined);
    await store.start('studio-1');
    expect(store.refusals.size).toBe(0);
  });

  it('give an order once, however often it is clicked', async () => {
    const store = useRecorders();
    vi.spyOn(api, 'recorders').mockResolvedValue([]);
    const stopAll = vi.spyOn(api, 'stopAll').mockResolvedValue(undefined);
    const first = store.stopAll();
    expect(store.busy.has(ALL)).toBe(true);
    await Promise.all([first, store.stopAll()]);
    expect(stopAll).toHaveBeenCalledTimes(1);
  });

  it('send the whole configuration back with its revision when turning on', async () => {
    const store = useRecorders();
    vi.spyOn(api, 'recorders').mockResolvedValue([]);
    const configure = vi.spyOn(api, 'configure').mockResolvedValue(undefined);
    const config = aConfig({ enabled: false, channels: [2, 3] });
    await store.turnOn(aRecorder({ enabled: false, config }));
    expect(configure).toHaveBeenCalledWith('studio-1', { ...config, enabled: true });
  });

  it('take limits back by setting what is in force, and nothing else', async () => {
    const store = useRecorders();
    vi.spyOn(api, 'recorders').mockResolvedValue([]);
    const configure = vi.spyOn(api, 'configure').mockResolvedValue(undefined);
    const config = aConfig({ retention: { days: 3, bytes: null, make_room: false } });
    const in_force = { days: 90, bytes: null, make_room: true };
    await store.keepAfterAll(aRecorder({ config, pending_limits: { acts_in_seconds: 7, in_force } }));
    expect(configure).toHaveBeenCalledExactlyOnceWith('studio-1', { ...config, retention: in_force });
    await store.keepAfterAll(aRecorder({ config, pending_limits: { acts_in_seconds: 7, in_force: null } }));
    await store.keepAfterAll(aRecorder({ config }));
    expect(configure).toHaveBeenCalledTimes(1);
  });

  it('notice in the levels that the list is out of date', () => {
    const store = useRecorders();
    store.list = [aRecorder()];
    const heard = { recorder_id: 'studio-1', recorder_name: '', studio_id: null, channels: [] };
    expect(store.heardStates([{ ...heard, state: 'recording' }])).toBe(false);
    expect(store.heardStates([{ ...heard, state: 'stopped' }])).toBe(true);
    expect(store.heardStates([{ ...heard, recorder_id: 'new', state: 'recording' }])).toBe(true);
  });
});

describe('levels', () => {
  it('come over TLS where the page did', () => {
    expect(levelsUrl({ protocol: 'http:', host: '[::1]:8080' })).toBe('ws://[::1]:8080/ws/levels');
    expect(levelsUrl({ protocol: 'https:', host: 'audyn.example' })).toBe('wss://audyn.example/ws/levels');
  });
});

describe('files', () => {
  const names = (list: { name: string }[]): string[] => list.map((entry) => entry.name);

  it('are sorted below the folders, numbers as numbers', () => {
    const entries = [
      anEntry('b.wav', { size: 3, modified: '2026-01-10T10:00:00Z' }),
      anEntry('studio-10', { type: 'directory', duration_seconds: null, modified: '2026-01-01T00:00:00Z' }),
      anEntry('a.wav', { size: 5, modified: '2026-01-10T09:00:00Z', duration_seconds: null }),
      anEntry('studio-2', { type: 'directory', duration_seconds: null, modified: '2026-01-02T00:00:00Z' }),
    ];
    expect(names(sorted(entries, 'name', false))).toEqual(['studio-2', 'studio-10', 'a.wav', 'b.wav']);
    expect(names(sorted(entries, 'name', true))).toEqual(['studio-10', 'studio-2', 'b.wav', 'a.wav']);
    expect(names(sorted(entries, 'size', true))).toEqual(['studio-2', 'studio-10', 'a.wav', 'b.wav']);
    expect(names(sorted(entries, 'duration', false))).toEqual(['studio-2', 'studio-10', 'a.wav', 'b.wav']);
    expect(names(sorted(entries, 'modified', true))).toEqual(['studio-2', 'studio-10', 'b.wav', 'a.wav']);
  });

  it('forget what was selected once it is gone or being recorded', async () => {
    const store = useFiles();
    vi.spyOn(api, 'assetStats').mockResolvedValue({ total_files: 2, total_bytes: 2, free_bytes: 2 });
    const browse = vi.spyOn(api, 'browse');
    browse.mockResolvedValueOnce({ path: '', parent: null, entries: [anEntry('a'), anEntry('b'), anEntry('c')] });
    await store.show('', '');
    for (const path of ['a', 'b', 'c']) store.selected.add(path);
    browse.mockResolvedValueOnce({ path: '', parent: null, entries: [anEntry('b'), anEntry('c', { recording: true })] });
    await store.refresh();
    expect([...store.selected]).toEqual(['b']);
  });

  it('tell which could not be deleted and keep these selected', async () => {
    const store = useFiles();
    vi.spyOn(api, 'assetStats').mockRejectedValue(new ApiError(0, 'gone'));
    vi.spyOn(api, 'browse').mockResolvedValue({ path: '', parent: null, entries: [anEntry('b')] });
    store.selected.add('a').add('b');
    vi.spyOn(api, 'deleteFiles').mockResolvedValueOnce({ deleted: ['a'], failed: [{ path: 'b', detail: 'read-only' }] });
    await store.remove([anEntry('a'), anEntry('b')]);
    expect(store.outcome?.failed).toEqual([{ path: 'b', detail: 'read-only' }]);
    expect([...store.selected]).toEqual(['b']);

    vi.spyOn(api, 'deleteFile').mockRejectedValueOnce(new ApiError(409, 'It is being recorded.'));
    await store.remove([anEntry('b')]);
    expect(store.outcome).toEqual({ deleted: [], failed: [{ path: 'b', detail: 'It is being recorded.' }] });
    expect(store.deleting).toBe(false);
  });

  it('do not show the answer of a folder that was left', async () => {
    const store = useFiles();
    vi.spyOn(api, 'assetStats').mockResolvedValue({ total_files: 0, total_bytes: 0, free_bytes: 0 });
    let late: (answer: { path: string; parent: null; entries: ReturnType<typeof anEntry>[] }) => void = () => undefined;
    vi.spyOn(api, 'browse')
      .mockReturnValueOnce(new Promise((resolve) => (late = resolve)))
      .mockResolvedValueOnce({ path: 'new', parent: '', entries: [anEntry('new/1')] });
    const old = store.show('old', '');
    await store.show('new', '');
    late({ path: 'old', parent: null, entries: [anEntry('old/1'), anEntry('old/2')] });
    await old;
    expect(names(store.entries)).toEqual(['1']);
    expect(store.parent).toBe('');
  });
});
