import { afterEach, describe, expect, it } from 'vitest';

import { observeServerDate, serverNow } from './clock';

const NOON = Date.parse('2026-01-10T12:00:00Z');

describe('the server clock', () => {
  afterEach(() => observeServerDate(new Date(NOON).toUTCString(), NOON));

  it('is ours where the two agree within the resolution of the header', () => {
    observeServerDate('Sat, 10 Jan 2026 12:00:00 GMT', NOON + 999);
    expect(serverNow(NOON)).toBe(NOON);
  });

  it('follows a server that is ahead, and does not jitter with each response', () => {
    observeServerDate('Sat, 10 Jan 2026 12:10:00 GMT', NOON);
    const first = serverNow(NOON);
    expect(first - NOON).toBe(600_500);
    observeServerDate('Sat, 10 Jan 2026 12:10:02 GMT', NOON + 2_900);
    expect(serverNow(NOON)).toBe(first);
  });

  it('ignores a missing or broken header', () => {
    observeServerDate(null, NOON);
    observeServerDate('yesterday', NOON);
    expect(serverNow(NOON)).toBe(NOON);
  });
});
