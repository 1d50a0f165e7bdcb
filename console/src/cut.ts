/** What is cut by an ellipsis is told whole under the pointer. */

/** The element that cuts a text, up from where the pointer is. */
function cutting(from: EventTarget | null): HTMLElement | undefined {
  let at = from instanceof HTMLElement ? from : undefined
  for (let up = 0; at && up < 3; up++, at = at.parentElement ?? undefined) {
    if (at.title) return undefined // it says more itself
    if (at.scrollWidth > at.clientWidth && getComputedStyle(at).textOverflow === 'ellipsis') return at
  }
  return undefined
}

export function tellCutTexts(): void {
  addEventListener('pointerover', (event) => {
    const element = cutting(event.target)
    if (!element) return
    element.title = element.innerText.trim()
    // Lists write other rows into the same elements.
    element.addEventListener('pointerleave', () => element.removeAttribute('title'), { once: true })
  })
}
