/** What happens now: the service's stream of news, read with fetch so that it carries the session like all else. */
import { onScopeDispose, reactive, ref, shallowRef, watch } from 'vue'
import { credentials, reach, type Shape } from './api/client'
import { signedIn } from './session'

export type Status = Shape<'Status'>
/** A line of the stream, which an OpenAPI document has no words for. */
export interface Change {
  camera: string
  before: string
  after: string
  at: string
  cause: string | null
}
interface News {
  status: Status
  changes: Change[]
  missed: number
}

const SILENCE_MS = 25_000
const RETRY_MS = [500, 1000, 2000, 5000, 10_000]

export const status = shallowRef<Status>()
/** The latest changes of state; `missed`: there were more, so what a page knows may be old. */
export const changed = shallowRef<{ changes: Change[]; missed: boolean }>({ changes: [], missed: false })
export const lost = ref(false)
export const site = reactive({ name: 'SharpEyes', timezone: 'Asia/Shanghai' })
/** The service's clock, which the records are made by; not this machine's. */
export const clock = ref(Date.now())
const ahead = ref(0)

setInterval(() => {
  clock.value = Date.now() + ahead.value
}, 1000)

let gap = false

function take(news: News): void {
  status.value = news.status
  site.name = news.status.site
  site.timezone = news.status.timezone
  ahead.value = Date.parse(news.status.at) - Date.now()
  const missed = news.missed > 0 || gap
  gap = false
  if (news.changes.length || missed) changed.value = { changes: news.changes, missed }
  lost.value = false
}

async function listen(signal: AbortSignal): Promise<void> {
  const silence = new AbortController()
  let alarm = setTimeout(() => silence.abort(), SILENCE_MS)
  try {
    const response = await reach('/api/v1/live', {
      headers: { Accept: 'text/event-stream', ...credentials.headers() },
      credentials: 'same-origin',
      signal: AbortSignal.any([signal, silence.signal]),
    })
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
    let text = ''
    for (;;) {
      const { value, done } = await reader.read()
      if (done) return
      clearTimeout(alarm)
      alarm = setTimeout(() => silence.abort(), SILENCE_MS)
      text += value
      const events = text.split('\n\n')
      text = events.pop() ?? ''
      for (const event of events) {
        const data = event.split('\n').find((line) => line.startsWith('data: '))
        if (data) take(JSON.parse(data.slice(6)) as News)
      }
    }
  } finally {
    clearTimeout(alarm)
  }
}

let running: AbortController | undefined

/** `again`: something may have changed while nobody listened. */
async function follow(signal: AbortSignal, again: boolean): Promise<void> {
  gap = again
  for (let failures = 0; !signal.aborted; failures++) {
    const before = status.value
    try {
      await listen(signal)
    } catch {
      // Said below: the stream has ended, for whatever reason.
    }
    if (signal.aborted) return
    if (status.value !== before) failures = 0
    else lost.value = true
    gap = true
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS[Math.min(failures, RETRY_MS.length - 1)]))
    if (!signal.aborted && failures) lost.value = true
  }
}

// A browser gives a site six connections over HTTP/1.1, for all its tabs: only those that are looked at hold one.
const looked = ref(!document.hidden)
document.addEventListener('visibilitychange', () => (looked.value = !document.hidden))
addEventListener('pagehide', () => (looked.value = false))
addEventListener('pageshow', () => (looked.value = !document.hidden))

watch(
  [signedIn, looked],
  ([within, seen], [before]) => {
    running?.abort()
    running = undefined
    lost.value = false
    if (within && seen) void follow((running = new AbortController()).signal, before === true)
    if (!within) status.value = undefined
  },
  { immediate: true },
)

/** Call `then` some seconds after cameras changed: once for a whole burst of changes. */
export function whenStirred(then: () => void, afterMs = 2000): void {
  let timer: ReturnType<typeof setTimeout> | undefined
  watch(changed, () => {
    timer ??= setTimeout(() => {
      timer = undefined
      if (!document.hidden) then()
    }, afterMs)
  })
  onScopeDispose(() => clearTimeout(timer))
}
