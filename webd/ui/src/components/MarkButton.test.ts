// @vitest-environment jsdom
import { enableAutoUnmount, flushPromises, mount } from '@vue/test-utils';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { nextTick } from 'vue';

import { api, ApiError } from '@/api/client';
import { stubForDialogs } from '@/testing';
import { texts } from '@/texts';
import { formatTime } from '@/util/format';
import { vuetify } from '@/vuetify';

import MarkButton from './MarkButton.vue';

const PRESSED = '2026-01-10T13:02:03.000Z';

async function press(): Promise<void> {
  mount(MarkButton, {
    props: { recorder: 'studio-1', name: 'Studio 1', reachable: true },
    global: { plugins: [vuetify] },
    attachTo: document.body,
  });
  document.querySelector<HTMLButtonElement>(`[aria-label="${texts.mark.label('Studio 1')}"]`)?.click();
  await nextTick();
}

async function say(words: string): Promise<void> {
  const input = document.querySelector<HTMLInputElement>('form input');
  if (!input) throw new Error('there is no field');
  input.value = words;
  input.dispatchEvent(new Event('input'));
  await nextTick();
  document.querySelector('form')?.dispatchEvent(new Event('submit', { cancelable: true }));
  await flushPromises();
}

enableAutoUnmount(afterEach);
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.parse(PRESSED) });
  stubForDialogs();
});
describe('a mark', () => {
  it('is of the instant at which the button was pressed, however long the words take', async () => {
    const mark = vi.spyOn(api, 'mark').mockResolvedValue({ position: 1, rate: 48_000, at: PRESSED });
    await press();
    vi.setSystemTime(Date.parse(PRESSED) + 20_000);
    await say('  goal, 2:1 ');
    expect(mark).toHaveBeenCalledExactlyOnceWith('studio-1', 'goal, 2:1', PRESSED);
    expect(document.body.textContent).toContain(texts.mark.made(formatTime(PRESSED)));
  });

  it('says something, or is none', async () => {
    const mark = vi.spyOn(api, 'mark');
    await press();
    await say('  ');
    expect(mark).not.toHaveBeenCalled();
  });

  it('that is refused says why and keeps the words', async () => {
    vi.spyOn(api, 'mark').mockRejectedValue(new ApiError(500, 'The disk is full.'));
    await press();
    await say('goal');
    expect(document.body.textContent).toContain('The disk is full.');
    expect(document.querySelector<HTMLInputElement>('form input')?.value).toBe('goal');
  });
});
