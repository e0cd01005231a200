import { describe, expect, it } from 'vitest';

import {
  CLIP_HOLD_MS,
  ChannelBallistics,
  PEAK_HOLD_MS,
  RELEASE_DB_PER_SECOND,
  STALE_MS,
} from './ballistics';
import { FLOOR_DB, MARKS, deflection } from './scale';

describe('the scale', () => {
  it('runs from the floor to full scale and stays inside', () => {
    expect(deflection(0)).toBe(1);
    expect(deflection(3)).toBe(1);
    expect(deflection(FLOOR_DB)).toBe(0);
    expect(deflection(-Infinity)).toBe(0);
    expect(deflection(NaN)).toBe(0);
  });
  it('rises everywhere, without a step at its knees', () => {
    let before = 0;
    for (let db = FLOOR_DB + 0.1; db <= 0; db += 0.1) {
      const here = deflection(db);
      expect(here).toBeGreaterThan(before);
      expect(here - before).toBeLessThan(0.004);
      before = here;
    }
  });
  it('has marks far enough apart to be read on a phone', () => {
    const places = MARKS.map(deflection);
    for (let i = 1; i < places.length; i += 1) {
      expect((places[i] ?? 0) - (places[i - 1] ?? 0)).toBeGreaterThan(0.06);
    }
  });
});

describe('the ballistics', () => {
  const level = (db: number | null, clipping = false) => ({ level_db: db, peak_db: db, clipping });

  /** Feeds the same measurement 30 times a second, as the server does, until `until`. */
  function run(channel: ChannelBallistics, from: number, until: number, measured = level(-50)): void {
    for (let now = from; now <= until; now += 1000 / 30) {
      channel.feed(measured, now);
      channel.advance(now);
    }
    channel.advance(until);
  }

  it('rise at once', () => {
    const channel = new ChannelBallistics();
    run(channel, 0, 1000, level(-50));
    channel.feed(level(-6), 1001);
    channel.advance(1001);
    expect(channel.level).toBe(-6);
    expect(channel.peak).toBe(-6);
  });

  it('fall by 20 dB in 1.7 s, and not below what is measured', () => {
    const channel = new ChannelBallistics();
    channel.feed(level(0), 0);
    channel.advance(0);
    run(channel, 0, 1700);
    expect(channel.level).toBeCloseTo(-20, 5);
    run(channel, 1700, 20_000);
    expect(channel.level).toBe(-50);
  });

  it('fall equally fast at any frame rate', () => {
    const slow = new ChannelBallistics();
    slow.feed(level(0), 0);
    slow.advance(0);
    slow.feed(level(-50), 500);
    slow.advance(500);
    expect(slow.level).toBeCloseTo(-0.5 * RELEASE_DB_PER_SECOND, 5);
  });

  it('hold the peak, then let it fall', () => {
    const channel = new ChannelBallistics();
    channel.feed(level(-3), 0);
    channel.advance(0);
    run(channel, 0, PEAK_HOLD_MS);
    expect(channel.peak).toBe(-3);
    run(channel, PEAK_HOLD_MS, PEAK_HOLD_MS + 1000);
    expect(channel.peak).toBeCloseTo(-3 - RELEASE_DB_PER_SECOND, 5);
  });

  it('never show a peak below the level', () => {
    const channel = new ChannelBallistics();
    channel.feed({ level_db: -10, peak_db: null, clipping: false }, 0);
    channel.advance(0);
    expect(channel.peak).toBe(-10);
  });

  it('show a clip of one measurement long enough to be seen', () => {
    const channel = new ChannelBallistics();
    channel.feed(level(0, true), 0);
    channel.feed(level(-20), 33);
    expect(channel.clipped(CLIP_HOLD_MS - 1)).toBe(true);
    expect(channel.clipped(CLIP_HOLD_MS)).toBe(false);
  });

  it('drop when no longer fed', () => {
    const channel = new ChannelBallistics();
    run(channel, 0, 1000, level(-10));
    expect(channel.stale(900 + STALE_MS)).toBe(false);
    for (let now = 1000; now <= 12_000; now += 33) channel.advance(now);
    expect(channel.stale(12_000)).toBe(true);
    expect(deflection(channel.level)).toBe(0);
    expect(deflection(channel.peak)).toBe(0);
  });

  it('take null for silence', () => {
    const channel = new ChannelBallistics();
    channel.feed(level(null), 0);
    channel.advance(0);
    expect(channel.level).toBe(-Infinity);
    run(channel, 1, 100, level(null));
    expect(channel.level).toBe(-Infinity);
  });
});
