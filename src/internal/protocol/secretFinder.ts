/**
 * Whether a text repeats a secret, in one of the forms in which it can come back.
 */

/** So many characters of a secret in a row are too many. */
const run = 8

/** A secret that is shorter than a run is looked for as a whole, down to this length. */
const shortest = 4

/** Of one secret so many characters are looked for. No server takes a longer line. */
const longest = 65_536

/** More ways to read one text than this are not tried: what is left to decode is then a game of the other side. */
const mostReadings = 16

/**
 * What a text says from each of its places on: which character stands there, and where the next one begins. Not from the
 * first on: what stands in front of an escape, such as a lone `%`, can make another one of it.
 */
interface Reading {
  readonly characters: ReadonlyArray<string>
  readonly next: ReadonlyArray<number>
}

interface Escape {
  readonly character: string
  readonly end: number
}

/** The escape that begins at a place, if one does. */
type Decode = (reading: Reading, start: number) => Escape | undefined

/** The number of so many hexadecimal digits, -1 where there are others. */
const hexadecimal = ({ characters, next }: Reading, start: number, digits: number): number => {
  let value = 0
  for (let at = start, n = 0; n < digits; n++, at = next[at]) {
    const digit = at < characters.length ? "0123456789abcdef".indexOf(characters[at].toLowerCase()) : -1
    if (digit < 0) return -1
    value = value * 16 + digit
  }
  return value
}

const after = ({ next }: Reading, start: number, count: number): number => {
  let at = start
  for (let n = 0; n < count; n++) at = next[at]
  return at
}

const named: ReadonlyMap<string, string> = new Map([
  ["\"", "\""],
  ["\\", "\\"],
  ["/", "/"],
  ["b", "\b"],
  ["f", "\f"],
  ["n", "\n"],
  ["r", "\r"],
  ["t", "\t"]
])

/** As JSON has them, and Go, in which servers are written. */
const backslash: Decode = (reading, start) => {
  const { characters, next } = reading
  if (characters[start] !== "\\") return undefined
  const kind = characters[next[start]]
  const digits = kind === "u" ? 4 : kind === "x" ? 2 : 0
  const begin = after(reading, start, 2)
  if (digits === 0) {
    const character = named.get(kind)
    return character === undefined ? undefined : { character, end: begin }
  }
  const unit = hexadecimal(reading, begin, digits)
  return unit < 0 ? undefined : { character: String.fromCharCode(unit), end: after(reading, begin, digits) }
}

const byteAt = (reading: Reading, start: number): number =>
  reading.characters[start] === "%" ? hexadecimal(reading, reading.next[start], 2) : -1

/** By the first byte of a character in UTF-8: how many follow it. */
const following = (byte: number): number => byte < 0xc2 ? 0 : byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : byte < 0xf5 ? 3 : 0

const percent: Decode = (reading, start) => {
  const first = byteAt(reading, start)
  if (first < 0) return undefined
  const end = after(reading, start, 3)
  const count = following(first)
  if (count === 0) return { character: String.fromCharCode(first), end }
  let code = first & (0x3f >> count)
  let at = end
  for (let n = 0; n < count; n++, at = after(reading, at, 3)) {
    const byte = byteAt(reading, at)
    if (byte >> 6 !== 2) return { character: String.fromCharCode(first), end }
    code = code * 64 + (byte & 0x3f)
  }
  return { character: code > 0x10ffff ? "\ufffd" : String.fromCodePoint(code), end: at }
}

/** A space in a form. */
const plus: Decode = ({ characters, next }, start) =>
  characters[start] === "+" ? { character: " ", end: next[start] } : undefined

const decodings: ReadonlyArray<Decode> = [backslash, percent, plus]

/** A reading of what another one gives, `undefined` where no escape is in it. */
const decoded = (below: Reading, decode: Decode): Reading | undefined => {
  let characters: Array<string> | undefined
  let next: Array<number> = []
  for (let start = 0; start < below.characters.length; start++) {
    const escape = decode(below, start)
    if (escape === undefined) continue
    if (characters === undefined) {
      characters = below.characters.slice()
      next = below.next.slice()
    }
    characters[start] = escape.character
    next[start] = escape.end
  }
  return characters === undefined ? undefined : { characters, next }
}

/**
 * The texts that a reading has. One from the first place on, and one from each that is within an escape: up to where it
 * meets another one, and so much further that each run that begins in it is whole.
 */
const textsOf = ({ characters, next }: Reading): ReadonlyArray<string> => {
  const { length } = characters
  const texts: Array<string> = []
  const isRead = new Uint8Array(length)
  for (let start = 0; start < length; start++) {
    if (isRead[start] === 1) continue
    let text = ""
    let at = start
    for (; at < length && isRead[at] === 0; at = next[at]) {
      isRead[at] = 1
      text += characters[at]
    }
    for (let n = 1; at < length && n < run; n++, at = next[at]) text += characters[at]
    texts.push(text)
  }
  return texts
}

const isSame = (one: Reading, other: Reading): boolean =>
  one.characters.every((character, at) => character === other.characters[at] && one.next[at] === other.next[at])

/** All texts that a text can be the escaped form of. */
function* textsIn(text: string): Generator<string> {
  const readings: Array<Reading> = [{
    characters: text.split(""),
    next: Array.from({ length: text.length }, (_, at) => at + 1)
  }]
  // What is added is visited, too.
  for (const below of readings) {
    for (const decode of decodings) {
      if (readings.length === mostReadings) return
      const reading = decoded(below, decode)
      if (reading === undefined || readings.some((known) => isSame(known, reading))) continue
      readings.push(reading)
      yield* textsOf(reading)
    }
  }
}

/** The armour of a PEM says nothing, and its lines may come back in one. */
const coreOf = (secret: string): string =>
  secret.includes("-----BEGIN ") ? secret.replace(/-----[^-\r\n]+-----/g, "").replace(/\s+/g, "") : secret

/** Whether a look at a text takes more than one pass. */
export const mayBeEscaped = (text: string): boolean => /[\\%+]/.test(text)

/**
 * A function that tells whether a text has a run of eight characters of a secret, or the whole of a shorter one of at least
 * four: as it is, escaped as in JSON, percent-encoded, or one in the other, whatever stands around it. Keeps all runs, so
 * that a look at a text costs its length.
 */
export const secretFinder = (secrets: Iterable<string>): (text: string) => boolean => {
  const runs = new Set<string>()
  const shorts: Array<string> = []
  for (const secret of secrets) {
    const core = coreOf(secret).slice(0, longest)
    for (let start = 0; start + run <= core.length; start++) runs.add(core.slice(start, start + run))
    if (core.length < run && core.length >= shortest) shorts.push(core)
  }
  const isIn = (text: string): boolean => {
    for (let start = 0; start + run <= text.length; start++) {
      if (runs.has(text.slice(start, start + run))) return true
    }
    return shorts.some((short) => text.includes(short))
  }
  return (text) => {
    if (isIn(text)) return true
    if (!mayBeEscaped(text)) return false
    for (const other of textsIn(text)) {
      if (isIn(other)) return true
    }
    return false
  }
}
