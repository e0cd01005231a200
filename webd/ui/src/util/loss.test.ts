import { describe, expect, it } from 'vitest';

import type { Recorder } from '@/api/types';

import { lossOf } from './loss';

const recorder = (lost_frames: number, gaps: number, rate?: number): Recorder =>
  ({ lost_frames, gaps, ...(rate === undefined ? {} : { rate }) }) as Recorder;

describe('lossOf', () => {
  it('is nothing where nothing is lost, whatever the rate', () => {
    expect(lossOf([recorder(0, 0), recorder(0, 0, 48_000)])).toEqual({ frames: 0, ms: 0, gaps: 0, recorders: 0 });
  });
  it('sums lengths of different rates as time', () => {
    expect(lossOf([recorder(4_800, 2, 48_000), recorder(4_410, 1, 44_100), recorder(0, 0, 48_000)])).toEqual({
      frames: 9_210,
      ms: 200,
      gaps: 3,
      recorders: 2,
    });
  });
  it('claims no length where a rate is unknown', () => {
    expect(lossOf([recorder(4_800, 2, 48_000), recorder(10, 1, 0)]).ms).toBeUndefined();
  });
  it('does not call a gap of no length nothing', () => {
    expect(lossOf([recorder(0, 1, 48_000)])).toMatchObject({ gaps: 1, recorders: 1, ms: 0 });
  });
});
