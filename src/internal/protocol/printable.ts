/**
 * Text from outside, as a person or a log may see it.
 */

// Control characters of C0 and C1 with DEL, line and paragraph separators, characters that turn the direction of text
// around, and halves of characters: what moves a cursor, forges a line or shows something else than is there.
const unprintable = /[\p{Cc}\u2028\u2029\p{Bidi_Control}\p{Cs}]/u
const everyUnprintable = new RegExp(unprintable, "gu")

const short: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" }

const escaped = (character: string): string =>
  short[character] ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`

/**
 * Everything of `text` that is not to be shown as it is becomes an escape as JSON has it, such as `\u001b`. At most `max`
 * UTF-16 units are left, and what was cut off is told by a `…` behind them. The work is bounded by `max`, too.
 */
export const printable = (text: string, max: number): string => {
  const enough = text.length > max ? text.slice(0, max + 1) : text
  const shown = unprintable.test(enough) ? enough.replace(everyUnprintable, escaped) : enough
  // An escape or a character of two units is whole or not there.
  return shown.length > max ? `${shown.slice(0, max).replace(/\\(u[0-9a-f]{0,3})?$|[\ud800-\udbff]$/, "")}…` : shown
}
