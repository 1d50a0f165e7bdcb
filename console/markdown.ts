/**
 * The guides, from Markdown to HTML, when the console is built. What docs/guide is written in and no more:
 * headings, paragraphs, flat lists, tables, code, pictures, links, bold, italics. Everything else is text.
 */

export interface Guide {
  title: string
  /** Second headings, which are the contents. */
  parts: { id: string; text: string }[]
  html: string
}
/** Where a link or a picture of the guide is found; nothing if there it is not. */
export type Resolve = (target: string) => string | undefined

const CJK = /[⺀-鿿＀-￯　-〿]/

export function render(source: string, link: Resolve, picture: Resolve): Guide {
  const lines = source.replaceAll('\r', '').split('\n')
  const parts: Guide['parts'] = []
  const html: string[] = []
  let title = ''
  let at = 0
  const more = (test: (line: string) => boolean): string[] => {
    const taken: string[] = []
    while (at < lines.length && test(lines[at]!)) taken.push(lines[at++]!)
    return taken
  }
  while (at < lines.length) {
    const line = lines[at]!
    const heading = /^(#{1,3}) (.*)$/.exec(line)
    if (heading) {
      at++
      const [, { length: depth }, text] = heading as unknown as [string, string, string]
      if (depth === 1) title = text
      else if (depth === 3) html.push(`<h3>${inline(text, link)}</h3>`)
      else {
        const id = `part-${parts.length + 1}`
        parts.push({ id, text })
        html.push(`<h2 id="${id}">${inline(text, link)}</h2>`)
      }
    } else if (line.startsWith('```')) {
      at++
      const code = more((one) => !one.startsWith('```'))
      at++
      html.push(`<pre class="mono" tabindex="0">${escape(code.join('\n'))}</pre>`)
    } else if (line.startsWith('|')) {
      const [head = [], , ...rows] = more((one) => one.startsWith('|')).map((row) => row.replace(/^\||\|\s*$/g, '').split('|').map((cell) => inline(cell.trim(), link)))
      html.push(
        `<div class="scroll"><table class="plain"><thead><tr>${head.map((cell) => `<th scope="col">${cell}</th>`).join('')}</tr></thead>`,
        `<tbody>${rows.map((row) => `<tr>${row.map((cell) => `<td>${cell}</td>`).join('')}</tr>`).join('')}</tbody></table></div>`,
      )
    } else if (/^(- |\d+\. )/.test(line)) {
      const tag = line.startsWith('-') ? 'ul' : 'ol'
      const items: string[] = []
      for (const one of more((text) => /^(- |\d+\. | {2,}\S)/.test(text))) {
        const begins = /^(?:- |\d+\. )(.*)$/.exec(one)
        if (begins) items.push(begins[1]!)
        else items.push(join([items.pop()!, one.trim()]))
      }
      html.push(`<${tag}>${items.map((item) => `<li>${inline(item, link)}</li>`).join('')}</${tag}>`)
    } else if (!line.trim()) at++
    else {
      const text = join(more((one) => !!one.trim() && !/^(#{1,3} |```|\||- |\d+\. )/.test(one)))
      const shown = /^!\[([^\]]*)\]\(([^)]*)\)$/.exec(text)
      if (!shown) html.push(`<p>${inline(text, link)}</p>`)
      else {
        const src = picture(shown[2]!)
        if (src) html.push(`<figure><img src="${src}" alt="${escape(shown[1]!)}" loading="lazy"><figcaption>${inline(shown[1]!, link)}</figcaption></figure>`)
      }
    }
  }
  return { title, parts, html: html.join('\n') }
}

/** Lines of one paragraph: a space between them, but not between Chinese. */
function join(lines: string[]): string {
  return lines.reduce((text, line) => text + (CJK.test(text.at(-1) ?? '') && CJK.test(line[0] ?? '') ? '' : ' ') + line)
}

function escape(text: string): string {
  return text.replace(/[&<>"]/g, (sign) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[sign]!)
}

/** Code first: nothing in it is anything else. */
function inline(text: string, link: Resolve): string {
  return text
    .split(/(`[^`]+`)/)
    .map((piece) => (/^`.+`$/.test(piece) ? `<code>${escape(piece.slice(1, -1))}</code>` : marked(escape(piece), link)))
    .join('')
}

function marked(text: string, link: Resolve): string {
  return text
    .replace(/\[([^\]]+)\]\(([^)]+)\)/g, (_, name: string, target: string) => {
      const href = link(target)
      return href ? `<a href="${href}">${name}</a>` : name
    })
    .replace(/\*\*([^*]+)\*\*/g, '<b>$1</b>')
    .replace(/\*([^*\s][^*]*)\*/g, '<em>$1</em>')
}
