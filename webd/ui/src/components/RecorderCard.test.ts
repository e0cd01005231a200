// @vitest-environment jsdom
import { enableAutoUnmount, mount, type VueWrapper } from '@vue/test-utils';
import { createPinia, setActivePinia } from 'pinia';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { nextTick } from 'vue';

import { api } from '@/api/client';
import type { Recorder, RecorderLeg } from '@/api/types';
import { aConfig, aRecorder, stubForDialogs } from '@/testing';
import { texts } from '@/texts';
import { formatUntil } from '@/util/format';
import { vuetify } from '@/vuetify';

import RecorderCard from './RecorderCard.vue';

const NOW = Date.parse('2026-01-10T13:02:03Z');

function card(but: Partial<Recorder> = {}, reachable = true): VueWrapper {
  return mount(RecorderCard, {
    props: { recorder: aRecorder(but), now: NOW, reachable },
    global: { plugins: [vuetify], stubs: { AudioMeter: true, CompactMeter: true } },
    attachTo: document.body,
  });
}
const named = (name: string): HTMLButtonElement => {
  const all = [...document.querySelectorAll('button')];
  const found = all.find((b) => b.getAttribute('aria-label') === name || b.textContent?.trim() === name);
  if (!found) throw new Error(`there is no button ${name}`);
  return found;
};
const words = (wrapper: VueWrapper): string => wrapper.text().replaceAll('\u00a0', ' ');

enableAutoUnmount(afterEach);
beforeEach(() => {
  setActivePinia(createPinia());
  stubForDialogs();
  vi.spyOn(api, 'recorders').mockResolvedValue([]);
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

describe('a card', () => {
  it('answers whether it records, for how long, and that nothing is lost', () => {
    const text = words(card());
    expect(text).toContain(texts.state.recording);
    expect(text).toContain('01:02:03');
    expect(text).toContain(texts.recorder.nothingLost);
    expect(text).toContain('1.04 GB');
  });

  it('says what was lost', () => {
    expect(words(card({ lost_frames: 5_760, gaps: 3 }))).toContain('Lost 120 ms in 3 gaps');
    const joint = words(card({ gaps: 1 }));
    expect(joint).not.toContain(texts.recorder.nothingLost);
    expect(joint).toContain('1 joint');
  });

  it('does not claim that nothing is lost where nothing is recorded', () => {
    const text = words(card({ state: 'error', start_time: null, current_file: null, errors: ['The disk is full.'] }));
    expect(text).toContain('The disk is full.');
    expect(text).not.toContain(texts.recorder.nothingLost);
  });

  it('says how the flow stands on the clock', () => {
    const timing = { placement: 'arrival', quality: 'none', drift_ppm: -12.34, behind_nanos: 0 } as const;
    card({ timing });
    const help = [...document.querySelectorAll('[title]')].map((fact) => fact.getAttribute('title')).join(' ');
    expect(help).toContain(texts.placed.arrival);
    expect(help).toContain(texts.clock.none);
    expect(help).toContain('12.3 ppm slower');
  });

  it('tells the two legs of a protected flow apart, and says nothing of one that is alone', () => {
    const none = { received: 0, lost: 0, late: 0, differing: 0, foreign: 0, refused: 0, kernel_dropped: 0 };
    const good: RecorderLeg = {
      address: '239.1.2.3:5004', state: 'receiving', error: null, counters: { ...none, received: 10_000, lost: 3 },
    };
    const bad: RecorderLeg = {
      address: '239.2.2.3:5004', state: 'failed', error: 'no cable', counters: { ...none, late: 1, refused: 2 },
    };
    const legs = card({ legs: [good, bad] }).findAll('.legs li').map((leg) => leg.text());
    expect(legs).toHaveLength(2);
    for (const part of ['Leg 1: receiving', '239.1.2.3:5004; 10000 packets, 3 lost']) expect(legs[0]).toContain(part);
    expect(legs[0]).not.toContain('late');
    for (const part of ['Leg 2: cannot receive', '0 packets, 0 lost, 1 late, 2 refused', 'No cable.']) {
      expect(legs[1]).toContain(part);
    }
    expect(card({ legs: [good] }).find('.legs').exists()).toBe(false);
    expect(card({ enabled: false, legs: [good, bad] }).find('.legs').exists()).toBe(false);
  });

  it('says when a recording gets no audio', () => {
    expect(words(card({ flow_state: 'silent' }))).toContain(texts.flow.silent);
  });

  it('stops only after a yes', async () => {
    const stop = vi.spyOn(api, 'stop').mockResolvedValue(undefined);
    card();
    named(texts.recorder.stopLabel('Studio 1')).click();
    await nextTick();
    expect(stop).not.toHaveBeenCalled();
    named(texts.recorder.keep).click();
    await nextTick();
    expect(stop).not.toHaveBeenCalled();

    named(texts.recorder.stopLabel('Studio 1')).click();
    await nextTick();
    named(texts.recorder.stopConfirm).click();
    expect(stop).toHaveBeenCalledExactlyOnceWith('studio-1');
  });

  it('starts at once', () => {
    const start = vi.spyOn(api, 'start').mockResolvedValue(undefined);
    card({ state: 'stopped', start_time: null });
    named(texts.recorder.startLabel('Studio 1')).click();
    expect(start).toHaveBeenCalledExactlyOnceWith('studio-1');
  });

  it('says which files it writes and how long it keeps them', () => {
    expect(words(card())).toContain('WAV; keeps everything');
    const retention = { days: 90, bytes: 500_000_000_000, make_room: true };
    expect(words(card({ config: aConfig({ format: 'flac24', also: ['opus'], retention }) }))).toContain(
      'FLAC + Opus; keeps 90 days, at most 500 GB, as long as the disk has room',
    );
  });

  it('says from when on less is kept, and takes that back at a click', async () => {
    vi.useFakeTimers({ toFake: ['Date'], now: NOW });
    const configure = vi.spyOn(api, 'configure').mockResolvedValue(undefined);
    const config = aConfig({ retention: { days: 30, bytes: null, make_room: false } });
    const in_force = { days: null, bytes: null, make_room: false };
    const wrapper = card({ config, pending_limits: { acts_in_seconds: 2_456, in_force } });
    const from = (late: number): string => `From ${formatUntil(NOW + late, NOW)} on less is kept: 30 days. Until then it is everything.`;
    expect(words(wrapper)).toContain(from(2_456_000));
    expect(words(wrapper)).toContain('WAV; keeps everything');
    // Answers come a little late; that is no other instant.
    vi.setSystemTime(NOW + 63_000);
    await wrapper.setProps({ recorder: aRecorder({ config, pending_limits: { acts_in_seconds: 2_395, in_force } }) });
    expect(words(wrapper)).toContain(from(2_456_000));
    named(texts.keep.keepAfterAllLabel('Studio 1')).click();
    expect(configure).toHaveBeenCalledExactlyOnceWith('studio-1', { ...config, retention: in_force });
    vi.useRealTimers();
    expect(words(card({ config }))).not.toContain('less is kept');
  });

  it('offers to turn on what is off, and gives no orders to what cannot be reached', () => {
    card({ enabled: false, state: 'stopped', start_time: null }, false);
    expect(named(texts.recorder.turnOnLabel('Studio 1')).disabled).toBe(true);
  });

  it('shows many channels side by side', () => {
    const few = card({ channel_names: ['L', 'R'] });
    expect(few.find('audio-meter-stub').exists()).toBe(true);
    const many = card({ channel_names: Array.from({ length: 9 }, (_, i) => String(i + 1)) });
    expect(many.find('compact-meter-stub').exists()).toBe(true);
  });
});
