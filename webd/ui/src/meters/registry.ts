/**
 * The moving channels of every recorder. They live outside Vue's reactivity on purpose: thirty times a second, 64
 * recorders and their channels would be far more work to track than to draw.
 */

import type { Level } from '@/api/types';

import { ChannelBallistics } from './ballistics';

const channelsOf = new Map<string, ChannelBallistics[]>();

/** Takes the levels of a recorder, one for each channel in file order. */
export function feed(recorder: string, levels: readonly Level[], now: number): void {
  const channels = ballistics(recorder, levels.length);
  levels.forEach((level, i) => channels[i]?.feed(level, now));
}

/** The first `count` channels of a recorder; unfed ones are silent. */
export function ballistics(recorder: string, count: number): ChannelBallistics[] {
  let channels = channelsOf.get(recorder);
  if (channels === undefined) channelsOf.set(recorder, (channels = []));
  while (channels.length < count) channels.push(new ChannelBallistics());
  return channels;
}

/** Forgets the recorders that are gone. */
export function keepOnly(recorders: ReadonlySet<string>): void {
  for (const id of channelsOf.keys()) if (!recorders.has(id)) channelsOf.delete(id);
}
