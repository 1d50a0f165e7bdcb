/** Proofs of the register, computed here: whoever looks need not believe what the service says of itself.
 * RFC 9162, section 2.1.3.2, over SHA-256; checkpoints are C2SP signed notes with Ed25519. */

export interface Inclusion {
  seq: number
  entry: string
  size: number
  hashes: readonly string[]
  checkpoint: string
}

export type Proven = 'holds' | 'wrong' | 'cannot'

/** Browsers keep their cryptography from pages that came without encryption, save from this very machine. */
export const canProve = (): boolean => globalThis.isSecureContext && globalThis.crypto?.subtle !== undefined

const utf8 = new TextEncoder()
const bytes = (base64: string): Uint8Array<ArrayBuffer> => Uint8Array.from(atob(base64), (one) => one.charCodeAt(0))
const same = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && a.every((one, at) => one === b[at])
async function sha256(...parts: Uint8Array[]): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', await new Blob(parts as BlobPart[]).arrayBuffer()))
}
const node = (left: Uint8Array, right: Uint8Array) => sha256(Uint8Array.of(1), left, right)

/** Whether the entry is where it is said to be under this root. */
async function included(proof: Inclusion, root: Uint8Array): Promise<boolean> {
  let at = proof.seq - 1
  let last = proof.size - 1
  if (at < 0 || at > last) return false
  const half = (n: number): number => Math.floor(n / 2) // sizes may be beyond 32 bits
  let found = await sha256(Uint8Array.of(0), utf8.encode(proof.entry))
  for (const sibling of proof.hashes.map(bytes)) {
    if (last === 0) return false
    if (at % 2 === 1 || at === last) {
      found = await node(sibling, found)
      while (at % 2 === 0 && at !== 0) [at, last] = [half(at), half(last)]
    } else {
      found = await node(found, sibling)
    }
    ;[at, last] = [half(at), half(last)]
  }
  return last === 0 && same(found, root)
}

/** Whether one of these keys (`<origin>+<id>+<base64>`) signed the note. */
async function signed(note: string, keys: readonly string[]): Promise<boolean> {
  const end = note.indexOf('\n\n')
  const text = utf8.encode(note.slice(0, end + 1))
  for (const key of keys) {
    const [origin, , encoded] = key.split('+', 2).concat(key.split('+').slice(2).join('+'))
    const material = bytes(encoded!)
    if (note.split('\n')[0] !== origin || material[0] !== 1 || material.length !== 33) continue
    const id = (await sha256(utf8.encode(`${origin}\n`), material)).subarray(0, 4)
    const publicKey = await crypto.subtle.importKey('raw', material.slice(1), 'Ed25519', false, ['verify'])
    for (const line of note.slice(end + 2).split('\n')) {
      if (!line.startsWith(`\u2014 ${origin} `)) continue
      const signature = bytes(line.split(' ')[2]!)
      if (same(signature.subarray(0, 4), id) && (await crypto.subtle.verify('Ed25519', publicKey, signature.slice(4), text))) return true
    }
  }
  return false
}

/** Whether the register, as one of the keys signed it, holds the entry; 'cannot' where the browser is unable. */
export async function prove(proof: Inclusion, keys: readonly string[]): Promise<Proven> {
  if (!canProve()) return 'cannot'
  try {
    const [, size, root] = proof.checkpoint.split('\n')
    if (Number(size) !== proof.size || !(await included(proof, bytes(root!)))) return 'wrong'
    return (await signed(proof.checkpoint, keys)) ? 'holds' : 'wrong'
  } catch (error) {
    return error instanceof DOMException && error.name === 'NotSupportedError' ? 'cannot' : 'wrong'
  }
}
