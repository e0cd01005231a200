/** Limits of what is kept. */

import type { Retention } from '@/api/types';

export function isSame(one: Retention, other: Retention): boolean {
  return one.days === other.days && one.bytes === other.bytes && one.make_room === other.make_room;
}

/** Nothing is ever deleted by itself. */
export function isNone({ days, bytes, make_room }: Retention): boolean {
  return days === null && bytes === null && !make_room;
}
