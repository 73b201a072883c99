/**
 * Where a text stops being JSON. The message of `JSON.parse` shows the text around the place, which may be a secret.
 */
export interface JsonFault {
  /** Counts from 1. */
  readonly line: number
  readonly column: number
  readonly expected: string
  /** Where it is in the text, from 0. */
  readonly index: number
}

const space = /[ \t\n\r]*/y
const number = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const literal = /true|false|null/y

const endOf = (pattern: RegExp, text: string, at: number): number => {
  pattern.lastIndex = at
  return pattern.test(text) ? pattern.lastIndex : at
}

/** The end of the string that begins at `at`, or the negated place of its fault. */
const endOfString = (text: string, at: number): number => {
  for (let i = at + 1; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === 0x22) return i + 1
    if (code < 0x20) return -i
    if (code === 0x5c) {
      i++
      if (
        text[i] === "u"
          ? !/^[0-9a-fA-F]{4}$/.test(text.slice(i + 1, i + 5))
          : !"\"\\/bfnrt".includes(text[i] ?? " ")
      ) {
        return -i
      }
    }
  }
  return -text.length
}

const faultAt = (text: string, index: number, expected: string): JsonFault => {
  const before = text.slice(0, index)
  return { line: before.split("\n").length, column: index - before.lastIndexOf("\n"), expected, index }
}

/** The first place where `text` is not JSON. Not recursive, so that depth does no harm. */
export const findJsonFault = (text: string): JsonFault | undefined => {
  const open: Array<"{" | "["> = []
  let at = 0
  let want: "value" | "first" | "key" | "next" = "value"
  for (;;) {
    at = endOf(space, text, at)
    const char = text[at]
    if (want === "next") {
      const inside = open[open.length - 1]
      if (inside === undefined) return at === text.length ? undefined : faultAt(text, at, "the end of the text")
      if (char === (inside === "{" ? "}" : "]")) {
        open.pop()
        at++
      } else if (char === ",") {
        want = inside === "{" ? "key" : "value"
        at++
      } else {
        return faultAt(text, at, inside === "{" ? "a comma or }" : "a comma or ]")
      }
      continue
    }
    const emptied = want === "first" && char === (open[open.length - 1] === "{" ? "}" : "]")
    if (emptied) {
      want = "next"
      continue
    }
    if (want === "key" || (want === "first" && open[open.length - 1] === "{")) {
      const end = char === "\"" ? endOfString(text, at) : -at
      if (end <= 0) return faultAt(text, -end, "a key in double quotes")
      at = endOf(space, text, end)
      if (text[at] !== ":") return faultAt(text, at, "a colon")
      at++
      want = "value"
      continue
    }
    if (char === "{" || char === "[") {
      open.push(char)
      want = "first"
      at++
      continue
    }
    const end = char === "\"" ? endOfString(text, at) : endOf(literal, text, endOf(number, text, at))
    if (end <= at) return faultAt(text, end < 0 ? -end : at, "a value")
    at = end
    want = "next"
  }
}
