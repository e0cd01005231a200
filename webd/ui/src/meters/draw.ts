/** Draws meters on a canvas. Levels go by length and scale marks, colours only repeat what these say. */

import type { ChannelBallistics } from './ballistics';
import { ALIGNMENT_DB, MARKS, PERMITTED_DB, deflection } from './scale';

/** Colours of the theme in force. */
export interface Palette {
  track: string;
  low: string;
  mid: string;
  high: string;
  mark: string;
  peak: string;
}

/** Reads the palette from the custom properties of the page. */
export function readPalette(): Palette {
  const style = getComputedStyle(document.documentElement);
  const read = (name: string): string => style.getPropertyValue(`--meter-${name}`).trim();
  return {
    track: read('track'),
    low: read('low'),
    mid: read('mid'),
    high: read('high'),
    mark: read('mark'),
    peak: read('peak'),
  };
}

/** Which way meters grow. */
export type Direction = 'right' | 'up';

const ZONES = [
  { from: 0, to: deflection(ALIGNMENT_DB), colour: 'low' },
  { from: deflection(ALIGNMENT_DB), to: deflection(PERMITTED_DB), colour: 'mid' },
  { from: deflection(PERMITTED_DB), to: 1, colour: 'high' },
] as const;

/** Thickness of the standing peak, in CSS pixels. */
const PEAK_PX = 2;
/** How much of a zone's colour shines through an empty bar. */
const EMPTY_ALPHA = 0.13;
/** The stretch from RMS to peak, between empty and full. */
const PEAK_ALPHA = 0.45;

/**
 * Draws one bar per channel, `pitch` CSS pixels apart and `thickness` thick.
 *
 * @param length of a bar at full scale, in CSS pixels.
 * @param top of the canvas in the direction of levels; only bars that grow up need it.
 */
export function drawBars(
  context: CanvasRenderingContext2D,
  channels: readonly ChannelBallistics[],
  shape: { direction: Direction; length: number; pitch: number; thickness: number },
  palette: Palette,
): void {
  const { direction, length, pitch, thickness } = shape;
  const rect = (across: number, from: number, to: number): void => {
    if (to <= from) return;
    if (direction === 'right') context.fillRect(from, across, to - from, thickness);
    else context.fillRect(across, length - to, thickness, to - from);
  };

  channels.forEach((channel, i) => {
    const across = i * pitch + (pitch - thickness) / 2;
    const level = deflection(channel.level) * length;
    const peak = deflection(channel.peak) * length;

    context.globalAlpha = 1;
    context.fillStyle = palette.track;
    rect(across, 0, length);
    for (const zone of ZONES) {
      const from = zone.from * length;
      const to = zone.to * length;
      context.fillStyle = palette[zone.colour];
      context.globalAlpha = EMPTY_ALPHA;
      rect(across, from, to);
      context.globalAlpha = PEAK_ALPHA;
      rect(across, Math.max(from, level), Math.min(to, peak));
      context.globalAlpha = 1;
      rect(across, from, Math.min(to, level));
    }
    if (peak > 0) {
      context.fillStyle = palette.peak;
      rect(across, Math.max(0, peak - PEAK_PX), peak);
    }
  });

  // Marks last, across all bars, so that they can be read on lit and on dark ground.
  context.globalAlpha = 1;
  context.fillStyle = palette.mark;
  const across = channels.length * pitch;
  for (const db of MARKS) {
    const at = Math.round(deflection(db) * length);
    if (at <= 0 || at >= length) continue;
    if (direction === 'right') context.fillRect(at, 0, 1, across);
    else context.fillRect(0, length - at, across, 1);
  }
}
