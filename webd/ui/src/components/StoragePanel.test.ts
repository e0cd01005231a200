// @vitest-environment jsdom
import { enableAutoUnmount, flushPromises, mount, type DOMWrapper, type VueWrapper } from '@vue/test-utils';
import { createPinia, setActivePinia } from 'pinia';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { nextTick } from 'vue';

import { api, ApiError } from '@/api/client';
import type { ControlStatus, Volume } from '@/api/types';
import { useStatus } from '@/stores/status';
import { aVolume, stubForDialogs } from '@/testing';
import { texts } from '@/texts';
import { formatUntil } from '@/util/format';
import { vuetify } from '@/vuetify';

import StoragePanel from './StoragePanel.vue';

const words = texts.storage;
const mirror = (but: Partial<Volume> = {}): Volume => aVolume({ role: 'mirror', root: '/srv/mirror', ...but });

function panel(volumes: Volume[] | undefined, more: Partial<ControlStatus> = {}): VueWrapper {
  useStatus().current = { engine: { connected: true }, volumes, ...more };
  return mount(StoragePanel, { global: { plugins: [vuetify] }, attachTo: document.body });
}
const plain = (of: VueWrapper | DOMWrapper<Element> | undefined): string => of?.text().replaceAll('\u00a0', ' ') ?? '';

enableAutoUnmount(afterEach);
beforeEach(() => {
  setActivePinia(createPinia());
  stubForDialogs();
});
afterEach(() => void vi.restoreAllMocks());

