/**
 * Where a level stands on a meter. The scale is not linear in decibels: programme lives in the upper 30 dB, so they
 * get most of the length, as on the meters that operators know.
 */

/** The lowest level that a meter shows, in dBFS. */
export const FLOOR_DB = -60;
/** Alignment level, EBU R 68. */
export const ALIGNMENT_DB = -18;
/** Permitted maximum level, EBU R 68; above it is headroom that nobody should use on purpose. */
export const PERMITTED_DB = -9;
/** Labelled marks. */
export const MARKS: readonly number[] = [-60, -50, -40, -30, -24, ALIGNMENT_DB, PERMITTED_DB, 0];

/** Knees: level in dBFS and its place, 0 to 1; straight between them. */
const KNEES: readonly (readonly [number, number])[] = [
  [-60, 0],
  [-50, 0.07],
  [-40, 0.18],
  [-30, 0.34],
  [-20, 0.56],
  [0, 1],
];

/** Place of a level, 0 (at or below the floor, or no number) to 1 (full scale or above). */
export function deflection(db: number): number {
  if (!(db > FLOOR_DB)) return 0;
  for (let i = 1; i < KNEES.length; i += 1) {
    const [highDb, high] = KNEES[i] as readonly [number, number];
    if (db <= highDb) {
      const [lowDb, low] = KNEES[i - 1] as readonly [number, number];
      return low + ((db - lowDb) / (highDb - lowDb)) * (high - low);
    }
  }
  return 1;
}
