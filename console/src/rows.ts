/** Thousands of rows as a few elements that are written over while they scroll: nothing is made or thrown away. */

export interface Cell {
  text: string
  title?: string
  /** Where the text leads. */
  to?: string
  /** A state, told by shape and colour before the text. */
  state?: string
  /** Whether it is chosen: a box to be ticked, which `text` names. */
  checked?: boolean
}

/** A line of elements, and which row it shows. */
interface Line {
  line: HTMLElement
  cells: HTMLElement[]
  row: number
}

const MARGIN = 6

/** What shows `rows` rows of `cells(row)` each, `height` pixels high, in `group` of the scrolling `box`. */
export class RecycledRows {
  private readonly lines: Line[] = []
  private rows = 0
  private height = 1
  private cells: (row: number) => readonly Cell[] = () => []

  constructor(
    private readonly box: HTMLElement,
    private readonly group: HTMLElement,
  ) {}

  /** Everything may be different. */
  show(rows: number, height: number, columns: string, cells: (row: number) => readonly Cell[]): void {
    Object.assign(this, { rows, height, cells })
    this.group.style.height = `${rows * height}px`
    this.group.style.setProperty('--columns', columns)
    this.group.style.setProperty('--height', `${height}px`)
    for (const line of this.lines) line.row = -1
    this.scrolled()
  }

  /** Write the rows that came into sight into the lines of those that left it. */
  scrolled(): void {
    const first = Math.max(0, Math.floor(this.box.scrollTop / this.height) - MARGIN)
    const wanted = Math.ceil(this.box.clientHeight / this.height) + 2 * MARGIN
    while (this.lines.length < wanted) this.lines.push(this.line())
    const size = this.lines.length
    for (let row = first; row < first + size; row++) {
      const line = this.lines[row % size]!
      if (line.row !== row) this.write(line, row)
    }
  }

  /** Scroll so that a row is in sight, and put the focus on it. */
  focus(row: number): void {
    const above = row * this.height
    const room = this.box.clientHeight - 2 * this.height
    if (above < this.box.scrollTop) this.box.scrollTop = above
    else if (above > this.box.scrollTop + room) this.box.scrollTop = above - room
    this.scrolled()
    this.lines[row % this.lines.length]?.line.querySelector('a')?.focus({ preventScroll: true })
  }

  private line(): Line {
    const line = document.createElement('div')
    line.className = 'line'
    line.role = 'row'
    line.hidden = true
    this.group.append(line)
    return { line, cells: [], row: -1 }
  }

  private write(to: Line, row: number): void {
    const { line, cells } = to
    // The focus stays in the list, not on what has become another row.
    if (to.row >= 0 && line.contains(document.activeElement)) this.box.focus({ preventScroll: true })
    to.row = row
    line.hidden = row >= this.rows
    if (line.hidden) return void line.removeAttribute('data-row')
    line.dataset.row = String(row)
    line.ariaRowIndex = String(row + 2)
    line.style.transform = `translateY(${row * this.height}px)`
    this.cells(row).forEach((cell, i) => {
      const holder = (cells[i] ??= holderOf(line, cell))
      const inner = (holder.firstElementChild as HTMLElement | null) ?? holder
      if (cell.checked !== undefined) {
        Object.assign(inner, { checked: cell.checked, ariaLabel: cell.text })
        return void line.classList.toggle('chosen', cell.checked)
      }
      if (inner.textContent !== cell.text) inner.textContent = cell.text
      if (cell.to !== undefined) (inner as HTMLAnchorElement).href = cell.to
      if (cell.state !== undefined) inner.className = `dot ${cell.state}`
      if (holder.title !== (cell.title ?? '')) holder.title = cell.title ?? ''
    })
  }
}

/** A column's cells are all of one kind, which the first of them tells. */
function holderOf(line: HTMLElement, cell: Cell): HTMLElement {
  const holder = document.createElement('span')
  holder.role = 'cell'
  if (cell.checked !== undefined) holder.append(Object.assign(document.createElement('input'), { type: 'checkbox', tabIndex: -1 }))
  else if (cell.to !== undefined) holder.append(document.createElement('a'))
  else if (cell.state !== undefined) holder.append(document.createElement('span'))
  line.append(holder)
  return holder
}
