/**
 * The shapes that audyn-webd sends and takes, as this page uses them. Fields marked optional may be missing; nothing
 * here is computed by the page.
 */

export type RecorderState = 'stopped' | 'recording' | 'paused' | 'error';

/**
 * Whether packets come. `waiting`: none yet since the flow was opened. `silent`: they came and have stopped.
 * `failed`: the socket could not be opened; the recorder's errors say why.
 */
export type FlowState = 'receiving' | 'silent' | 'waiting' | 'failed';

/** One channel's level; decibels are dBFS, null or missing where there is no signal at all. */
export interface Level {
  name: string;
  /** RMS over the last interval (about 33 ms). */
  level_db: number | null;
  level_linear: number;
  peak_db: number | null;
  /** A full-scale sample was seen just now. */
  clipping: boolean;
}

/**
 * A recorder's configuration: it is sent back whole, with the revision that it was read at, so that a change made
 * meanwhile by somebody else is not undone. Only what the page reads or sets is named.
 */
export interface RecorderConfig {
  revision?: number;
  enabled: boolean;
  source_id?: string | null;
  /** Of its first file. */
  format: Format;
  /** Further files of the same audio, one for each suffix. */
  also: Format[];
  /** How Opus is encoded, where it is among these. */
  opus: OpusConfig;
  /** What it keeps; everything where nothing is limited. */
  retention: Retention;
  [field: string]: unknown;
}

/** `wav` and `flac` are as deep as the source. */
export type Format = 'wav' | 'wav16' | 'wav24' | 'wav32f' | 'flac' | 'flac16' | 'flac24' | 'opus';

export interface OpusConfig {
  /** Bits per second of all channels together; null: 128,000, and 64,000 for each channel of more than two. */
  bitrate: number | null;
  mode: 'vbr' | 'constrained-vbr' | 'cbr';
  /** 0 to 10. */
  complexity: number;
  application: 'audio' | 'voip' | 'low-delay';
}

/** A recorder's limits; each alone, or together. */
export interface Retention {
  /** Since the end of a recording: 1 to 36,500. */
  days: number | null;
  /** Of all recordings together; at least 1,000,000. */
  bytes: number | null;
  /** The oldest go where the disk has less room than it shall keep free. */
  make_room: boolean;
}

/** Limits that were made tighter and do not act yet. */
export interface PendingLimits {
  acts_in_seconds: number;
  /** What holds until then; to set it again takes the change back. */
  in_force: Retention | null;
}

/** What limits would delete now. */
export interface RetentionPlan {
  /** A segment of several formats is one. */
  recordings: number;
  files: number;
  bytes: number;
  /** When the first and the last of them began, RFC 3339; null where none would go. */
  oldest: string | null;
  newest: string | null;
  /** Until these limits act, from now on; null where they do already, or would at once. */
  acts_in_seconds: number | null;
  /** Recordings that stay since they are protected, of all recorders with limits. */
  protected: number;
  /** What the disk would still lack to the room that it shall keep free. */
  lacking_bytes: number;
  /** Each a sentence. */
  notes: string[];
}

/** How good the machine's clock is known to be. */
export type ClockQuality = 'ptp-locked' | 'ptp-free-running' | 'ntp' | 'none';

/** How a flow stands on the clock. */
export interface FlowTiming {
  /** By the sender's media clock (exact) or by arrival (estimated); null before its first packet. */
  placement: 'media-clock' | 'arrival' | null;
  /** How good the machine's clock was then. */
  quality: ClockQuality;
  /** By how many parts per million the sender's clock runs fast; null until that can be said. */
  drift_ppm: number | null;
  /** How much later than its position says a frame arrives. */
  behind_nanos: number | null;
}

