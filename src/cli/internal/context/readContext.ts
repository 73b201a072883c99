/**
 * The contexts of the `nats` tool: files that describe a connection, one of which is selected. What is read here means what
 * it means to the tool; what this client cannot do is refused, and keys that it does not know are left alone.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { readJsonFile } from "../../../internal/wire/jsonFile.ts"
import type { NatsConfigError } from "../../../NatsConfig.ts"
import { fileOnly, fileOrContent, type ReferenceProblem, secretOf } from "./reference.ts"
import { contextError, fileOf } from "./stored.ts"

export interface NatsContext {
  readonly name: string
  /** The file it is in. */
  readonly file: string
  /** Its permissions. */
  readonly mode: number
  /** To be decoded as a configuration. */
  readonly input: Readonly<Record<string, unknown>>
  /** From the path of an option to the key of the context that it came from. */
  readonly keys: ReadonlyMap<string, string>
  readonly jetStream: { readonly domain?: string; readonly apiPrefix?: string }
  /** Of keys that cannot be read as they are, unless something else is set in their place. */
  readonly problems: ReadonlyArray<KeyProblem>
  /** What is set and not read. */
  readonly notes: ReadonlyArray<string>
}

/** Keys that describe no connection of this kind, with what to do. */
const refused: ReadonlyMap<string, string> = new Map([
  [
    "nsc",
    "is read by the `nats` tool only: write the credentials to a file (nsc generate creds) and set `creds` and `url`"
  ],
  [
    "socks_proxy",
    "is not supported, as there is no connection through a SOCKS proxy here: forward a port to the server"
  ],
  ["windows_cert_store", "is not supported: export the certificate to files and set `cert` and `key`"]
])

/** The ways to authenticate, the one that the tool takes first before the others. */
const methods: ReadonlyArray<string> = ["user", "creds", "nkey", "user_jwt", "token"]

const isSet = (value: unknown): boolean => value !== undefined && value !== null && value !== "" && value !== false

/** What is wrong with the value of a key. */
export interface KeyProblem {
  /** The option that it would be. */
  readonly option: string
  readonly path: string
  readonly problem: string
}

type Given = Readonly<Record<string, unknown>>

class Reading {
  readonly input: Record<string, unknown> = {}
  readonly keys = new Map<string, string>()
  readonly problems: Array<KeyProblem> = []
  readonly given: Given

  constructor(given: Given) {
    this.given = given
  }

  private set(option: string, key: string, value: unknown): void {
    const [section, field] = option.split(".")
    this.keys.set(option, key)
    if (field === undefined) this.input[section] = value
    else this.input[section] = { ...this.input[section] as object | undefined, [field]: value }
  }

  private problem(option: string, key: string, problem: string): void {
    this.keys.set(option, key)
    this.problems.push({ option, path: key, problem })
  }

  /** What is no text is told by what decodes it. */
  read(key: string, option: string, reader: (text: string) => string | ReferenceProblem = (text) => text): void {
    const value = this.given[key]
    if (!isSet(value)) return
    const found = typeof value === "string" ? reader(value) : value
    if (isProblem(found)) this.problem(option, key, found.problem)
    else this.set(option, key, found)
  }

  private readCreds(key: string): void {
    const value = this.given[key]
    const found = typeof value === "string" ? fileOrContent(value) : { text: value, content: false }
    if ("problem" in found) return this.problem("auth.path", key, found.problem)
    this.set("auth._tag", key, found.content ? "Creds" : "CredsFile")
    this.set(found.content ? "auth.creds" : "auth.path", key, found.text)
  }

  /** Gives what is set and not read. */
  auth(): ReadonlyArray<string> {
    const [method, ...others] = methods.filter((key) => isSet(this.given[key]))
    switch (method) {
      case "user":
        this.set("auth._tag", "user", "UserPassword")
        this.read("user", "auth.user")
        this.read("password", "auth.password", secretOf)
        if (!isSet(this.given["password"])) {
          this.problem(
            "auth.password",
            "password",
            "is missing, as there is a `user`: set it, or `token` in place of `user` if that is a token"
          )
        }
        break
      case "creds":
      case "nkey":
        this.readCreds(method)
        break
      case "user_jwt":
        this.set("auth._tag", "user_jwt", "Jwt")
        this.read("user_jwt", "auth.jwt", secretOf)
        this.read("user_seed", "auth.seed", secretOf)
        break
      case "token":
        this.set("auth._tag", "token", "Token")
        this.read("token", "auth.token", secretOf)
        break
    }
    if (method !== "user_jwt" && isSet(this.given["user_seed"])) others.push("user_seed")
    const why = method === undefined ? "there is no `user_jwt`" : `\`${method}\` is set`
    return others.map((key) => `\`${key}\` of the context is not read, as ${why}`)
  }
}

const isProblem = (value: unknown): value is ReferenceProblem =>
  typeof value === "object" && value !== null && "problem" in value && typeof value.problem === "string"

const word = (given: Given, key: string): string | undefined => {
  const value = given[key]
  return typeof value === "string" && value !== "" ? value : undefined
}

const isObject = (value: unknown): value is Given =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** Reads a context, whose name is `from` somewhere. Fails where there is none of that name, or where it asks for what no client here does. */
export const readContext = (name: string, from: string): Effect.Effect<NatsContext, NatsConfigError> =>
  Effect.gen(function*() {
    const file = yield* fileOf(name, from)
    const source = `context ${name} (${file})`
    const { mode, value } = yield* Effect.mapError(
      readJsonFile(file, { option: "context", timeout: Duration.seconds(5) }),
      (problem) => contextError(source, problem)
    )
    if (!isObject(value)) return yield* contextError(source, "is JSON, and no object, as a context of the tool is")
    for (const [key, problem] of refused) {
      if (isSet(value[key])) return yield* contextError(source, problem, key)
    }
    const reading = new Reading(value)
    reading.read("url", "servers")
    const notes = reading.auth()
    reading.read("ca", "tls.caFile", fileOnly)
    reading.read("cert", "tls.certFile", fileOnly)
    reading.read("key", "tls.keyFile", fileOnly)
    reading.read("tls_first", "tls.handshakeFirst")
    reading.read("inbox_prefix", "inboxPrefix")
    const [domain, apiPrefix] = [word(value, "jetstream_domain"), word(value, "jetstream_api_prefix")]
    return {
      name,
      file,
      mode,
      problems: reading.problems,
      input: reading.input,
      keys: reading.keys,
      jetStream: {
        ...(domain === undefined ? {} : { domain }),
        ...(apiPrefix === undefined ? {} : { apiPrefix })
      },
      notes
    }
  })
