import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { CHECK_MS, FIRST_DELAY_MS, LONGEST_DELAY_MS, LevelsSocket, type SocketLike, type SocketState } from './socket';

class FakeSocket implements SocketLike {
  onopen: SocketLike['onopen'] = null;
  onmessage: SocketLike['onmessage'] = null;
  onclose: SocketLike['onclose'] = null;
  sent: string[] = [];
  closed = false;
  send(data: string): void {
    this.sent.push(data);
  }
  close(): void {
    this.closed = true;
  }
  accept(): void {
    this.onopen?.(undefined as never);
  }
  say(message: unknown): void {
    const data = typeof message === 'string' ? message : JSON.stringify(message);
    this.onmessage?.({ data } as MessageEvent<unknown>);
  }
  die(): void {
    this.onclose?.(undefined as never);
  }
}

const FRAME = { type: 'all_levels', timestamp: 0, recorders: [] };

let sockets: FakeSocket[];
let states: SocketState[];
let frames: number;
let news: number;
let socket: LevelsSocket;
const last = (): FakeSocket => {
  const found = sockets.at(-1);
  if (!found) throw new Error('no socket was opened');
  return found;
};

beforeEach(() => {
  vi.useFakeTimers();
  sockets = [];
  states = [];
  frames = 0;
  news = 0;
  socket = new LevelsSocket(
    () => {
      const made = new FakeSocket();
      sockets.push(made);
      return made;
    },
    { onLevels: () => (frames += 1), onEngine: () => (news += 1), onState: (state) => states.push(state) },
    () => 0.5, // no jitter
  );
  socket.start();
});
afterEach(() => {
  socket.stop();
  vi.useRealTimers();
});

describe('LevelsSocket', () => {
  it('passes frames on and ignores rubbish', () => {
    last().accept();
    last().say(FRAME);
    last().say('{broken');
    last().say('null');
    last().say({ type: 'all_levels' });
    last().say({ type: 'of tomorrow' });
    expect(frames).toBe(1);
    expect(news).toBe(0);
    last().say({ type: 'engine', connected: false, detail: 'it was stopped' });
    expect(news).toBe(1);
    expect(states).toEqual(['connecting', 'open']);
  });

  it('comes back after the connection is lost', () => {
    last().accept();
    last().say(FRAME);
    last().die();
    expect(socket.state).toBe('waiting');
    vi.advanceTimersByTime(FIRST_DELAY_MS - 1);
    expect(sockets).toHaveLength(1);
    vi.advanceTimersByTime(1);
    expect(sockets).toHaveLength(2);
    last().accept();
    last().say(FRAME);
    expect(frames).toBe(2);
    expect(states).toEqual(['connecting', 'open', 'waiting', 'connecting', 'open']);
  });

  it('waits twice as long after each failure, up to a limit, also where the server accepts and drops', () => {
    let delay = FIRST_DELAY_MS;
    for (let i = 0; i < 8; i += 1) {
      last().accept();
      last().die();
      vi.advanceTimersByTime(delay - 1);
      expect(sockets).toHaveLength(i + 1);
      vi.advanceTimersByTime(1);
      expect(sockets).toHaveLength(i + 2);
      delay = Math.min(delay * 2, LONGEST_DELAY_MS);
    }
    // A server that talks again is trusted again.
    last().accept();
    last().say(FRAME);
    last().die();
    vi.advanceTimersByTime(FIRST_DELAY_MS);
    expect(sockets).toHaveLength(10);
  });

  it('pings a quiet server and leaves one that does not answer', () => {
    last().accept();
    vi.advanceTimersByTime(CHECK_MS);
    expect(last().sent).toEqual(['{"type":"ping"}']);
    last().say({ type: 'pong' });
    vi.advanceTimersByTime(2 * CHECK_MS);
    expect(socket.state).toBe('open');
    expect(last().sent).toHaveLength(2);
    vi.advanceTimersByTime(CHECK_MS);
    expect(socket.state).toBe('waiting');
    expect(sockets[0]?.closed).toBe(true);
  });

  it('does not ping while levels come', () => {
    last().accept();
    for (let i = 0; i < 10; i += 1) {
      last().say(FRAME);
      vi.advanceTimersByTime(CHECK_MS);
    }
    expect(last().sent).toEqual([]);
    expect(socket.state).toBe('open');
  });

  it('gives up on a connection that never opens', () => {
    vi.advanceTimersByTime(CHECK_MS);
    expect(socket.state).toBe('waiting');
    expect(sockets[0]?.closed).toBe(true);
  });

  it('tries at once when told, but keeps a living connection', () => {
    last().accept();
    socket.retryNow();
    expect(sockets).toHaveLength(1);
    last().die();
    socket.retryNow();
    expect(sockets).toHaveLength(2);
    vi.advanceTimersByTime(CHECK_MS - 1);
    expect(sockets).toHaveLength(2);
  });

  it('survives a constructor that throws', () => {
    const throwing = new LevelsSocket(
      () => {
        throw new DOMException('blocked');
      },
      { onLevels: () => undefined, onEngine: () => undefined, onState: () => undefined },
    );
    throwing.start();
    expect(throwing.state).toBe('waiting');
    throwing.stop();
    vi.advanceTimersByTime(60_000);
    expect(throwing.state).toBe('stopped');
  });

  it('hears nothing any more once stopped', () => {
    last().accept();
    const old = last();
    socket.stop();
    expect(old.closed).toBe(true);
    expect(old.onmessage).toBeNull();
    vi.advanceTimersByTime(60_000);
    expect(sockets).toHaveLength(1);
  });
});
