/**
 * The contexts of the `nats` tool: files that describe a connection, one of which is selected.
 */
import * as Effect from "effect/Effect"
import * as fs from "node:fs/promises"
import * as os from "node:os"
import * as path from "node:path"
import { isContent } from "../../internal/identity/creds.ts"
import { NatsConfigError } from "../../NatsConfig.ts"

export interface NatsContext {
  readonly name: string
  /** The file it is in. */
  readonly file: string
  /** To be decoded as a configuration. */
  readonly input: Readonly<Record<string, unknown>>
  /** From the path of an option to the key of the context that it came from. */
  readonly keys: ReadonlyMap<string, string>
  readonly jetStream: { readonly domain?: string; readonly apiPrefix?: string }
}

const directory = (): string => {
  const home = process.env["XDG_CONFIG_HOME"]
  return path.join(home === undefined || home === "" ? path.join(os.homedir(), ".config") : home, "nats")
}

const failed = (source: string, problem: string, at = ""): NatsConfigError =>
  new NatsConfigError({ source, problems: [{ path: at, problem }] })

const codeOf = (error: unknown): string =>
  typeof error === "object" && error !== null && "code" in error ? String(error.code) : "unknown"

const read = (file: string): Effect.Effect<string, string> =>
  Effect.tryPromise({
    try: () => fs.readFile(file, "utf8"),
    catch: (error) =>
      codeOf(error) === "ENOENT"
        ? "cannot be read: there is no such file"
        : `cannot be read (${codeOf(error)})`
  })

/** The name of the selected context, if there is one. */
export const selectedContext: Effect.Effect<string | undefined> = read(path.join(directory(), "context.txt")).pipe(
  Effect.map((text) => text.trim() === "" ? undefined : text.trim()),
  Effect.orElseSucceed(() => undefined)
)

/** Each key of a context that is read, and the option it is. */
const options: ReadonlyArray<readonly [key: string, option: string]> = [
  ["url", "servers"],
  ["user", "auth.user"],
  ["password", "auth.password"],
  ["token", "auth.token"],
  ["creds", "auth.path"],
  ["user_jwt", "auth.jwt"],
  ["user_seed", "auth.seed"],
  ["ca", "tls.caFile"],
  ["cert", "tls.certFile"],
  ["key", "tls.keyFile"],
  ["tls_first", "tls.handshakeFirst"],
  ["inbox_prefix", "inboxPrefix"]
]

/** Keys that describe no connection of this kind, with what to do. */
const refused: ReadonlyMap<string, string> = new Map([
  ["nsc", "is read by the `nats` tool only: write the credentials to a file (nsc generate creds) and set `creds`"],
  ["socks_proxy", "is not supported: there is no connection through a SOCKS proxy here"],
  ["windows_cert_store", "is not supported: export the certificate to files and set `cert` and `key`"]
])

/** The keys that need to be told which method they are of: the first of them and the method. A mix is left to be refused. */
const methodOf = (fields: ReadonlyArray<string>): readonly [option: string, tag: string] | undefined => {
  switch (fields.toSorted().join()) {
    case "path":
      return ["auth.path", "CredsFile"]
    case "seed":
      return ["auth.seed", "NKey"]
    case "jwt":
    case "jwt,seed":
      return ["auth.jwt", "Jwt"]
    default:
      return undefined
  }
}

const atHome = (file: string): string => file.replace(/^~(?=$|[\\/])/, os.homedir())

const isSet = (value: unknown): boolean => value !== undefined && value !== null && value !== "" && value !== false

const parse = (text: string): Readonly<Record<string, unknown>> | undefined => {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? value as Readonly<Record<string, unknown>>
      : undefined
  } catch {
    return undefined
  }
}

/** What is none may be anything, and is not shown. */
const isName = (name: string): boolean => /^[A-Za-z0-9_][\w.-]*$/.test(name) && !isContent(name)

/** Reads a context. Fails where there is none of that name, or where it asks for what no client here does. */
export const readContext = (name: string): Effect.Effect<NatsContext, NatsConfigError> =>
  Effect.gen(function*() {
    if (!isName(name)) {
      return yield* failed("context", "has no name of a context: that is a word, as `nats context ls` shows it")
    }
    const file = path.join(directory(), "context", `${name}.json`)
    const text = yield* Effect.mapError(
      read(file),
      (problem) => failed(`context ${name} (${file})`, `${problem}; \`nats context ls\` shows what there is`)
    )
    const given = parse(text)
    const source = `context ${name} (${file})`
    if (given === undefined) return yield* failed(source, "is not a JSON object")
    for (const [key, problem] of refused) {
      if (isSet(given[key])) return yield* failed(source, problem, key)
    }
    const keys = new Map<string, string>()
    const input: Record<string, unknown> = {}
    const sections: Record<string, Record<string, unknown>> = {}
    const set = (option: string, key: string, value: unknown): void => {
      const [section, field] = option.split(".")
      keys.set(option, key)
      if (field === undefined) input[section] = value
      else sections[section] = { ...sections[section], [field]: value }
    }
    for (const [key, option] of options) {
      const value = given[key]
      if (!isSet(value)) continue
      set(option, key, typeof value === "string" && /File$|\.path$/.test(option) ? atHome(value) : value)
    }
    // The tool has the path of a seed here.
    if (isSet(given["nkey"])) {
      const seedFile = atHome(String(given["nkey"]))
      const seed = yield* Effect.mapError(read(seedFile), (problem) => failed(source, problem, "nkey"))
      set("auth.seed", "nkey", seed.trim())
    }
    const method = methodOf(Object.keys(sections["auth"] ?? {}))
    if (method !== undefined) set("auth._tag", String(keys.get(method[0])), method[1])
    Object.assign(input, sections)
    const word = (key: string): string | undefined => {
      const value = given[key]
      return typeof value === "string" && value !== "" ? value : undefined
    }
    const [domain, apiPrefix] = [word("jetstream_domain"), word("jetstream_api_prefix")]
    const jetStream = {
      ...(domain === undefined ? {} : { domain }),
      ...(apiPrefix === undefined ? {} : { apiPrefix })
    }
    return { name, file, input, keys, jetStream }
  })
