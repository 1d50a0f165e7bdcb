/** Names of what cameras belong to, and what they are held to: loaded with the session, after each change made
 * here, and now and then for what others change. */
import { computed, ref, shallowReactive, shallowRef, watch } from 'vue'
import { api, problemOf, type Problem, type Shape } from './api/client'
import { locale, t, word } from './i18n'
import { lost } from './live'
import type { Loaded } from './load'

interface Names {
  tiers: Shape<'TierShape'>[]
  departments: Shape<'DepartmentShape'>[]
  areas: Shape<'AreaShape'>[]
  zones: Shape<'ZoneShape'>[]
}

export const registry = shallowReactive<Names>({ tiers: [], departments: [], areas: [], zones: [] })
export const TIERS = ['public_security', 'departmental', 'community'] as const
export const STATES = ['online', 'degraded', 'offline', 'unknown', 'maintenance'] as const
export type State = (typeof STATES)[number]
export const RUNGS = [
  'reachable',
  'rtsp',
  'authenticated',
  'media',
  'keyframe',
  'decoded',
  'changing',
  'usable',
] as const

/** How loading the names went, for pages that show them. */
export const registryLoaded: Loaded<Names> = {
  data: shallowRef<Names>(),
  problem: shallowRef<Problem>(),
  loading: ref(false),
  reload: () => loadRegistry().catch(() => undefined),
}

const AGAIN_MS = 120_000
let timer: ReturnType<typeof setTimeout> | undefined

/** Load the names for as long as this page is open: a wall must not show yesterday's targets. */
export async function followRegistry(within: () => boolean): Promise<void> {
  clearTimeout(timer)
  if (within() && !document.hidden) await registryLoaded.reload() // the ids stand in for names
  timer = setTimeout(() => void followRegistry(within), AGAIN_MS)
}
watch(lost, (now) => {
  if (!now && registryLoaded.problem.value) void registryLoaded.reload()
})

export async function loadRegistry(): Promise<void> {
  registryLoaded.loading.value = true
  try {
    const [tiers, departments, areas, zones] = await Promise.all([
      api.get('/api/v1/tiers'),
      api.get('/api/v1/departments'),
      api.get('/api/v1/areas'),
      api.get('/api/v1/zones'),
    ])
    Object.assign(registry, { tiers, departments, areas, zones })
    registryLoaded.data.value = registry
    registryLoaded.problem.value = undefined
  } catch (error) {
    registryLoaded.problem.value = problemOf(error)
    throw error
  } finally {
    registryLoaded.loading.value = false
  }
}

export type By = 'all' | 'tier' | 'department' | 'area' | 'zone' | 'camera'

const names = computed<Partial<Record<By, Map<string, string>>>>(() => {
  const english = locale.value === 'en'
  const of = (list: readonly { id: string; name: string; name_en?: string | null }[]) =>
    new Map(list.map((one) => [one.id, (english && one.name_en) || one.name]))
  return { department: of(registry.departments), area: of(registry.areas), zone: of(registry.zones) }
})

export function nameOf(by: By, key: string): string {
  const found = names.value[by]?.get(key)
  if (found !== undefined) return found
  if (by === 'tier') return word('tier', key)
  return by === 'all' ? t('rates.by.all') : key
}

/** The areas as a tree in one list, each with its depth. */
export function areaTree(): { id: string; name: string; depth: number }[] {
  const rows: { id: string; name: string; depth: number }[] = []
  const known = new Set(registry.areas.map((area) => area.id))
  const walk = (parent: string | null, depth: number): void => {
    for (const area of registry.areas) {
      const above = area.parent && known.has(area.parent) ? area.parent : null
      if (above === parent) {
        rows.push({ id: area.id, name: nameOf('area', area.id), depth })
        walk(area.id, depth + 1)
      }
    }
  }
  walk(null, 0)
  return rows
}

/** An area and all below it. */
export function areasBelow(area: string): ReadonlySet<string> {
  const found = new Set([area])
  for (let grew = true; grew; ) {
    grew = false
    for (const one of registry.areas) {
      if (one.parent && found.has(one.parent) && !found.has(one.id)) grew = !!found.add(one.id)
    }
  }
  return found
}

export function isState(value: string): value is State {
  return (STATES as readonly string[]).includes(value)
}
