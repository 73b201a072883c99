/**
 * `servers[1]`, `items[2].price`; empty for the whole. A path longer than `longest` is cut: one into a payload is as long
 * as that is deep, and a key of a record is whatever its sender wrote.
 */
export const formatPath = (path: ReadonlyArray<unknown>, longest = Number.POSITIVE_INFINITY): string => {
  let text = ""
  for (const key of path) {
    text += typeof key === "number" ? `[${key}]` : `${text === "" ? "" : "."}${String(key).slice(0, longest + 1)}`
    if (text.length > longest) return `${text.slice(0, longest).toWellFormed()}…`
  }
  return text
}
