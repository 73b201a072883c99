/**
 * The text of a credentials file: a JWT block and a seed block, with anything around them.
 */
export interface CredsText {
  readonly jwt?: string | undefined
  /** The line where the JWT begins. Counts from 1. */
  readonly jwtLine: number
  readonly seed?: string | undefined
  /** The line where the seed begins. Counts from 1. */
  readonly seedLine: number
}

export interface CredsProblem {
  readonly line?: number | undefined
  /** What is wrong, without content. */
  readonly problem: string
}

const dash = 45

const lineAt = (text: string, index: number): number => {
  let line = 1
  for (let i = text.indexOf("\n"); i >= 0 && i < index; i = text.indexOf("\n", i + 1)) {
    line++
  }
  return line
}

/** Where the next `---BEGIN` or `---END` begins, its dashes included, from `from` on. */
const findMarker = (text: string, word: string, from: number): { start: number; after: number } | undefined => {
  for (let at = text.indexOf(word, from); at >= 0; at = text.indexOf(word, at + 1)) {
    let start = at
    while (start > from && text.charCodeAt(start - 1) === dash) {
      start--
    }
    if (at - start >= 3) return { start, after: at + word.length }
  }
  return undefined
}

/**
 * Takes LF, CRLF and `\n` written as two characters, a byte order mark, no last newline, text around and between blocks,
 * all on one line: what editors and secret stores leave, and nats.js does not parse. Of several blocks of a kind the
 * first counts, as in the other clients. A text without blocks that is one word is taken as a bare seed.
 */
export const parseCreds = (input: string): CredsText | CredsProblem => {
  const text = input.replace(/^\uFEFF/, "").replace(/\\r(?=\\n)/g, "").replace(/\\n/g, "\n").replace(/\r\n?/g, "\n")
  let jwt: string | undefined
  let seed: string | undefined
  let jwtLine = 1
  let seedLine = 1
  let blocks = 0
  let from = 0
  for (;;) {
    const begin = findMarker(text, "BEGIN ", from)
    if (begin === undefined) break
    blocks++
    const line = lineAt(text, begin.start)
    const titleEnd = text.indexOf("---", begin.after)
    if (titleEnd < 0 || titleEnd - begin.after > 64) {
      return { line, problem: "the block that begins here has an incomplete first line" }
    }
    let bodyStart = titleEnd
    while (text.charCodeAt(bodyStart) === dash) {
      bodyStart++
    }
    const title = text.slice(begin.after, titleEnd).trim()
    const end = findMarker(text, "END ", bodyStart)
    if (end === undefined) return { line, problem: "the block that begins here has no END line" }
    const body = text.slice(bodyStart, end.start)
    const content = body.replace(/\s+/g, "")
    const contentLine = lineAt(text, bodyStart + Math.max(0, body.search(/\S/)))
    if (title.endsWith("JWT") && jwt === undefined) {
      if (content === "") return { line, problem: "the JWT block is empty" }
      jwt = content
      jwtLine = contentLine
    } else if (title.endsWith("SEED") && seed === undefined) {
      if (content === "") return { line, problem: "the seed block is empty" }
      seed = content
      seedLine = contentLine
    }
    from = end.after
  }
  if (blocks === 0) {
    const word = text.trim()
    if (word === "") return { problem: "there is nothing in it" }
    if (/^S[A-Z2-7]{57}$/.test(word)) return { seed: word, seedLine: lineAt(text, text.indexOf(word)), jwtLine: 1 }
    return { problem: "there is no block that begins with -----BEGIN NATS USER JWT-----" }
  }
  if (jwt === undefined) return { problem: "there is no block that begins with -----BEGIN NATS USER JWT-----" }
  return { jwt, jwtLine, seed, seedLine }
}
