/**
 * Decodes and encodes `auth`.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { Encoded, NatsAuth } from "../../NatsAuth.ts"
import { parseCreds, wrappedForm } from "../identity/creds.ts"
import { decodeJwt, type JwtClaims } from "../identity/jwt.ts"
import { decodeUserSeed, userKey } from "../identity/nkey.ts"
import { has, readPath, readSecret, readText } from "./fields.ts"
import { keysOf } from "./keys.ts"
import { contentProblem, isPath } from "./misplaced.ts"
import { noteVariables, prefixOf } from "./origin.ts"
import { kindOf, type Path, type Problems } from "./problems.ts"
import { type Fields, nearest, readRecord, type Section } from "./record.ts"

/** The keys of each tagged form. */
const forms: { readonly [Tag in NatsAuth["_tag"]]: ReadonlyArray<string> } = {
  Anonymous: [],
  UserPassword: ["user", "password"],
  Token: ["token"],
  NKey: ["seed"],
  Jwt: ["jwt", "seed"],
  Creds: ["creds"],
  CredsFile: ["path"]
}

const tags = Object.keys(forms) as ReadonlyArray<NatsAuth["_tag"]>

/** The keys of nats.py, which Panini hands through, and the method that each belongs to. */
const untagged: ReadonlyMap<string, NatsAuth["_tag"]> = new Map([
  ["user", "UserPassword"],
  ["password", "UserPassword"],
  ["token", "Token"],
  ["user_credentials", "CredsFile"],
  ["nkeys_seed", "CredsFile"],
  ["nkeys_seed_str", "NKey"]
])

const section: Section = {
  what: "`auth`",
  section: "auth",
  keys: [...new Set(["_tag", ...keysOf("auth"), ...untagged.keys()])],
  secretive: true
}

const ofFile = "use `{ _tag: \"CredsFile\", path }`"

/** What is said of a text that is not what its key is for. */
const contents: Readonly<Record<string, readonly [what: string, instead: string]>> = {
  seed: ["the seed itself", `${ofFile}, which takes a file with a seed`],
  nkeys_seed_str: ["the seed itself", "use `nkeys_seed`"],
  jwt: ["the JWT itself", `${ofFile} and a file with the JWT and its seed`],
  creds: ["the text of a creds file", ofFile]
}

const plainText = (value: unknown): string => {
  const plain = Redacted.isRedacted(value) ? Redacted.value(value) : value
  return typeof plain === "string" && plain.length <= has.document ? plain : ""
}

const misplaced = (key: string, value: unknown): string | undefined => {
  const content = contents[key]
  return content === undefined ? undefined : contentProblem(plainText(value), ...content)
}

const redacted = (text: string, label: string): Redacted.Redacted => Redacted.make(text, { label })

/** The key pair's public key, or a problem told. */
const checkSeed = (problems: Problems, path: Path, seed: string): string | undefined => {
  const raw = decodeUserSeed(seed)
  return typeof raw === "string" ? problems.add(path, `is no user seed: ${raw}`) : userKey(raw).publicKey
}

const readSeed = (problems: Problems, path: Path, value: unknown): { seed: string; publicKey: string } | undefined => {
  const problem = misplaced(String(path[path.length - 1]), value)
  if (problem !== undefined) return problems.add(path, problem)
  const seed = readSecret(problems, path, value, has.short)
  const publicKey = seed === undefined ? undefined : checkSeed(problems, path, seed)
  return seed === undefined || publicKey === undefined ? undefined : { seed, publicKey }
}

/** What is wrong with a JWT and a seed together. */
export const pairProblem = (claims: JwtClaims, publicKey: string | undefined): string | undefined => {
  if (publicKey === undefined) return claims.bearer ? undefined : "the JWT needs its seed, as it is not a bearer JWT"
  return claims.subject === undefined || claims.subject === publicKey
    ? undefined
    : "the seed is of another user than the JWT"
}

