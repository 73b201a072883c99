/**
 * Templates of subjects, and the values that stand in them: any text as one token, and back.
 */
import { type SubjectProblem, subjectProblem } from "./rules.ts"

export interface Parameter {
  readonly name: string
}

export type TemplateToken = string | Parameter

const parameterName = /^[A-Za-z][A-Za-z0-9_]*$/

/** The tokens of a template, or what is wrong with it. */
export const parseTemplate = (template: string): ReadonlyArray<TemplateToken> | SubjectProblem => {
  const problem = subjectProblem(template)
  if (problem !== undefined) return problem
  const tokens: Array<TemplateToken> = []
  const names = new Set<string>()
  for (const text of template.split(".")) {
    const name = text.startsWith("{") && text.endsWith("}") ? text.slice(1, -1) : undefined
    const inToken = name === undefined ? literalProblem(text) : parameterProblem(name, names)
    if (inToken !== undefined) return { token: tokens.length + 1, problem: inToken }
    tokens.push(name === undefined ? text : { name })
  }
  return tokens
}

export const isProblem = (parsed: ReadonlyArray<TemplateToken> | SubjectProblem): parsed is SubjectProblem =>
  !Array.isArray(parsed)

const literalProblem = (text: string): string | undefined =>
  /[{}]/.test(text) ? "a parameter must be a token of its own" : undefined

const parameterProblem = (name: string, names: Set<string>): string | undefined => {
  if (name === "") return "a parameter has a name, as in {id}"
  if (/[{}]/.test(name)) return "a parameter must be a token of its own"
  if (!parameterName.test(name)) return "a parameter's name is a letter, then letters, digits and underscores"
  if (names.has(name)) return "a parameter is named twice"
  names.add(name)
  return undefined
}

// What a token cannot carry, what means something in one, and the sign of an escape itself.
// oxlint-disable-next-line no-control-regex
const unsafe = /[%.*>\s\u0000-\u001f\u007f-\u009f]/gu

/** What stands for the empty text, since a token cannot be empty. No escape is a lone sign. */
const emptyToken = "%"

const percent = (character: string): string =>
  Buffer.from(character, "utf8").reduce(
    (text, byte) => `${text}%${byte.toString(16).toUpperCase().padStart(2, "0")}`,
    ""
  )

/**
 * A text as one token: percent-encoded where it must be. A `$` in front of the first token of a subject is, too, so that
 * no value can name a subject of the system, such as `$SYS` and `$JS`.
 */
export const escapeToken = (text: string, isFirst: boolean): string => {
  if (text === "") return emptyToken
  const token = text.replace(unsafe, percent)
  return isFirst && token.startsWith("$") ? `%24${token.slice(1)}` : token
}

/** The text of a token, `undefined` where its escapes are broken. */
export const unescapeToken = (token: string): string | undefined => {
  if (token === emptyToken) return ""
  if (!token.includes("%")) return token
  try {
    return decodeURIComponent(token)
  } catch {
    return undefined
  }
}
