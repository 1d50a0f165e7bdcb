/** Watching one camera by whichever way gets through: WebRTC, media sources over a WebSocket, HLS. */
import { api, Problem, reach, type Shape } from './api/client'
import { watchHls } from './hls'
import { watchMse } from './mse'
import { watchWhep } from './whep'

export type Way = 'webrtc' | 'fmp4' | 'hls'
export type Ticket = Shape<'ViewTicketShape'>

export interface Figures {
  fps: number
  kbps: number
  lost: number
  size: string
}

/** A picture that runs, until it is let go or ends. */
export interface Picture {
  ticket: Ticket
  /** Resolves when the picture has ended, whoever ended it: with the register's word for why, where it is known. */
  ended: Promise<string | undefined>
  /** Whether the camera delivers; a Problem once the view is over. */
  state: () => Promise<Shape<'ViewShape'>['state']>
  figures: () => Promise<Figures>
  close: () => void
}

export interface Asked {
  camera: string
  ticket: Ticket
  /** Width of the picture on the page. */
  tile: number
  video: HTMLVideoElement
  signal: AbortSignal
}

const MSE_TYPE = 'video/mp4; codecs="avc1.42c01f"'
const OPEN: Record<Way, (asked: Asked) => Promise<Picture>> = { webrtc: watchWhep, fmp4: watchMse, hls: watchHls }
/** WebRTC found no path to the service: what else there is goes first from then on. */
let blocked = false

function received(): Set<string> {
  if (typeof RTCPeerConnection === 'undefined') return new Set()
  return new Set(RTCRtpReceiver.getCapabilities('video')?.codecs.map((one) => one.mimeType.toLowerCase()))
}

/** The ways that this browser has, best first. */
export function ways(): Way[] {
  const found: Way[] = []
  if (received().has('video/h264') || received().has('video/h265')) found.push('webrtc')
  if (typeof MediaSource !== 'undefined' && MediaSource.isTypeSupported(MSE_TYPE)) found.push('fmp4')
  if (document.createElement('video').canPlayType('application/vnd.apple.mpegurl')) found.push('hls')
  return blocked ? [...found.filter((one) => one !== 'webrtc'), ...found.filter((one) => one === 'webrtc')] : found
}

/** The codecs of cameras that this browser shows live, by any way: those without WebRTC give H.264 alone. */
export function decodes(): ('h264' | 'h265')[] {
  const known = received()
  const h264 = known.has('video/h264') || ways().some((way) => way !== 'webrtc')
  return [...(h264 ? (['h264'] as const) : []), ...(known.has('video/h265') ? (['h265'] as const) : [])]
}

/** How the service would show a camera to this browser. */
export async function foresee(camera: string, tile: number, signal: AbortSignal): Promise<Shape<'Beforehand'>> {
  const body: Shape<'AskedBeforehand'> = { cameras: [camera], decodes: decodes(), tile: Math.max(1, Math.round(tile)) }
  return (await api.post('/api/v1/views/preflight', { body, signal })).items[0]!
}

/** By what right a picture was begun: a grant, or (null) that of an operator to the own cameras. */
export type Right = { grant: string | null }

/**
 * Throws a Problem that says why there is no picture. What gets no path by one way is tried by the next.
 * `held`: the right that it must be, where a picture goes on; another would have to be chosen by the viewer.
 */
export async function watch(
  camera: string,
  video: HTMLVideoElement,
  signal: AbortSignal,
  held?: Right,
): Promise<{ picture: Picture; way: Way }> {
  let last: unknown = new Problem(406, 'no_way', '')
  for (const way of ways()) {
    const ticket = await api.post('/api/v1/view-tickets', { body: { camera, action: 'live', grant: held?.grant ?? null }, signal })
    if (held && (ticket.grant ?? null) !== held.grant) throw new Problem(403, 'forbidden', '', undefined, 'other_right')
    try {
      const picture = await OPEN[way]({ camera, ticket, tile: Math.max(1, Math.round(video.clientWidth)), video, signal })
      return { picture, way }
    } catch (error) {
      if (!(error instanceof Problem) || !['no_path', 'not_acceptable'].includes(error.kind)) throw error
      if (way === 'webrtc' && error.kind === 'no_path') blocked = true
      last = error
    }
  }
  throw last
}

export async function asked(url: string, { ticket, signal }: Asked, init: RequestInit = {}): Promise<Response> {
  const headers = { Authorization: `Bearer ${ticket.ticket}`, ...(init.headers as Record<string, string>) }
  return reach(url, { method: 'POST', ...init, headers, signal }, false)
}

/** Why the service let a picture end, as its answer has it. */
export function endOf(error: unknown): string | undefined {
  if (!(error instanceof Problem)) return undefined
  return error.reason ?? /\((\w+)\)$/.exec(error.detail)?.[1]
}

/** Frames and bytes of a player that does not count its packets. */
export function playerFigures(video: HTMLVideoElement, bytes: () => number): Picture['figures'] {
  let before = { frames: 0, bytes: 0, at: 0 }
  return async () => {
    const quality = video.getVideoPlaybackQuality()
    const now = { frames: quality.totalVideoFrames, bytes: bytes(), at: performance.now() }
    const seconds = before.at ? (now.at - before.at) / 1000 : Infinity
    const figures = {
      fps: Math.round((now.frames - before.frames) / seconds),
      kbps: Math.round(((now.bytes - before.bytes) * 8) / seconds / 1000),
      lost: quality.droppedVideoFrames,
      size: video.videoWidth ? `${video.videoWidth}×${video.videoHeight}` : '',
    }
    before = now
    return figures
  }
}