export interface Recorder {
  id: string;
  name: string;
  enabled: boolean;
  state: RecorderState;
  /** Null for a moment while the recorder is added. */
  config: RecorderConfig | null;
  studio_id: string | null;
  levels: Level[];
  /** RFC 3339; null when not recording. */
  start_time: string | null;
  bytes_written: number;
  current_file: string | null;
  errors: string[];
  /** Frames that never came, since the recording began. */
  lost_frames: number;
  /** Frames of silence put in their place. */
  filled_frames: number;
  gaps: number;
  flow_state: FlowState;
  /** Sample rate in hertz; 0 or missing without a source. */
  rate?: number;
  /** Names of the recorded channels, in file order. */
  channel_names?: string[];
  /** How its flow stands on the clock; null without a flow. */
  timing?: FlowTiming | null;
  /** The legs of its flow; none without a flow. */
  legs?: RecorderLeg[];
  pending_limits?: PendingLimits | null;
}

/** Like a flow's; `differs`: it carries another stream than the other leg, and nothing of it is recorded. */
export type LegState = FlowState | 'differs';

/** One leg of a recorder's flow: two where it is protected by a second way (ST 2022-7). */
export interface RecorderLeg {
  /** Group and port. */
  address: string;
  state: LegState;
  /** What is wrong with it, in a sentence. */
  error: string | null;
  /** In packets, since the flow was opened. */
  counters: {
    received: number;
    lost: number;
    late: number;
    differing: number;
    foreign: number;
    refused: number;
    kernel_dropped: number;
  };
}

/** Figures of one leg over a stretch of time, in packets unless the name says otherwise. */
export interface LegPeriod {
  packets: number;
  lost: number;
  lost_frames: number;
  late: number;
  reordered: number;
  duplicated: number;
  jitter_max_nanos: number;
  ts_df_max_nanos: number | null;
  interval_max_nanos: number | null;
}

/** One leg of a flow: two where it is protected by a second way (ST 2022-7). */
export interface Leg {
  /** Group and port; null for a moment while the flow is opened. */
  address: string | null;
  ssrc: string | null;
  sender: string | null;
  dscps: number[];
  ttl_min: number | null;
  ttl_max: number | null;
  jitter_nanos: number;
  ts_df_nanos: number | null;
  link_offset_nanos: number | null;
  since_start: LegPeriod;
  last_minute: LegPeriod;
}

/** A flow that is received, by its source's identifier. */
export interface Flow {
  id: string;
  address: string;
  state: FlowState;
  legs: Leg[];
}

export interface ControlStatus {
  /** Why the engine is not connected. */
  detail?: string | null;
  engine: { connected: boolean; version?: string; uptime_seconds?: number };
  recording?: number;
  recorders?: number;
  disk?: Room;
  /** Those that are recorded to: the archive's, then the mirror's if there is one. */
  volumes?: Volume[];
  /** `pending` of no recorder: the room that the disk shall keep free grows. */
  room?: { pending: { recorder: string | null; acts_in_seconds: number }[] };
  /** What the engine lacks or could not do, each a sentence. */
  warnings?: string[];
  clock?: ClockStatus;
  /** How late capture woke. */
  lateness?: { worst_nanos: number; last_minute_worst_nanos: number };
}

export interface Room {
  total_bytes: number;
  free_bytes: number;
}

/** How it stands with a volume. Only the first two are written to. */
export type VolumeStanding =
  | 'ours'
  | 'new'
  | 'another'
  | 'unmarked'
  | 'unreadable'
  | 'missing'
  | 'unchosen'
  | 'same';

/** A volume that is recorded to. */
export interface Volume {
  role: 'archive' | 'mirror';
  root: string;
  /** Null if it has not answered yet. */
  standing: VolumeStanding | null;
  disk: Room;
  /** Files that the other volume has and this one lacks; they are copied to it. */
  lacks: number;
  /** Files that were copied to it since the engine started. */
  copied: number;
  /** What is wrong with it, each a sentence. */
  alarms: string[];
  /** What it shall keep free. */
  floor_bytes: number;
  /** What is written to it now. */
  bytes_per_second: number;
  /** Until it is full; null while that is not foreseen. */
  seconds_left: number | null;
  /** What is wrong with its room. */
  room_alarms: { kind: string; text: string; began: string }[];
}

