// @vitest-environment jsdom
import { enableAutoUnmount, flushPromises, mount, type VueWrapper } from '@vue/test-utils';
import { createPinia, setActivePinia } from 'pinia';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { ApiError, api } from '@/api/client';
import type { ImageReport } from '@/api/types';
import { useImage } from '@/stores/image';
import { aFallback, anImage } from '@/testing';
import { texts } from '@/texts';
import { vuetify } from '@/vuetify';

import ImageState from './ImageState.vue';

enableAutoUnmount(afterEach);
beforeEach(() => setActivePinia(createPinia()));
afterEach(() => void vi.restoreAllMocks());

async function shown(answer: ImageReport | ApiError): Promise<VueWrapper> {
  const ask = vi.spyOn(api, 'image');
  if (answer instanceof ApiError) ask.mockRejectedValue(answer);
  else ask.mockResolvedValue(answer);
  const wrapper = mount(ImageState, { global: { plugins: [vuetify] } });
  await flushPromises();
  return wrapper;
}

describe('the image', () => {
  it('is told with version, slot and board; a release carries no mark', async () => {
    const text = (await shown(anImage())).text();
    for (const part of ['Audyn 1.2.0', 'Slot A', 'x86_64-efi', texts.image.good]) expect(text).toContain(part);
    for (const kind of Object.values(texts.image.kind)) expect(text).not.toContain(kind);
  });

  it('is this box: its name, how long it runs, and where recordings go and why', async () => {
    const text = (await shown(anImage())).text();
    for (const part of ['audyn-1a2b3c', '02:03:04', 'the box’s own disk: no other was set up']) expect(text).toContain(part);
    const name = '51 GB, Spinning Rust';
    const missing = await shown(anImage({ recordings: { disk: 'own', why: 'missing', name } }));
    expect(missing.text()).toContain(`the box’s own disk: the second disk (${name}) is missing`);
    const second = await shown(anImage({ recordings: { disk: 'second', why: 'remembered', name } }));
    expect(second.text()).toContain(`the second disk (${name}): it was prepared for this box`);
    expect((await shown(anImage({ recordings: null }))).text()).toContain(texts.image.notChosen);
  });

  it('that is no release is marked', async () => {
    expect((await shown(anImage({ kind: 'lab' }))).find('.mark').text()).toBe(texts.image.kind.lab);
    expect((await shown(anImage({ kind: 'development' }))).find('.mark').text()).toBe(texts.image.kind.development);
  });

  it('on trial says so, and one whose check failed says that first', async () => {
    expect((await shown(anImage({ trial: true, health: 'pending' }))).text()).toContain(texts.image.trial);
    expect((await shown(anImage({ trial: true, health: 'failed' }))).text()).toContain(texts.image.failed);
  });

  it('tells of an update that did not start, until it has been read', async () => {
    const wrapper = await shown(anImage({ fallback: aFallback() }));
    expect(wrapper.text()).toContain(
      'Update to 1.3.0 did not start (the engine did not pass its self-test); the box runs 1.2.0 again.',
    );
    expect(wrapper.text()).toContain('3 tries');
    await wrapper.find(`[aria-label="${texts.common.dismiss}"]`).trigger('click');
    expect(wrapper.text()).not.toContain('did not start');
    // The next one is news.
    const image = useImage();
    image.current = anImage({ fallback: aFallback({ at: '2026-02-01T00:00:00Z' }) });
    await flushPromises();
    expect(wrapper.text()).toContain('did not start');
  });

  it('raises each alarm', async () => {
    const wrapper = await shown(anImage({ alarms: ['The state partition is not there.', 'The disk is failing.'] }));
    const alerts = wrapper.findAll('[role="alert"]').map((alert) => alert.text());
    expect(alerts).toEqual(['The state partition is not there.', 'The disk is failing.']);
  });

  it('is not spoken of on a machine that has none, and a report that cannot be read is', async () => {
    expect((await shown(new ApiError(404, 'No image.'))).text()).toBe('');
    expect((await shown(new ApiError(500, 'The report cannot be used.'))).text()).toBe('The report cannot be used.');
  });

  it('stays as it was heard while the web server does not answer', async () => {
    const wrapper = await shown(anImage());
    vi.spyOn(api, 'image').mockRejectedValue(new ApiError(0, 'Nobody answers.'));
    await useImage().refresh();
    expect(wrapper.text()).toContain('Audyn 1.2.0');
    expect(wrapper.text()).not.toContain('Nobody answers.');
  });
});
