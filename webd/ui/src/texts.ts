/**
 * Every word that the page says, in one place, so that it can say them in another language. A text with a number
 * or a name in it is a function of these.
 */

import type {
  ClockQuality, FlowState, FlowTiming, ImageFallback, ImageReport, LegState, RecorderLeg, RecorderState, RecordingsDisk,
} from '@/api/types';
import type { Loss } from '@/util/loss';
import { formatElapsed, formatLost } from '@/util/format';
import { count } from '@/words/count';
import { formats, keep, settings } from '@/words/settings';
import { storage } from '@/words/storage';

/** `120 ms in 3 gaps`. */
function length(loss: Loss): string {
  const size = loss.ms === undefined ? count(loss.frames, 'frame', 'frames') : formatLost(loss.ms);
  return `${size} in ${count(loss.gaps, 'gap', 'gaps')}`;
}

export const texts = {
  product: 'Audyn',
  skip: 'Skip to content',
  nav: { label: 'Views', overview: 'Overview', files: 'Files' },
  theme: {
    system: 'Colours: as the system. Switch to light',
    light: 'Colours: light. Switch to dark',
    dark: 'Colours: dark. Switch to the system’s',
  },
  common: { dismiss: 'Dismiss', retry: 'Try again' },

  errors: {
    unreachable: 'Audyn’s web server does not answer. Check that the box is on and that this device reaches its network.',
    timeout: (seconds: number) =>
      `Audyn’s web server took longer than ${seconds} seconds to answer. Try again; if it stays so, look at its log.`,
    status: (status: number) =>
      `The server answered with HTTP status ${status} and gave no reason. Look at the log of audyn-webd.`,
    notJson: 'The answer did not come from Audyn: is there a proxy or a login page in between?',
    unexpected: (what: string) => `Something unexpected happened on this page (${what}). Reload it.`,
  },

  connection: {
    lost: 'Connection lost, reconnecting …',
    lostDetail: 'What you see is the last that was heard. Recording does not depend on this page.',
  },

  strip: {
    label: 'State of the recorder',
    engineOn: 'Engine connected',
    engineOff: 'Engine not connected',
    engineUnknown: 'Engine: unknown',
    recording: (n: number, of: number) => `${n} of ${of} recording`,
    recordingNone: 'Not recording',
    nothingLost: 'Nothing lost',
    lost: (loss: Loss) => `Lost ${length(loss)}`,
    joined: (loss: Loss) => count(loss.gaps, 'joint', 'joints'),
    noAudio: (n: number) => `${count(n, 'recorder', 'recorders')} without audio`,
    errors: (n: number) => count(n, 'recorder in error', 'recorders in error'),
    free: (bytes: string) => `${bytes} free`,
    diskLow: (bytes: string) => `Disk nearly full: ${bytes} free`,
    engineOffBecause: (why: string) => (why === '' ? 'Engine not connected.' : `Engine not connected: ${/[.!?]$/.test(why) ? why : `${why}.`}`),
    engineOffHelp: 'Nothing can be started or stopped from here until it is back; what you see is the last that was heard.',
    warnings: 'The engine reports',
  },

  state: {
    recording: 'Recording',
    stopped: 'Stopped',
    paused: 'Paused',
    error: 'Error',
  } satisfies Record<RecorderState, string>,
  disabled: 'Off',

  flow: {
    receiving: 'Receiving audio',
    silent: 'Audio has stopped coming',
    waiting: 'Waiting for audio',
    failed: 'Cannot receive',
  } satisfies Record<FlowState, string>,
  flowHelp: {
    receiving: 'Packets of the source arrive.',
    silent: 'The source sent before and sends no more: check the sender and the network.',
    waiting: 'No packet of the source has come yet: check its address, the sender and the network.',
    failed: 'The socket for this source could not be opened; it is tried again.',
  } satisfies Record<FlowState, string>,
  placed: {
    'media-clock': 'Each sample has its exact time, from the sender’s media clock.',
    arrival: 'Times are estimated: the sender’s media clock does not agree with the clock of this machine.',
  } satisfies Record<Exclude<FlowTiming['placement'], null>, string>,
  clock: {
    'ptp-locked': 'The clock of this machine was locked to PTP.',
    'ptp-free-running': 'The clock of this machine ran on alone after PTP.',
    ntp: 'The clock of this machine was synchronised by NTP.',
    none: 'Nothing was known to set the clock of this machine.',
  } satisfies Record<ClockQuality, string>,
  drift: (ppm: number) =>
    `The sender runs ${Math.abs(ppm).toFixed(1)} ppm ${ppm < 0 ? 'slower' : 'faster'} than this machine.`,
  flowOff: 'Does not receive while off',
  noSource: 'No source assigned',

  legs: {
    label: 'Legs of the flow',
    name: (n: number) => `Leg ${n}`,
    state: {
      receiving: 'receiving',
      waiting: 'nothing has come',
      silent: 'has stopped coming',
      differs: 'another stream',
      failed: 'cannot receive',
    } satisfies Record<LegState, string>,
    help: {
      receiving: 'Packets come on this leg.',
      waiting: 'Nothing of the flow has come on this leg yet: check its address and network.',
      silent: 'The flow came on this leg and comes no more: check its network.',
      differs: 'This leg carries another stream than the other one, and nothing of it is recorded: check both addresses.',
      failed: 'The socket of this leg could not be opened; it is tried again.',
    } satisfies Record<LegState, string>,
    counted: {
      received: (n: number) => `${n} packets`,
      lost: (n: number) => `${n} lost`,
      late: (n: number) => `${n} late`,
      differing: (n: number) => `${n} unlike the other leg’s`,
      foreign: (n: number) => `${n} of other senders`,
      refused: (n: number) => `${n} refused`,
      kernel_dropped: (n: number) => `${n} dropped by the kernel`,
    } satisfies Record<keyof RecorderLeg['counters'], (n: number) => string>,
  },

  network: {
    title: 'Network',
    loading: 'Asking for the figures …',
    none: 'Nothing has come yet.',
    leg: (n: number) => `Leg ${n}`,
    address: 'Address',
    sender: 'Sender',
    dscp: 'DSCP',
    ttl: 'TTL',
    offset: 'Link offset',
    unknown: 'unknown',
    minute: 'Last minute',
    all: 'Since start',
    packets: 'Packets',
    lost: 'Lost packets',
    late: 'Late',
    reordered: 'Out of order',
    duplicated: 'Came twice',
    jitter: 'Jitter, greatest (RFC 3550)',
    tsdf: 'TS-DF, greatest (EBU Tech 3337)',
    interval: 'Longest interval',
    millis: (ms: string) => `${ms} ms`,
    lateness: 'Capture woke late by at most',
  },

  meter: {
    label: (recorder: string, channel: string) => `Level of ${recorder}, channel ${channel}`,
    group: (recorder: string) => `Levels of ${recorder}`,
    value: (level: string, peak: string) => `${level} dBFS, peak ${peak} dBFS`,
    valueClipped: (level: string, peak: string) => `${level} dBFS, peak ${peak} dBFS, clipped`,
    unknown: 'no measurement',
    clip: 'CLIP',
    none: 'No channels yet',
    unit: 'dBFS',
    loudest: (channel: string, peak: string) => `Loudest ${channel}: ${peak}`,
    clipped: (channels: string) => `CLIP ${channels}`,
  },

  recorder: {
    elapsed: 'Elapsed',
    since: (when: string) => `since ${when}`,
    file: 'File',
    noFile: 'no file open yet',
    written: 'Written',
    nothingLost: 'Nothing lost',
    lost: (loss: Loss) => `Lost ${length(loss)}`,
    joined: (loss: Loss) => `${count(loss.gaps, 'joint', 'joints')}; nothing known to miss`,
    lostHelp: 'Since this recording began. Lost audio is silence of the same length in the file.',
    start: 'Start',
    stop: 'Stop',
    startLabel: (name: string) => `Start recording ${name}`,
    stopLabel: (name: string) => `Stop recording ${name}`,
    notRecording: 'Not recording',
    offHelp: 'This recorder is off: it neither receives nor meters.',
    turnOn: 'Turn on',
    turnOnLabel: (name: string) => `Turn on ${name}`,
    stopTitle: (name: string) => `Stop recording ${name}?`,
    stopBody: (elapsed: string, since: string) =>
      `It has been recording for ${elapsed}, since ${since}. The file is closed and stays; starting again begins a new one.`,
    stopBodyUnknown: 'The file is closed and stays; starting again begins a new one.',
    stopConfirm: 'Stop recording',
    keep: 'Keep recording',
  },

  settings,
  formats,
  keep,
  storage,

  mark: {
    button: 'Mark',
    label: (name: string) => `Mark this place in ${name}`,
    title: (time: string, name: string) => `Mark ${time} in ${name}`,
    text: 'What is to be found here?',
    cancel: 'Cancel',
    made: (time: string) => `Marked ${time}`,
  },

  overview: {
    title: 'Overview',
    startAll: 'Start all',
    stopAll: 'Stop all',
    stopAllTitle: (n: number) => `Stop ${count(n, 'recording', 'recordings')}?`,
    stopAllBody: (names: string) => `These stop: ${names}. Their files are closed and stay.`,
    stopAllConfirm: (n: number) => (n === 1 ? 'Stop it' : `Stop all ${n}`),
    loading: 'Asking for the recorders …',
    emptyTitle: 'No recorder is set up yet',
    emptyBody:
      'A recorder takes one source and writes it to files of its own. Add a source to sources.json and a recorder to recorders.json, then restart audyn-engine. To look around without a network, scripts/demo starts two studios.',
  },

  machineClock: {
    label: 'Clock',
    quality: {
      'ptp-locked': 'Locked to PTP',
      'ptp-free-running': 'Free-running after PTP',
      ntp: 'Synchronised by NTP',
      none: 'Not synchronised',
    } satisfies Record<ClockQuality, string>,
    grandmaster: 'Grandmaster',
    where: (domain: number, port: string) => `in domain ${domain} on ${port}`,
    offset: (ms: number) => `Off by ${ms.toFixed(3)} ms`,
    unlocked: (seconds: number) => `Without lock for ${formatElapsed(seconds)}`,
    tai: (offset: number | null) => (offset === null ? 'TAI is not known' : `TAI is ${offset} s ahead of UTC`),
    since: (when: string) => `Since ${when}.`,
  },

  image: {
    label: 'Image of this box',
    kind: {
      development: 'Development image: not for production',
      lab: 'Lab image: for tests only',
    } satisfies Record<Exclude<ImageReport['kind'], 'release'>, string>,
    name: 'This box',
    board: 'Board',
    recordings: 'Recordings go to',
    disk: (to: Pick<RecordingsDisk, 'disk' | 'name'>) =>
      to.disk === 'own' ? 'the box’s own disk' : `the second disk (${to.name})`,
    why: {
      only: () => 'no other was set up',
      forgotten: () => 'somebody chose it',
      several: () => 'several disks were prepared, and none is chosen',
      missing: (name) => `the second disk (${name}) is missing`,
      late: (name) => `the second disk (${name}) came after the start; from the next start on they go there`,
      remembered: () => 'it was prepared for this box',
      adopted: () => 'the only prepared disk at the start, in use from then on',
    } satisfies Record<RecordingsDisk['why'], (name: string) => string>,
    notChosen: 'not chosen yet',
    running: 'Running for',
    version: (version: string) => `Audyn ${version}`,
    slot: (slot: string) => `Slot ${slot}`,
    good: 'Checked and good',
    pending: 'Being checked',
    trial: 'On trial: kept only if its check passes',
    failed: 'The check of this image failed',
    fellBack: (to: Pick<ImageFallback, 'version' | 'reason'>, runs: string) =>
      `Update to ${to.version} did not start (${to.reason.replace(/\.$/, '')}); the box runs ${runs} again.`,
    fellBackDetail: (tries: number, slot: string, when: string) =>
      `Given up after ${count(tries, 'try', 'tries')} in slot ${slot}, ${when}.`,
  },

  files: {
    title: 'Files',
    root: 'Archive',
    breadcrumb: 'Folder',
    search: 'Search the archive',
    stats: (files: number, bytes: string, free: string) =>
      `${count(files, 'file', 'files')}, ${bytes}; ${free} free`,
    found: (n: number, words: string, more: boolean) =>
      more ? `The first ${n} hits for “${words}”; add a word to narrow it down` : `${count(n, 'hit', 'hits')} for “${words}”`,
    columns: { name: 'Name', size: 'Size', duration: 'Duration', modified: 'Modified', actions: 'Actions' },
    sortBy: (column: string) => `Sort by ${column}`,
    recording: 'Being recorded',
    up: 'Up one folder',
    play: (name: string) => `Play ${name}`,
    hide: (name: string) => `Close the player of ${name}`,
    player: (name: string) => `Player of ${name}`,
    cannotPlay:
      'This browser could not play the file. Download it instead; if that fails too, the file may be gone.',
    playsSoFar: 'Still being recorded: plays what is written so far.',
    download: (name: string) => `Download ${name}`,
    remove: (name: string) => `Delete ${name}`,
    removeRecording: 'A file that is being recorded cannot be deleted; stop its recorder first',
    select: (name: string) => `Select ${name}`,
    selectAll: 'Select all files in this list',
    selected: (n: number, bytes: string) => `${n} selected, ${bytes}`,
    clear: 'Clear selection',
    removeSelected: 'Delete selected',
    removeTitle: (n: number, name: string) => (n === 1 ? `Delete ${name}?` : `Delete ${n} files?`),
    removeBody: (bytes: string) => `${bytes} of audio will be gone for good; there is no way back.`,
    removeConfirm: 'Delete for good',
    keep: (n: number) => (n === 1 ? 'Keep it' : 'Keep them'),
    andMore: (n: number) => `and ${n} more`,
    deleted: (n: number) => `${count(n, 'file', 'files')} deleted.`,
    notDeleted: (n: number) => `${count(n, 'file', 'files')} could not be deleted:`,
    emptyFolder: 'This folder is empty.',
    emptyArchive: 'Nothing has been recorded yet. Start a recorder on the Overview and its files appear here.',
    noHits: 'No file has all these words in its path.',
    shown: (n: number, of: number) => `The newest ${n} of ${of}`,
    more: (n: number) => `Show ${n} more`,
    loading: 'Reading the archive …',
  },
} as const;
