/** Who is at the console: a token of this tab, or a person with a session cookie that no script can read. */
import { computed, reactive } from 'vue'
import { api, credentials, Problem, type Shape } from './api/client'

const TOKEN = 'sharpeyes.token'

type Person = Shape<'WhoAmI'>

interface State {
  token: string | null
  person: Person | null
  /** A token that administers, as far as it was found out. */
  manages: boolean
  ended: boolean
}

const state = reactive<State>({
  token: sessionStorage.getItem(TOKEN),
  person: null,
  manages: false,
  ended: false,
})

credentials.headers = (): Record<string, string> => {
  if (state.token) return { Authorization: `Bearer ${state.token}` }
  return state.person ? { 'X-CSRF-Token': state.person.csrf } : {}
}
credentials.refused = () => {
  if (signedIn.value) {
    forget()
    state.ended = true
  }
}

function forget(): void {
  sessionStorage.removeItem(TOKEN)
  state.token = null
  state.person = null
  state.manages = false
}

export const signedIn = computed(() => state.token !== null || state.person !== null)
export const session = state

/** Any of these roles; a token that administers may do what a machine may. */
export function has(...roles: string[]): boolean {
  return state.person ? state.person.user.roles.some((role) => roles.includes(role)) : state.manages
}

/** The cookie of an earlier visit, if it still holds. */
export async function resume(): Promise<void> {
  try {
    if (state.token) await findRights()
    else state.person = await api.get('/api/v1/session')
  } catch (error) {
    if (!(error instanceof Problem)) throw error
  }
}

async function findRights(): Promise<void> {
  try {
    await api.get('/api/v1/tokens')
    state.manages = true
  } catch (error) {
    if (!(error instanceof Problem && error.status === 403)) throw error
    state.manages = false
  }
}

export async function signInWithToken(token: string): Promise<void> {
  state.token = token
  try {
    await findRights()
  } catch (error) {
    forget()
    throw error
  }
  sessionStorage.setItem(TOKEN, token)
  state.ended = false
}

export async function signInWithPassword(user: string, password: string, code: string): Promise<void> {
  state.person = await api.post('/api/v1/session', {
    body: { username: user, password, ...(code ? { code } : {}) },
  })
  state.ended = false
}

export async function signOut(): Promise<void> {
  try {
    if (state.person) await api.delete('/api/v1/session')
  } finally {
    forget()
    state.ended = false
  }
}