/** What is known of the clock that recordings are placed by. */
export interface ClockStatus {
  quality: ClockQuality;
  /** TAI − UTC in seconds; null if nobody knows. */
  tai_offset: number | null;
  /** The grandmaster that is followed, as SDP writes it, its domain, and the network port. */
  grandmaster: string | null;
  domain: number | null;
  port: string | null;
  /** System clock − grandmaster's time. */
  system_offset_nanos: number | null;
  /** For how long the clock has run without the lock that it had. */
  unlocked_seconds: number | null;
  /** Those that stand, then the last that ended. */
  alarms: { kind: string; subject: string; text: string; began: string; ended: string | null }[];
}

/** What the box says of the image that it runs. */
export interface ImageReport {
  /** The box's host name. */
  name: string;
  board: string;
  version: string;
  kind: 'release' | 'development' | 'lab';
  slot: 'A' | 'B';
  /** Not marked good yet; if it isn't, the box goes back to the other slot. */
  trial: boolean;
  health: 'pending' | 'good' | 'failed';
  /** Where recordings go; null before the boot has chosen. */
  recordings: RecordingsDisk | null;
  /** How long the box has been running. */
  up_seconds: number;
  /** The last update that was given up. */
  fallback: ImageFallback | null;
  /** Each a sentence. */
  alarms: string[];
}

export interface RecordingsDisk {
  /** The box's own, or one that was prepared for recordings. */
  disk: 'own' | 'second';
  why: 'only' | 'forgotten' | 'several' | 'missing' | 'late' | 'remembered' | 'adopted';
  /** The prepared disk in words; empty where there is none. */
  name: string;
}

export interface ImageFallback {
  slot: 'A' | 'B';
  version: string;
  tries: number;
  reason: string;
  /** RFC 3339. */
  at: string;
}

export interface AssetEntry {
  name: string;
  /** Relative to the archive root, with `/` between its parts. */
  path: string;
  type: 'directory' | 'file';
  size: number;
  /** RFC 3339. */
  modified: string;
  duration_seconds: number | null;
  /** Being written right now; such a file cannot be deleted. */
  recording: boolean;
  format: string | null;
  /** Of what is read on the mirror while the archive's volume is away: which recording it is, to be said by whoever deletes it. */
  begins?: string;
}

/** What is to be deleted: a file as it was shown. */
export type Doomed = Pick<AssetEntry, 'path' | 'begins'>;

export interface Browse {
  path: string;
  parent: string | null;
  /** Entries in the folder; `entries` may be only the first of them. */
  total?: number;
  entries: AssetEntry[];
}

export interface SearchHits {
  /** Files only. */
  entries: AssetEntry[];
  /** There are more. */
  truncated?: boolean;
}

export interface AssetStats {
  total_files: number;
  total_bytes: number;
  free_bytes: number;
}

export interface BulkDelete {
  deleted: string[];
  failed: { path: string; detail: string }[];
}

/** RFC 9457. */
export interface Problem {
  type?: string;
  title?: string;
  status?: number;
  detail?: string;
}

export interface LevelsOfRecorder {
  recorder_id: string;
  recorder_name: string;
  studio_id: string | null;
  state: RecorderState;
  channels: Level[];
}

/** What `/ws/levels` sends. */
export type LevelsMessage =
  | { type: 'all_levels'; timestamp: unknown; recorders: LevelsOfRecorder[] }
  /** The engine went away or came back. */
  | { type: 'engine'; connected: boolean; detail: string | null }
  | { type: 'pong' };

/** A place that was marked. */
export interface MarkedPlace {
  /** Its frame, counted from the epoch of the media clock. */
  position: number;
  /** Frames per second that it counts. */
  rate: number;
  /** RFC 3339, UTC. */
  at: string;
}
