import { describe, expect, it } from 'vitest';

import {
  asSentence, formatBytes, formatDateTime, formatDay, formatDb, formatElapsed, formatLost, formatSince, formatSpan,
  formatUntil, numberField, typedNumber, typedWhole,
} from './format';

/** Unbreakable spaces are for the eye; here they would only hide differences. */
const plain = (text: string): string => text.replaceAll('\u00a0', ' ');

describe('formatBytes', () => {
  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1.00 kB'],
    [9_994, '9.99 kB'],
    [9_996, '10.0 kB'],
    [99_960, '100 kB'],
    [999_499, '999 kB'],
    [999_500, '1.00 MB'],
    [1_036_800_044, '1.04 GB'],
    [5e18, '5000 PB'],
    [-1, '–'],
    [NaN, '–'],
  ])('%d is %s', (bytes, text) => expect(plain(formatBytes(bytes))).toBe(text));
});

describe('asSentence', () => {
  it.each([
    ['the disk is full', 'The disk is full.'],
    ['Is it running?', 'Is it running?'],
    ['audyn-engine is away', 'audyn-engine is away.'],
    ['/srv/b: read-only', '/srv/b: read-only.'],
  ])('%s: %s', (message, sentence) => expect(asSentence(message)).toBe(sentence));
});

describe('formatElapsed', () => {
  it.each([
    [0, '00:00:00'],
    [59.999, '00:00:59'],
    [3_661, '01:01:01'],
    [86_399, '23:59:59'],
    [183_600, '2 d 03:00:00'],
    [-3, '00:00:00'],
    [NaN, '–'],
  ])('%d s is %s', (seconds, text) => expect(plain(formatElapsed(seconds))).toBe(text));
});

describe('formatLost', () => {
  it.each([
    [0.125, '0.1 ms'],
    [1, '1 ms'],
    [120.4, '120 ms'],
    [3_000, '3.0 s'],
    [300_000, '00:05:00'],
  ])('%d ms is %s', (ms, text) => expect(plain(formatLost(ms))).toBe(text));
});

describe('times', () => {
  // Made from local parts, so that the test holds in any zone.
  const at = new Date(2026, 0, 10, 14, 30, 5).toISOString();
  it('leave today’s date out', () => {
    expect(formatSince(at, new Date(2026, 0, 10, 23, 59).getTime())).toBe('14:30:05');
    expect(formatSince(at, new Date(2026, 0, 11, 0, 1).getTime())).toBe('2026-01-10 14:30:05');
  });
  it('name the date in lists, and never say "Invalid Date"', () => {
    expect(formatDateTime(at)).toBe('2026-01-10 14:30:05');
    expect(formatDateTime('nonsense')).toBe('–');
    expect(formatSince('nonsense', 0)).toBe('–');
  });
});

describe('times to come', () => {
  const at = (...parts: [number, number, number, number, number, number]): number => new Date(...parts).getTime();
  it('are told by the next whole minute, with the date unless it is today’s', () => {
    const now = at(2026, 0, 10, 23, 4, 0);
    expect(formatUntil(at(2026, 0, 10, 23, 4, 1), now)).toBe('23:05');
    expect(formatUntil(at(2026, 0, 10, 23, 5, 0), now)).toBe('23:05');
    expect(formatUntil(at(2026, 0, 10, 23, 59, 30), now)).toBe('2026-01-11 00:00');
  });
  it('name a day alone', () => {
    expect(formatDay(new Date(2026, 0, 10, 14, 30).toISOString())).toBe('2026-01-10');
    expect(formatDay('nonsense')).toBe('–');
  });
  it.each([
    [59, 'less than a minute'],
    [7_199, '119 min'],
    [7_200, '2 h'],
    [172_799, '47 h'],
    [172_800, '2 days'],
    [NaN, '–'],
  ])('%d s are %s', (seconds, text) => expect(plain(formatSpan(seconds))).toBe(text));
});

describe('typedNumber', () => {
  it.each([
    ['', null],
    ['  ', null],
    ['90', 90],
    [' 1,5 ', 1.5],
    ['0.001', 0.001],
    ['1e3', NaN],
    ['-1', NaN],
    ['ten', NaN],
    ['1.000,5', NaN],
    // A thousand to one, and one to another.
    ['1,000', NaN],
    ['1.000', NaN],
    ['1.500', NaN],
    ['01.500', NaN],
    ['1 000', NaN],
    ['1\u00a0000', NaN],
    ['1.5000', 1.5],
    ['0,500', 0.5],
  ])('%j is %s', (text, number) => expect(typedNumber(text)).toBe(number));
});

describe('typedWhole', () => {
  it.each([
    ['', null],
    [' 90 ', 90],
    ['1000', 1000],
    ['1,000', NaN],
    ['1.000', NaN],
    ['1.500', NaN],
    ['1 000', NaN],
    ['90.0', NaN],
    ['-1', NaN],
  ])('%j is %s', (text, number) => expect(typedWhole(text)).toBe(number));
});

describe('numberField', () => {
  it.each([100, 0.001, 0.125, 1.5, 1.234, 1234.567, 96.512, 1.000000001])('%d is read back as it is', (number) =>
    expect(typedNumber(numberField(number))).toBe(number));
  it('adds nothing where nothing is unclear', () => expect([100, 0.125, 1.5].map(numberField)).toEqual(['100', '0.125', '1.5']));
});

describe('formatDb', () => {
  it.each([
    [0, '0.0'],
    [-0.04, '0.0'],
    [-12.34, '−12.3'],
    [-120, '−∞'],
    [-Infinity, '−∞'],
    [NaN, '−∞'],
  ])('%d is %s', (db, text) => expect(formatDb(db)).toBe(text));
});
