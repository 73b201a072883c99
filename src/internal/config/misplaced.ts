/**
 * Texts in the wrong place: a path where the content of a file must be, the content of one where its path must be, and
 * quotes that an env file left around either. None of them is shown: what looks like a path may be part of a secret.
 */
import { isContent, wrappedForm } from "../identity/creds.ts"

/** Whether a text begins and ends with the same quote. */
export const inQuotes = (text: string): boolean => {
  const trimmed = text.trim()
  return trimmed.length > 1 && /^["']/.test(trimmed) && trimmed.endsWith(trimmed[0])
}

/** The text without the quotes around it. */
export const unquoted = (text: string): string => text.trim().slice(1, -1)

/** Docker's env files, for one, keep them. */
export const quotesProblem = "stands in quotes, which count as a part of it, as some env files keep them: remove them"

/** Only where nothing that is right has white space in it. */
export const hasComment = (text: string): boolean => /\s#/.test(text)

/** Docker's env files, for one, keep those that stand behind a value. */
export const commentProblem = "has a comment behind it, as some env files keep them: remove it"

/** From a root or a home, relative to where one is, with a variable before it, of Windows, or as a URL. */
const rooted = /^(?:file:|~[\w.-]*[/\\]|\.{0,2}[/\\]|[A-Za-z]:[/\\]|\$\{?\w+\}?[/\\]|%\w+%[/\\])/

const ending = /\.(?:creds?|pem|crt|cer|cert|der|key|nk|jwt|seed|txt|json)$/i

/** Names joined by slashes: more is base64. */
const joined = /^[\w.-]{1,64}(?:[/\\][\w.-]{1,64}){1,8}$/

/** Whether a text that is not the content of a file looks like the path of one. */
export const isPath = (text: string): boolean => {
  const path = inQuotes(text) ? unquoted(text) : text.trim()
  return path.length <= 4096 && !/[\r\n]/.test(path) && !isContent(path) &&
    (rooted.test(path) || ending.test(path) || joined.test(path))
}

/** What to say of a text that does not parse as the content of a file, where something other than that is wrong. */
export const contentProblem = (text: string, what: string, instead: string): string | undefined => {
  if (isPath(text)) return `is a path and must be ${what}: ${instead}`
  const wrapped = wrappedForm(text)
  return inQuotes(text) ? quotesProblem : wrapped === undefined ? undefined : `is unusable: ${wrapped}`
}

/** What is wrong with a text as the path of a file whose content can be given as `inline`. */
export const pathProblem = (text: string, inline: string): string | undefined => {
  const path = text.trim()
  if (isContent(inQuotes(path) ? unquoted(path) : path)) {
    return `must be a path, and is the content of a file: give that as ${inline}`
  }
  if (inQuotes(path)) return quotesProblem
  if (path.startsWith("file:")) return "must be a path, and is a URL: leave out file://"
  if (/^~[\w.-]*[/\\]/.test(path)) return "begins with \"~\", which only a shell understands: write the whole path"
  if (/^\$\{?\w+\}?[/\\]|^%\w+%[/\\]/.test(path)) {
    return "begins with a variable, which only a shell fills in: write the whole path"
  }
  // A line break is told as one.
  return /^[ \t]|[ \t]$/.test(text) ? "begins or ends with white space: remove it" : undefined
}
