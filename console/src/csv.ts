import { saveFile } from './act'

/** A table as a file: UTF-8 with a mark, which spreadsheets need to read Chinese, and no cell that is a formula. */
export function download(name: string, rows: readonly (readonly (string | number | null | undefined)[])[]): void {
  const cell = (value: string | number | null | undefined): string => {
    let text = String(value ?? '')
    if (typeof value === 'string' && /^[=+\-@\t\r]/.test(text)) text = `'${text}`
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
  }
  const body = rows.map((row) => row.map(cell).join(',')).join('\r\n')
  saveFile(name, new Blob(['\ufeff', body, '\r\n'], { type: 'text/csv' }))
}
