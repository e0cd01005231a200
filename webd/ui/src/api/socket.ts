/**
 * The connection to `/ws/levels`. It owns one WebSocket at a time and makes a new one when that dies; it never
 * gives up until stopped, and never hammers a server that takes connections and drops them.
 *
 * ```
 *           start                    onopen                 close, error, no pong
 * stopped ────────▶ connecting ───────────────▶ open ──────────────────────┐
 *    ▲                  ▲  │ close, error                                  ▼
 *    │ stop             │  └──────────────────────────────────────────▶ waiting
 *    │ (from anywhere)  └── the delay is over, or retryNow() ─────────────┘
 * ```
 */

import type { LevelsMessage, LevelsOfRecorder } from './types';

export type SocketState = 'stopped' | 'connecting' | 'open' | 'waiting';

/** The part of a WebSocket that is used. */
export interface SocketLike {
  onopen: ((event: Event) => void) | null;
  onmessage: ((event: MessageEvent<unknown>) => void) | null;
  onclose: ((event: CloseEvent) => void) | null;
  send(data: string): void;
  close(): void;
}

export interface Handlers {
  onLevels(recorders: LevelsOfRecorder[]): void;
  /** The server lost its engine or found it again. */
  onEngine(): void;
  onState(state: SocketState): void;
}

/** The first delay; each failure doubles it, up to the longest. Milliseconds. */
export const FIRST_DELAY_MS = 500;
export const LONGEST_DELAY_MS = 8_000;
/** How often the connection is looked at; one look without traffic sends a ping, the next without answer ends it. */
export const CHECK_MS = 3_000;

function parse(data: unknown): LevelsMessage | undefined {
  if (typeof data !== 'string') return undefined;
  try {
    const message = JSON.parse(data) as LevelsMessage | null;
    if (message?.type === 'all_levels') return Array.isArray(message.recorders) ? message : undefined;
    return message?.type === 'pong' || message?.type === 'engine' ? message : undefined;
  } catch {
    return undefined;
  }
}

export class LevelsSocket {
  #state: SocketState = 'stopped';
  #socket: SocketLike | undefined;
  #failures = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #check: ReturnType<typeof setInterval> | undefined;
  #heard = false;
  #pinged = false;

  /**
   * @param open makes a socket; it may throw, which counts as a failure.
   * @param random 0 to 1; spreads the retries of many pages after the server's restart.
   */
  constructor(
    private readonly open: () => SocketLike,
    private readonly handlers: Handlers,
    private readonly random: () => number = Math.random,
  ) {}

  get state(): SocketState {
    return this.#state;
  }

  start(): void {
    if (this.#state === 'stopped') this.#connect();
  }

  stop(): void {
    this.#drop();
    this.#enter('stopped');
  }

  /** Tries at once if a retry is being waited for: the network is back, or somebody looks at the page again. */
  retryNow(): void {
    if (this.#state !== 'waiting') return;
    this.#failures = 0;
    this.#connect();
  }

  #enter(state: SocketState): void {
    if (this.#state === state) return;
    this.#state = state;
    this.handlers.onState(state);
  }

  #connect(): void {
    this.#drop();
    this.#enter('connecting');
    let socket: SocketLike;
    try {
      socket = this.open();
    } catch {
      this.#wait();
      return;
    }
    this.#socket = socket;
    // A connection that never opens is ended by the same check: it starts unheard and pinged.
    this.#heard = false;
    this.#pinged = true;
    socket.onopen = () => {
      this.#pinged = false;
      this.#enter('open');
    };
    socket.onmessage = ({ data }) => {
      const message = parse(data);
      if (message === undefined) return;
      this.#heard = true;
      // Only a server that talks has earned a quick retry; one that merely accepts has not.
      this.#failures = 0;
      if (message.type === 'all_levels') this.handlers.onLevels(message.recorders);
      else if (message.type === 'engine') this.handlers.onEngine();
    };
    socket.onclose = () => this.#wait();
    this.#check = setInterval(() => this.#look(socket), CHECK_MS);
  }

  #look(socket: SocketLike): void {
    if (this.#heard) {
      this.#heard = false;
      this.#pinged = false;
    } else if (this.#pinged) {
      this.#wait();
    } else {
      this.#pinged = true;
      socket.send('{"type":"ping"}');
    }
  }

  #wait(): void {
    this.#drop();
    this.#enter('waiting');
    const delay = Math.min(FIRST_DELAY_MS * 2 ** this.#failures, LONGEST_DELAY_MS);
    this.#failures += 1;
    this.#retry = setTimeout(() => this.#connect(), delay * (0.75 + 0.5 * this.random()));
  }

  /** Forgets the socket; nothing that it still does is heard. */
  #drop(): void {
    clearTimeout(this.#retry);
    clearInterval(this.#check);
    const socket = this.#socket;
    if (socket === undefined) return;
    this.#socket = undefined;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }
}
