/** Thousands of cameras on a Leaflet map: clustered by Supercluster, drawn on one canvas, found again by a click. */
import { Bounds, Browser, DomUtil, latLng, Layer, point, type LatLng, type LeafletMouseEvent, type Map as Leaflet } from 'leaflet'
import Supercluster from 'supercluster'
import type { Palette } from '../charts/palette'
import type { Light } from '../fleet'
import { isState, STATES } from '../registry'
import { drawCamera, drawCluster, sizeOf, WORST, worst, type Counts } from './marks'

export interface Placed extends Light {
  readonly longitude: number
  readonly latitude: number
}
/** `x` and `y`: points of the map's layers, which stay while it is moved. */
export type Mark =
  | { kind: 'camera'; camera: Placed; x: number; y: number; size: number }
  | { kind: 'cluster'; id: number; at: LatLng; counts: Counts; x: number; y: number; size: number }

/** Of the map's size, drawn beyond each edge, so that it can be moved without drawing. */
const MARGIN = 0.25
const RADIUS_REM = 3.4
const CAMERA_REM = 1
/** Beyond the deepest zoom, so that cameras on one pole stay together and are listed. */
export const DEEPEST = 19

function countsOf(camera: Placed): Counts {
  const counts = Object.fromEntries(STATES.map((state) => [state, 0])) as Counts
  counts[camera.state && isState(camera.state) ? camera.state : 'unknown'] = 1
  return counts
}

export function isPlaced(camera: Light): camera is Placed {
  return camera.longitude !== null && camera.latitude !== null
}

export class FleetLayer extends Layer {
  private readonly canvas = DomUtil.create('canvas', 'fleet-layer leaflet-zoom-hide')
  private index: Supercluster<Placed, Counts> | undefined
  private marks: Mark[] = []
  private look: Palette | undefined
  private chosen = ''
  private drawn: Bounds | undefined
  private map: Leaflet | undefined

  constructor(
    private readonly pick: (mark: Mark) => void,
    private readonly none: (at: LatLng) => void,
  ) {
    super()
    this.canvas.setAttribute('aria-hidden', 'true') // a list beside the map has them for those who cannot see it
  }

  onAdd(map: Leaflet): this {
    this.map = map
    // Over the areas and their names.
    const pane = map.getPane('fleet') ?? map.createPane('fleet')
    pane.style.zIndex = '610'
    pane.style.pointerEvents = 'none'
    pane.append(this.canvas)
    map.on('moveend viewreset resize zoomend', this.draw, this)
    map.on('move', this.moved, this)
    map.on('click', this.clicked, this)
    map.on('mousemove', this.hovered, this)
    this.draw()
    return this
  }

  onRemove(map: Leaflet): this {
    map.off('moveend viewreset resize zoomend', this.draw, this)
    map.off('move', this.moved, this)
    map.off('click', this.clicked, this)
    map.off('mousemove', this.hovered, this)
    this.canvas.remove()
    this.map = undefined
    return this
  }

  show(cameras: readonly Placed[], look: Palette): void {
    this.look = look
    this.index = new Supercluster<Placed, Counts>({
      radius: RADIUS_REM * look.rem,
      extent: 256, // of Leaflet's tiles: else the radius would not be in pixels
      maxZoom: DEEPEST,
      minPoints: 3,
      map: countsOf,
      reduce: (into, more) => STATES.forEach((state) => (into[state] += more[state])),
    })
    this.index.load(
      cameras.map((camera) => ({
        type: 'Feature',
        properties: camera,
        geometry: { type: 'Point', coordinates: [camera.longitude, camera.latitude] },
      })),
    )
    this.draw()
  }

  choose(id: string): void {
    this.chosen = id
    this.draw()
  }

  /** The cameras in a cluster, and the zoom in which it falls apart. */
  open(cluster: number): { cameras: Placed[]; zoom: number } {
    const leaves = this.index!.getLeaves(cluster, 200).map((leaf) => leaf.properties)
    return { cameras: leaves, zoom: this.index!.getClusterExpansionZoom(cluster) }
  }

