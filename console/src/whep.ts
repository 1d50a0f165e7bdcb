/** One live picture by WHEP: an offer, an answer, and the stream until it is let go. */
import { Problem, reach } from './api/client'
import { asked, endOf, type Asked, type Picture } from './view'

const CONNECT_MS = 8000
const CANDIDATES = 'application/trickle-ice-sdpfrag'

export async function watchWhep(wanted: Asked): Promise<Picture> {
  const { camera, ticket, tile, video, signal } = wanted
  const peer = new RTCPeerConnection()
  let where: string | undefined
  const send = (method: string, type?: string, body?: string): void => {
    if (!where) return
    const headers: Record<string, string> = type ? { 'Content-Type': type } : {}
    void fetch(where, { method, headers, ...(body ? { body } : {}), keepalive: method === 'DELETE' }).catch(() => undefined)
  }
  let alarm: ReturnType<typeof setTimeout> | undefined
  const close = (): void => {
    clearTimeout(alarm)
    signal.removeEventListener('abort', close)
    peer.close()
    send('DELETE')
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
      signal.addEventListener('abort', () => reject(signal.reason))
    })
    up.catch(() => undefined)
    const queued: (RTCIceCandidate | null)[] = []
    const tell = (candidate: RTCIceCandidate | null): void =>
      send('PATCH', CANDIDATES, candidate ? `a=mid:${candidate.sdpMid}\r\na=${candidate.candidate}\r\n` : 'a=end-of-candidates\r\n')
    peer.onicecandidate = ({ candidate }) => (where ? tell(candidate) : queued.push(candidate))
    peer.addTransceiver('video', { direction: 'recvonly' })
    await peer.setLocalDescription(await peer.createOffer())
    const response = await asked(`/api/v1/views/${encodeURIComponent(camera)}/whep?tile=${tile}`, wanted, {
      headers: { 'Content-Type': 'application/sdp' },
      body: peer.localDescription!.sdp,
    })
    where = response.headers.get('Location') ?? undefined
    queued.forEach(tell)
    const late = new Promise<never>((_, reject) => {
      alarm = setTimeout(() => reject(new Problem(0, 'no_path', '')), CONNECT_MS)
    })
    await peer.setRemoteDescription({ type: 'answer', sdp: await response.text() })
    await Promise.race([up, late])
    clearTimeout(alarm)
    video.srcObject = new MediaStream([await track])
    const state: Picture['state'] = async () => (await (await reach(where!, { signal }, false)).json()).state
    const ended = new Promise<string | undefined>((resolve) => {
      const look = async (): Promise<void> => {
        try {
          await state()
          if (peer.connectionState !== 'disconnected') resolve(undefined) // one that is may come back
        } catch (error) {
          resolve(endOf(error))
        }
      }
      peer.addEventListener('connectionstatechange', () => {
        if (['failed', 'closed', 'disconnected'].includes(peer.connectionState)) void look()
      })
      // The gateway takes its leave by DTLS within milliseconds; the connection would notice in some seconds.
      const transport = peer.getReceivers()[0]?.transport
      transport?.addEventListener('statechange', () => {
        if (['failed', 'closed'].includes(transport.state)) void look()
      })
      signal.addEventListener('abort', () => resolve(undefined))
    })
    return { ticket, ended, state, figures: meter(peer), close }
  } catch (error) {
    close()
    throw error
  }
}

function meter(peer: RTCPeerConnection): Picture['figures'] {
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
