/**
 * Numbers as people read them. Times are 24-hour and dates year first, like the names of the files; both in the
 * zone of the browser.
 */

const MINUS = '\u2212';
/** A space that doesn't break, between a number and its unit. */
const NB = '\u00a0';

/** `0 B`, `999 B`, `1.23 MB`: decimal units, three digits. */
export function formatBytes(bytes: number): string {
  if (!Number.isFinite(bytes) || bytes < 0) return '–';
  if (bytes < 1000) return `${Math.round(bytes)}${NB}B`;
  const units = ['kB', 'MB', 'GB', 'TB', 'PB'];
  let value = bytes / 1000;
  let unit = 0;
  // 999.5 would be printed as 1000, so it goes to the next unit.
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return `${value.toFixed(digits)}${NB}${units[unit]}`;
}

/** A message of the server as a sentence: `the disk is full` becomes `The disk is full.`; names keep their case. */
export function asSentence(message: string): string {
  const first = /^[a-z]+(?=[\s,;:]|$)/.test(message) ? message.charAt(0).toUpperCase() + message.slice(1) : message;
  return /[.!?…]$/.test(first) ? first : `${first}.`;
}

const two = (n: number): string => String(n).padStart(2, '0');

/** Seconds as `00:04:09`, from a day on as `2 d 03:00:00`; what is under a second is cut. */
export function formatElapsed(seconds: number): string {
  if (!Number.isFinite(seconds)) return '–';
  const whole = Math.max(0, Math.floor(seconds));
  const days = Math.floor(whole / 86_400);
  const clock = `${two(Math.floor(whole / 3600) % 24)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
  return days > 0 ? `${days}${NB}d${NB}${clock}` : clock;
}

/** A length of audio that went missing: `0.5 ms`, `120 ms`, `3.4 s`, `00:05:00`. */
export function formatLost(ms: number): string {
  if (ms < 10) return `${Number(ms.toFixed(1))}${NB}ms`;
  if (ms < 1000) return `${Math.round(ms)}${NB}ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)}${NB}s`;
  return formatElapsed(ms / 1000);
}

/** `2026-01-10` in the browser's zone. */
function dateOf(at: Date): string {
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
}

/** `2026-01-10`. */
export function formatDay(rfc3339: string): string {
  const at = new Date(rfc3339);
  return Number.isNaN(at.getTime()) ? '–' : dateOf(at);
}

/** The next whole minute, `14:05`, with the date before it unless it is today's. Both in milliseconds since 1970. */
export function formatUntil(at: number, now: number): string {
  const minute = new Date(Math.ceil(at / 60_000) * 60_000);
  const time = timeOf(minute).slice(0, 5);
  const date = dateOf(minute);
  return date === dateOf(new Date(now)) ? time : `${date} ${time}`;
}

/** A time to come, coarse, so that it isn't another one each second: `12 min`, `5 h`, `3 days`. */
export function formatSpan(seconds: number): string {
  if (!Number.isFinite(seconds)) return '–';
  if (seconds < 60) return 'less than a minute';
  if (seconds < 7_200) return `${Math.floor(seconds / 60)}${NB}min`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3_600)}${NB}h`;
  return `${Math.floor(seconds / 86_400)}${NB}days`;
}

/** `1.500` is a thousand and a half to one and one and a half to another; `0.500` is the same to both. */
const UNCLEAR = /^0*[1-9]\d*[.,]\d{3}$/;

/** A number that somebody typed, with a point or a comma; null for nothing, NaN for what is none or unclear. */
export function typedNumber(text: string): number | null {
  const trimmed = text.trim();
  if (trimmed === '') return null;
  if (UNCLEAR.test(trimmed)) return NaN;
  return /^\d+([.,]\d+)?$/.test(trimmed) ? Number(trimmed.replace(',', '.')) : NaN;
}

/** A whole number that somebody typed, of digits alone; null for nothing, NaN for what is none. */
export function typedWhole(text: string): number | null {
  const trimmed = text.trim();
  if (trimmed === '') return null;
  return /^\d+$/.test(trimmed) ? Number(trimmed) : NaN;
}

/** A number as a field begins with it, so that `typedNumber` reads it back. */
export function numberField(number: number): string {
  const text = String(number);
  return UNCLEAR.test(text) ? `${text}0` : text;
}

/** `14:30:05` in the browser's zone. */
function timeOf(at: Date): string {
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** `14:30:05`, with the date before it unless it is today's. */
export function formatSince(rfc3339: string, now: number): string {
  const at = new Date(rfc3339);
  if (Number.isNaN(at.getTime())) return '–';
  const date = dateOf(at);
  return date === dateOf(new Date(now)) ? timeOf(at) : `${date} ${timeOf(at)}`;
}

/** `14:30:05`. */
export function formatTime(rfc3339: string): string {
  const at = new Date(rfc3339);
  return Number.isNaN(at.getTime()) ? '–' : timeOf(at);
}

/** `2026-01-10 14:30:05`. */
export function formatDateTime(rfc3339: string): string {
  const at = new Date(rfc3339);
  return Number.isNaN(at.getTime()) ? '–' : `${dateOf(at)} ${timeOf(at)}`;
}

/** `−12.3`, `0.0`, and `−∞` for no signal; no unit. */
export function formatDb(db: number): string {
  if (!(db > -120)) return `${MINUS}∞`;
  const text = Math.abs(db).toFixed(1);
  return db < 0 && text !== '0.0' ? `${MINUS}${text}` : text;
}
