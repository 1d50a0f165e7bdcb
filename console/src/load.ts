/** Loading as a state: what there is, what went wrong, whether something is under way. */
import { onScopeDispose, ref, shallowRef, watch, type Ref, type ShallowRef } from 'vue'
import { problemOf, type Problem } from './api/client'
import { lost } from './live'

export interface Loaded<T> {
  /** The latest answer; stays while a newer one is fetched or failed. */
  data: ShallowRef<T | undefined>
  problem: ShallowRef<Problem | undefined>
  loading: Ref<boolean>
  reload: () => Promise<void>
}

const AGAIN_MS = 10_000
/** Whether waiting may mend it: nobody answered, or not for now. */
const passing = (problem: Problem): boolean => problem.kind === 'unreachable' || problem.status === 429 || problem.status >= 502

/**
 * Load now, and again every `every` milliseconds while the page is looked at; what failed because the service
 * did not answer, again by itself, at the latest when it is back.
 * Only the latest load counts: one that was overtaken is aborted.
 */
export function load<T>(get: (signal: AbortSignal) => Promise<T>, every?: number): Loaded<T> {
  const data = shallowRef<T>()
  const problem = shallowRef<Problem>()
  const loading = ref(false)
  let running: AbortController | undefined
  let timer: ReturnType<typeof setTimeout> | undefined
  let over = false

  async function reload(): Promise<void> {
    running?.abort()
    clearTimeout(timer)
    const mine = (running = new AbortController())
    loading.value = true
    try {
      const answer = await get(mine.signal)
      if (mine.signal.aborted) return
      data.value = answer
      problem.value = undefined
    } catch (error) {
      if (mine.signal.aborted) return
      problem.value = problemOf(error)
    } finally {
      if (running === mine) {
        loading.value = false
        const soon = problem.value && passing(problem.value) ? AGAIN_MS : Infinity
        const next = Math.min(every ?? Infinity, soon)
        if (next < Infinity && !over) timer = setTimeout(tick, next)
      }
    }
  }

  function tick(): void {
    if (document.hidden) timer = setTimeout(tick, 1000)
    else void reload()
  }

  onScopeDispose(() => {
    over = true
    running?.abort()
    clearTimeout(timer)
  })
  watch(lost, (now) => {
    if (!now && problem.value) void reload()
  })
  void reload()
  return { data, problem, loading, reload }
}
