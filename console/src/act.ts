/** Doing something that the service may refuse: what is under way, and why it was refused. */
import { ElMessageBox } from 'element-plus'
import { ref, shallowRef, type Ref, type ShallowRef } from 'vue'
import { problemOf, type Problem } from './api/client'
import { t } from './i18n'

export interface Acting {
  busy: Ref<boolean>
  refused: ShallowRef<Problem | undefined>
  /** Whether it was done. `afterwards` runs either way: a refusal tells of something that has changed. */
  act: (what: () => Promise<unknown>) => Promise<boolean>
}

export function acting(afterwards?: () => Promise<unknown>): Acting {
  const busy = ref(false)
  const refused = shallowRef<Problem>()
  async function act(what: () => Promise<unknown>): Promise<boolean> {
    busy.value = true
    refused.value = undefined
    try {
      await what()
      return true
    } catch (error) {
      refused.value = problemOf(error)
      return false
    } finally {
      busy.value = false
      await afterwards?.()
    }
  }
  return { busy, refused, act }
}

/** A line of text, or undefined if somebody thought better of it. */
export async function askFor(title: string, label: string, needed = true): Promise<string | undefined> {
  const answer = await ElMessageBox.prompt(label, title, {
    confirmButtonText: t('common.confirm'),
    cancelButtonText: t('common.cancel'),
    ...(needed ? { inputPattern: /\S/, inputErrorMessage: t('access.reasonNeeded') } : {}),
  }).catch(() => undefined)
  return answer && 'value' in answer ? (answer.value ?? '').trim() : undefined
}

export async function sure(title: string, text: string, danger = false): Promise<boolean> {
  const answer = await ElMessageBox.confirm(text, title, {
    confirmButtonText: t('common.confirm'),
    cancelButtonText: t('common.cancel'),
    ...(danger ? { confirmButtonClass: 'el-button--danger' } : {}),
  }).catch(() => undefined)
  return answer !== undefined
}

/** Hand a file to whoever asked for it. */
export function saveFile(name: string, data: Blob): void {
  const url = URL.createObjectURL(data)
  const link = document.createElement('a')
  link.href = url
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(url), 10_000)
}
