/**
 * The environment form of a configuration: which variable is which option, and how its text becomes a value.
 */
import * as Option from "effect/Option"
import { type Kind, options } from "./keys.ts"
import { inQuotes, quotesProblem, unquoted } from "./misplaced.ts"
import { noteVariables } from "./origin.ts"
import type { Problem } from "./problems.ts"

/** Name without prefix, option, and how the text is read. */
const variables: ReadonlyArray<readonly [name: string, option: string, kind: Kind]> = Object.entries(options).map((
  [option, [name, kind]]
) => [name, option, kind])

/** All names without their prefix. */
export const names: ReadonlyArray<string> = variables.map(([name]) => name)

/** A prefix that has its underscore already gets no other one. */
export const withPrefix = (prefix: string, name: string): string =>
  prefix === "" ? name : prefix.endsWith("_") ? `${prefix}${name}` : `${prefix}_${name}`

/** The words that Effect's `Config.Boolean` takes. */
const booleans: ReadonlyMap<string, boolean> = new Map([
  ...["true", "yes", "on", "1", "y"].map((word) => [word, true] as const),
  ...["false", "no", "off", "0", "n"].map((word) => [word, false] as const)
])

/** A variable that was set from one line has the line breaks as two characters. */
const broken = (text: string): string => text.includes("\n") ? text : text.replace(/\\r?\\n|\\n/g, "\n")

/** A header a line, as in `authorization: Bearer …`. The text itself, which is refused, where a line is none or one is twice. */
const headersOf = (text: string): unknown => {
  const lines = text.split("\n").map((line) => line.trim()).filter((line) => line !== "")
  const headers = lines.map((
    line
  ) => [line.slice(0, line.indexOf(":")).trim(), line.slice(line.indexOf(":") + 1).trim()])
  const names = new Set(headers.map(([name]) => name))
  // JSON, for one, has colons, too.
  const areHeaders = !text.trimStart().startsWith("{") && lines.every((line) => line.includes(":"))
  return areHeaders && names.size === lines.length ? Object.fromEntries(headers) : text
}

const convert = (kind: Kind, text: string): unknown => {
  switch (kind) {
    case "text":
      return text
    case "pem":
      // A path of Windows may have the two characters, too.
      return text.includes("-----BEGIN") ? broken(text) : text
    case "headers":
      return headersOf(broken(text))
    case "number":
      return /^-?\d{1,16}(?:\.\d{1,16})?$/.test(text.trim()) ? Number(text) : text
    case "boolean":
      return booleans.get(text.trim().toLowerCase()) ?? text
  }
}

/** The methods and the variables of each. */
const methods: ReadonlyArray<readonly [tag: string, variables: ReadonlyArray<string>]> = [
  ["UserPassword", ["USER", "PASSWORD"]],
  ["Token", ["TOKEN"]],
  ["Jwt", ["JWT", "NKEY_SEED"]],
  ["NKey", ["NKEY_SEED"]],
  ["Creds", ["CREDS"]],
  ["CredsFile", ["CREDS_FILE"]]
]

export interface EnvironmentInput {
  /** To be decoded as a configuration. */
  readonly input: Readonly<Record<string, unknown>>
  /** Clashes between variables, which the input cannot show. */
  readonly problems: ReadonlyArray<Problem>
  /** The variables of `auth` that are set, in words. */
  readonly credentials: string
}

/** Secrets of which quotes may be a part, which nobody but the server knows. */
const mayBeQuoted = /^(?:PASSWORD|TOKEN|TLS_PASSPHRASE)$/

/** Variables whose readers tell of quotes themselves. */
const readsQuotes = /^(?:URL|NKEY_SEED|JWT|\w+_FILE)$/

/** Variables with the text of a file, around which quotes do no harm. */
const takesQuotes = /^(?:CREDS|TLS_CA|TLS_CERT|TLS_KEY)$/

/** The texts of the variables that are set. Quotes that an env file has left are told, and taken off. */
const withoutQuotes = (
  prefix: string,
  problems: Array<Problem>,
  read: (name: string) => Option.Option<string>
): ReadonlyMap<string, string> => {
  const texts = new Map<string, string>()
  const secrets: Array<Problem> = []
  let mistaken = false
  for (const name of names) {
    const text = Option.getOrUndefined(read(name))
    if (text === undefined) continue
    const path = [withPrefix(prefix, name)]
    if (!inQuotes(text) || takesQuotes.test(name)) {
      texts.set(name, text)
    } else if (mayBeQuoted.test(name)) {
      texts.set(name, text)
      const problem = "stands in quotes, too, and would be sent with them: remove them, unless they are a part of it"
      secrets.push({ path, problem })
    } else {
      mistaken = true
      const told = readsQuotes.test(name)
      if (!told) problems.push({ path, problem: quotesProblem })
      texts.set(name, told ? text : unquoted(text))
    }
  }
  // Where one variable has them by mistake, so has another.
  if (mistaken) problems.push(...secrets)
  return texts
}

