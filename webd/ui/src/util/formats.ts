/** Which files a recorder writes: one main file and, of other suffixes, some beside it. */

import type { Format, RecorderConfig } from '@/api/types';

/** Formats of one suffix, of which a recorder writes one at most: their files would have the same name. */
export type Family = 'wav' | 'flac' | 'opus';

export const FAMILIES: readonly Family[] = ['wav', 'flac', 'opus'];

export const FORMATS: Record<Family, readonly Format[]> = {
  wav: ['wav', 'wav16', 'wav24', 'wav32f'],
  flac: ['flac', 'flac16', 'flac24'],
  opus: ['opus'],
};

/** What is set of the files, apart from where they go. */
export type FormatChoice = Pick<RecorderConfig, 'format' | 'also' | 'opus'>;

export function familyOf(format: Format): Family {
  return FAMILIES.find((family) => FORMATS[family].includes(format)) ?? 'wav';
}

/** The families that are written, the main one first. */
export function familiesOf({ format, also }: Pick<FormatChoice, 'format' | 'also'>): Family[] {
  return [format, ...also].map(familyOf);
}

/** Another main file; what had its suffix beside it goes. */
export function withMain(choice: FormatChoice, format: Format): FormatChoice {
  return { ...choice, format, also: choice.also.filter((other) => familyOf(other) !== familyOf(format)) };
}

/** Another file of this family beside the main one, or none. */
export function withBeside(choice: FormatChoice, family: Family, format: Format | null): FormatChoice {
  const others = choice.also.filter((other) => familyOf(other) !== family);
  return { ...choice, also: format === null ? others : [...others, format] };
}
