// @vitest-environment jsdom
import { enableAutoUnmount, flushPromises, mount, type VueWrapper } from '@vue/test-utils';
import { createPinia, setActivePinia } from 'pinia';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { nextTick } from 'vue';

import { api, ApiError } from '@/api/client';
import type { Recorder } from '@/api/types';
import { aConfig, aPlan, aRecorder, stubForDialogs } from '@/testing';
import { texts } from '@/texts';
import { vuetify } from '@/vuetify';

import RecorderSettings from './RecorderSettings.vue';

const words = texts.settings;

/** Its files can be changed. */
const stopped = (but: Partial<Recorder> = {}): Recorder => aRecorder({ state: 'stopped', start_time: null, ...but });

async function opened(but: Partial<Recorder> = {}, reachable = true): Promise<VueWrapper> {
  const wrapper = mount(RecorderSettings, {
    props: { recorder: stopped(but), reachable },
    global: { plugins: [vuetify] },
    attachTo: document.body,
  });
  const gear = document.querySelector<HTMLButtonElement>(`[aria-label="${words.open('Studio 1')}"]`);
  gear?.focus();
  gear?.click();
  await nextTick();
  return wrapper;
}
const said = (): string => document.body.textContent ?? '';
function saveButton(): HTMLButtonElement {
  const found = [...document.querySelectorAll('button')].find((button) => button.textContent?.trim() === words.save);
  if (!found) throw new Error('there is nothing to save with');
  return found;
}
async function choose(label: string, value: string): Promise<void> {
  const id = [...document.querySelectorAll('label')].find((one) => one.textContent === label)?.htmlFor;
  const field = document.getElementById(id ?? '') as HTMLSelectElement | null;
  if (!field) throw new Error(`there is no field ${label}`);
  field.value = value;
  field.dispatchEvent(new Event('change'));
  await nextTick();
}
/** Types into the field of this name. */
async function write(label: string, text: string): Promise<void> {
  const id = [...document.querySelectorAll('label')].find((one) => one.textContent === label)?.htmlFor;
  const field = document.getElementById(id ?? '') as HTMLInputElement | null;
  if (!field) throw new Error(`there is no field ${label}`);
  field.value = text;
  field.dispatchEvent(new Event('input'));
  await nextTick();
}
async function keepDays(days: string): Promise<void> {
  document.querySelector<HTMLInputElement>('input[type="checkbox"]')?.click();
  await nextTick();
  const field = document.querySelector<HTMLInputElement>(`[aria-label="${texts.keep.daysLabel}"]`);
  if (!field) throw new Error('there is no field for the days');
  field.value = days;
  field.dispatchEvent(new Event('input'));
  await nextTick();
}
async function submit(): Promise<void> {
  document.querySelector('form')?.dispatchEvent(new Event('submit', { cancelable: true }));
  await flushPromises();
}

enableAutoUnmount(afterEach);
beforeEach(() => {
  setActivePinia(createPinia());
  stubForDialogs();
  vi.spyOn(api, 'recorders').mockResolvedValue([]);
  vi.spyOn(api, 'tryLimits').mockResolvedValue(aPlan());
});
afterEach(() => void vi.restoreAllMocks());