describe('the storage', () => {
  it('tells of a disk that is well how much room there is and how long it lasts, and no more', () => {
    const tile = panel([aVolume()]).find('article');
    for (const part of [words.role.archive, words.state.well, '590 GB free of 1.00 TB', 'full in 21 days', '50.0 GB shall stay free']) {
      expect(plain(tile)).toContain(part);
    }
    expect(tile.classes()).toContain('good');
    expect(tile.find('details').exists()).toBe(false);
    const bar = tile.find('[role="meter"]');
    expect(bar.attributes('aria-valuetext')?.replaceAll('\u00a0', ' ')).toBe('410 GB of 1.00 TB used');
    expect(tile.find('button').exists()).toBe(false);
  });

  it('says when nothing is written, and when limits delete as much', () => {
    const [idle, steady] = panel([
      aVolume({ bytes_per_second: 0, seconds_left: null }),
      mirror({ seconds_left: null }),
    ]).findAll('article');
    expect(plain(idle)).toContain(words.idle);
    expect(plain(steady)).toContain(words.notForeseen);
  });

  it('tells what is being copied back, and what was', () => {
    const [, back] = panel([aVolume(), mirror({ lacks: 12, copied: 30 })]).findAll('article');
    expect(plain(back)).toContain(words.state.filling);
    expect(plain(back)).toContain('12 files of the other disk still to be copied to it; 30 done.');
    expect(plain(panel([aVolume(), mirror({ copied: 1 })]).findAll('article')[1])).toContain('1 file that it had missed was copied');
  });

  it('says that files are being copied only where both disks are written', () => {
    for (const but of [{ standing: 'missing' }, { alarms: ['cannot write a.wav: it failed (os error 28)'] }] as Partial<Volume>[]) {
      const [here, gone] = panel([aVolume({ lacks: 1 }), mirror({ ...but, lacks: 12, copied: 30 })]).findAll('article');
      expect(plain(gone)).toContain('It lacks 12 files of the other disk; they are copied once both disks are in use.');
      expect(plain(here)).toContain('It lacks 1 file of the other disk; it is copied once both disks are in use.');
      expect(plain(here)).toContain(words.incomplete);
      expect(plain(here)).not.toContain(words.state.filling);
      for (const tile of [here, gone]) expect(plain(tile)).not.toMatch(/being copied|to be copied/);
    }
    expect(plain(panel([aVolume(), mirror({ lacks: 1 })]))).toContain('1 file of the other disk is being copied to it.');
  });

  it('says of each trouble what to do, and what becomes of recordings meanwhile', () => {
    const alarm = (error: number): string => `cannot write a.wav: it failed (os error ${error}); look at it`;
    for (const [but, state] of [
      [{ standing: 'missing' }, 'away'],
      [{ standing: 'another' }, 'wrong'],
      [{ standing: 'unreadable' }, 'unreadable'],
      [{ alarms: [alarm(28)] }, 'full'],
      [{ alarms: [alarm(30)] }, 'readonly'],
      [{ alarms: [alarm(5)] }, 'failing'],
    ] as [Partial<Volume>, keyof typeof words.state][]) {
      const alone = panel([aVolume(but)]).find('article');
      expect(plain(alone)).toContain(words.state[state]);
      expect(alone.classes()).toContain('bad');
      for (const line of words.advice(state, 'archive', false)) expect(plain(alone)).toContain(line);
      expect(plain(alone)).toContain('Until then nothing is recorded.');
      const both = panel([aVolume(but), mirror()]).find('article');
      expect(plain(both)).toContain('Meanwhile everything goes to the other disk');
    }
    expect(plain(panel([aVolume({ alarms: [alarm(28)] })]))).not.toContain('full in');
    // Of one that is not there the room would be another's.
    expect(panel([aVolume({ standing: 'missing' })]).find('[role="meter"]').exists()).toBe(false);
  });

  it('gives the engine’s own words where it has some', () => {
    const tile = panel([aVolume({ alarms: ['the archive’s disk has not answered for 3 s'] })]).find('article');
    expect(plain(tile)).toContain(words.state.trouble);
    expect(tile.find('details').attributes()).toHaveProperty('open');
    expect(plain(tile.find('details'))).toContain('The archive’s disk has not answered for 3 s.');
  });

  it('takes another disk over only after a yes, and says why that was refused', async () => {
    const adopt = vi.spyOn(api, 'adoptVolume').mockRejectedValueOnce(new ApiError(409, 'It is the mirror’s.'));
    const ask = vi.spyOn(api, 'status').mockResolvedValue({ engine: { connected: true }, volumes: [aVolume()] });
    const wrapper = panel([aVolume({ standing: 'another' })]);
    const button = (name: string): HTMLButtonElement | undefined =>
      [...document.querySelectorAll<HTMLButtonElement>('.v-dialog button')].find((one) => one.textContent?.trim() === name);
    const begin = async (): Promise<void> => {
      await wrapper.find(`[aria-label="${words.adoptLabel(words.role.archive)}"]`).trigger('click');
      await nextTick();
    };
    await begin();
    expect(document.body.textContent).toContain('what is at /srv/recordings now');
    button(words.adoptCancel)?.click();
    await nextTick();
    expect(adopt).not.toHaveBeenCalled();
    await begin();
    button(words.adopt)?.click();
    await flushPromises();
    expect(adopt).toHaveBeenCalledExactlyOnceWith('/srv/recordings');
    expect(ask).toHaveBeenCalledTimes(1);
    expect(plain(wrapper)).toContain('It is the mirror’s.');
    expect(plain(wrapper)).toContain(words.state.well);
  });

  it('says when more room is to be kept free', () => {
    const pending = [{ recorder: 'a', acts_in_seconds: 9 }, { recorder: null, acts_in_seconds: 3600 }];
    vi.useFakeTimers({ toFake: ['Date'], now: Date.parse('2026-01-10T13:02:03Z') });
    const text = plain(panel([aVolume()], { room: { pending } }));
    expect(text).toContain(words.floorGrows(formatUntil(Date.now() + 3_600_000, Date.now())));
    vi.useRealTimers();
    expect(plain(panel([aVolume()], { room: { pending: pending.slice(0, 1) } }))).not.toContain('more room');
  });

  it('is asked for, is none, is old, and is not spoken of while the engine is away', async () => {
    const first = mount(StoragePanel, { global: { plugins: [vuetify] } });
    expect(first.text()).toContain(words.loading);
    useStatus().failure = 'Nobody answers.';
    await nextTick();
    expect(first.text()).toBe('');
    useStatus().failure = null;
    expect(plain(panel([]))).toContain(words.none);
    const old = panel([aVolume({ standing: 'another' })]);
    useStatus().failure = 'Nobody answers.';
    await nextTick();
    expect(old.find('.old').exists()).toBe(true);
    expect(old.find('button').attributes('disabled')).toBeDefined();
    useStatus().failure = null;
    expect(panel(undefined, { engine: { connected: false } }).text()).toBe('');
  });
});