const decodeJwtForm = (problems: Problems, path: Path, fields: Fields): NatsAuth | undefined => {
  const jwt = readSecret(problems, [...path, "jwt"], fields.get("jwt"), has.token)
  const claims = jwt === undefined ? undefined : decodeJwt(jwt)
  if (typeof claims === "string") {
    problems.add([...path, "jwt"], misplaced("jwt", jwt) ?? `is unusable: ${claims}`)
  }
  const given = fields.has("seed")
  const seed = given ? readSeed(problems, [...path, "seed"], fields.get("seed")) : undefined
  if (jwt === undefined || claims === undefined || typeof claims === "string" || (given && seed === undefined)) {
    return undefined
  }
  const problem = pairProblem(claims, seed?.publicKey)
  if (problem !== undefined) return problems.add([...path, "seed"], problem)
  return {
    _tag: "Jwt",
    jwt: redacted(jwt, "jwt"),
    ...(seed === undefined ? {} : { seed: redacted(seed.seed, "seed") })
  }
}

const decodeCreds = (problems: Problems, path: Path, value: unknown): NatsAuth | undefined => {
  const given = Redacted.isRedacted(value) ? Redacted.value(value) : value
  const wrapped = typeof given === "string" && given.length <= has.document ? wrappedForm(given) : undefined
  if (wrapped !== undefined) return problems.add(path, `is unusable: ${wrapped}`)
  const creds = readSecret(problems, path, value, has.document, true)
  if (creds === undefined) return undefined
  const checked = checkCreds(creds)
  if ("problem" in checked) {
    const at = checked.line === undefined ? "" : ` (line ${checked.line})`
    return problems.add(path, misplaced("creds", creds) ?? `is unusable${at}: ${checked.problem}`)
  }
  return { _tag: "Creds", creds: redacted(creds, "creds") }
}

export interface CheckedCreds {
  readonly jwt: string | undefined
  readonly seed: string | undefined
  readonly claims: JwtClaims
}

/** Parses a creds text and checks the JWT, the seed and that they belong together. */
export const checkCreds = (text: string): CheckedCreds | { line?: number | undefined; problem: string } => {
  const parsed = parseCreds(text)
  if ("problem" in parsed) return parsed
  const claims: JwtClaims | string = parsed.jwt === undefined ? { bearer: false } : decodeJwt(parsed.jwt)
  if (typeof claims === "string") return { line: parsed.jwtLine, problem: claims }
  const raw = parsed.seed === undefined ? undefined : decodeUserSeed(parsed.seed)
  if (typeof raw === "string") return { line: parsed.seedLine, problem: `the seed is no user seed: ${raw}` }
  const problem = pairProblem(claims, raw === undefined ? undefined : userKey(raw).publicKey)
  return problem === undefined
    ? { jwt: parsed.jwt, seed: parsed.seed, claims }
    : { line: raw === undefined ? parsed.jwtLine : parsed.seedLine, problem }
}

/** Reads the fields of one method. `keys` renames them for the untagged form. */
const decodeForm = (
  problems: Problems,
  path: Path,
  tag: NatsAuth["_tag"],
  fields: Fields,
  rename: Readonly<Record<string, string>> = {}
): NatsAuth | undefined => {
  const at = (key: string): Path => [...path, rename[key] ?? key]
  const get = (key: string): unknown => fields.get(rename[key] ?? key)
  switch (tag) {
    case "Anonymous":
      return { _tag: "Anonymous" }
    case "UserPassword": {
      const user = readText(problems, at("user"), get("user"), has.short)
      const password = readSecret(problems, at("password"), get("password"), has.short)
      return user === undefined || password === undefined
        ? undefined
        : { _tag: "UserPassword", user, password: redacted(password, "password") }
    }
    case "Token": {
      const token = readSecret(problems, at("token"), get("token"), has.token)
      return token === undefined ? undefined : { _tag: "Token", token: redacted(token, "token") }
    }
    case "NKey": {
      const seed = readSeed(problems, at("seed"), get("seed"))
      return seed === undefined ? undefined : { _tag: "NKey", seed: redacted(seed.seed, "seed") }
    }
    case "Jwt":
      return decodeJwtForm(problems, path, fields)
    case "Creds":
      return decodeCreds(problems, at("creds"), get("creds"))
    case "CredsFile": {
      const file = readPath(problems, at("path"), get("path"), "`{ _tag: \"Creds\", creds }`")
      return file === undefined ? undefined : { _tag: "CredsFile", path: file }
    }
  }
}

const quoted = (keys: ReadonlyArray<string>): string => keys.map((key) => `\`${key}\``).join(" and ")

