/** What the pages of discovery share: the run under way, what may be asked for, words of places. */
import type { InjectionKey, ShallowRef } from 'vue'
import { api, type Shape } from './api/client'

export type Run = Shape<'RunShape'>
export type Found = Shape<'FoundShape'>
export type Options = Shape<'SearchOptions'>
export const STATUSES = ['new', 'needs_credentials', 'error', 'unreachable', 'enrolled', 'ignored'] as const
/** Devices that the service takes, or gives, at a time. */
export const MOST = 500

/** Do something with many devices, as many at a time as the service takes; `told` hears how many are done. */
export async function inParts<T>(devices: readonly Found[], what: (ids: string[]) => Promise<T>, told: (done: number) => void): Promise<T[]> {
  const answers: T[] = []
  for (let from = 0; from < devices.length; from += MOST) {
    told(from)
    answers.push(await what(devices.slice(from, from + MOST).map((one) => one.id)))
  }
  told(devices.length)
  return answers
}

/** All that a filter finds, in the order of their addresses; `told` hears how many are here. */
export async function allFound(filter: Filter, told: (done: number) => void): Promise<Map<string, Found>> {
  const found = new Map<string, Found>()
  for (let offset = 0, total = 1; offset < total; offset += MOST) {
    const page = await api.get('/api/v1/discovery/found', { query: { ...filter, sort: 'address', down: false, offset, limit: MOST } })
    for (const one of page.items) found.set(one.id, one)
    total = page.items.length ? page.total : 0
    told(found.size)
  }
  return found
}
export interface Filter {
  status?: Found['status'][]
  kind?: string[]
  run?: string
  q?: string
}

/** What may be asked for; undefined until it is known, and for who may not ask. */
export const OPTIONS: InjectionKey<ShallowRef<Options | undefined>> = Symbol('options')

export function took(run: Run, now: number): number | undefined {
  if (run.outcome !== null && run.ended === null) return undefined // cut short: nobody knows when
  return (Date.parse(run.ended ?? new Date(now).toISOString()) - Date.parse(run.started)) / 1000
}
