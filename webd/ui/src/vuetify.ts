import { createVuetify } from 'vuetify';
import { aliases, mdi } from 'vuetify/iconsets/mdi-svg';

export const vuetify = createVuetify({
  icons: { defaultSet: 'mdi', aliases, sets: { mdi } },
  // Vuetify would inject its theme as a style element, which a strict Content-Security-Policy forbids; the
  // variables and classes that its components need are in styles/theme.css.
  theme: false,
  defaults: {
    VBtn: { variant: 'outlined', rounded: false, elevation: 0 },
    VTextField: { variant: 'outlined', density: 'compact', hideDetails: true },
    VDialog: { maxWidth: 480 },
  },
});
