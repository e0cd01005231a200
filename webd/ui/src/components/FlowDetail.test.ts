// @vitest-environment jsdom
import { enableAutoUnmount, flushPromises, mount, type VueWrapper } from '@vue/test-utils';
import { createPinia, setActivePinia } from 'pinia';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { api, ApiError } from '@/api/client';
import type { Flow, Leg, LegPeriod } from '@/api/types';
import { useStatus } from '@/stores/status';
import { texts } from '@/texts';

import FlowDetail from './FlowDetail.vue';

const period = (but: Partial<LegPeriod> = {}): LegPeriod => ({
  packets: 600,
  lost: 0,
  lost_frames: 0,
  late: 0,
  reordered: 0,
  duplicated: 0,
  jitter_max_nanos: 20_833,
  ts_df_max_nanos: 68_000,
  interval_max_nanos: 1_032_000,
  ...but,
});
const leg = (but: Partial<Leg> = {}): Leg => ({
  address: '239.1.2.3:5004',
  ssrc: '01020304',
  sender: '192.0.2.9',
  dscps: [34],
  ttl_min: 14,
  ttl_max: 15,
  jitter_nanos: 20_000,
  ts_df_nanos: null,
  link_offset_nanos: null,
  last_minute: period(),
  since_start: period({ packets: 86_400_000, lost: 3, ts_df_max_nanos: null }),
  ...but,
});
const flow = (legs: Leg[]): Flow => ({ id: 'desk', address: '239.1.2.3:5004', state: 'receiving', legs });

function detail(): VueWrapper {
  return mount(FlowDetail, { props: { source: 'desk' }, attachTo: document.body });
}
async function toggle(wrapper: VueWrapper, open: boolean): Promise<void> {
  (wrapper.element as HTMLDetailsElement).open = open;
  await wrapper.trigger('toggle');
  await flushPromises();
}
const row = (wrapper: VueWrapper, name: string): string[] => {
  const found = wrapper.findAll('tbody tr').find((tr) => tr.find('th').text() === name);
  return found ? found.findAll('td').map((td) => td.text()) : [];
};

enableAutoUnmount(afterEach);
beforeEach(() => {
  vi.useFakeTimers();
  setActivePinia(createPinia());
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

describe('the network of a recorder', () => {
  it('asks for nothing until it is opened, and no more once it is closed', async () => {
    const ask = vi.spyOn(api, 'flow').mockResolvedValue(flow([leg()]));
    const wrapper = detail();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(ask).not.toHaveBeenCalled();
    await toggle(wrapper, true);
    await vi.advanceTimersByTimeAsync(4_500);
    expect(ask).toHaveBeenCalledTimes(3);
    expect(ask).toHaveBeenCalledWith('desk');
    await toggle(wrapper, false);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(ask).toHaveBeenCalledTimes(3);
  });

  it('tells the last minute beside the whole time', async () => {
    vi.spyOn(api, 'flow').mockResolvedValue(flow([leg()]));
    const wrapper = detail();
    await toggle(wrapper, true);
    expect(row(wrapper, texts.network.packets)).toEqual(['600', '86400000']);
    expect(row(wrapper, texts.network.lost)).toEqual(['0', '3']);
    expect(row(wrapper, texts.network.jitter)).toEqual(['0.021 ms', '0.021 ms']);
    expect(row(wrapper, texts.network.tsdf)).toEqual(['0.068 ms', '–']);
    const caption = wrapper.find('caption').text();
    for (const part of ['192.0.2.9', 'DSCP 34', 'TTL 14–15', 'Link offset unknown']) expect(caption).toContain(part);
  });

  it('tells two legs apart, and how late capture wakes', async () => {
    useStatus().current = {
      engine: { connected: true },
      lateness: { worst_nanos: 5_000_000, last_minute_worst_nanos: 83_000 },
    };
    vi.spyOn(api, 'flow').mockResolvedValue(
      flow([leg({ address: null }), leg({ address: '239.2.2.3:5006', link_offset_nanos: 1_250_000 })]),
    );
    const wrapper = detail();
    await toggle(wrapper, true);
    expect(wrapper.findAll('caption').map((one) => one.text().slice(0, 6))).toEqual(['Leg 1:', 'Leg 2:']);
    const [one, two] = wrapper.findAll('caption').map((caption) => caption.text());
    expect(one).toContain('→ 239.1.2.3:5004');
    expect(two).toContain('→ 239.2.2.3:5006');
    expect(wrapper.text()).toContain('Link offset 1.250 ms');
    expect(wrapper.text()).toContain('0.083 ms');
  });

  it('says why there is nothing', async () => {
    const ask = vi.spyOn(api, 'flow').mockRejectedValue(new ApiError(404, 'No flow `desk` is received.'));
    const wrapper = detail();
    await toggle(wrapper, true);
    expect(wrapper.text()).toContain('No flow `desk` is received.');
    ask.mockResolvedValue(flow([]));
    await vi.advanceTimersByTimeAsync(2_000);
    expect(wrapper.text()).toContain(texts.network.none);
  });
});
