/** Words of the console. Messages are plain text with {places}: nothing is compiled, so no eval is needed. */
import { computed, ref, shallowRef, watchEffect } from 'vue'
import type { Language } from 'element-plus/es/locale'
import { en, type Key } from './en'

export type { Key } from './en'
export type Locale = 'zh-CN' | 'en'
type Messages = Record<Key, string>

const STORED = 'sharpeyes.locale'

function preferred(): Locale {
  const stored = localStorage.getItem(STORED)
  if (stored === 'zh-CN' || stored === 'en') return stored
  return navigator.language.toLowerCase().startsWith('zh') ? 'zh-CN' : 'en'
}

export const locale = ref<Locale>(preferred())
const messages = shallowRef<Messages>(en)
const service = shallowRef((sentence: string, _reason?: string): string => sentence)
/** What stands between a name and its value, between values, and between such pairs. */
export const signs = computed(() => (locale.value === 'en' ? { is: ': ', and: ', ', then: '; ' } : { is: '：', and: '、', then: '；' }))
export const widgets = shallowRef<Language>()

/** Only the language in use is fetched. */
export async function speak(wanted: Locale): Promise<void> {
  if (wanted === 'zh-CN') {
    const [words, theirs, sentences] = await Promise.all([
      import('./zh'),
      import('element-plus/es/locale/lang/zh-cn'),
      import('./service.zh'),
    ])
    messages.value = words.zh
    widgets.value = theirs.default
    service.value = sentences.tell
  } else {
    messages.value = en
    service.value = (sentence) => sentence
    widgets.value = (await import('element-plus/es/locale/lang/en')).default
  }
  locale.value = wanted
}

export function choose(wanted: Locale): Promise<void> {
  localStorage.setItem(STORED, wanted)
  return speak(wanted)
}

watchEffect(() => {
  document.documentElement.lang = locale.value
})

export function t(key: Key, places: Record<string, string | number> = {}): string {
  return messages.value[key].replace(/\{(\w+)\}/g, (whole, name: string) => String(places[name] ?? whole))
}

/** A sentence of the service, in the language in use if it is known there. */
export function told(sentence: string, reason?: string): string {
  return service.value(sentence, reason)
}

/** What there are words for, of a kind. */
export function known(group: string): string[] {
  return Object.keys(messages.value).flatMap((key) => (key.startsWith(`${group}.`) ? [key.slice(group.length + 1)] : []))
}

/** A word of the service (a cause, a kind of event): translated if it is known, else as it came. */
export function word(group: string, value: string | null | undefined, otherwise: Key = 'cause.none'): string {
  if (!value) return t(otherwise)
  const key = `${group}.${value}`
  return key in messages.value ? messages.value[key as Key] : value.replaceAll('_', ' ')
}