/** The input that the variables describe. `read` gives the text of a variable by its name without prefix. */
export const fromVariables = (
  prefix: string,
  read: (name: string) => Option.Option<string>
): EnvironmentInput => {
  const root: Record<string, unknown> = {}
  const sections: Record<string, Record<string, unknown>> = {}
  const problems: Array<Problem> = []
  const set = new Set<string>()
  const texts = withoutQuotes(prefix, problems, read)
  for (const [name, option, kind] of variables) {
    const text = texts.get(name)
    if (text === undefined) continue
    set.add(name)
    const [section, key] = option.split(".")
    if (key === undefined) {
      root[section] = convert(kind, text)
    } else {
      sections[section] = { ...sections[section], [key]: convert(kind, text) }
    }
  }
  const list = (variables: ReadonlyArray<string>): string =>
    variables.map((name) => withPrefix(prefix, name)).join(", ")
  for (const [section, fields] of Object.entries(sections)) {
    if (section === "auth") {
      const given = methods.flatMap(([, variables]) => variables).filter((name) => set.has(name))
      const method = methods.find(([, variables]) => given.every((name) => variables.includes(name)))
      if (method === undefined) {
        problems.push({
          path: [],
          problem: `must name one way to authenticate: ${list([...new Set(given)])} are of different ones`
        })
      } else {
        root["auth"] = { _tag: set.has("JWT") || method[0] !== "Jwt" ? method[0] : "NKey", ...fields }
      }
    } else if (section in root && root[section] !== true) {
      const variable = variables.find(([, option]) => option === section)
      const others = variables.filter(([name, option]) => option.startsWith(`${section}.`) && set.has(name))
      problems.push({
        path: [withPrefix(prefix, variable?.[0] ?? section)],
        problem: `clashes with ${list(others.map(([name]) => name))}`
      })
    } else {
      root[section] = fields
    }
  }
  root["tls"] ??= {}
  for (const section of [root["auth"], root["tls"]]) {
    if (typeof section === "object" && section !== null) noteVariables(section, prefix)
  }
  if (root["reconnect"] === true) {
    root["reconnect"] = {}
  }
  const ofAuth = variables.flatMap(([name, option]) => option.startsWith("auth.") && set.has(name) ? [name] : [])
  return { input: root, problems, credentials: list(ofAuth) }
}

const byOption: ReadonlyMap<string, string> = new Map(variables.map(([name, option]) => [option, name]))

/** A problem of the input, told of the variables that it was made of. */
export const toVariables = (prefix: string, credentials: string) => ({ path, problem }: Problem): Problem => {
  const [section, key, ...rest] = path
  if (section === "auth" && key === undefined) {
    return { path: [credentials], problem: inVariables(prefix, section, problem) }
  }
  const variable = byOption.get(`${section}.${key}`)
  const whole = byOption.get(String(section))
  return {
    path: variable !== undefined
      ? [withPrefix(prefix, variable), ...rest]
      : whole !== undefined
      ? [withPrefix(prefix, whole), ...path.slice(1)]
      : path,
    problem: inVariables(prefix, String(section), problem)
  }
}

/** Options that a text names in backticks, as variables: `caFile`, `reconnect: false`, `auth`, and a form of it. */
export const inVariables = (prefix: string, section: string, text: string): string =>
  text.replace(/`\{ _tag: "(\w+)"[^`]*\}`/g, (form: string, tag: string) => {
    const method = methods.find(([known]) => known === tag)
    return method === undefined ? form : method[1].map((name) => withPrefix(prefix, name)).join(" and ")
  }).replace(
    /`auth`/g,
    () => `${withPrefix(prefix, "USER")} and ${withPrefix(prefix, "PASSWORD")}, or ${withPrefix(prefix, "TOKEN")}`
  )
    .replace(/`(?:tls\.)?([A-Za-z]+)(?:: "?(\w+)"?)?`/g, (quoted: string, word: string, value: string | undefined) => {
      const name = byOption.get(`${section}.${word}`) ?? byOption.get(word)
      return name === undefined ? quoted : `${withPrefix(prefix, name)}${value === undefined ? "" : `=${value}`}`
    })
