/**
 * Where a configuration comes from: a file, a context of the `nats` tool, or the environment, and options on top of it.
 */
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as fs from "node:fs/promises"
import { options } from "../../internal/config/keys.ts"
import { isContent } from "../../internal/identity/creds.ts"
import { resolveCredentials } from "../../internal/wire/credentials.ts"
import * as NatsConfig from "../../NatsConfig.ts"
import { UsageError } from "./failure.ts"
import { type NatsContext, readContext, selectedContext } from "./natsContext.ts"
import * as Output from "./output.ts"
import { type Setting, settingsOf } from "./settings.ts"

/** What the command line says of a connection. */
export interface ConnectionOptions {
  readonly servers: ReadonlyArray<string>
  readonly config: string | undefined
  readonly context: string | undefined
  readonly creds: string | undefined
  readonly tlsCa: string | undefined
  readonly tlsCert: string | undefined
  readonly tlsKey: string | undefined
  readonly connectTimeout: string | undefined
}

export interface Source {
  /** What is said of it in the first line of a command. */
  readonly label: string
  readonly config: NatsConfig.NatsConfig
  /** What was set, and where. */
  readonly settings: ReadonlyArray<Setting>
  /** Of JetStream, where the source says it. */
  readonly jetStream: NatsContext["jetStream"]
}

/** Each option of the command line: the option of a configuration, and its variable. */
const flags: ReadonlyArray<readonly [key: keyof ConnectionOptions, flag: string, option: keyof typeof options]> = [
  ["servers", "--server", "servers"],
  ["creds", "--creds", "auth.path"],
  ["tlsCa", "--tls-ca", "tls.caFile"],
  ["tlsCert", "--tls-cert", "tls.certFile"],
  ["tlsKey", "--tls-key", "tls.keyFile"],
  ["connectTimeout", "--connect-timeout", "connectTimeout"]
]

interface Overlay {
  readonly flag: string
  readonly option: keyof typeof options
  readonly value: string
}

const overlays = (given: ConnectionOptions): ReadonlyArray<Overlay> =>
  flags.flatMap(([key, flag, option]) => {
    const value = key === "servers" ? given.servers.join(",") : given[key]
    return typeof value !== "string" || value === "" ? [] : [{ flag, option, value }]
  })

const hasUserInfo = (url: string): boolean => /^(?:[a-z]+:\/\/)?[^/?#]*@/i.test(url)

const checkOptions = (given: ConnectionOptions): Effect.Effect<void, UsageError> => {
  if (given.config !== undefined && given.context !== undefined) {
    return Effect.fail(new UsageError({ problem: "--config and --context are two sources: give one of them." }))
  }
  if (given.servers.some((list) => list.split(",").some((url) => hasUserInfo(url.trim())))) {
    return Effect.fail(
      new UsageError({
        problem: "--server has user info, which every user of the machine can read there: set NATS_USER and " +
          "NATS_PASSWORD, or NATS_TOKEN, or write it to a file and give --config."
      })
    )
  }
  if (given.config !== undefined && isContent(given.config)) {
    return Effect.fail(new UsageError({ problem: "--config is the path of a file, and not what is in it." }))
  }
  return Effect.void
}

const fileLabel = (overlaid: ReadonlyArray<Overlay>): string =>
  overlaid.length === 0 ? "" : `, ${overlaid.map(({ flag }) => flag).join(", ")}`

/** Problems are told by what was set: an option of the command line, or a key of a context. */
const withNames = (
  error: NatsConfig.NatsConfigError,
  label: string,
  names: ReadonlyMap<string, string>
): NatsConfig.NatsConfigError =>
  new NatsConfig.NatsConfigError({
    source: label,
    problems: error.problems.map(({ path, problem }) => {
      for (const [name, called] of names) {
        if (path === name || path.startsWith(`${name}[`) || path.startsWith(`${name}.`)) {
          return { path: called + path.slice(name.length), problem }
        }
      }
      return { path, problem }
    })
  })

const variable = (option: keyof typeof options): string => `NATS_${options[option][0]}`

const variables = Object.keys(options).map((option) => variable(option as keyof typeof options))

const isSet = (name: string): boolean => (process.env[name] ?? "") !== ""

const ofAuth = variables.filter((_, index) => Object.keys(options)[index].startsWith("auth."))

const fromEnvironment = (overlaid: ReadonlyArray<Overlay>): Effect.Effect<Source, NatsConfig.NatsConfigError> => {
  const given = variables.filter(isSet)
  const label = [
    ...(given.length === 0 ? [] : [`environment ${given.join(", ")}`]),
    ...overlaid.map(({ flag }) => flag)
  ].join(", ")
  const env: Record<string, string> = {}
  for (const [name, text] of Object.entries(process.env)) if (text !== undefined) env[name] = text
  const replacesAuth = overlaid.some(({ option }) => option.startsWith("auth."))
  if (replacesAuth) { for (const name of ofAuth) delete env[name] }
  for (const { option, value } of overlaid) env[variable(option)] = value
  const from = new Map<string, string>()
  const raw = new Map<string, string>()
  for (const option of Object.keys(options) as ReadonlyArray<keyof typeof options>) {
    const text = env[variable(option)]
    if (text === undefined || text === "") continue
    raw.set(option, text)
    from.set(option, overlaid.find((each) => each.option === option)?.flag ?? variable(option))
  }
  const names = new Map(overlaid.map(({ flag, option }) => [variable(option), flag]))
  return NatsConfig.fromEnv().pipe(
    Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env })),
    Effect.mapError((error) => withNames(error, label === "" ? "the defaults" : label, names)),
    Effect.map((config) => ({
      label: label === "" ? "the defaults: nothing else is set" : label,
      config,
      settings: settingsOf(config, raw, from),
      jetStream: {}
    }))
  )
}

