/** The words of the disks that are recorded to: how each is, and what is to be done about it. */

import type { Volume } from '@/api/types';
import type { VolumeState } from '@/util/volume';

import { count } from './count';

const BY_ITSELF = 'it is recorded to again by itself';

/** What comes of it until it is mended. */
function meanwhile(role: Volume['role'], other: boolean): string {
  if (other) return 'Meanwhile everything goes to the other disk, and what this one misses is copied to it later.';
  return role === 'archive' ? 'Until then nothing is recorded.' : 'Until then there is no second copy.';
}

export const storage = {
  title: 'Storage',
  role: { archive: 'Archive', mirror: 'Mirror' } satisfies Record<Volume['role'], string>,
  about: {
    archive: 'where recordings are, and where this page reads them',
    mirror: 'a second disk with the same recordings',
  } satisfies Record<Volume['role'], string>,
  loading: 'Asking for the disks …',
  state: {
    well: 'In use',
    filling: 'In use, being completed',
    low: 'In use, room runs short',
    unanswered: 'Has not answered yet',
    wrong: 'Another disk',
    unmarked: 'Not the disk that belongs here',
    unreadable: 'Cannot be read',
    away: 'Away',
    unchosen: 'No disk chosen yet',
    same: 'Not a disk of its own',
    full: 'Full',
    readonly: 'Read-only',
    failing: 'Failing',
    trouble: 'Needs attention',
  } satisfies Record<VolumeState, string>,
  /** `filling` while nothing can be copied. */
  incomplete: 'In use, incomplete',
  /** What to do, for a person with hands and no manual; none where nothing is. */
  advice: (state: VolumeState, role: Volume['role'], other: boolean): string[] => {
    const then = meanwhile(role, other);
    switch (state) {
      case 'well':
      case 'filling':
      case 'trouble':
        return [];
      case 'low':
        return ['Delete what is not needed, or let recorders keep less (the gear on their cards).'];
      case 'unanswered':
        return ['If it stays so, check the disk’s cable and power.'];
      case 'wrong':
        return [`Put the disk back that belongs here, and ${BY_ITSELF}. Or, after a change of the disk, use this one from now on.`, then];
      case 'unmarked':
        return [
          `Nothing here says that it is Audyn’s: perhaps the disk is not connected, and this is the empty place for it. Connect it, and ${BY_ITSELF}. Or, if it is a new disk, use it from now on.`,
          then,
        ];
      case 'unreadable':
        return ['Check its cable and power. If it stays so, the disk is failing: save what is on it and replace it.', then];
      case 'away':
        return [`Connect the disk and switch it on. Once it is mounted, ${BY_ITSELF}.`, then];
      case 'unchosen':
        return ['The box chooses a disk when it starts. If it stays so, look at what it says of its start.', then];
      case 'same':
        return ['It is on the archive’s own disk, where it protects nothing. Give it another disk.', then];
      case 'full':
        return ['Nothing more fits. Delete what is not needed, or let recorders keep less (the gear on their cards).', then];
      case 'readonly':
        return [
          'The system lets nobody write to it, often since the disk made an error. Restart the box; if it is read-only again, replace the disk.',
          then,
        ];
      case 'failing':
        return ['The disk makes errors. Check its cable and power; if they go on, replace it.', then];
    }
  },
  used: (name: string) => `Used room of the ${name.toLowerCase()}`,
  usedValue: (used: string, total: string) => `${used} of ${total} used`,
  free: (free: string, total: string) => `${free} free of ${total}`,
  fullIn: (span: string) => `full in ${span}`,
  notForeseen: 'not foreseen to be full',
  idle: 'nothing is written now',
  keepsFree: (bytes: string) => `${bytes} shall stay free`,
  floorGrows: (time: string) => `From ${time} on more room is kept free than before.`,
  copying: (lacks: number, copied: number) =>
    copied === 0
      ? `${count(lacks, 'file', 'files')} of the other disk ${lacks === 1 ? 'is' : 'are'} being copied to it.`
      : `${count(lacks, 'file', 'files')} of the other disk still to be copied to it; ${copied} done.`,
  lacking: (n: number) =>
    `It lacks ${count(n, 'file', 'files')} of the other disk; ${n === 1 ? 'it is' : 'they are'} copied once both disks are in use.`,
  copied: (n: number) => `${count(n, 'file', 'files')} that it had missed ${n === 1 ? 'was' : 'were'} copied to it.`,
  says: 'The engine says',
  adopt: 'Use this disk from now on',
  adoptLabel: (name: string) => `Use the disk that is there as the ${name.toLowerCase()} from now on`,
  adoptTitle: (name: string) => `Use this disk as the ${name.toLowerCase()} from now on?`,
  adoptBody: (root: string) =>
    `Recordings go to what is at ${root} now. Be sure that it is the disk that you mean, and not the empty place of one that is away. The disk of before counts as another one from then on, and keeps what it has.`,
  adoptCancel: 'Leave it',
  none: 'The engine tells of no disk yet.',
};
