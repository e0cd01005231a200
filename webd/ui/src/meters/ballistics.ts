/**
 * How one channel's meter moves: up at once, down by 20 dB in 1.7 s (IEC 60268-18), with a peak that stays and a clip
 * mark that stays longer. A channel that is no longer fed falls like silence: a frozen meter would claim audio that
 * nobody measured. Sans-IO: time comes in as milliseconds of any monotonic clock.
 */

import type { Level } from '@/api/types';

/** Fall in decibels a second. */
export const RELEASE_DB_PER_SECOND = 20 / 1.7;
/** How long a peak stands before it falls. */
export const PEAK_HOLD_MS = 1_500;
/** How long a clip is shown after it was last seen. */
export const CLIP_HOLD_MS = 3_000;
/** Levels come 30 times a second; unfed for this long, a channel counts as unknown. */
export const STALE_MS = 600;

/** JSON has no infinity, so silence may come as null. */
const orSilence = (db: number | null | undefined): number =>
  typeof db === 'number' && !Number.isNaN(db) ? db : -Infinity;

export class ChannelBallistics {
  /** The bar, in dBFS. */
  level = -Infinity;
  /** The standing peak, in dBFS. */
  peak = -Infinity;

  #levelTarget = -Infinity;
  #peakTarget = -Infinity;
  #peakFallsAt = -Infinity;
  #clipUntil = -Infinity;
  #fedAt = -Infinity;
  #now = -Infinity;

  /** Takes a measurement. */
  feed(measured: Pick<Level, 'level_db' | 'peak_db' | 'clipping'>, now: number): void {
    this.#fedAt = now;
    this.#levelTarget = orSilence(measured.level_db);
    this.#peakTarget = Math.max(orSilence(measured.peak_db), this.#levelTarget);
    if (this.#peakTarget >= this.peak) {
      this.peak = this.#peakTarget;
      this.#peakFallsAt = now + PEAK_HOLD_MS;
    }
    if (measured.clipping) this.#clipUntil = now + CLIP_HOLD_MS;
  }

  /** Moves on to `now`. */
  advance(now: number): void {
    const elapsed = Number.isFinite(this.#now) ? Math.max(0, now - this.#now) : 0;
    this.#now = now;
    const stale = this.stale(now);
    const fall = (from: number, target: number, ms: number): number =>
      Math.max(stale ? -Infinity : target, from - (ms / 1000) * RELEASE_DB_PER_SECOND);

    this.level = fall(this.level, this.#levelTarget, elapsed);
    // Only the time after the hold counts, or a slow frame rate would shorten it.
    const falling = Math.min(elapsed, now - this.#peakFallsAt);
    if (falling > 0) this.peak = fall(this.peak, this.#peakTarget, falling);
  }

  clipped(now: number): boolean {
    return now < this.#clipUntil;
  }

  /** Whether nothing was measured lately. */
  stale(now: number): boolean {
    return now - this.#fedAt > STALE_MS;
  }
}
