import { describe, expect, it } from 'vitest';

import type { Volume } from '@/api/types';
import { aVolume } from '@/testing';

import { hasRoom, isWritten, stateOf } from './volume';

const alarm = (kind: string): Volume['room_alarms'][number] => ({ kind, text: 'full soon', began: '2026-01-10T14:30:00Z' });

describe('a volume', () => {
  it.each<[Partial<Volume>, string]>([
    [{}, 'well'],
    [{ standing: 'new' }, 'well'],
    [{ lacks: 3 }, 'filling'],
    [{ lacks: 3, room_alarms: [alarm('full-soon')] }, 'low'],
    [{ room_alarms: [alarm('clock-doubted')] }, 'well'],
    [{ standing: null }, 'unanswered'],
    [{ standing: null, alarms: ['cannot open it: Input/output error (os error 5); check the disk'] }, 'failing'],
    [{ standing: 'another', alarms: ['another volume is there'] }, 'wrong'],
    [{ standing: 'unmarked' }, 'unmarked'],
    [{ standing: 'unreadable' }, 'unreadable'],
    [{ standing: 'missing' }, 'away'],
    [{ standing: 'unchosen' }, 'unchosen'],
    [{ standing: 'same' }, 'same'],
    [{ alarms: ['cannot write a.wav: No space left on device (os error 28); free space'] }, 'full'],
    [{ alarms: ['slow', 'cannot create a.wav: Read-only file system (os error 30); check'] }, 'readonly'],
    [{ alarms: ['cannot write a.wav: Input/output error (os error 5); replace it'] }, 'failing'],
    [{ alarms: ['the archive’s disk has not answered for 3 s'] }, 'trouble'],
  ])('%j is %s', (but, state) => expect(stateOf(aVolume(but))).toBe(state));

  it('is written to as long as nothing is wrong with it', () => {
    expect([{}, { lacks: 1 }, { room_alarms: [alarm('full-soon')] }].map((but) => isWritten(aVolume(but)))).toEqual([
      true, true, true,
    ]);
    expect(isWritten(aVolume({ standing: 'missing' }))).toBe(false);
    expect(isWritten(aVolume({ alarms: ['it hangs'] }))).toBe(false);
  });

  it('has the room of its own disk only', () => {
    expect(hasRoom(aVolume())).toBe(true);
    // The room is that of the folder above.
    expect(hasRoom(aVolume({ standing: 'missing' }))).toBe(false);
    expect(hasRoom(aVolume({ disk: { total_bytes: 0, free_bytes: 0 } }))).toBe(false);
  });
});
