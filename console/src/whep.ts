/** One live picture by WHEP: a ticket, an offer, and the stream until it is let go. */
import { api, Problem, problemIn, type Shape } from './api/client'

export interface Picture {
  stream: MediaStream
  ticket: Shape<'ViewTicketShape'>
  /** Resolves when the picture has ended, whoever ended it. */
  ended: Promise<void>
  stats: () => Promise<{ fps: number; kbps: number; lost: number; size: string }>
  close: () => void
}

const CONNECT_MS = 15_000

/** The codecs of cameras that this browser decodes in live views. */
export function decodes(): ('h264' | 'h265')[] {
  const known = new Set(RTCRtpReceiver.getCapabilities('video')?.codecs.map((one) => one.mimeType.toLowerCase()))
  return (['h264', 'h265'] as const).filter((one) => known.has(`video/${one}`))
}

/** Throws a Problem that says why there is no picture. */
export async function watch(camera: string, tile: number, signal: AbortSignal): Promise<Picture> {
  const ticket = await api.post('/api/v1/view-tickets', { body: { camera, action: 'live' }, signal })
  const peer = new RTCPeerConnection()
  let where: string | undefined
  const close = (): void => {
    peer.close()
    if (where) void fetch(where, { method: 'DELETE', keepalive: true }).catch(() => undefined)
    where = undefined
  }
  signal.addEventListener('abort', close)
  try {
    const track = new Promise<MediaStreamTrack>((resolve) => {
      peer.ontrack = ({ receiver, track: found }) => {
        receiver.jitterBufferTarget = 0 // the gateway begins with a burst; buffering it would keep us behind
        resolve(found)
      }
    })
    const up = new Promise<void>((resolve, reject) => {
      peer.addEventListener('connectionstatechange', () => {
        if (peer.connectionState === 'connected') resolve()
        if (peer.connectionState === 'failed') reject(new Problem(0, 'no_path', ''))
      })
      setTimeout(() => reject(new Problem(0, 'no_path', '')), CONNECT_MS)
    })
    up.catch(() => undefined)
    const queued: (RTCIceCandidate | null)[] = []
    const send = (candidate: RTCIceCandidate | null): void => {
      if (!where) return
      const body = candidate ? `a=mid:${candidate.sdpMid}\r\na=${candidate.candidate}\r\n` : 'a=end-of-candidates\r\n'
      void fetch(where, { method: 'PATCH', headers: { 'Content-Type': 'application/trickle-ice-sdpfrag' }, body }).catch(() => undefined)
    }
    peer.onicecandidate = ({ candidate }) => (where ? send(candidate) : queued.push(candidate))
    peer.addTransceiver('video', { direction: 'recvonly' })
    await peer.setLocalDescription(await peer.createOffer())
    const response = await fetch(`/api/v1/views/${encodeURIComponent(camera)}/whep?tile=${Math.round(tile)}`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/sdp', Authorization: `Bearer ${ticket.ticket}` },
      body: peer.localDescription!.sdp,
      signal,
    })
    if (!response.ok) throw await problemIn(response)
    where = response.headers.get('Location') ?? undefined
    queued.forEach(send)
    await peer.setRemoteDescription({ type: 'answer', sdp: await response.text() })
    await up
    const ended = new Promise<void>((resolve) => {
      peer.addEventListener('connectionstatechange', () => {
        if (['failed', 'closed', 'disconnected'].includes(peer.connectionState)) resolve()
      })
      signal.addEventListener('abort', () => resolve())
    })
    return { stream: new MediaStream([await track]), ticket, ended, stats: meter(peer), close }
  } catch (error) {
    close()
    throw error
  }
}

function meter(peer: RTCPeerConnection): Picture['stats'] {
  let before = { frames: 0, bytes: 0, at: 0 }
  return async () => {
    let found = { fps: 0, kbps: 0, lost: 0, size: '' }
    for (const one of (await peer.getStats()).values()) {
      if (one.type !== 'inbound-rtp') continue
      const now = { frames: one.framesDecoded ?? 0, bytes: one.bytesReceived ?? 0, at: one.timestamp as number }
      const seconds = (now.at - before.at) / 1000
      if (before.at && seconds > 0) {
        found = {
          fps: Math.round((now.frames - before.frames) / seconds),
          kbps: Math.round(((now.bytes - before.bytes) * 8) / seconds / 1000),
          lost: one.packetsLost ?? 0,
          size: one.frameWidth ? `${one.frameWidth}×${one.frameHeight}` : '',
        }
      }
      before = now
    }
    return found
  }
}
