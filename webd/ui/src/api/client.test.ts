import { afterEach, describe, expect, it, vi } from 'vitest';

import { texts } from '@/texts';

import { ApiError, api, downloadUrl, playUrl, sentenceOf } from './client';

function answer(status: number, body: string, type = 'application/problem+json'): void {
  vi.stubGlobal(
    'fetch',
    vi.fn(async () => new Response(body, { status, headers: { 'content-type': type } })),
  );
}

const failure = (promise: Promise<unknown>): Promise<ApiError> =>
  promise.then(
    () => {
      throw new Error('this request had to fail');
    },
    (error: unknown) => {
      expect(error).toBeInstanceOf(ApiError);
      return error as ApiError;
    },
  );

afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

describe('errors', () => {
  it('show the detail of a problem', async () => {
    answer(409, '{"title":"Conflict","status":409,"detail":"Studio 1 is recording this file: stop it first."}');
    const error = await failure(api.deleteFile({ path: 'a.wav' }));
    expect(error.status).toBe(409);
    expect(sentenceOf(error)).toBe('Studio 1 is recording this file: stop it first.');
  });

  it('show the title where there is no detail', async () => {
    answer(503, '{"title":"The engine is not connected"}');
    expect((await failure(api.recorders())).message).toBe('The engine is not connected.');
  });

  it('say the status where the body is no problem', async () => {
    answer(502, '<h1>Bad gateway</h1>', 'text/html');
    expect((await failure(api.recorders())).message).toBe(texts.errors.status(502));
    answer(500, '{broken');
    expect((await failure(api.recorders())).message).toBe(texts.errors.status(500));
    answer(500, 'null');
    expect((await failure(api.recorders())).message).toBe(texts.errors.status(500));
  });

  it('say so when nobody answers, and when it takes too long', async () => {
    vi.stubGlobal('fetch', vi.fn().mockRejectedValue(new TypeError('Failed to fetch')));
    const error = await failure(api.recorders());
    expect(error.status).toBe(0);
    expect(error.message).toBe(texts.errors.unreachable);

    vi.useFakeTimers();
    vi.stubGlobal(
      'fetch',
      vi.fn(
        (_url: string, init: RequestInit) =>
          new Promise((_resolve, reject) => {
            init.signal?.addEventListener('abort', () => reject(new DOMException('', 'AbortError')));
          }),
      ),
    );
    const late = failure(api.recorders());
    await vi.advanceTimersByTimeAsync(10_000);
    expect((await late).message).toBe(texts.errors.timeout(10));
  });

  it('say so when a success is not JSON: a login page of a proxy, for example', async () => {
    answer(200, '<html>', 'text/html');
    expect((await failure(api.recorders())).message).toBe(texts.errors.notJson);
  });
});

describe('requests', () => {
  it('escape what could end a path or start a query, and keep the folders', async () => {
    expect(playUrl('a b/50%?#/ü.wav')).toBe('/api/assets/download/a%20b/50%25%3F%23/%C3%BC.wav');
    expect(downloadUrl('a.wav')).toBe('/api/assets/download/a.wav?save=1');
    answer(204, '');
    vi.mocked(fetch).mockResolvedValueOnce(new Response(null, { status: 204 }));
    await api.deleteFile({ path: 'x/y?.wav' });
    expect(vi.mocked(fetch).mock.calls[0]?.[0]).toBe('/api/assets/file/x/y%3F.wav');
    vi.mocked(fetch).mockResolvedValueOnce(new Response(null, { status: 204 }));
    await api.deleteFile({ path: 'a.wav', begins: '7@48000' });
    expect(vi.mocked(fetch).mock.calls[1]?.[0]).toBe('/api/assets/file/a.wav?begins=7%4048000');
  });

  it('send JSON', async () => {
    answer(200, '{"deleted":["a"],"failed":[]}', 'application/json');
    expect(await api.deleteFiles([{ path: 'a' }])).toEqual({ deleted: ['a'], failed: [] });
    const init = vi.mocked(fetch).mock.calls[0]?.[1];
    expect(init?.body).toBe('{"paths":["a"]}');
    expect(new Headers(init?.headers).get('content-type')).toBe('application/json');
    answer(200, '{"deleted":[],"failed":[]}', 'application/json');
    await api.deleteFiles([{ path: 'a', begins: '7@48000' }, { path: 'b' }]);
    expect(vi.mocked(fetch).mock.lastCall?.[1]?.body).toBe('{"paths":["a","b"],"begins":["7@48000",null]}');
  });

  it('try limits of a recorder, and give the server the time to read its archive', async () => {
    answer(200, '{"recordings":0}', 'application/json');
    const limits = { days: 30, bytes: null, make_room: false };
    expect(await api.tryLimits('a/b', limits)).toEqual({ recordings: 0 });
    const [path, init] = vi.mocked(fetch).mock.calls[0] ?? [];
    expect([path, init?.method, init?.body]).toEqual(['/api/recorders/a%2Fb/retention', 'POST', JSON.stringify(limits)]);
    vi.useFakeTimers();
    vi.stubGlobal(
      'fetch',
      vi.fn(
        (_url: string, asked: RequestInit) =>
          new Promise((_resolve, reject) => {
            asked.signal?.addEventListener('abort', () => reject(new DOMException('', 'AbortError')));
          }),
      ),
    );
    const late = failure(api.tryLimits('a', limits));
    await vi.advanceTimersByTimeAsync(19_000);
    await vi.advanceTimersByTimeAsync(1_000);
    expect((await late).message).toBe(texts.errors.timeout(20));
  });

  it('delete many files in portions, and tell what each portion did', async () => {
    const paths = Array.from({ length: 450 }, (_, i) => `${i}.wav`);
    const sizes: number[] = [];
    vi.stubGlobal(
      'fetch',
      vi.fn(async (_url: string, init: RequestInit) => {
        const portion = (JSON.parse(String(init.body)) as { paths: string[] }).paths;
        sizes.push(portion.length);
        // The second portion meets a server that is gone.
        if (sizes.length === 2) throw new TypeError('Failed to fetch');
        return new Response(JSON.stringify({ deleted: portion, failed: [] }));
      }),
    );
    const { deleted, failed } = await api.deleteFiles(paths.map((path) => ({ path })));
    expect(sizes).toEqual([200, 200, 50]);
    expect(deleted).toHaveLength(250);
    expect(failed).toHaveLength(200);
    expect(failed[0]).toEqual({ path: '200.wav', detail: texts.errors.unreachable });
  });
});
