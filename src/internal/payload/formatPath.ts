import { printable } from "../protocol/printable.ts"

/**
 * `servers[1]`, `items[2].price`; empty for the whole. A path longer than `longest` is cut: one into a payload is as long
 * as that is deep. Keys are printable.
 */
export const formatPath = (path: ReadonlyArray<unknown>, longest = Number.POSITIVE_INFINITY): string => {
  let text = ""
  for (const key of path) {
    text += typeof key === "number"
      ? `[${key}]`
      : `${text === "" ? "" : "."}${printable(String(key), Math.min(longest + 1, longestKey))}`
    if (text.length > longest) return printable(text, longest)
  }
  return text
}

/** Of a single key: those of a config are whatever stands in its file. */
const longestKey = 1024
