// @vitest-environment jsdom
import { enableAutoUnmount, mount, type VueWrapper } from '@vue/test-utils';
import { createPinia, setActivePinia } from 'pinia';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import type { ClockStatus } from '@/api/types';
import { useStatus } from '@/stores/status';
import { aClock } from '@/testing';
import { texts } from '@/texts';
import { vuetify } from '@/vuetify';

import ClockState from './ClockState.vue';

enableAutoUnmount(afterEach);
beforeEach(() => setActivePinia(createPinia()));

function shown(clock?: Partial<ClockStatus>): VueWrapper {
  useStatus().current = { engine: { connected: true }, clock: clock === undefined ? undefined : aClock(clock) };
  return mount(ClockState, { global: { plugins: [vuetify] } });
}

describe('the clock', () => {
  it('says whom it follows, where, and how far off it is', () => {
    const text = shown({}).text();
    for (const part of [
      texts.machineClock.quality['ptp-locked'],
      '00-1D-C1-FF-FE-12-34-56',
      'in domain 5 on eth1',
      '-0.026 ms',
      'TAI is 37 s ahead of UTC',
    ]) {
      expect(text).toContain(part);
    }
    expect(text).not.toContain('Without');
  });

  it('never looks locked when it is not', () => {
    const gone = shown({ quality: 'ptp-free-running', grandmaster: null, unlocked_seconds: 90, system_offset_nanos: null });
    expect(gone.find('.quality').classes()).toContain('warn');
    expect(gone.text()).toContain(texts.machineClock.quality['ptp-free-running']);
    expect(gone.text()).toContain('00:01:30');
    expect(gone.text()).not.toContain(texts.machineClock.grandmaster);
    expect(shown({ quality: 'none', tai_offset: null }).text()).toContain(texts.machineClock.tai(null));
  });

  it('raises the alarms that stand, and no others', () => {
    const alarm = { kind: 'grandmaster-gone', subject: 'eth1', began: '2026-01-10T12:00:00Z' };
    const alarms = [
      { ...alarm, text: 'it is gone', ended: null },
      { ...alarm, text: 'It was gone.', ended: '2026-01-10T12:01:00Z' },
    ];
    const notices = shown({ alarms }).findAll('[role="status"], [role="alert"]').map((notice) => notice.text());
    expect(notices).toHaveLength(1);
    expect(notices[0]).toContain('It is gone.');
  });

  it('is not spoken of while nothing is known of it', () => {
    expect(shown().text()).toBe('');
    const old = shown({});
    useStatus().failure = 'Nobody answers.';
    return old.vm.$nextTick().then(() => expect(old.text()).toBe(''));
  });
});
