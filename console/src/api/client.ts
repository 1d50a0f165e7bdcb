/** The service's API: typed by its OpenAPI document, and errors that say what to do about them. */
import type { components, paths } from './schema'

export type Shape<K extends keyof components['schemas']> = components['schemas'][K]

/** An RFC 9457 problem document, or what stands for one if the service could not be reached. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly kind: string,
    readonly detail: string,
    readonly mend?: string,
    readonly reason?: string,
  ) {
    super(detail)
  }
}

export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error
  return new Problem(0, 'unexpected', error instanceof Error ? error.message : String(error))
}

type Method = 'get' | 'post' | 'patch' | 'put' | 'delete'
type With<M extends Method> = {
  [P in keyof paths]: paths[P] extends Record<M, { responses: unknown }> ? P : never
}[keyof paths]
type Operation<P extends keyof paths, M extends Method> = paths[P] extends Record<M, infer O> ? O : never
type Body<R> = R extends { content: { 'application/json': infer J } } ? J : undefined
type Success<R> = R extends Record<200, infer A>
  ? Body<A>
  : R extends Record<201, infer A>
    ? Body<A>
    : R extends Record<202, infer A>
      ? Body<A>
      : undefined
export type Answer<P extends keyof paths, M extends Method> =
  Operation<P, M> extends { responses: infer R } ? Success<R> : never
type Parameters_<P extends keyof paths, M extends Method, Where extends 'query' | 'path'> =
  Operation<P, M> extends { parameters: infer Q } ? (Where extends keyof Q ? Q[Where] : undefined) : undefined
type Sent<P extends keyof paths, M extends Method> =
  Operation<P, M> extends { requestBody: { content: { 'application/json': infer J } } }
    ? J
    : Operation<P, M> extends { requestBody?: { content: { 'application/json': infer J } } }
      ? J
      : undefined

export interface Options<P extends keyof paths, M extends Method> {
  path?: Parameters_<P, M, 'path'>
  query?: Parameters_<P, M, 'query'>
  body?: Sent<P, M>
  signal?: AbortSignal
}

/** What each request carries; set by the session. `whose`: tells one session's credentials from another's. */
export const credentials: {
  headers: () => Record<string, string>
  whose: () => string | undefined
  refused: () => void
} = {
  headers: () => ({}),
  whose: () => undefined,
  refused: () => undefined,
}

interface Any {
  path?: unknown
  query?: unknown
  body?: unknown
  signal?: AbortSignal
}

async function call(method: string, template: string, options: Any): Promise<unknown> {
  let url = template
  for (const [name, value] of Object.entries((options.path ?? {}) as Record<string, unknown>)) {
    url = url.replace(`{${name}}`, encodeURIComponent(String(value)))
  }
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries((options.query ?? {}) as Record<string, unknown>)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined && one !== null && one !== '') query.append(name, String(one))
    }
  }
  if (query.size) url += `?${query}`
  const headers: Record<string, string> = { Accept: 'application/json', ...credentials.headers() }
  const init: RequestInit = { method, headers, credentials: 'same-origin', cache: 'no-store' }
  if (options.body !== undefined) {
    headers['Content-Type'] = 'application/json'
    init.body = JSON.stringify(options.body)
  }
  if (options.signal) init.signal = options.signal
  return parse(await reach(url, init))
}

/**
 * `fetch`, with an unreachable service as a Problem. An abort stays what it is. `own`: with the session's
 * credentials, so that 401 means that it has ended; a view has a ticket of its own.
 */
export async function reach(url: string, init: RequestInit, own = true): Promise<Response> {
  const whose = credentials.whose()
  let response: Response
  try {
    response = await fetch(url, init)
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error
    throw new Problem(0, 'unreachable', '')
  }
  if (!response.ok) {
    const problem = await problemIn(response)
    // A late answer to a session that is over says nothing about the one that has begun since.
    if (own && problem.status === 401 && credentials.whose() === whose) credentials.refused()
    throw problem
  }
  return response
}

export async function problemIn(response: Response): Promise<Problem> {
  try {
    const told = (await response.json()) as Record<string, string>
    const kind = (told.type ?? '').split(':').pop() || 'http'
    return new Problem(response.status, kind, told.detail ?? '', told.mend, told.reason)
  } catch {
    return new Problem(response.status, 'http', `${response.status} ${response.statusText}`)
  }
}

async function parse(response: Response): Promise<unknown> {
  if (response.status === 204) return undefined
  return (response.headers.get('Content-Type') ?? '').includes('json') ? response.json() : response.text()
}

export const api = {
  get: <P extends With<'get'>>(path: P, options: Options<P, 'get'> = {}) =>
    call('GET', path, options as Any) as Promise<Answer<P, 'get'>>,
  post: <P extends With<'post'>>(path: P, options: Options<P, 'post'> = {}) =>
    call('POST', path, options as Any) as Promise<Answer<P, 'post'>>,
  patch: <P extends With<'patch'>>(path: P, options: Options<P, 'patch'> = {}) =>
    call('PATCH', path, options as Any) as Promise<Answer<P, 'patch'>>,
  put: <P extends With<'put'>>(path: P, options: Options<P, 'put'> = {}) =>
    call('PUT', path, options as Any) as Promise<Answer<P, 'put'>>,
  delete: <P extends With<'delete'>>(path: P, options: Options<P, 'delete'> = {}) =>
    call('DELETE', path, options as Any) as Promise<Answer<P, 'delete'>>,
}
