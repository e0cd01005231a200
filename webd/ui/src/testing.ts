/** Examples for tests, and what their browser lacks. */

import { vi } from 'vitest';

import type {
  AssetEntry, ClockStatus, ImageFallback, ImageReport, Recorder, RecorderConfig, RetentionPlan, Volume,
} from '@/api/types';

/** What a dialog needs of a browser and jsdom doesn't have, also while it is taken away. */
export function stubForDialogs(): void {
  vi.stubGlobal('visualViewport', new EventTarget());
  vi.stubGlobal(
    'ResizeObserver',
    class {
      observe(): void {}
      unobserve(): void {}
      disconnect(): void {}
    },
  );
}

/** A recorder that records without loss, but for what is given. */
export function aRecorder(but: Partial<Recorder> = {}): Recorder {
  return {
    id: 'studio-1',
    name: 'Studio 1',
    enabled: true,
    state: 'recording',
    config: aConfig(),
    studio_id: null,
    levels: [],
    start_time: '2026-01-10T12:00:00Z',
    bytes_written: 1_036_800_044,
    current_file: 'studio-1/2026-01-10-12.wav',
    errors: [],
    lost_frames: 0,
    filled_frames: 0,
    gaps: 0,
    flow_state: 'receiving',
    rate: 48_000,
    channel_names: ['L', 'R'],
    ...but,
  };
}

/** A configuration that keeps everything, as WAV, but for what is given. */
export function aConfig(but: Partial<RecorderConfig> = {}): RecorderConfig {
  return {
    revision: 7,
    enabled: true,
    source_id: 'studio-1',
    format: 'wav',
    also: [],
    opus: { bitrate: null, mode: 'vbr', complexity: 5, application: 'audio' },
    retention: { days: null, bytes: null, make_room: false },
    ...but,
  };
}

/** A plan by which much would go in an hour, but for what is given. */
export function aPlan(but: Partial<RetentionPlan> = {}): RetentionPlan {
  return {
    recordings: 312,
    files: 624,
    bytes: 41_000_000_000,
    oldest: '2025-10-01T12:00:00Z',
    newest: '2025-10-09T12:00:00Z',
    acts_in_seconds: 3600,
    protected: 0,
    lacking_bytes: 0,
    notes: [],
    ...but,
  };
}

/** An archive that is well, but for what is given. */
export function aVolume(but: Partial<Volume> = {}): Volume {
  return {
    role: 'archive',
    root: '/srv/recordings',
    standing: 'ours',
    disk: { total_bytes: 1_000_000_000_000, free_bytes: 590_000_000_000 },
    lacks: 0,
    copied: 0,
    alarms: [],
    floor_bytes: 50_000_000_000,
    bytes_per_second: 288_000,
    seconds_left: 1_875_000,
    room_alarms: [],
    ...but,
  };
}

/** A clock that is locked to PTP, but for what is given. */
export function aClock(but: Partial<ClockStatus> = {}): ClockStatus {
  return {
    quality: 'ptp-locked',
    tai_offset: 37,
    grandmaster: '00-1D-C1-FF-FE-12-34-56',
    domain: 5,
    port: 'eth1',
    system_offset_nanos: -26_000,
    unlocked_seconds: null,
    alarms: [],
    ...but,
  };
}

/** A release that runs well, but for what is given. */
export function anImage(but: Partial<ImageReport> = {}): ImageReport {
  return {
    name: 'audyn-1a2b3c',
    board: 'x86_64-efi',
    version: '1.2.0',
    kind: 'release',
    slot: 'A',
    recordings: { disk: 'own', why: 'only', name: '' },
    up_seconds: 93_784,
    trial: false,
    health: 'good',
    fallback: null,
    alarms: [],
    ...but,
  };
}

/** An update that did not start, but for what is given. */
export function aFallback(but: Partial<ImageFallback> = {}): ImageFallback {
  return {
    slot: 'B',
    version: '1.3.0',
    tries: 3,
    reason: 'the engine did not pass its self-test',
    at: '2026-01-10T14:30:00Z',
    ...but,
  };
}

/** A finished file of an hour, but for what is given. */
export function anEntry(path: string, but: Partial<AssetEntry> = {}): AssetEntry {
  return {
    name: path.split('/').at(-1) ?? path,
    path,
    type: 'file',
    size: 1000,
    modified: '2026-01-10T12:00:00Z',
    duration_seconds: 3600,
    recording: false,
    format: 'wav',
    ...but,
  };
}
