/** Cameras and clusters of them as marks on a canvas: by colour, and by shape, as StateMark has them. */
import type { Palette } from '../charts/palette'
import { STATES, type State } from '../registry'

export type Counts = Record<State, number>

/** What is most worth looking at comes last, so that it is drawn over the others. */
export const WORST: readonly State[] = ['offline', 'unknown', 'degraded', 'maintenance', 'online']

export function worst(counts: Counts): State {
  return WORST.find((state) => counts[state] > 0) ?? 'online'
}

/** One camera, `size` pixels across, at a point. */
export function drawCamera(
  to: CanvasRenderingContext2D,
  x: number,
  y: number,
  size: number,
  state: State,
  look: Palette,
): void {
  const r = size / 2
  to.save()
  to.translate(x, y)
  to.strokeStyle = to.fillStyle = look[state]
  to.beginPath()
  if (state === 'online') {
    to.arc(0, 0, r * 0.8, 0, 2 * Math.PI)
    to.fill()
  } else if (state === 'degraded') {
    to.moveTo(0, -r)
    to.lineTo(r, r * 0.8)
    to.lineTo(-r, r * 0.8)
    to.fill()
  } else if (state === 'offline') {
    to.lineWidth = size * 0.28
    to.moveTo(-r * 0.8, -r * 0.8)
    to.lineTo(r * 0.8, r * 0.8)
    to.moveTo(r * 0.8, -r * 0.8)
    to.lineTo(-r * 0.8, r * 0.8)
    to.stroke()
  } else if (state === 'maintenance') {
    to.lineWidth = size * 0.16
    to.moveTo(0, -r)
    to.lineTo(r, 0)
    to.lineTo(0, r)
    to.lineTo(-r, 0)
    to.closePath()
    to.fillStyle = look.panel
    to.fill()
    to.stroke()
  } else {
    to.lineWidth = size * 0.12
    to.arc(0, 0, r * 0.9, 0, 2 * Math.PI)
    to.fillStyle = look.panel
    to.fill()
    to.setLineDash([size * 0.2, size * 0.12])
    to.stroke()
    letter(to, '?', size * 0.8, look.unknown, look)
  }
  to.restore()
}

/** A cluster: how many in its middle, their states around it, and how many do not work below. */
export function drawCluster(
  to: CanvasRenderingContext2D,
  x: number,
  y: number,
  size: number,
  counts: Counts,
  look: Palette,
): void {
  const total = STATES.reduce((sum, state) => sum + counts[state], 0)
  const r = size / 2
  const ring = size * 0.14
  to.save()
  to.translate(x, y)
  to.beginPath()
  to.arc(0, 0, r, 0, 2 * Math.PI)
  to.fillStyle = look.panel
  to.fill()
  // A rim, so that neighbours stay apart; a blurred shadow would cost more than all the rest.
  to.lineWidth = 2
  to.strokeStyle = look.line
  to.stroke()
  let from = -Math.PI / 2
  for (const state of STATES) {
    const share = (2 * Math.PI * counts[state]) / total
    if (!share) continue
    to.beginPath()
    to.arc(0, 0, r - ring / 2, from, from + share)
    to.lineWidth = ring
    to.strokeStyle = look[state]
    // Unknown is hatched and maintenance hollow here too.
    to.setLineDash(state === 'unknown' ? [3, 2] : state === 'maintenance' ? [1, 3] : [])
    to.stroke()
    from += share
  }
  to.setLineDash([])
  const bad = worst(counts)
  if (bad === 'online') letter(to, short(total), size * 0.3, look.text, look)
  else {
    to.translate(0, -size * 0.11)
    letter(to, short(total), size * 0.28, look.text, look)
    to.translate(0, size * 0.27)
    const text = short(counts[bad])
    const wide = to.measureText(text).width * 0.8
    drawCamera(to, -wide / 2 - 1, 0, size * 0.17, bad, look)
    to.translate(size * 0.1, 0)
    letter(to, text, size * 0.22, look[bad], look)
  }
  to.restore()
}

/** Pixels across, for so many cameras: twice as many are not twice as large. */
export function sizeOf(count: number, rem: number): number {
  return rem * Math.min(4.4, 2.1 + 0.65 * Math.log10(count))
}

function short(count: number): string {
  return count < 10_000 ? String(count) : `${Math.round(count / 1000)}k`
}

function letter(to: CanvasRenderingContext2D, text: string, size: number, color: string, look: Palette): void {
  to.font = `650 ${size}px ${look.font}`
  to.textAlign = 'center'
  to.textBaseline = 'middle'
  to.fillStyle = color
  to.fillText(text, 0, size * 0.06)
}
