/**
 * The server's clock as this page sees it. A recording's elapsed time is counted on the recorder's clock: a tablet
 * that runs ten minutes late would otherwise show a negative one.
 */

/** HTTP dates have whole seconds; below this the two clocks count as equal. */
const TOLERANCE_MS = 1_500;

let offsetMs = 0;

/** Takes the `Date` header of a response that came at `localNow` (milliseconds since 1970). */
export function observeServerDate(header: string | null, localNow: number): void {
  const parsed = header === null ? NaN : Date.parse(header);
  if (Number.isNaN(parsed)) return;
  // The header is cut to the second, so the middle of that second is the best guess.
  const offset = parsed + 500 - localNow;
  if (Math.abs(offset) <= TOLERANCE_MS) offsetMs = 0;
  else if (Math.abs(offset - offsetMs) > TOLERANCE_MS) offsetMs = offset;
}

/** Milliseconds since 1970 on the server's clock. */
export function serverNow(localNow: number = Date.now()): number {
  return localNow + offsetMs;
}