  /** Where marks are drawn: middles in points of the map's layers, and their sizes. */
  get drawnMarks(): readonly { x: number; y: number; size: number }[] {
    return this.marks
  }

  private draw(): void {
    const { map, look, index } = this
    if (!map || !look || !index) return
    const pad = map.getSize().multiplyBy(MARGIN).floor()
    const size = map.getSize().add(pad.multiplyBy(2))
    const corner = map.containerPointToLayerPoint(pad.multiplyBy(-1))
    this.drawn = new Bounds(corner, corner.add(size))
    const ratio = Browser.retina ? 2 : 1
    const [wide, high] = [size.x * ratio, size.y * ratio]
    if (this.canvas.width !== wide || this.canvas.height !== high) {
      this.canvas.width = wide
      this.canvas.height = high
      this.canvas.style.width = `${size.x}px`
      this.canvas.style.height = `${size.y}px`
    }
    DomUtil.setPosition(this.canvas, corner)
    const bounds = map.getBounds().pad(MARGIN + 0.1)
    const found = index.getClusters(
      [bounds.getWest(), bounds.getSouth(), bounds.getEast(), bounds.getNorth()],
      Math.floor(map.getZoom()),
    )
    this.marks = found.map((feature): Mark => {
      const [longitude, latitude] = feature.geometry.coordinates as [number, number]
      const { x, y } = map.latLngToLayerPoint([latitude, longitude])
      const told = feature.properties
      if ('cluster_id' in told) {
        const at = latLng(latitude, longitude)
        return { kind: 'cluster', id: told.cluster_id, at, counts: told, x, y, size: sizeOf(told.point_count, look.rem) }
      }
      return { kind: 'camera', camera: told as Placed, x, y, size: CAMERA_REM * look.rem }
    })
    this.marks.sort((a, b) => rank(b) - rank(a))
    const to = this.canvas.getContext('2d')!
    to.setTransform(ratio, 0, 0, ratio, 0, 0)
    to.clearRect(0, 0, size.x, size.y)
    to.translate(-corner.x, -corner.y)
    for (const mark of this.marks) {
      if (mark.kind === 'cluster') drawCluster(to, mark.x, mark.y, mark.size, mark.counts, look)
      else {
        const { state } = mark.camera
        drawCamera(to, mark.x, mark.y, mark.size, state && isState(state) ? state : 'unknown', look)
        if (mark.camera.id === this.chosen) ring(to, mark, look)
      }
    }
  }

  /** The canvas moves with the map; it is drawn anew where it ends. */
  private moved(): void {
    const { map, drawn } = this
    if (!map || !drawn) return
    const corner = map.containerPointToLayerPoint([0, 0])
    if (!drawn.contains(new Bounds(corner, corner.add(map.getSize())))) this.draw()
  }

  private at(event: LeafletMouseEvent): Mark | undefined {
    const here = event.layerPoint
    // The last drawn is on top; a finger is wider than a mark.
    return this.marks.findLast((mark) => here.distanceTo(point(mark.x, mark.y)) <= mark.size / 2 + 3)
  }

  private clicked(event: LeafletMouseEvent): void {
    const mark = this.at(event)
    if (mark) this.pick(mark)
    else this.none(event.latlng)
  }

  private hovered(event: LeafletMouseEvent): void {
    this.map!.getContainer().classList.toggle('over-mark', this.at(event) !== undefined)
  }
}

/** Drawn later the worse it is. */
function rank(mark: Mark): number {
  if (mark.kind === 'cluster') return WORST.indexOf(worst(mark.counts))
  return WORST.indexOf(mark.camera.state && isState(mark.camera.state) ? mark.camera.state : 'unknown')
}

function ring(to: CanvasRenderingContext2D, mark: Mark, look: Palette): void {
  to.beginPath()
  to.arc(mark.x, mark.y, mark.size, 0, 2 * Math.PI)
  to.lineWidth = look.rem * 0.18
  to.strokeStyle = look.accent
  to.stroke()
}
