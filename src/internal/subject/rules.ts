/**
 * What may stand on a protocol line as a subject, a pattern, a queue group or an inbox prefix. Stricter than nats.js,
 * which sends empty tokens, control characters and line breaks in a queue group.
 */

export interface SubjectProblem {
  /** The token at fault, counted from 1, where a single token is. */
  readonly token?: number | undefined
  readonly problem: string
}

/**
 * Bytes in UTF-8. A server takes lines of 4,096 bytes unless it is configured otherwise; two names of this length, the
 * sizes and the spaces stay below that. With a longer one it would close the connection.
 */
export const maxSubjectBytes = 2000

/** Bytes of an inbox prefix, so that the tokens behind it have room. */
export const maxInboxPrefixBytes = 512

const tooLong = (bytes: number): SubjectProblem => ({ problem: `it is longer than ${bytes} bytes` })

// The word breaks of every script, and what ends or hides part of a line.
const whitespace = /\s|\u0085/u
// oxlint-disable-next-line no-control-regex
const control = /[\u0000-\u001f\u007f-\u009f]/u

// What nearly every subject looks like. Inboxes are other ones each time, so that this look at them is what they cost.
const usual = /^[\w$-]+(?:\.[\w$-]+)*$/

const isTooLong = (text: string, most: number): boolean =>
  text.length > most || (text.length * 3 > most && Buffer.byteLength(text, "utf8") > most)

const characterProblem = (token: string): string | undefined => {
  if (whitespace.test(token)) return "it has whitespace"
  if (control.test(token)) return "it has a control character"
  if (!token.isWellFormed()) return "it has half of a surrogate pair"
  return undefined
}

/** Without types, anything can come here, and an array of one string looks like that string to most of what follows. */
const checkString = (what: string, text: string): void => {
  if (typeof text !== "string") throw new TypeError(`a ${what} must be a string`)
}

const findProblem = (subject: string, wildcards: boolean): SubjectProblem | undefined => {
  checkString("subject", subject)
  if (subject.length <= maxSubjectBytes && usual.test(subject)) return undefined
  if (subject === "") return { problem: "it is empty" }
  if (isTooLong(subject, maxSubjectBytes)) return tooLong(maxSubjectBytes)
  const tokens = subject.split(".")
  for (let i = 0; i < tokens.length; i++) {
    const problem = tokenProblem(tokens[i], i === tokens.length - 1, wildcards)
    if (problem !== undefined) return { token: i + 1, problem }
  }
  return undefined
}

const tokenProblem = (token: string, isLast: boolean, wildcards: boolean): string | undefined => {
  if (token === "") return "it is empty"
  if (token.includes("*") || token.includes(">")) {
    if (!wildcards) return "wildcards are for subscribing"
    if (token.length > 1) return "a wildcard must be a token of its own"
    if (token === ">" && !isLast) return "\">\" must be the last token"
    return undefined
  }
  return characterProblem(token)
}

/** Strings that were found valid, so that a program's usual subjects are checked once. */
const makeCache = (check: (text: string) => SubjectProblem | undefined) => {
  const most = 1024
  const valid = new Set<string>()
  return (text: string): SubjectProblem | undefined => {
    if (valid.has(text)) return undefined
    const problem = check(text)
    if (problem === undefined) {
      if (valid.size >= most) valid.clear()
      valid.add(text)
    }
    return problem
  }
}

/** Of a subject to publish to, or a reply subject. */
export const subjectProblem: (subject: string) => SubjectProblem | undefined = makeCache((subject) =>
  findProblem(subject, false)
)

/** Of a subject to subscribe to: `*` stands for one token, `>` at the end for one or more. */
export const patternProblem: (pattern: string) => SubjectProblem | undefined = makeCache((pattern) =>
  findProblem(pattern, true)
)

/** Of a queue group: one word, of anything that a line can carry. */
export const queueProblem = (queue: string): SubjectProblem | undefined => {
  checkString("queue group", queue)
  if (queue === "") return { problem: "it is empty" }
  if (isTooLong(queue, maxSubjectBytes)) return tooLong(maxSubjectBytes)
  const problem = characterProblem(queue)
  return problem === undefined ? undefined : { problem }
}

/** Of the subject in front of the tokens that an inbox adds: without wildcards and without a dot at its end. */
export const inboxPrefixProblem = (prefix: string): SubjectProblem | undefined =>
  isTooLong(prefix, maxInboxPrefixBytes) ? tooLong(maxInboxPrefixBytes) : findProblem(prefix, false)

/** Whether a subscription to `pattern` gets what is published to `subject`. Both must be valid. */
export const matches = (pattern: string, subject: string): boolean => {
  const wanted = pattern.split(".")
  const given = subject.split(".")
  for (let i = 0; i < wanted.length; i++) {
    if (wanted[i] === ">") return given.length > i
    if (i >= given.length || (wanted[i] !== "*" && wanted[i] !== given[i])) return false
  }
  return wanted.length === given.length
}
