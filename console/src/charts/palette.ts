/** The colours of the theme, for what is drawn on a canvas, and the size of a rem. */
import { nextTick, onScopeDispose, shallowRef, watch } from 'vue'
import { theme } from '../theme'

export interface Palette {
  text: string
  soft: string
  line: string
  panel: string
  accent: string
  online: string
  degraded: string
  offline: string
  unknown: string
  maintenance: string
  font: string
  /** Of what is written in a chart, and of a rem: px. */
  small: number
  rem: number
}

function read(): Palette {
  const style = getComputedStyle(document.documentElement)
  const of = (name: string): string => style.getPropertyValue(`--${name}`).trim()
  const rem = parseFloat(style.fontSize)
  return {
    text: of('text'),
    soft: of('soft'),
    line: of('line'),
    panel: of('panel'),
    accent: of('accent'),
    online: of('online'),
    degraded: of('degraded'),
    offline: of('offline'),
    unknown: of('unknown'),
    maintenance: of('maintenance'),
    font: of('font'),
    small: parseFloat(of('chart')) * rem,
    rem,
  }
}

export function palette() {
  const now = shallowRef(read())
  const again = (): void => {
    now.value = read()
  }
  watch(theme, () => void nextTick(again), { flush: 'post' })
  addEventListener('resize', again)
  onScopeDispose(() => removeEventListener('resize', again))
  return now
}

/** Between two colours given as #rrggbb; `share` of the second. */
export function mix(first: string, second: string, share: number): string {
  // The build writes #ffffff as #fff.
  const parts = (hex: string): number[] =>
    hex.length === 4 ? [1, 2, 3].map((at) => 17 * parseInt(hex[at]!, 16)) : [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16))
  const [a, b] = [parts(first), parts(second)]
  return `#${a.map((value, i) => Math.round(value + (b[i]! - value) * share).toString(16).padStart(2, '0')).join('')}`
}
