/** Online rates hour by hour. An hour that is over does not change: it is asked for once. */
import { api, type Shape } from './api/client'
import { clock } from './live'

export interface Bucket {
  from: number
  to: number
  rates: Record<string, Shape<'RateShape'>>
}

const HOUR = 3_600_000
const SETTLED = 10 * 60_000
const AT_ONCE = 3
const known = new Map<number, Bucket>()

async function bucket(from: number, to: number, signal: AbortSignal): Promise<Bucket> {
  const cached = known.get(from)
  if (cached && cached.to === to) return cached
  const answer = await api.get('/api/v1/rates', {
    query: { by: 'tier', from: new Date(from).toISOString(), to: new Date(to).toISOString() },
    signal,
  })
  const made = { from, to, rates: Object.fromEntries(answer.items.map((item) => [item.key, item])) }
  if (to < clock.value - SETTLED) known.set(from, made)
  return made
}

/** The last 24 hours in hours; while less than three of them were watched, the last hour in four minutes. */
export async function dayTrend(signal: AbortSignal): Promise<Bucket[]> {
  const now = clock.value
  const hours = await buckets(Math.floor(now / HOUR) * HOUR - 23 * HOUR, HOUR, 24, now, signal)
  for (const from of known.keys()) if (from < now - 48 * HOUR) known.delete(from)
  if (hours.filter((one) => Object.values(one.rates).some((rate) => rate.online_rate !== null)).length > 2) return hours
  const step = HOUR / 15
  return buckets(Math.floor(now / step) * step - 14 * step, step, 15, now, signal)
}

async function buckets(first: number, step: number, count: number, now: number, signal: AbortSignal): Promise<Bucket[]> {
  const spans = Array.from({ length: count }, (_, i) => [first + i * step, Math.min(first + (i + 1) * step, now)] as const)
  const found: Bucket[] = []
  let next = 0
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      while (next < spans.length) {
        const mine = next++
        const [from, to] = spans[mine]!
        found[mine] = await bucket(from, Math.max(to, from + 1000), signal)
      }
    }),
  )
  return found
}
