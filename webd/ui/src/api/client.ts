/**
 * Every request that the page makes. An answer that isn't a success becomes an {@link ApiError} whose message is a
 * sentence for the person in front of the screen.
 */

import { texts } from '@/texts';
import { observeServerDate } from '@/util/clock';
import { asSentence } from '@/util/format';

import type {
  AssetStats,
  Browse,
  BulkDelete,
  ControlStatus,
  Doomed,
  Flow,
  ImageReport,
  MarkedPlace,
  Problem,
  Recorder,
  RecorderConfig,
  Retention,
  RetentionPlan,
  SearchHits,
} from './types';

/** After this a request counts as failed. */
const TIMEOUT_MS = 10_000;
/** The same where the server reads a whole archive, and says itself when that takes too long. */
const LONG_TIMEOUT_MS = 20_000;
/** Files deleted by one request. */
const PORTION = 200;

export class ApiError extends Error {
  /**
   * @param status HTTP status; 0 when there was no answer.
   * @param message what to show.
   */
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
    this.name = 'ApiError';
  }
}

/** What to show for anything that was thrown. */
export function sentenceOf(error: unknown): string {
  return error instanceof ApiError ? error.message : texts.errors.unexpected(String(error));
}

async function problemOf(response: Response): Promise<ApiError> {
  const type = response.headers.get('content-type') ?? '';
  if (type.includes('json')) {
    try {
      const problem = (await response.json()) as Problem | null;
      const sentence = problem?.detail || problem?.title;
      if (sentence) return new ApiError(response.status, asSentence(sentence));
    } catch {
      // Says JSON and isn't: the status has to do.
    }
  }
  return new ApiError(response.status, texts.errors.status(response.status));
}

async function request(method: string, path: string, body?: unknown, patience = TIMEOUT_MS): Promise<unknown> {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), patience);
  try {
    const response = await fetch(path, {
      method,
      signal: abort.signal,
      headers: {
        accept: 'application/json',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    observeServerDate(response.headers.get('date'), Date.now());
    if (!response.ok) throw await problemOf(response);
    const text = await response.text();
    if (text === '') return undefined;
    try {
      return JSON.parse(text) as unknown;
    } catch {
      throw new ApiError(response.status, texts.errors.notJson);
    }
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw new ApiError(0, abort.signal.aborted ? texts.errors.timeout(patience / 1000) : texts.errors.unreachable);
  } finally {
    clearTimeout(timer);
  }
}

/** Escapes each part of an archive path and keeps the slashes between them. */
export function encodePath(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/');
}

/** Where a file is played from. */
export function playUrl(path: string): string {
  return `/api/assets/download/${encodePath(path)}`;
}

/** Where a file is saved from. */
export function downloadUrl(path: string): string {
  return `${playUrl(path)}?save=1`;
}

const recorder = (id: string): string => `/api/recorders/${encodeURIComponent(id)}`;

export const api = {
  recorders: () => request('GET', '/api/recorders') as Promise<Recorder[]>,
  start: (id: string) => request('POST', `${recorder(id)}/start`),
  stop: (id: string) => request('POST', `${recorder(id)}/stop`),
  startAll: () => request('POST', '/api/recorders/start-all'),
  stopAll: () => request('POST', '/api/recorders/stop-all'),
  configure: (id: string, config: RecorderConfig) => request('PUT', `${recorder(id)}/config`, config),
  /** What these limits would delete now; nothing is set. */
  tryLimits: (id: string, limits: Retention) =>
    request('POST', `${recorder(id)}/retention`, limits, LONG_TIMEOUT_MS) as Promise<RetentionPlan>,
  /** The volume that is at this root belongs there from now on. */
  adoptVolume: (root: string) => request('POST', '/api/system/volumes/adopt', { root }, LONG_TIMEOUT_MS),
  /** Marks an instant (RFC 3339) of what the recorder has recorded. */
  mark: (id: string, text: string, at: string) =>
    request('POST', `${recorder(id)}/markers`, { text, at }) as Promise<MarkedPlace>,
  /** 404 while the flow is not received. */
  flow: (id: string) => request('GET', `/api/flows/${encodeURIComponent(id)}`) as Promise<Flow>,
  status: () => request('GET', '/api/control/status') as Promise<ControlStatus>,
  /** 404 on a machine that is no appliance. */
  image: () => request('GET', '/api/system/image') as Promise<ImageReport>,
  /** The folder's first `limit` entries: folders first, each kind with the latest name first. */
  browse: (path: string, limit: number) =>
    request('GET', `/api/assets/browse?path=${encodeURIComponent(path)}&limit=${limit}`) as Promise<Browse>,
  search: (words: string) =>
    request('GET', `/api/assets/search?q=${encodeURIComponent(words)}`) as Promise<SearchHits>,
  assetStats: () => request('GET', '/api/assets/stats') as Promise<AssetStats>,
  deleteFile: ({ path, begins }: Doomed) =>
    request(
      'DELETE',
      `/api/assets/file/${encodePath(path)}${begins === undefined ? '' : `?begins=${encodeURIComponent(begins)}`}`,
    ),
  /** Any number of files; the server takes them in portions. */
  async deleteFiles(files: readonly Doomed[]): Promise<BulkDelete> {
    const all: BulkDelete = { deleted: [], failed: [] };
    for (let i = 0; i < files.length; i += PORTION) {
      const these = files.slice(i, i + PORTION);
      const portion = these.map((file) => file.path);
      const begins = these.map((file) => file.begins ?? null);
      const body = begins.every((one) => one === null) ? { paths: portion } : { paths: portion, begins };
      try {
        const { deleted, failed } = (await request('POST', '/api/assets/delete-bulk', body)) as BulkDelete;
        all.deleted.push(...deleted);
        all.failed.push(...failed);
      } catch (error) {
        // What earlier portions did stays done and must be told.
        const detail = sentenceOf(error);
        all.failed.push(...portion.map((path) => ({ path, detail })));
      }
    }
    return all;
  },
};
