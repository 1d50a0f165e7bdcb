/** Names of people, for ids in what the service says. */
import { computed } from 'vue'
import { api } from './api/client'
import { t } from './i18n'
import { load } from './load'
import { session } from './session'

/** Of an account, as the service makes them: tells a reader nothing. */
const ID = /^u-[0-9a-f]{12}$/

export function usePeople() {
  const people = load(async (signal) => (session.person ? api.get('/api/v1/people', { signal }) : []))
  const names = computed(() => new Map((people.data.value ?? []).map((one) => [one.id, one.name])))
  const personName = (id: string | null | undefined): string => {
    if (!id) return '–'
    return names.value.get(id) ?? (session.person && people.data.value && ID.test(id) ? t('people.foreign') : id)
  }
  return { people, personName }
}
