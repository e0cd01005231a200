/** How it stands with a volume, in one word that a person can act on. */

import type { Volume, VolumeStanding } from '@/api/types';

export type VolumeState =
  | 'well'
  /** The other volume's files are copied to it. */
  | 'filling'
  /** Its room runs short. */
  | 'low'
  | 'unanswered'
  | 'wrong'
  | 'unmarked'
  | 'unreadable'
  | 'away'
  | 'unchosen'
  | 'same'
  | 'full'
  | 'readonly'
  | 'failing'
  /** The engine's sentences say what. */
  | 'trouble';

const OF_STANDING: Record<Exclude<VolumeStanding, 'ours' | 'new'>, VolumeState> = {
  another: 'wrong',
  unmarked: 'unmarked',
  unreadable: 'unreadable',
  missing: 'away',
  unchosen: 'unchosen',
  same: 'same',
};

/** The alarms of the room that say that it runs short. */
const SHORT = ['full-soon', 'below-floor', 'fruitless'];

/** Linux' numbers of errors, which stand in the engine's sentences: ENOSPC, EDQUOT; EROFS; EIO, ENXIO, ENODEV, EUCLEAN. */
const OF_ERROR: Record<string, VolumeState> = {
  28: 'full',
  122: 'full',
  30: 'readonly',
  5: 'failing',
  6: 'failing',
  19: 'failing',
  117: 'failing',
};

function troubleOf(alarms: readonly string[]): VolumeState {
  for (const alarm of alarms) {
    const state = OF_ERROR[/\(os error (\d+)\)/.exec(alarm)?.[1] ?? ''];
    if (state !== undefined) return state;
  }
  return 'trouble';
}

export function stateOf({ standing, alarms, lacks, room_alarms }: Volume): VolumeState {
  if (standing === null) return alarms.length > 0 ? troubleOf(alarms) : 'unanswered';
  if (standing !== 'ours' && standing !== 'new') return OF_STANDING[standing];
  if (alarms.length > 0) return troubleOf(alarms);
  if (room_alarms.some(({ kind }) => SHORT.includes(kind))) return 'low';
  return lacks > 0 ? 'filling' : 'well';
}

/** Whether recordings reach it. */
export function isWritten(volume: Volume): boolean {
  return ['well', 'filling', 'low'].includes(stateOf(volume));
}

/** Whether what is known of its room is its own: of one that isn't there, it would be that of what holds its place. */
export function hasRoom({ standing, disk }: Volume): boolean {
  return (standing === 'ours' || standing === 'new') && disk.total_bytes > 0;
}
