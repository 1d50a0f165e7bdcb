/** One live picture as fragments of MP4 over a WebSocket, for networks that WebRTC does not get through. */
import { Problem } from './api/client'
import { playerFigures, type Asked, type Picture } from './view'

const ANSWER_MS = 20_000
const BEHIND_S = 1.5
const KEPT_S = 10
const MOST_QUEUED = 600
/** A view lives as long as its socket, and pictures come all the time: so long without any, the camera is lost. */
const SILENCE_MS = 3000
const STATUS: Record<string, number> = {
  unauthenticated: 401, forbidden: 403, not_found: 404, not_acceptable: 406, limited: 429, unavailable: 503,
}

export async function watchMse({ camera, ticket, tile, video, signal }: Asked): Promise<Picture> {
  const url = new URL(`/api/v1/views/${encodeURIComponent(camera)}/mse?tile=${tile}`, location.href)
  url.protocol = url.protocol.replace('http', 'ws')
  const socket = new WebSocket(url)
  socket.binaryType = 'arraybuffer'
  const source = new MediaSource()
  const place = URL.createObjectURL(source)
  const close = (): void => {
    signal.removeEventListener('abort', close)
    socket.close()
    URL.revokeObjectURL(place)
  }
  signal.addEventListener('abort', close)
  let why: string | undefined
  const ended = new Promise<string | undefined>((resolve) => socket.addEventListener('close', () => resolve(why)))
  try {
    const mime = await new Promise<string>((resolve, reject) => {
      const alarm = setTimeout(() => reject(new Problem(0, 'no_path', '')), ANSWER_MS)
      socket.onopen = () => socket.send(ticket.ticket)
      socket.onclose = () => reject(new Problem(0, 'no_path', ''))
      socket.onmessage = ({ data }) => {
        clearTimeout(alarm)
        const told = JSON.parse(data as string) as { mime?: string; error?: string; detail?: string; mend?: string }
        if (told.mime) return resolve(told.mime)
        const kind = told.error ?? 'http'
        const detail = told.detail ?? ''
        reject(new Problem(STATUS[kind] ?? 503, kind, detail, told.mend, /\((\w+)\)$/.exec(detail)?.[1]))
      }
    })
    if (!MediaSource.isTypeSupported(mime)) throw new Problem(406, 'not_acceptable', '')
    video.srcObject = null
    video.src = place
    const queue: ArrayBuffer[] = []
    let buffer: SourceBuffer | undefined
    let bytes = 0
    let heard = performance.now()
    const go = (): void => {
      if (!buffer || buffer.updating || source.readyState !== 'open') return
      const held = video.buffered
      if (held.length) {
        const edge = held.end(held.length - 1)
        if (edge - video.currentTime > BEHIND_S || video.currentTime < held.start(0)) video.currentTime = edge - 0.1
        if (edge - held.start(0) > 3 * KEPT_S) return buffer.remove(0, edge - KEPT_S)
      }
      const next = queue.shift()
      if (next) buffer.appendBuffer(next)
    }
    socket.onmessage = ({ data }) => {
      if (typeof data === 'string') return void (why = (JSON.parse(data) as { ended?: string }).ended)
      heard = performance.now()
      bytes += (data as ArrayBuffer).byteLength
      queue.push(data as ArrayBuffer)
      if (queue.length > MOST_QUEUED) return socket.close() // this machine does not keep up: begin anew
      go()
    }
    source.addEventListener('sourceopen', () => {
      try {
        buffer = source.addSourceBuffer(mime)
        buffer.addEventListener('updateend', go)
        buffer.addEventListener('error', () => socket.close())
        go()
      } catch {
        socket.close()
      }
    }, { once: true })
    void video.play().catch(() => undefined)
    const state: Picture['state'] = async () => (performance.now() - heard < SILENCE_MS ? 'playing' : 'lost')
    return { ticket, ended, state, figures: playerFigures(video, () => bytes), close }
  } catch (error) {
    close()
    throw error
  }
}
