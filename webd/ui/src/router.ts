/** The views and their addresses; for each of them the server sends the page. */

import { createRouter, createWebHistory } from 'vue-router';

import { texts } from './texts';
import Overview from './views/Overview.vue';

export const router = createRouter({
  history: createWebHistory(),
  routes: [
    { path: '/', name: 'overview', component: Overview, meta: { title: texts.overview.title } },
    {
      path: '/files',
      name: 'files',
      component: () => import('./views/Files.vue'),
      meta: { title: texts.files.title },
    },
    { path: '/:rest(.*)*', redirect: { name: 'overview' } },
  ],
  scrollBehavior: (_to, _from, saved) => saved ?? { top: 0 },
});

router.afterEach((to) => {
  const title = to.meta['title'];
  document.title = typeof title === 'string' ? `${title} · ${texts.product}` : texts.product;
});
