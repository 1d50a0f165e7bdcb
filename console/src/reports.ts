/** Reports: their periods as calendars name them, and their files. */
import { saveFile } from './act'
import { credentials, reach, type Shape } from './api/client'
import { locale, word } from './i18n'
import { clock, site } from './live'
import { nameOf } from './registry'

export const KINDS = ['day', 'week', 'month'] as const
export const FORMATS = ['pdf', 'xlsx', 'csv', 'json'] as const
export const DIMENSIONS = ['tier', 'department', 'area', 'zone', 'camera', 'all'] as const
export type Kind = (typeof KINDS)[number]
export type Format = (typeof FORMATS)[number]
export type Made = Shape<'MadeReport'>
/** What is asked for, whenever it is made. */
export interface Wanted {
  by: (typeof DIMENSIONS)[number]
  /** Of the whole city if null. */
  department: string | null
  formats: Format[]
  lang: 'zh' | 'en'
}

/** What a form begins with. */
export const usual = (by: Wanted['by'], formats: Format[]): Wanted => ({ by, department: null, formats, lang: locale.value === 'zh-CN' ? 'zh' : 'en' })

/** What a report is on, in words. */
export function scopeOf(one: { by: string; department: string | null }): string {
  if (!one.department) return word('rates.by', one.by)
  const name = nameOf('department', one.department)
  return one.by === 'department' ? name : `${name} · ${word('rates.by', one.by)}`
}

/** The calendar date at the site, as a date of this machine, which is what pickers have. */
export function today(): Date {
  const [year, month, day] = new Intl.DateTimeFormat('en-CA', { timeZone: site.timezone }).format(clock.value).split('-').map(Number)
  return new Date(year!, month! - 1, day!)
}

const two = (n: number): string => String(n).padStart(2, '0')

/** ISO 8601: 2026-10-05, 2026-W41 or 2026-10. */
export function periodOf(kind: Kind, at: Date): string {
  const [year, month, day] = [at.getFullYear(), at.getMonth() + 1, at.getDate()]
  if (kind === 'month') return `${year}-${two(month)}`
  if (kind === 'day') return `${year}-${two(month)}-${two(day)}`
  // A week belongs to the year of its Thursday.
  const thursday = new Date(Date.UTC(year, month - 1, day))
  thursday.setUTCDate(thursday.getUTCDate() + 4 - (thursday.getUTCDay() || 7))
  const week = Math.ceil(((thursday.getTime() - Date.UTC(thursday.getUTCFullYear(), 0, 1)) / 86_400_000 + 1) / 7)
  return `${thursday.getUTCFullYear()}-W${two(week)}`
}

export const underWay = (one: Made): boolean => ['waiting', 'gathering', 'writing'].includes(one.stage)

/** Hand over a file of a report, under the name that the service gives it. */
export async function fetchFile(id: string, format: string): Promise<void> {
  const response = await reach(`/api/v1/reports/made/${encodeURIComponent(id)}/files/${encodeURIComponent(format)}`, {
    headers: credentials.headers(),
    credentials: 'same-origin',
    cache: 'no-store',
  })
  const name = /filename="([^"]+)"/.exec(response.headers.get('Content-Disposition') ?? '')?.[1] ?? `report.${format}`
  saveFile(name, await response.blob())
}