/** The leaves of a JSON value, by their paths. */
const leaves = (value: unknown, path = ""): ReadonlyArray<readonly [path: string, text: string]> =>
  typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.entries(value).flatMap(([key, field]) => leaves(field, path === "" ? key : `${path}.${key}`))
    : [[path, Array.isArray(value) ? value.map(String).join(",") : String(value)]]

const fromObject = (
  input: Readonly<Record<string, unknown>>,
  label: string,
  keyOf: (option: string) => string,
  overlaid: ReadonlyArray<Overlay>,
  jetStream: NatsContext["jetStream"],
  renamed: ReadonlyMap<string, string> = new Map()
): Effect.Effect<Source, NatsConfig.NatsConfigError> => {
  const merged: Record<string, unknown> = { ...input }
  const from = new Map(leaves(input).map(([path]) => [path, keyOf(path)]))
  const names = new Map(renamed)
  for (const { flag, option, value } of overlaid) {
    const [section, field] = option.split(".")
    names.set(option, flag)
    if (field === undefined) {
      merged[section] = value
    } else {
      const below = merged[section]
      const kept = section === "auth" || typeof below !== "object" || below === null ? {} : below
      merged[section] = section === "auth" ? { _tag: "CredsFile", [field]: value } : { ...kept, [field]: value }
    }
  }
  const raw = new Map(leaves(merged))
  for (const { flag, option } of overlaid) from.set(option, flag)
  const full = label + fileLabel(overlaid)
  return NatsConfig.decode(merged, full).pipe(
    Effect.mapError((error) => withNames(error, full, names)),
    Effect.map((config) => ({ label: full, config, settings: settingsOf(config, raw, from), jetStream }))
  )
}

const fromContext = (name: string, label: string, overlaid: ReadonlyArray<Overlay>) =>
  Effect.flatMap(
    readContext(name),
    ({ file, input, jetStream, keys }) =>
      fromObject(input, `${label} (${file})`, (path) => keys.get(path) ?? path, overlaid, jetStream, keys)
  )

const fromFile = (file: string, overlaid: ReadonlyArray<Overlay>) =>
  // Read by core first, which tells every fault of the file itself and warns of who else can read it.
  Effect.flatMap(
    overlaid.length === 0 ? NatsConfig.fromFile(file) : Effect.catch(NatsConfig.fromFile(file), faultOfFile),
    () =>
      Effect.flatMap(Effect.promise(() => fs.readFile(file, "utf8")), (text) =>
        fromObject(JSON.parse(text.replace(/^\uFEFF/, "")), file, (path) => `${file}: ${path}`, overlaid, {}))
  )

/** What an option on top may mend is decoded again; what the file itself is not, stays. */
const faultOfFile = (error: NatsConfig.NatsConfigError): Effect.Effect<void, NatsConfig.NatsConfigError> =>
  error.problems.some(({ path }) => path === "") ? Effect.fail(error) : Effect.void

/** The secrets of a configuration, wherever they are in it. */
const redactedIn = (value: unknown): ReadonlyArray<string> =>
  Redacted.isRedacted(value)
    ? [Redacted.value(value)].filter((each) => typeof each === "string")
    : typeof value === "object" && value !== null
    ? Object.values(value).flatMap(redactedIn)
    : []

/** A shorter part of a URL's query is no access token. */
const shortestInQuery = 8

const inQueries = ({ servers }: NatsConfig.NatsConfig): ReadonlyArray<string> =>
  servers.flatMap(({ path }) => path.split("?").slice(1).join("?").split(/[&=]/)).filter((part) =>
    part.length >= shortestInQuery
  )

/** Keeps the secrets of a configuration, and those of the files that it names, out of whatever is shown from here on. */
const guarded = (source: Source): Effect.Effect<Source> => {
  const { config } = source
  Output.guard([...redactedIn(config), ...inQueries(config)])
  return Effect.match(resolveCredentials(config.auth, config.connectTimeout), {
    // Whoever needs them is told.
    onFailure: () => source,
    onSuccess: (credentials) => {
      Output.guard(redactedIn(credentials))
      return source
    }
  })
}

/**
 * The configuration of a command. `--config` and `--context` (or `NATS_CONTEXT`) name one; else the variables `NATS_*` are
 * it where any is set, else the selected context of the `nats` tool, else the defaults. Options go on top.
 */
export const load = (given: ConnectionOptions): Effect.Effect<Source, NatsConfig.NatsConfigError | UsageError> =>
  Effect.flatMap(found(given), guarded)

const found = (given: ConnectionOptions): Effect.Effect<Source, NatsConfig.NatsConfigError | UsageError> =>
  Effect.gen(function*() {
    yield* checkOptions(given)
    const overlaid = overlays(given)
    if (given.config !== undefined) return yield* fromFile(given.config, overlaid)
    if (given.context !== undefined) return yield* fromContext(given.context, `context ${given.context}`, overlaid)
    const named = process.env["NATS_CONTEXT"]
    if (named !== undefined && named !== "") return yield* fromContext(named, `NATS_CONTEXT ${named}`, overlaid)
    if (variables.some(isSet) || given.servers.length > 0) return yield* fromEnvironment(overlaid)
    const selected = yield* selectedContext
    return selected === undefined
      ? yield* fromEnvironment(overlaid)
      : yield* fromContext(selected, `selected context ${selected}`, overlaid)
  })
