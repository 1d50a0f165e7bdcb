/** What the pages of discovery share: the run under way, what may be asked for, words of places. */
import type { InjectionKey, ShallowRef } from 'vue'
import type { Shape } from './api/client'

export type Run = Shape<'RunShape'>
export type Found = Shape<'FoundShape'>
export type Options = Shape<'SearchOptions'>
export const STATUSES = ['new', 'needs_credentials', 'error', 'unreachable', 'enrolled', 'ignored'] as const
export const MOST = 500
/** What may be asked for; undefined until it is known, and for who may not ask. */
export const OPTIONS: InjectionKey<ShallowRef<Options | undefined>> = Symbol('options')

export function took(run: Run, now: number): number | undefined {
  if (run.outcome !== null && run.ended === null) return undefined // cut short: nobody knows when
  return (Date.parse(run.ended ?? new Date(now).toISOString()) - Date.parse(run.started)) / 1000
}
