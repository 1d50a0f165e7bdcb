/** Online rates of the tiers, step by step. */
import { api, type Answer } from './api/client'
import { clock } from './live'

type Rates = Answer<'/api/v1/rates', 'get'>
export interface Bucket {
  from: number
  to: number
  rates: Record<string, Rates['items'][number]>
}

const HOUR = 3_600_000
const YOUNG_STEPS = 6

/** The last 24 hours in hours; while less than three of them were watched, the last hour in ten minutes. */
export async function dayTrend(signal: AbortSignal): Promise<Bucket[]> {
  const now = clock.value
  const from = Math.floor(now / HOUR) * HOUR - 23 * HOUR
  const day = await api.get('/api/v1/rates', { query: { by: 'tier', step: 'hour', from: iso(from) }, signal })
  const hours = buckets([day])
  if (hours.filter((one) => Object.values(one.rates).some((rate) => rate.online_rate !== null)).length > 2) return hours
  const step = HOUR / YOUNG_STEPS
  const first = Math.floor(now / step) * step - (YOUNG_STEPS - 1) * step
  const spans = Array.from({ length: YOUNG_STEPS }, (_, i) => first + i * step)
  return buckets(
    await Promise.all(
      spans.map((at) =>
        api.get('/api/v1/rates', { query: { by: 'tier', from: iso(at), to: iso(Math.min(at + step, now)) }, signal }),
      ),
    ),
  )
}

const iso = (at: number): string => new Date(at).toISOString()

function buckets(answers: readonly Rates[]): Bucket[] {
  const found = new Map<string, Bucket>()
  for (const rate of answers.flatMap((one) => one.items)) {
    let bucket = found.get(rate.from)
    if (!bucket) found.set(rate.from, (bucket = { from: Date.parse(rate.from), to: Date.parse(rate.to), rates: {} }))
    bucket.rates[rate.key] = rate
  }
  return [...found.values()]
}
