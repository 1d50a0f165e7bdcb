import { ref } from 'vue'
import { createRouter, createWebHistory, type RouteLocationNormalized } from 'vue-router'
import { session, signedIn } from './session'
import type { Key } from './i18n'

declare module 'vue-router' {
  interface RouteMeta {
    /** Open to whoever has not signed in. */
    open?: boolean
    /** Without the frame around it. */
    bare?: boolean
    /** Takes a person, whom the register can name: no token will do. */
    person?: boolean
    title?: Key
  }
}

export const router = createRouter({
  history: createWebHistory(),
  routes: [
    { path: '/', component: () => import('./pages/OverviewPage.vue'), meta: { title: 'nav.overview' } },
    { path: '/wall', component: () => import('./pages/WallPage.vue'), meta: { bare: true, title: 'shell.wall' } },
    { path: '/cameras', component: () => import('./pages/CamerasPage.vue'), meta: { title: 'nav.cameras' } },
    {
      path: '/cameras/:id',
      component: () => import('./pages/CameraPage.vue'),
      props: true,
      meta: { title: 'cameras.name' },
    },
    { path: '/map', component: () => import('./pages/MapPage.vue'), meta: { title: 'nav.map' } },
    { path: '/rates', component: () => import('./pages/RatesPage.vue'), meta: { title: 'nav.rates' } },
    { path: '/disputes', component: () => import('./pages/DisputesPage.vue'), meta: { title: 'nav.disputes' } },
    { path: '/reports', component: () => import('./pages/ReportsPage.vue'), meta: { title: 'nav.reports' } },
    { path: '/discovery', component: () => import('./pages/DiscoveryPage.vue'), meta: { title: 'nav.discovery' } },
    { path: '/faults', component: () => import('./pages/FaultsPage.vue'), meta: { title: 'nav.faults' } },
    { path: '/live', component: () => import('./pages/LivePage.vue'), meta: { title: 'nav.live', person: true } },
    { path: '/access', component: () => import('./pages/AccessPage.vue'), meta: { title: 'nav.access', person: true } },
    { path: '/register', component: () => import('./pages/RegisterPage.vue'), meta: { title: 'nav.register', person: true } },
    { path: '/dossiers', component: () => import('./pages/DossiersPage.vue'), meta: { title: 'nav.dossiers' } },
    { path: '/dossiers/import', component: () => import('./pages/ImportPage.vue'), meta: { title: 'nav.imports' } },
    { path: '/causes', component: () => import('./pages/CausesPage.vue'), meta: { title: 'nav.causes' } },
    { path: '/shifts', component: () => import('./pages/ShiftsPage.vue'), meta: { title: 'nav.shifts', person: true } },
    { path: '/journal', component: () => import('./pages/JournalPage.vue'), meta: { title: 'nav.journal' } },
    { path: '/help', component: () => import('./pages/HelpPage.vue'), meta: { title: 'nav.help' } },
    { path: '/settings', component: () => import('./pages/SettingsPage.vue'), meta: { title: 'nav.settings' } },
    {
      path: '/sign-in',
      component: () => import('./pages/SignInPage.vue'),
      meta: { open: true, bare: true, title: 'signin.title' },
    },
    { path: '/:rest(.*)*', component: () => import('./pages/MissingPage.vue'), meta: { title: 'common.notFound' } },
  ],
  scrollBehavior: (_to, _from, saved) => saved ?? { top: 0 },
})

/** Where somebody wanted to go when the page's own code could not be fetched. */
export const stuck = ref<string>()
router.onError((_error, to) => (stuck.value = to.fullPath))
router.afterEach(() => (stuck.value = undefined))

/** Go there once the service answers; the code is fetched anew, for there may be a new version of it. */
export async function goOn(): Promise<void> {
  const answered = await fetch('/healthz', { cache: 'no-store' }).then(
    (response) => response.ok,
    () => false,
  )
  if (answered && stuck.value) location.assign(stuck.value)
}

router.beforeEach((to) => {
  if (to.meta.open || (signedIn.value && (session.person || !to.meta.person))) return true
  return signInFrom(to)
})

/** The sign-in page, which leads back to where somebody wanted to go. */
export function signInFrom(to: RouteLocationNormalized) {
  const next = to.fullPath === '/' ? undefined : to.fullPath
  return { path: '/sign-in', query: next ? { next } : {}, state: { ended: session.ended } }
}
