/** All cameras in service, in little: fetched once, kept true by the stream of news, shared by all pages. */
import { effectScope, watch, type EffectScope } from 'vue'
import { api } from './api/client'
import { changed } from './live'
import { load, type Loaded } from './load'
import { signedIn } from './session'

export interface Light {
  readonly id: string
  readonly code: string | null
  readonly name: string
  readonly tier: string
  readonly department: string
  readonly area: string
  readonly zone: string
  readonly origin: string
  readonly maintenance: number
  /** Joined by spaces. */
  readonly tags: string
  readonly longitude: number | null
  readonly latitude: number | null
  /** Null while nothing is known of it. */
  readonly state: string | null
  /** Milliseconds of UTC. */
  readonly since: number | null
  readonly cause: string | null
}

export type Fleet = Loaded<readonly Light[]>
const AGAIN_MS = 300_000

async function table(signal: AbortSignal): Promise<readonly Light[]> {
  const { columns, rows } = await api.get('/api/v1/cameras/table', { signal })
  return rows.map((row) => Object.fromEntries(columns.map((name, i) => [name, row[i]])) as unknown as Light)
}

let scope: EffectScope | undefined
let shared: Fleet | undefined

/** The cameras, for as long as somebody is signed in. */
export function useFleet(): Fleet {
  if (!shared) {
    scope = effectScope(true)
    shared = scope.run(begin)!
  }
  return shared
}

function begin(): Fleet {
  const fleet = load(table, AGAIN_MS)
  // A change of state is written into the camera it is about; only after a gap is everything fetched again.
  watch(changed, ({ changes, missed }) => {
    if (missed) return void fleet.reload()
    const now = fleet.data.value
    if (!now) return
    const news = new Map(changes.map((change) => [change.camera, change]))
    fleet.data.value = now.map((camera) => {
      const change = news.get(camera.id)
      return change
        ? { ...camera, state: change.after, since: Date.parse(change.at), cause: change.cause }
        : camera
    })
  })
  return fleet
}

watch(signedIn, (now) => {
  if (now) return
  scope?.stop()
  scope = shared = undefined
})

/** Those that are not online now, newest first. */
export function notOnline(cameras: readonly Light[]): Light[] {
  return cameras
    .filter((one) => one.state === 'offline' || one.state === 'degraded' || one.state === 'unknown')
    .sort((a, b) => (b.since ?? 0) - (a.since ?? 0))
}
