// @vitest-environment jsdom
import { enableAutoUnmount, flushPromises, mount, type VueWrapper } from '@vue/test-utils';
import { afterEach, beforeEach, describe, expect, it, vi, type MockInstance } from 'vitest';

import { api, ApiError } from '@/api/client';
import type { Retention, RetentionPlan } from '@/api/types';
import { aPlan } from '@/testing';
import { texts } from '@/texts';
import { formatDay, formatUntil } from '@/util/format';
import { vuetify } from '@/vuetify';

import KeepFields from './KeepFields.vue';

const words = texts.keep;
const NOTHING: Retention = { days: null, bytes: null, make_room: false };
const NOW = Date.parse('2026-01-10T13:02:03Z');

function fields(before: Retention = NOTHING): VueWrapper {
  const wrapper: VueWrapper = mount(KeepFields, {
    props: {
      modelValue: before,
      'onUpdate:modelValue': (modelValue: Retention | null) => wrapper.setProps({ modelValue }),
      recorder: 'studio-1',
      before,
      floor: '50 GB',
    },
    global: { plugins: [vuetify] },
    attachTo: document.body,
  });
  return wrapper;
}
const typed = (wrapper: VueWrapper): Retention | null => (wrapper.props() as { modelValue: Retention | null }).modelValue;
const plain = (wrapper: VueWrapper): string => wrapper.text().replaceAll('\u00a0', ' ');
async function tick(wrapper: VueWrapper, label: string): Promise<void> {
  const found = wrapper.findAll('label').find((one) => one.text() === label);
  if (!found) throw new Error(`there is no ${label}`);
  const box = found.find('input');
  await box.setValue(!(box.element as HTMLInputElement).checked);
}
/** Types a number, and waits until it was asked what that would delete. */
async function type(wrapper: VueWrapper, label: string, text: string): Promise<void> {
  await wrapper.find(`[aria-label="${label}"]`).setValue(text);
  await vi.advanceTimersByTimeAsync(500);
}

