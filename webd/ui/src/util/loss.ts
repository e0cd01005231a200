/** What was lost, in numbers that can be summed over recorders. */

import type { Recorder } from '@/api/types';

export interface Loss {
  /** Frames that never came. */
  frames: number;
  /** Their length; undefined where a sample rate is not known. */
  ms: number | undefined;
  gaps: number;
  /** How many recorders lost something. */
  recorders: number;
}

/** The loss of these recorders together; a gap of no known length counts as a loss too. */
export function lossOf(recorders: readonly Recorder[]): Loss {
  const total: Loss = { frames: 0, ms: 0, gaps: 0, recorders: 0 };
  for (const { lost_frames, gaps, rate } of recorders) {
    if (lost_frames === 0 && gaps === 0) continue;
    total.frames += lost_frames;
    total.gaps += gaps;
    total.recorders += 1;
    if (total.ms !== undefined) total.ms = rate ? total.ms + (lost_frames * 1000) / rate : undefined;
  }
  return total;
}
