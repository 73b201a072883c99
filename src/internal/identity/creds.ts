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

const isSeed = (text: string): boolean => /^S[A-Z2-7]{57}$/.test(text)

const isJwt = (text: string): boolean => /^ey[\w-]+\.[\w-]+\.[\w-]+$/.test(text)

const noBlock = "there is no block that begins with -----BEGIN NATS USER JWT-----"

/** Read as UTF-8, each second byte of such a text is NUL. One alone is something else. */
const isUtf16 = (text: string): boolean => {
  const start = text.slice(0, 256)
  return start.split("\u0000").length - 1 > start.length / 4
}

/** What a text is that has the right content in a form which no client reads, `undefined` for all else. */
export const wrappedForm = (text: string): string | undefined => {
  if (isUtf16(text)) {
    return "it is UTF-16 text, as PowerShell writes with >: save it as UTF-8 (Set-Content -Encoding utf8)"
  }
  const word = text.replace(/["'\s]/g, "")
  if (!/^[A-Za-z0-9+/_-]+={0,2}$/.test(word)) return undefined
  const decoded = Buffer.from(word, "base64").toString("latin1").trim()
  return findMarker(decoded, "BEGIN ", 0) === undefined && !isSeed(decoded) && !decoded.startsWith("{")
    ? undefined
    : "it is base64 of the text and not the text itself: decode it once (base64 -d), as a secret's manifest has it encoded"
}

/** Whether a text is the content of a credentials or key file, or a part of it, and so never a path. */
export const isContent = (text: string): boolean => {
  const word = text.trim()
  return word.includes("-----BEGIN") || isSeed(word) || isJwt(word) || /^MI[A-Za-z0-9+/=\s]{98,}$/.test(word) ||
    wrappedForm(word) !== undefined
}

/** The content of one block, or a word that stands alone. */
interface Found {
  readonly text: string
  readonly line: number
}

/** The first of each kind. What a block holds counts before what its title says. */
class Finds {
  private jwtByTitle: Found | undefined
  private seedByTitle: Found | undefined
  private jwtByContent: Found | undefined
  private seedByContent: Found | undefined

  add(title: string, found: Found): void {
    if (isSeed(found.text)) {
      this.seedByContent ??= found
    } else if (isJwt(found.text)) {
      this.jwtByContent ??= found
    } else if (title.endsWith("JWT")) {
      this.jwtByTitle ??= found
    } else if (title.endsWith("SEED")) {
      this.seedByTitle ??= found
    }
  }

  get creds(): CredsText {
    const jwt = this.jwtByContent ?? this.jwtByTitle
    const seed = this.seedByContent ?? this.seedByTitle
    return { jwt: jwt?.text, jwtLine: jwt?.line ?? 1, seed: seed?.text, seedLine: seed?.line ?? 1 }
  }
}

/** A seed or a JWT, or both, that stand there without a block around them. */
const bareWords = (text: string): CredsText => {
  const finds = new Finds()
  for (const { 0: word, index } of text.matchAll(/[^\s"']+/g)) {
    finds.add("", { text: word, line: lineAt(text, index) })
  }
  return finds.creds
}

/**
 * Takes LF, CRLF and `\n` written as two characters, a byte order mark, no last newline, text around and between blocks,
 * all on one line: what editors and secret stores leave, and nats.js does not parse. What a block holds decides what it
 * is, as tools title it differently. Of several blocks of a kind the first counts, as in the other clients. A text without
 * blocks may have the seed, the JWT or both as words of their own.
 */
export const parseCreds = (input: string): CredsText | CredsProblem => {
  const wrapped = wrappedForm(input)
  if (wrapped !== undefined) return { problem: wrapped }
  const text = input.replace(/^\uFEFF/, "").replace(/\\r(?=\\n)/g, "").replace(/\\n/g, "\n").replace(/\r\n?/g, "\n")
  const finds = new Finds()
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
    if (content !== "") {
      finds.add(title, { text: content, line: lineAt(text, bodyStart + body.search(/\S/)) })
    } else if (title.endsWith("JWT") && finds.creds.jwt === undefined) {
      return { line, problem: "the JWT block is empty" }
    } else if (title.endsWith("SEED") && finds.creds.seed === undefined) {
      return { line, problem: "the seed block is empty" }
    }
    from = end.after
  }
  if (blocks === 0 && text.trim() === "") return { problem: "there is nothing in it" }
  const creds = blocks === 0 ? bareWords(text) : finds.creds
  // Blocks without a JWT are a file that lost a part; words alone may be an nkey's file.
  return creds.jwt === undefined && (blocks > 0 || creds.seed === undefined) ? { problem: noBlock } : creds
}
