import { describe, expect, it } from 'vitest';

import { aConfig } from '@/testing';

import { FAMILIES, FORMATS, familiesOf, familyOf, withBeside, withMain } from './formats';

describe('the files of a recorder', () => {
  it('are of one suffix each', () => {
    for (const family of FAMILIES) for (const format of FORMATS[family]) expect(familyOf(format)).toBe(family);
    expect(FAMILIES.flatMap((family) => FORMATS[family])).toHaveLength(8);
  });

  it('never have two of one name', () => {
    const { format, also, opus } = aConfig({ format: 'wav24', also: ['opus', 'flac'] });
    const main = withMain({ format, also, opus }, 'flac16');
    expect(main).toEqual({ format: 'flac16', also: ['opus'], opus });
    expect(familiesOf(main)).toEqual(['flac', 'opus']);
    const beside = withBeside(main, 'wav', 'wav');
    expect(beside.also).toEqual(['opus', 'wav']);
    expect(withBeside(beside, 'wav', 'wav32f').also).toEqual(['opus', 'wav32f']);
    expect(withBeside(beside, 'opus', null).also).toEqual(['wav']);
  });
});
