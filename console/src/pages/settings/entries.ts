/** Entries of the settings: whose word they are, going back to the file, removing. */
import { h } from 'vue'
import { ElMessage, ElMessageBox } from 'element-plus'
import type { Acting } from '../../act'
import { sure } from '../../act'
import type { Shape } from '../../api/client'
import { t, word } from '../../i18n'
import { loadRegistry } from '../../registry'

export type Source = Shape<'Source'>
/** What every kind of entry has. */
export interface Entry {
  id: string
  source: Source
  changed: readonly string[]
  version: string
  by: string | null
  at: string | null
  reason: string | null
}

/** What a form has of any entry. `was`: the name that it had. */
export interface EntryForm {
  open: boolean
  made: boolean
  id: string
  version: string
  was: string
  name: string
  name_en: string
  reason: string
}
export const NEW: EntryForm = { open: false, made: true, id: '', version: '', was: '', name: '', name_en: '', reason: '' }
/** A form for this entry, or for a new one. */
export function begun(one?: Entry & { values: { name: string; name_en?: string | null | undefined } }): EntryForm {
  if (!one) return { ...NEW, open: true }
  const { name, name_en } = one.values
  return { ...NEW, open: true, made: false, id: one.id, version: one.version, was: name, name, name_en: name_en ?? '' }
}

/** Whether the file declares it, so that it can go back to what stands there. */
export const differs = (one: Entry): boolean => one.source === 'changed' || one.source === 'clash'
/** Whether it can be taken out of service here. */
export const removable = (one: Entry): boolean => one.source === 'console' || one.source === 'left'

export const fieldName = (name: string): string => word('field', name)

/** Save, and have every page use the new names and targets. */
export async function taken(): Promise<void> {
  await loadRegistry()
  ElMessage({ message: h('span', { role: 'status' }, t('settings.saved')), type: 'success', grouping: true })
}

export async function backToFile(one: Entry, act: Acting['act'], revert: (version: string) => Promise<unknown>): Promise<void> {
  const fields = one.changed.map(fieldName).join(', ') || one.id
  if (!(await sure(t('settings.toFile'), t('settings.toFileSure', { fields })))) return
  if (await act(() => revert(one.version))) await taken()
}

export async function takeOut(one: Entry, name: string, act: Acting['act'], remove: (query: { version: string; reason: string }) => Promise<unknown>): Promise<void> {
  const answer = await ElMessageBox.prompt(t('settings.removeSure', { name }), t('settings.remove'), {
    confirmButtonText: t('settings.remove'),
    cancelButtonText: t('common.cancel'),
    confirmButtonClass: 'el-button--danger',
    inputPlaceholder: t('settings.reason'),
  }).catch(() => undefined)
  if (!answer || !('value' in answer)) return
  if (await act(() => remove({ version: one.version, reason: answer.value ?? '' }))) await taken()
}
