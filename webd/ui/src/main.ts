import './styles/vuetify.scss';
import './styles/theme.css';
import './styles/base.css';

import { createPinia } from 'pinia';
import { createApp } from 'vue';

import App from './App.vue';
import { router } from './router';
import { startTheme } from './util/theme';
import { vuetify } from './vuetify';

startTheme();
createApp(App).use(createPinia()).use(router).use(vuetify).mount('#app');
