/** Writes a meter's numbers next to it and for those who listen, past Vue: they change on every frame. */

import { texts } from '@/texts';
import { formatDb } from '@/util/format';

import type { ChannelBallistics } from './ballistics';
import { FLOOR_DB } from './scale';

/** Numbers that change faster cannot be read. */
export const NUMBERS_MS = 200;
/** Screen readers ask for the value; renewing it more often only costs. */
export const SPOKEN_MS = 1_000;

/** What is written in place of a peak that nobody measured. */
export const UNKNOWN = '—';

/** Sets text only where it changes, so that the browser has nothing to do otherwise. */
export function setText(element: Element | null | undefined, text: string): void {
  if (element && element.textContent !== text) element.textContent = text;
}

/** Gives an element with `role="meter"` its value. */
export function setSpoken(element: Element, channel: ChannelBallistics, now: number): void {
  const clipped = channel.clipped(now);
  const words = clipped ? texts.meter.valueClipped : texts.meter.value;
  const value = Math.min(0, Math.max(FLOOR_DB, channel.level));
  element.setAttribute('aria-valuenow', value.toFixed(0));
  element.setAttribute(
    'aria-valuetext',
    channel.stale(now) ? texts.meter.unknown : words(formatDb(channel.level), formatDb(channel.peak)),
  );
}
