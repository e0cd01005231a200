// @vitest-environment jsdom
import { enableAutoUnmount, mount, type VueWrapper } from '@vue/test-utils';
import { afterEach, describe, expect, it } from 'vitest';
import { nextTick } from 'vue';

import { aConfig } from '@/testing';
import { texts } from '@/texts';
import type { FormatChoice } from '@/util/formats';

import FormatFields from './FormatFields.vue';

enableAutoUnmount(afterEach);

const words = texts.formats;

function fields(but: Partial<FormatChoice> = {}, locked = false): VueWrapper {
  const { format, also, opus } = aConfig(but);
  const wrapper: VueWrapper = mount(FormatFields, {
    props: {
      modelValue: { format, also, opus },
      'onUpdate:modelValue': (modelValue: FormatChoice) => wrapper.setProps({ modelValue }),
      locked,
      valid: true,
      'onUpdate:valid': (valid: boolean) => wrapper.setProps({ valid }),
    },
    attachTo: document.body,
  });
  return wrapper;
}
/** The field of this name, as a person finds it. */
function named(wrapper: VueWrapper, label: string): HTMLInputElement | HTMLSelectElement {
  const found = wrapper.findAll('label').find((one) => one.text() === label)?.attributes('for');
  const field = found === undefined ? null : document.getElementById(found);
  if (!field) throw new Error(`there is no field ${label}`);
  return field as HTMLInputElement;
}
async function set(wrapper: VueWrapper, label: string, value: string): Promise<void> {
  const field = named(wrapper, label);
  field.value = value;
  field.dispatchEvent(new Event(field.tagName === 'SELECT' ? 'change' : 'input'));
  await nextTick();
}
const props = (wrapper: VueWrapper): { modelValue: FormatChoice; valid: boolean } => wrapper.props() as never;
const choice = (wrapper: VueWrapper): FormatChoice => props(wrapper).modelValue;

describe('the files of a recorder', () => {
  it('show what is written, and offer what may stand beside it', () => {
    const wrapper = fields({ format: 'wav24', also: ['opus'] });
    expect(named(wrapper, words.main).value).toBe('wav24');
    expect(named(wrapper, words.also('opus')).value).toBe('opus');
    expect(named(wrapper, words.also('flac')).value).toBe('');
    expect(() => named(wrapper, words.also('wav'))).toThrow();
    expect(wrapper.text()).toContain(words.about.opus);
    expect(wrapper.text()).toContain(words.together);
  });

  it('stay as they are while they are written', () => {
    const open = fields();
    expect(open.find('fieldset').attributes('disabled')).toBeUndefined();
    expect(open.text()).not.toContain(words.locked);
    open.unmount();
    const locked = fields({}, true);
    expect(named(locked, words.main).matches(':disabled')).toBe(true);
    expect(locked.text()).toContain(words.locked);
  });

  it('are set one by one', async () => {
    const wrapper = fields();
    expect(wrapper.find('details').exists()).toBe(false);
    await set(wrapper, words.also('opus'), 'opus');
    await set(wrapper, words.main, 'flac16');
    expect(choice(wrapper)).toMatchObject({ format: 'flac16', also: ['opus'] });
    expect(wrapper.text()).toContain(words.dithered);
    await set(wrapper, words.also('wav'), 'wav32f');
    await set(wrapper, words.also('opus'), '');
    expect(choice(wrapper).also).toEqual(['wav32f']);
  });

  it('have Opus as it is asked for, and say what is no number', async () => {
    const wrapper = fields({ format: 'opus' });
    await set(wrapper, words.bitrate, '96,5');
    await set(wrapper, words.mode, 'cbr');
    await set(wrapper, words.application, 'voip');
    await set(wrapper, words.complexity, '10');
    expect(choice(wrapper).opus).toEqual({ bitrate: 96_500, mode: 'cbr', complexity: 10, application: 'voip' });
    await set(wrapper, words.bitrate, '');
    expect(choice(wrapper).opus.bitrate).toBeNull();
    expect(props(wrapper).valid).toBe(true);
    for (const [label, wrong, said] of [
      [words.bitrate, 'much', words.bitrateWrong],
      [words.bitrate, '5', words.bitrateWrong],
      [words.bitrate, '128,000', words.bitrateWrong],
      [words.bitrate, '1 000', words.bitrateWrong],
      [words.complexity, '1.000', words.complexityWrong],
      [words.complexity, '11', words.complexityWrong],
    ] as const) {
      const before = named(wrapper, label).value;
      await set(wrapper, label, wrong);
      expect(wrapper.text()).toContain(said);
      expect(props(wrapper).valid).toBe(false);
      expect(named(wrapper, label).getAttribute('aria-invalid')).toBe('true');
      await set(wrapper, label, before);
      expect(props(wrapper).valid).toBe(true);
    }
    expect(choice(wrapper).opus).toMatchObject({ bitrate: null, complexity: 10 });
    // What was set by another hand is no mistake of this one.
    const { opus } = aConfig();
    expect(props(fields({ format: 'opus', opus: { ...opus, bitrate: 96_512 } })).valid).toBe(true);
    // What is not written may say what it likes.
    await set(wrapper, words.bitrate, 'much');
    await set(wrapper, words.main, 'wav');
    expect(props(wrapper).valid).toBe(true);
  });
});
