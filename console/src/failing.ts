/** The cameras that are not online now, newest first. */
import { api, type Shape } from './api/client'

export type Camera = Shape<'CameraShape'>

export async function notOnline(signal: AbortSignal): Promise<Camera[]> {
  const pages = await Promise.all(
    (['offline', 'degraded', 'unknown'] as const).map((state) =>
      api.get('/api/v1/cameras', { query: { state, limit: 5000 }, signal }),
    ),
  )
  return pages
    .flatMap((page) => page.items)
    .sort((a, b) => (b.standing?.since ?? '').localeCompare(a.standing?.since ?? ''))
}
