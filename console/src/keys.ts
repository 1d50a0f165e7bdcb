/** Keys that hold on every page of the frame. None of them while somebody types, or in a dialog. */
import { nextTick, onBeforeUnmount, onMounted } from 'vue'
import { useRouter } from 'vue-router'

/** A second key has so long to come. */
const PATIENCE_MS = 1500
const TAKEN = 'input, textarea, select, [contenteditable], [role=dialog], [role=listbox], [role=combobox], [role=menu]'
const SEARCH = '.find input, [role=search] input'

/** ``/`` searches, ``?`` opens the guide, ``g`` and a letter go to a page. ``pages``: letter to path. */
export function usePageKeys(pages: () => ReadonlyMap<string, string>): void {
  const router = useRouter()
  let begun = 0
  async function search(): Promise<void> {
    const found = () => document.querySelector<HTMLElement>(SEARCH)
    if (!found()) {
      await router.push('/cameras')
      await nextTick()
    }
    found()?.focus()
  }
  function press(event: KeyboardEvent): void {
    const on = event.target as Element | null
    if (event.defaultPrevented || event.isComposing || event.ctrlKey || event.altKey || event.metaKey || on?.closest(TAKEN)) return
    const goes = event.timeStamp - begun < PATIENCE_MS ? pages().get(event.key.toLowerCase()) : undefined
    begun = event.key === 'g' && !goes ? event.timeStamp : 0
    if (goes) void router.push(goes)
    else if (event.key === '/') void search()
    else if (event.key === '?') void router.push('/help')
    else return
    event.preventDefault()
  }
  onMounted(() => addEventListener('keydown', press))
  onBeforeUnmount(() => removeEventListener('keydown', press))
}
