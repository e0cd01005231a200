/**
 * Dark or light: as the system has it, unless a person chose. The colours themselves are static CSS
 * (styles/theme.css), not Vuetify's injected style element, so that a strict Content-Security-Policy holds.
 */

import { computed, ref } from 'vue';

export type ThemeChoice = 'system' | 'light' | 'dark';

const KEY = 'audyn.theme';
const CHOICES: readonly ThemeChoice[] = ['system', 'light', 'dark'];

function stored(): ThemeChoice {
  try {
    const value = localStorage.getItem(KEY);
    return CHOICES.find((choice) => choice === value) ?? 'system';
  } catch {
    return 'system'; // Storage can be forbidden; the page works without.
  }
}

const systemDark = ref(false);
const choice = ref<ThemeChoice>('system');

/** What is chosen. */
export const themeChoice = computed(() => choice.value);

/** What is shown. */
export const colourScheme = computed<'light' | 'dark'>(() => {
  if (choice.value !== 'system') return choice.value;
  return systemDark.value ? 'dark' : 'light';
});

function show(): void {
  document.documentElement.dataset['theme'] = colourScheme.value;
}

/** To be called once, before anything is drawn. */
export function startTheme(): void {
  const media = matchMedia('(prefers-color-scheme: dark)');
  choice.value = stored();
  systemDark.value = media.matches;
  media.addEventListener('change', () => {
    systemDark.value = media.matches;
    show();
  });
  show();
}

/** The choice that follows the present one. */
export function nextTheme(): void {
  choice.value = CHOICES[(CHOICES.indexOf(choice.value) + 1) % CHOICES.length] ?? 'system';
  try {
    localStorage.setItem(KEY, choice.value);
  } catch {
    // Then it holds until the page is closed.
  }
  show();
}
