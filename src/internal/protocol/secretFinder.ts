/**
 * Whether a text repeats a secret, in one of the forms in which it can come back.
 */

/** So many characters of a secret in a row are too many. */
const run = 8

/** A secret that is shorter than a run is looked for as a whole, down to this length. */
const shortest = 4

/** Of one secret so many characters are looked for. No server takes a longer line. */
const longest = 65_536

/** More forms of one text than this are not looked at: what is left to decode is then a game of the other side. */
const mostForms = 16

const fromUnit = (hex: string): string => String.fromCharCode(Number.parseInt(hex, 16))

const named: Readonly<Record<string, string>> = { b: "\b", f: "\f", n: "\n", r: "\r", t: "\t" }

// As JSON has them, and Go, in which servers are written.
const withoutEscapes = (text: string): string =>
  text.replace(
    /\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(["\\/bfnrt]))/g,
    (_, unit: string | undefined, byte: string | undefined, short: string) => {
      const hex = unit ?? byte
      return hex === undefined ? named[short] ?? short : fromUnit(hex)
    }
  )

const withoutPercents = (text: string): string =>
  text.replace(
    /(?:%[0-9a-fA-F]{2})+/g,
    (bytes) => Buffer.from(bytes.replaceAll("%", ""), "hex").toString("utf8")
  )

const decodings: ReadonlyArray<(text: string) => string> = [
  withoutEscapes,
  withoutPercents,
  // A space in a form.
  (text) => text.replaceAll("+", " ")
]

/** The text, and what it is when it is decoded, as often as that gives something else. */
const formsOf = (text: string): ReadonlySet<string> => {
  const forms = new Set([text])
  // What is added is visited, too.
  for (const form of forms) {
    for (const decode of decodings) {
      if (forms.size < mostForms) forms.add(decode(form))
    }
  }
  return forms
}

/** The armour of a PEM says nothing, and its lines may come back in one. */
const coreOf = (secret: string): string =>
  secret.includes("-----BEGIN ") ? secret.replace(/-----[^-\r\n]+-----/g, "").replace(/\s+/g, "") : secret

/**
 * A function that tells whether a text has a run of eight characters of a secret, or the whole of a shorter one of at least
 * four: as it is, escaped as in JSON, percent-encoded, or one in the other. Keeps all runs, so that a look at a text costs its length.
 */
export const secretFinder = (secrets: Iterable<string>): (text: string) => boolean => {
  const runs = new Set<string>()
  const shorts: Array<string> = []
  for (const secret of secrets) {
    const core = coreOf(secret).slice(0, longest)
    for (let start = 0; start + run <= core.length; start++) runs.add(core.slice(start, start + run))
    if (core.length < run && core.length >= shortest) shorts.push(core)
  }
  const isIn = (form: string): boolean => {
    for (let start = 0; start + run <= form.length; start++) {
      if (runs.has(form.slice(start, start + run))) return true
    }
    return shorts.some((short) => form.includes(short))
  }
  return (text) => {
    for (const form of formsOf(text)) {
      if (isIn(form)) return true
    }
    return false
  }
}