const decodeTagged = (problems: Problems, path: Path, fields: Fields): NatsAuth | undefined => {
  const given = fields.get("_tag")
  const tag = tags.find((known) => known === given)
  if (tag === undefined) {
    const near = typeof given === "string" ? nearest(given, tags) : undefined
    return problems.add(
      [...path, "_tag"],
      near === undefined ? `must be one of ${tags.join(", ")}` : `is no method: did you mean ${near}?`
    )
  }
  for (const key of fields.keys()) {
    if (key !== "_tag" && !forms[tag].includes(key)) {
      const owner = tags.find((other) => forms[other].includes(key)) ?? untagged.get(key)
      const takes = forms[tag].length === 0 ? "nothing else" : quoted(forms[tag])
      problems.add([...path, key], `does not belong to ${tag}, which has ${takes}; ${owner} has it`)
    }
  }
  return decodeForm(problems, path, tag, fields)
}

const decodeUntagged = (problems: Problems, path: Path, fields: Fields): NatsAuth | undefined => {
  const keys = [...fields.keys()]
  const needTag = keys.filter((key) => !untagged.has(key))
  if (needTag.length > 0) {
    const wrong = needTag.find((key) => isPath(plainText(fields.get(key))))
    const problem = wrong === undefined ? undefined : misplaced(wrong, fields.get(wrong))
    if (wrong !== undefined && problem !== undefined) return problems.add([...path, wrong], problem)
    const fitting = tags.find((tag) => keys.every((key) => forms[tag].includes(key)))
    return problems.add(
      path,
      fitting === undefined
        ? `${quoted(keys)} fit no method together: use one of ${tags.join(", ")} as \`_tag\``
        : `${quoted(keys)} needs a tag: add \`_tag: "${fitting}"\``
    )
  }
  const methods = new Set(keys.map((key) => untagged.get(key)))
  const paths = keys.filter((key) => untagged.get(key) === "CredsFile")
  if (methods.size > 1 || paths.length > 1) {
    return problems.add(path, `${quoted(keys)} are of different methods: keep those of one`)
  }
  const [method] = methods
  if (method === undefined) {
    return problems.add(
      path,
      "names no method: use `{ user, password }`, `{ token }`, or a form with `_tag`; `{ _tag: \"Anonymous\" }` for none"
    )
  }
  if (Array.isArray(fields.get("user_credentials"))) {
    return problems.add(
      [...path, "user_credentials"],
      "must be the path of one creds file: a pair of files is given as `{ _tag: \"Jwt\", jwt, seed }`, with their content"
    )
  }
  return decodeForm(problems, path, method, fields, { seed: "nkeys_seed_str", path: paths[0] })
}

export const decodeAuth = (problems: Problems, path: Path, input: unknown): NatsAuth | undefined => {
  if (Effect.isEffect(input)) {
    return problems.add(path, "is an Effect, which is not data: give it to `NatsClient.layer` or `NatsClient.make`")
  }
  if (typeof input !== "object" || input === null || Array.isArray(input) || Redacted.isRedacted(input)) {
    return problems.add(
      path,
      `must be an object such as \`{ user, password }\` or \`{ token }\`, and is ${
        Redacted.isRedacted(input) ? "a redacted value" : kindOf(input)
      }`
    )
  }
  const before = problems.list.length
  const fields = readRecord(problems, path, input, section)
  if (fields === undefined || (fields.size === 0 && problems.list.length > before)) return undefined
  const auth = fields.has("_tag") ? decodeTagged(problems, path, fields) : decodeUntagged(problems, path, fields)
  const prefix = prefixOf(input)
  if (auth !== undefined && prefix !== undefined) noteVariables(auth, prefix)
  return auth
}

export const encodeAuth = (auth: NatsAuth): Encoded => {
  switch (auth._tag) {
    case "Anonymous":
    case "CredsFile":
      return auth
    case "UserPassword":
      return { _tag: "UserPassword", user: auth.user, password: Redacted.value(auth.password) }
    case "Token":
      return { _tag: "Token", token: Redacted.value(auth.token) }
    case "NKey":
      return { _tag: "NKey", seed: Redacted.value(auth.seed) }
    case "Jwt":
      return {
        _tag: "Jwt",
        jwt: Redacted.value(auth.jwt),
        ...(auth.seed === undefined ? {} : { seed: Redacted.value(auth.seed) })
      }
    case "Creds":
      return { _tag: "Creds", creds: Redacted.value(auth.creds) }
  }
}