describe('the settings of a recorder', () => {
  it('are sent back whole with what was changed of them', async () => {
    const configure = vi.spyOn(api, 'configure').mockResolvedValue(undefined);
    const config = aConfig({ channels: [2, 3] });
    await opened({ config });
    expect(saveButton().disabled, 'nothing was changed').toBe(true);
    await choose(texts.formats.main, 'flac');
    await choose(texts.formats.also('opus'), 'opus');
    await keepDays('30');
    expect(saveButton().disabled).toBe(false);
    await submit();
    expect(configure).toHaveBeenCalledExactlyOnceWith('studio-1', {
      ...config,
      format: 'flac',
      also: ['opus'],
      retention: { days: 30, bytes: null, make_room: false },
    });
  });

  it('leave the files of what records alone, and set how long they are kept', async () => {
    const configure = vi.spyOn(api, 'configure').mockResolvedValue(undefined);
    await opened({ state: 'recording' });
    expect(said()).toContain(texts.formats.locked);
    expect(document.querySelector('select')?.matches(':disabled')).toBe(true);
    await keepDays('30');
    await submit();
    const retention = { days: 30, bytes: null, make_room: false };
    expect(configure).toHaveBeenCalledExactlyOnceWith('studio-1', { ...aConfig(), retention });
  });

  it('set how long files are kept, also after a recording began over what was wrong in them', async () => {
    const configure = vi.spyOn(api, 'configure').mockResolvedValue(undefined);
    const config = aConfig({ also: ['opus'] });
    const wrapper = await opened({ config });
    await write(texts.formats.bitrate, 'much');
    await keepDays('30');
    expect(saveButton().disabled).toBe(true);
    await wrapper.setProps({ recorder: stopped({ config, state: 'recording' }) });
    expect(saveButton().disabled).toBe(false);
    expect(said()).not.toContain(texts.formats.bitrateWrong);
    await submit();
    const retention = { days: 30, bytes: null, make_room: false };
    expect(configure).toHaveBeenCalledExactlyOnceWith('studio-1', { ...config, retention });
  });

  it('never send what was changed of the files before a recording began', async () => {
    const configure = vi.spyOn(api, 'configure').mockResolvedValue(undefined);
    const config = aConfig();
    const wrapper = await opened({ config });
    await choose(texts.formats.main, 'flac');
    await wrapper.setProps({ recorder: stopped({ config, state: 'recording' }) });
    expect(document.querySelector('select')?.value, 'what holds').toBe(config.format);
    expect(saveButton().disabled, 'nothing of what records can be changed').toBe(true);
    await keepDays('30');
    await submit();
    const retention = { days: 30, bytes: null, make_room: false };
    expect(configure).toHaveBeenCalledExactlyOnceWith('studio-1', { ...config, retention });
  });

  it('have what was changed of the files again once the recording ends', async () => {
    const configure = vi.spyOn(api, 'configure').mockResolvedValue(undefined);
    const config = aConfig();
    const wrapper = await opened({ config });
    await choose(texts.formats.main, 'flac');
    await wrapper.setProps({ recorder: stopped({ config, state: 'recording' }) });
    await wrapper.setProps({ recorder: stopped({ config }) });
    expect(document.querySelector('select')?.value).toBe('flac');
    await submit();
    expect(configure).toHaveBeenCalledExactlyOnceWith('studio-1', { ...config, format: 'flac' });
  });

  it('say why they were refused, and keep what was typed', async () => {
    vi.spyOn(api, 'configure').mockRejectedValue(new ApiError(422, 'FLAC has 8 channels at most.'));
    await opened();
    await choose(texts.formats.main, 'flac');
    await submit();
    expect(said()).toContain('FLAC has 8 channels at most.');
    expect(document.querySelector('select')?.value).toBe('flac');
  });

  it('are made from the newest configuration, and not over what somebody else has set meanwhile', async () => {
    const configure = vi.spyOn(api, 'configure').mockResolvedValue(undefined);
    const wrapper = await opened();
    await choose(texts.formats.main, 'flac');
    const renamed = aConfig({ revision: 8, name: 'Control room' });
    await wrapper.setProps({ recorder: stopped({ config: aConfig({ revision: 9, also: ['opus'] }) }) });
    await submit();
    expect(configure).not.toHaveBeenCalled();
    expect(said()).toContain(words.changedMeanwhile);
    await wrapper.setProps({ recorder: stopped({ config: renamed }) });
    await submit();
    expect(configure).toHaveBeenCalledExactlyOnceWith('studio-1', { ...renamed, format: 'flac' });
  });

  it('leave the focus where it was', async () => {
    const gear = (await opened()).find<HTMLButtonElement>(`[aria-label="${words.open('Studio 1')}"]`).element;
    const cancel = [...document.querySelectorAll('button')].find((button) => button.textContent?.trim() === words.cancel);
    cancel?.focus();
    expect(document.activeElement).toBe(cancel);
    cancel?.click();
    await flushPromises();
    expect(document.activeElement).toBe(gear);
  });

  it('cannot be saved while a number is none', async () => {
    const configure = vi.spyOn(api, 'configure');
    await opened();
    await keepDays('many');
    expect(saveButton().disabled).toBe(true);
    await submit();
    expect(configure).not.toHaveBeenCalled();
  });

  it('cannot be saved while nobody can be reached', async () => {
    const configure = vi.spyOn(api, 'configure');
    await opened({}, false);
    await choose(texts.formats.main, 'flac');
    expect(saveButton().disabled).toBe(true);
    await submit();
    expect(configure).not.toHaveBeenCalled();
  });
});
