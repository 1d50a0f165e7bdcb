/** Figures and instants as people read them, in the site's time zone. */
import { locale } from './i18n'
import { site } from './live'

export function percent(ratio: number | null | undefined, digits = 1): string {
  if (ratio === null || ratio === undefined) return '–'
  // Never rounded up to a target that was missed, nor to a 100 % that was not reached.
  const scale = 10 ** (digits + 2)
  const shown = Math.floor(ratio * scale + 1e-9) / 10 ** digits
  return `${shown.toFixed(digits)}%`
}

/** A rate that somebody set: as exactly as it was set, 95% or 97.5%. */
export function goal(ratio: number | null | undefined): string {
  if (ratio === null || ratio === undefined) return '–'
  return `${Number((ratio * 100).toFixed(4))}%`
}

export function count(value: number): string {
  return value.toLocaleString(locale.value)
}

/** 812 B, 64 KB, 2.1 MB. */
export function size(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`
  const [scale, unit] = bytes < 1e6 ? [1e3, 'KB'] : bytes < 1e9 ? [1e6, 'MB'] : [1e9, 'GB']
  const value = bytes / scale
  return `${value < 9.95 ? Number(value.toFixed(1)) : Math.round(value)} ${unit}`
}

type Style = 'time' | 'seconds' | 'date' | 'full' | 'short'
const STYLES: Record<Style, Intl.DateTimeFormatOptions> = {
  time: { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' },
  seconds: { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' },
  date: { year: 'numeric', month: '2-digit', day: '2-digit', weekday: 'short' },
  short: { month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' },
  full: {
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    hourCycle: 'h23',
  },
}
const formats = new Map<string, Intl.DateTimeFormat>()

export function instant(at: string | number | Date, style: Style = 'short'): string {
  const tag = locale.value === 'zh-CN' ? 'zh-CN' : 'en-GB'
  const key = `${tag}|${site.timezone}|${style}`
  let format = formats.get(key)
  if (!format) {
    format = new Intl.DateTimeFormat(tag, { ...STYLES[style], timeZone: site.timezone })
    formats.set(key, format)
  }
  // In Chinese no gap is put before the day of the week.
  return format.format(new Date(at)).replace(/(?<=\d)周/, ' 周')
}

/** What the site's clocks are ahead of UTC at an instant: UTC+8. */
export function zone(at: number | Date): string {
  const parts = new Intl.DateTimeFormat('en', { timeZone: site.timezone, timeZoneName: 'shortOffset' }).formatToParts(at)
  return parts.find((one) => one.type === 'timeZoneName')!.value.replace('GMT', 'UTC')
}

/** As in the records: RFC 3339 in UTC, without fractions. */
export function utc(at: string | number | Date): string {
  return new Date(at).toISOString().replace(/\.\d+Z$/, 'Z')
}

/** 0.4 s, −1.25 s: short times, with so many digits. */
export function seconds(value: number, digits = 1): string {
  return `${value.toFixed(digits)} ${locale.value === 'zh-CN' ? '秒' : 's'}`
}

/** 45 s, 12 min, 3 h 20 min, 5 d 4 h. */
export function duration(seconds: number): string {
  const zh = locale.value === 'zh-CN'
  const [s, m, h, d] = zh ? [' 秒', ' 分', ' 小时', ' 天'] : [' s', ' min', ' h', ' d']
  if (seconds < 90) return `${Math.round(seconds)}${s}`
  const minutes = Math.round(seconds / 60)
  if (minutes < 90) return `${minutes}${m}`
  const hours = Math.floor(minutes / 60)
  if (hours < 48) return minutes % 60 ? `${hours}${h} ${minutes % 60}${m}` : `${hours}${h}`
  return hours % 24 ? `${Math.floor(hours / 24)}${d} ${hours % 24}${h}` : `${hours / 24}${d}`
}

export function millis(value: number | null | undefined): string {
  if (value === null || value === undefined) return '–'
  return value < 10 ? `${value.toFixed(1)} ms` : `${Math.round(value)} ms`
}

const BROWSERS: [RegExp, string][] = [
  [/MicroMessenger\/(\d+)/, 'WeChat'],
  [/(?:Edg|EdgA|EdgiOS)\/(\d+)/, 'Edge'],
  [/OPR\/(\d+)/, 'Opera'],
  [/(?:Firefox|FxiOS)\/(\d+)/, 'Firefox'],
  [/(?:Chrome|HeadlessChrome|CriOS)\/(\d+)/, 'Chrome'],
  [/Version\/(\d+)\S* .*Safari\//, 'Safari'],
]
const SYSTEMS: [RegExp, string][] = [
  [/Windows/, 'Windows'],
  [/HarmonyOS|OpenHarmony/, 'HarmonyOS'],
  [/Android/, 'Android'],
  [/iPhone|iPad/, 'iOS'],
  [/Mac OS X/, 'macOS'],
  [/CrOS/, 'ChromeOS'],
  [/Linux|X11/, 'Linux'],
]

/** Chrome 131, Windows: what a User-Agent header (RFC 9110, 10.1.5) says of itself; as it is if it is of no browser
 * that is known. Others' names stand in it too, so the order tells: Edge says that it is Chrome, and Chrome Safari. */
export function browserOf(agent: string): string {
  const browser = BROWSERS.find(([pattern]) => pattern.test(agent))
  if (!browser) return agent
  const [pattern, name] = browser
  const system = SYSTEMS.find(([pattern]) => pattern.test(agent))?.[1]
  return [`${name} ${agent.match(pattern)![1]}`, system].filter(Boolean).join(', ')
}
