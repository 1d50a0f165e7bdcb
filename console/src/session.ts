/** Who is at the console: a token of this tab, or a person with a session cookie that no script can read. */
import { computed, reactive } from 'vue'
import { api, credentials, Problem, reach, type Shape } from './api/client'

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
credentials.whose = () => state.token ?? state.person?.csrf
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
    if (state.token) state.manages = await manages(state.token)
    else state.person = await api.get('/api/v1/session')
  } catch (error) {
    if (!(error instanceof Problem)) throw error
  }
}

/** Whether a token administers. It may be one that nobody has signed in with yet. */
async function manages(token: string): Promise<boolean> {
  const headers = { Accept: 'application/json', Authorization: `Bearer ${token}` }
  try {
    await reach('/api/v1/tokens', { headers, cache: 'no-store' }, token === state.token)
    return true
  } catch (error) {
    if (error instanceof Problem && error.status === 403) return false
    throw error
  }
}

/** Nothing is asked with a token before the service has said that it knows it. */
export async function signInWithToken(token: string): Promise<void> {
  const administers = await manages(token)
  sessionStorage.setItem(TOKEN, token)
  Object.assign(state, { token, manages: administers, ended: false })
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
