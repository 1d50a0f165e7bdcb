/** One live picture by HLS, where the browser plays that by itself. */
import { Problem, problemOf, reach } from './api/client'
import { asked, endOf, playerFigures, type Asked, type Picture } from './view'

const LOOK_MS = 4000
const START_MS = 20_000
/** Players want a beginning: some take a playlist with fewer segments for a broken one. */
const SEGMENTS = 3
const ASK_MS = 300

export async function watchHls(wanted: Asked): Promise<Picture> {
  const { camera, ticket, tile, video, signal } = wanted
  const response = await asked(`/api/v1/views/${encodeURIComponent(camera)}/hls?tile=${tile}`, wanted)
  const where = response.headers.get('Location')!
  const { playlist } = (await response.json()) as { playlist: string }
  let timer: ReturnType<typeof setInterval> | undefined
  const close = (): void => {
    clearInterval(timer)
    signal.removeEventListener('abort', close)
    video.removeAttribute('src')
    void fetch(where, { method: 'DELETE', keepalive: true }).catch(() => undefined)
  }
  signal.addEventListener('abort', close)
  try {
    await begun(playlist, signal)
    video.srcObject = null
    video.src = playlist
    void video.play().catch(() => undefined)
    await new Promise<void>((resolve, reject) => {
      const no = () => reject(new Problem(0, 'no_path', ''))
      video.addEventListener('playing', () => resolve(), { once: true, signal })
      video.addEventListener('error', no, { once: true, signal })
      setTimeout(no, START_MS)
    })
  } catch (error) {
    close()
    throw error
  }
  // The player says that it cannot go on, not why: the playlist's refusal does.
  const state: Picture['state'] = async () => {
    await reach(playlist, { signal }, false)
    return video.readyState > HTMLMediaElement.HAVE_CURRENT_DATA ? 'playing' : 'lost'
  }
  const ended = new Promise<string | undefined>((resolve) => {
    timer = setInterval(async () => {
      try {
        await state()
        if (video.error) resolve(undefined)
      } catch (error) {
        if (problemOf(error).status) resolve(endOf(error))
      }
    }, LOOK_MS)
    signal.addEventListener('abort', () => resolve(undefined))
  })
  return { ticket, ended, state, figures: playerFigures(video, () => 0), close }
}

/** Until the playlist has so much that a player can begin with it; no_path if it takes too long. */
async function begun(playlist: string, signal: AbortSignal): Promise<void> {
  for (const since = performance.now(); performance.now() - since < START_MS; ) {
    const text = await (await reach(playlist, { signal }, false)).text()
    if (text.split('#EXTINF').length > SEGMENTS) return
    await new Promise((resolve) => setTimeout(resolve, ASK_MS))
    signal.throwIfAborted()
  }
  throw new Problem(0, 'no_path', '')
}