enableAutoUnmount(afterEach);
let ask: MockInstance<typeof api.tryLimits>;
beforeEach(() => {
  vi.useFakeTimers({ now: NOW });
  ask = vi.spyOn(api, 'tryLimits').mockResolvedValue(aPlan());
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

describe('what a recorder keeps', () => {
  it('is everything where nothing is limited, and that is no question', async () => {
    const wrapper = fields();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(plain(wrapper)).toContain(words.all);
    expect(ask).not.toHaveBeenCalled();
    expect(plain(wrapper)).toContain('Delete the oldest when the disk has less than 50 GB free');
  });

  it('is tried before it is set: what would go, how much, and not before when', async () => {
    const wrapper = fields();
    await tick(wrapper, words.byAge);
    await type(wrapper, words.daysLabel, '30');
    expect(ask).toHaveBeenLastCalledWith('studio-1', { days: 30, bytes: null, make_room: false });
    expect(typed(wrapper)).toEqual({ days: 30, bytes: null, make_room: false });
    const [from, to] = ['2025-10-01T12:00:00Z', '2025-10-09T12:00:00Z'].map(formatDay);
    expect(plain(wrapper)).toContain(`312 recordings from ${from} to ${to}, 41.0 GB, would be deleted.`);
    const hour = formatUntil(NOW + 500 + 3_600_000, NOW);
    expect(plain(wrapper)).toContain(words.notBefore(hour));
  });

  it('asks once for what is typed at once', async () => {
    const wrapper = fields({ ...NOTHING, days: 90 });
    await vi.advanceTimersByTimeAsync(500);
    expect(ask).toHaveBeenCalledTimes(1);
    const days = wrapper.find(`[aria-label="${words.daysLabel}"]`);
    for (const text of ['9', '91', '910']) await days.setValue(text);
    await vi.advanceTimersByTimeAsync(500);
    expect(ask).toHaveBeenCalledTimes(2);
    expect(ask).toHaveBeenLastCalledWith('studio-1', { ...NOTHING, days: 910 });
  });

  it('that is as before says nothing of a time, and more than before acts at once', async () => {
    ask.mockResolvedValue(aPlan({ recordings: 0, bytes: 0, oldest: null, newest: null, acts_in_seconds: null }));
    const wrapper = fields({ ...NOTHING, days: 30 });
    await vi.advanceTimersByTimeAsync(500);
    expect(plain(wrapper)).toContain(words.nothing);
    expect(plain(wrapper)).not.toContain(words.atOnce);
    await type(wrapper, words.daysLabel, '60');
    expect(plain(wrapper)).toContain(words.atOnce);
  });

  it('is a size in GB, and room on the disk', async () => {
    ask.mockResolvedValue(aPlan({ lacking_bytes: 5_000_000_000, notes: ['the clock is not believed'] }));
    const wrapper = fields();
    await tick(wrapper, words.bySize);
    await type(wrapper, words.gigabytesLabel, '0,5');
    expect(typed(wrapper)).toEqual({ days: null, bytes: 500_000_000, make_room: false });
    expect(plain(wrapper)).not.toContain('5.00 GB');
    await tick(wrapper, words.makeRoom('50 GB'));
    await vi.advanceTimersByTimeAsync(500);
    expect(ask).toHaveBeenLastCalledWith('studio-1', { days: null, bytes: 500_000_000, make_room: true });
    expect(plain(wrapper)).toContain(words.lacking('5.00 GB'));
    expect(plain(wrapper)).toContain('The clock is not believed.');
  });

  it('tells how a size was understood', async () => {
    const wrapper = fields();
    expect(plain(wrapper)).not.toContain(words.understood('100 GB'));
    await tick(wrapper, words.bySize);
    expect(plain(wrapper)).toContain(words.understood('100 GB'));
    await type(wrapper, words.gigabytesLabel, '1500');
    expect(plain(wrapper)).toContain(words.understood('1.50 TB'));
    const field = wrapper.find(`[aria-label="${words.gigabytesLabel}"]`);
    expect(document.getElementById(field.attributes('aria-describedby') ?? '')?.textContent).toContain('1.50');
  });

  it('begins with a size that can be read back', async () => {
    const wrapper = fields({ ...NOTHING, bytes: 1_234_000_000 });
    expect(plain(wrapper)).not.toContain(words.gigabytesWrong);
    await tick(wrapper, words.makeRoom('50 GB'));
    expect(typed(wrapper)).toEqual({ days: null, bytes: 1_234_000_000, make_room: true });
  });

  it('that is no number is said, and neither tried nor set', async () => {
    const wrapper = fields();
    await tick(wrapper, words.byAge);
    await vi.advanceTimersByTimeAsync(500);
    ask.mockClear();
    for (const wrong of ['', '0', '1.5', '36501', 'many', '1,000', '1.000', '1.500', '1 000']) {
      await type(wrapper, words.daysLabel, wrong);
      expect(plain(wrapper)).toContain(words.daysWrong);
      expect(typed(wrapper)).toBeNull();
    }
    await tick(wrapper, words.byAge);
    await tick(wrapper, words.bySize);
    for (const wrong of ['0,0001', '1,000', '1.000', '1.500', '1 000']) {
      await type(wrapper, words.gigabytesLabel, wrong);
      expect(plain(wrapper)).toContain(words.gigabytesWrong);
      expect(typed(wrapper)).toBeNull();
    }
    expect(ask).not.toHaveBeenCalled();
  });

  it('says why it could not be looked at, and looks again', async () => {
    ask.mockRejectedValueOnce(new ApiError(503, 'The archive was not read within 10 s.'));
    const wrapper = fields({ ...NOTHING, days: 30 });
    await vi.advanceTimersByTimeAsync(500);
    expect(plain(wrapper)).toContain('The archive was not read within 10 s.');
    await wrapper.findAll('button').find((button) => button.text() === texts.common.retry)?.trigger('click');
    await flushPromises();
    expect(plain(wrapper)).toContain('312 recordings');
  });

  it('never shows what was answered of other limits', async () => {
    let late: (plan: RetentionPlan) => void = () => undefined;
    ask.mockReturnValueOnce(new Promise((resolve) => (late = resolve)));
    const wrapper = fields({ ...NOTHING, days: 30 });
    await vi.advanceTimersByTimeAsync(500);
    expect(plain(wrapper)).toContain(words.looking);
    ask.mockResolvedValueOnce(aPlan({ recordings: 1, newest: '2025-10-01T12:00:00Z' }));
    await type(wrapper, words.daysLabel, '60');
    late(aPlan());
    await flushPromises();
    expect(plain(wrapper)).toContain('1 recording of');
    expect(plain(wrapper)).not.toContain('312');
  });
});
