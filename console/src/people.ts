/** Names of people, for ids in what the service says. */
import { computed } from 'vue'
import { api } from './api/client'
import { load } from './load'
import { session } from './session'

export function usePeople() {
  const people = load(async (signal) => (session.person ? api.get('/api/v1/people', { signal }) : []))
  const names = computed(() => new Map((people.data.value ?? []).map((one) => [one.id, one.name])))
  return { people, personName: (id: string | null | undefined): string => (id ? (names.value.get(id) ?? id) : '–') }
}
