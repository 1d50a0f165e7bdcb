/** A dossier file on its way into the registry: what its columns mean, and what the service says of its rows. */
import { api, credentials, reach, type Shape } from './api/client'

export type Upload = Shape<'UploadShape'>
export type Row = Shape<'RowShape'>
export type Outcome = Row['outcome']
export const OUTCOMES = ['new', 'changed', 'unchanged', 'rejected'] as const

/** What SharpEyes needs besides the dossier: whose a camera is, and how it is looked at. */
export const PLACING = ['id', 'tier', 'department', 'area', 'zone', 'main', 'sub', 'credential', 'tags'] as const
/** Columns that may tell which camera a row without a number means. */
export const KEYS = ['id', 'name', 'ipv4', 'mac', 'address', 'alias'] as const
export type Default = 'tier' | 'department' | 'area' | 'zone'
const WALK = 5000
const MOST = 100_000

/** How a file is read, as it is edited: code tables are lists, so that a line may be half written. */
export interface Reading {
  columns: Record<string, string>
  codes: Record<string, { from: string; to: string }[]>
  defaults: Record<Default, string>
  keys: string[]
  encoding: string
  sheet: string
}

/** As the service tells headings apart: marks of mandatory columns, brackets, spaces and case do not count. */
export function headingKey(text: string): string {
  return text
    .replace(/[(（[【].*?[)）\]】]/g, '')
    .replace(/[\s*＊:：_]/g, '')
    .toLowerCase()
}

type Stored = { [Name in 'columns' | 'defaults']?: Record<string, string> } & {
  codes?: Record<string, Record<string, string>>
  keys?: string[]
  encoding?: string | null
  sheet?: string | null
}

/** How an upload is read: as a saved map says, and as the headings tell where it is silent. */
export function readingOf(upload: Upload, stored: Stored = {}): Reading {
  const { tier = '', department = '', area = '', zone = '' } = stored.defaults ?? {}
  return {
    columns: Object.fromEntries(
      upload.columns.map((one) => [one.heading, stored.columns?.[headingKey(one.heading)] ?? one.field ?? '']),
    ),
    codes: Object.fromEntries(
      Object.entries(stored.codes ?? {}).map(([field, table]) => [
        field,
        Object.entries(table).map(([from, to]) => ({ from, to })),
      ]),
    ),
    defaults: { tier, department, area, zone },
    keys: [...(stored.keys ?? [])],
    encoding: stored.encoding ?? upload.encoding ?? '',
    sheet: stored.sheet ?? '',
  }
}

export function bodyOf(reading: Reading): Shape<'MapBody'> {
  const { columns, codes, defaults, keys, encoding, sheet } = reading
  const tables = Object.entries(codes).map(([field, lines]) => [
    field,
    Object.fromEntries(lines.filter((line) => line.from.trim() && line.to).map((line) => [line.from.trim(), line.to])),
  ])
  return {
    columns: { ...columns },
    codes: Object.fromEntries(tables.filter(([, table]) => Object.keys(table as object).length)),
    defaults: Object.fromEntries(Object.entries(defaults).filter(([, value]) => value)),
    keys: [...keys],
    encoding: encoding || null,
    sheet: sheet.trim() || null,
  }
}

export async function upload(file: File, encoding: string): Promise<Upload> {
  const query = new URLSearchParams({ name: file.name.slice(0, 200), ...(encoding ? { encoding } : {}) })
  const response = await reach(`/api/v1/imports?${query}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/octet-stream', ...credentials.headers() },
    credentials: 'same-origin',
    body: file,
  })
  return (await response.json()) as Upload
}

/** Every row that something is to be said of, rejected or not. */
export async function faulty(key: string, how: Shape<'MapBody'>): Promise<Row[]> {
  const found: Row[] = []
  for (let after = 0, seen = 0; seen < MOST; seen += WALK) {
    const page = await api.post('/api/v1/imports/{key}/preview', { path: { key }, query: { after, limit: WALK }, body: how })
    found.push(...page.rows.filter((row) => row.problems.length))
    if (page.next === null) break
    after = page.next
  }
  return found
}
