/** The words of a recorder's settings: which files it writes, and how long it keeps them. */

import type { Format, OpusConfig, Retention } from '@/api/types';
import type { Family } from '@/util/formats';
import { formatBytes } from '@/util/format';

import { count } from './count';

/** What is kept, as the end of a sentence: `everything`, `90 days`, `90 days, at most 500 GB`. */
function kept({ days, bytes, make_room }: Retention): string {
  const parts = [
    ...(days === null ? [] : [count(days, 'day', 'days')]),
    ...(bytes === null ? [] : [`at most ${formatBytes(bytes)}`]),
    ...(make_room ? ['as long as the disk has room'] : []),
  ];
  return parts.length === 0 ? 'everything' : parts.join(', ');
}

export const settings = {
  open: (name: string) => `Settings of ${name}`,
  title: (name: string) => `${name}: files and how long they are kept`,
  save: 'Save',
  saved: 'Saved',
  cancel: 'Cancel',
  changedMeanwhile:
    'Somebody else changed these settings since you opened them, so nothing was saved. Close and open them again.',
  gone: 'This recorder is not there any more.',
};

const FAMILY: Record<Family, string> = { wav: 'WAV', flac: 'FLAC', opus: 'Opus' };

export const formats = {
  title: 'Files',
  main: 'Main file',
  also: (family: Family) => `${FAMILY[family]} beside it`,
  none: 'None',
  family: FAMILY,
  name: {
    wav: 'WAV, as deep as the source',
    wav16: 'WAV, 16 bit',
    wav24: 'WAV, 24 bit',
    wav32f: 'WAV, 32 bit float',
    flac: 'FLAC, as deep as the source',
    flac16: 'FLAC, 16 bit',
    flac24: 'FLAC, 24 bit',
    opus: 'Opus',
  } satisfies Record<Format, string>,
  about: {
    wav: 'WAV is what came, bit for bit, and opens everywhere.',
    flac: 'FLAC is what came, bit for bit, in about half the room; 8 channels at most.',
    opus: 'Opus is small and sounds alike, but is not what came bit for bit.',
  } satisfies Record<Family, string>,
  dithered: 'A source of 24 bit is made 16 bit with dither.',
  together: 'All are written at once, with the same names and the same samples.',
  locked: 'While it records, its files stay as they are: stop it first to change them.',
  opus: 'How Opus is made',
  bitrate: 'Bitrate, kbit/s',
  bitrateHelp: 'Of all channels together. Left empty it is 128, and 64 for each channel of more than two.',
  bitrateWrong: 'Give the bitrate in kbit/s, 6 or more, without separators of thousands (write 1000 or 96.5), or leave it empty.',
  mode: 'The bitrate is',
  modes: {
    vbr: 'what the sound needs (variable)',
    'constrained-vbr': 'variable within narrow bounds',
    cbr: 'always the same',
  } satisfies Record<OpusConfig['mode'], string>,
  application: 'Made for',
  applications: {
    audio: 'music and speech',
    voip: 'speech that must be understood',
    'low-delay': 'the shortest delay',
  } satisfies Record<OpusConfig['application'], string>,
  complexity: 'Effort, 0 to 10',
  complexityHelp: 'More sounds a little better and costs more of the processor.',
  complexityWrong: 'Give the effort as a whole number from 0 to 10.',
  /** On the card: `WAV + Opus`. */
  short: (families: readonly Family[]) => families.map((family) => FAMILY[family]).join(' + '),
};

export const keep = {
  title: 'Kept for',
  all: 'Everything is kept until somebody deletes it.',
  how: 'The oldest recordings go first. What somebody protects, and what is being recorded, stays.',
  byAge: 'Delete recordings that are older than',
  days: 'days',
  bySize: 'Delete the oldest when all together have more than',
  gigabytes: 'GB',
  makeRoom: (floor: string | null) =>
    floor === null
      ? 'Delete the oldest when the disk is nearly full'
      : `Delete the oldest when the disk has less than ${floor} free`,
  daysLabel: 'Days that a recording is kept',
  gigabytesLabel: 'Gigabytes that all recordings of this recorder may have',
  daysWrong: 'Give the days as a whole number from 1 to 36500, without separators.',
  gigabytesWrong: 'Give the size in GB, at least 0.001, without separators of thousands: write 1000 or 1.5.',
  understood: (bytes: string) => `That is ${bytes}.`,
  looking: 'Looking at what would go …',
  nothing: 'By this nothing would be deleted now.',
  /** `from` and `to` are days. */
  goes: (n: number, from: string, to: string, bytes: string) =>
    `${count(n, 'recording', 'recordings')} ${from === to ? `of ${from}` : `from ${from} to ${to}`}, ${bytes}, would be deleted.`,
  notBefore: (time: string) =>
    `Saved now, it acts from ${time} on: until then nothing is deleted by it, and it can be taken back.`,
  atOnce: 'It keeps no less than before, so it acts at once.',
  lacking: (bytes: string) => `Even so the disk would lack ${bytes} of what is to be free.`,
  /** On the card. */
  short: (limits: Retention) => `keeps ${kept(limits)}`,
  pending: (time: string, wanted: Retention, now: Retention) =>
    `From ${time} on less is kept: ${kept(wanted)}. Until then it is ${kept(now)}.`,
  pendingUnknown: (time: string, wanted: Retention) => `From ${time} on less is kept: ${kept(wanted)}.`,
  keepAfterAll: 'Keep after all',
  keepAfterAllLabel: (name: string) => `Keep the recordings of ${name} after all`,
};
