/**
 * Where a configuration comes from: a file, a context of the `nats` tool, or the environment, and options on top of it.
 */
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { options } from "../../internal/config/keys.ts"
import { resolveCredentials } from "../../internal/wire/credentials.ts"
import { readJsonFile } from "../../internal/wire/jsonFile.ts"
import { warnOfMode } from "../../internal/wire/secretFile.ts"
import { secretsInQuery } from "../../internal/wire/secretFilter.ts"
import * as NatsConfig from "../../NatsConfig.ts"
import { type NatsContext, readContext } from "./context/readContext.ts"
import { selectedContext, selectionFile } from "./context/stored.ts"
import { UsageError } from "./failure.ts"
import * as Output from "./output.ts"
import {
  type ConnectionOptions,
  hasUserInfo,
  mergedInput,
  type Overlay,
  overlaysOf,
  replacesAuth,
  withFlags,
  withoutUserInfo
} from "./overlay.ts"
import { holdsSecret, leaves, type Setting, settingsOf } from "./settings.ts"

export type { ConnectionOptions } from "./overlay.ts"

export interface Source {
  /** What is said of it in the first line of a command. */
  readonly label: string
  readonly config: NatsConfig.NatsConfig
  /** What was set, and where. */
  readonly settings: ReadonlyArray<Setting>
  /** What is set elsewhere, and not read. `load` has told it. */
  readonly notes: ReadonlyArray<string>
  /** Of JetStream, where the source says it. */
  readonly jetStream: NatsContext["jetStream"]
}

type Loading = Effect.Effect<Source, NatsConfig.NatsConfigError>

type OptionName = keyof typeof options

const optionNames = Object.keys(options) as ReadonlyArray<OptionName>

const variable = (option: OptionName): string => `NATS_${options[option][0]}`

const isSet = (name: string): boolean => (process.env[name] ?? "") !== ""

/** Those that are set, of the variables that a configuration is read from. */
const setVariables = (): ReadonlyArray<string> => optionNames.map(variable).filter(isSet)

const areSet = (names: ReadonlyArray<string>): string => `${names.join(", ")} ${names.length === 1 ? "is" : "are"} set`

const withOptions = (label: string, overlays: ReadonlyArray<Overlay>): string =>
  [...(label === "" ? [] : [label]), ...overlays.map(({ flag }) => flag)].join(", ")

/** What goes away with a URL, or stays behind, when an option replaces the one and not the other. */
const userInfoNotes = (servers: string, from: string, overlays: ReadonlyArray<Overlay>): ReadonlyArray<string> => {
  const flag = hasUserInfo(servers)
    ? overlays.find(({ option }) => option === "servers" || option.startsWith("auth."))?.flag
    : undefined
  return flag === undefined ? [] : [`the user info of ${from} is not used, as ${flag} is given`]
}

/** The variables of this process, with the options in place of what they replace. */
const environmentWith = (overlays: ReadonlyArray<Overlay>): Record<string, string> => {
  const env: Record<string, string> = {}
  for (const [name, text] of Object.entries(process.env)) if (text !== undefined) env[name] = text
  if (replacesAuth(overlays)) {
    for (const option of optionNames) if (option.startsWith("auth.")) delete env[variable(option)]
    if (isSet("NATS_URL")) env["NATS_URL"] = withoutUserInfo(env["NATS_URL"])
  }
  for (const { option, value } of overlays) {
    // A file in place of PEM text is in place of it, and not beside it.
    const text = option.replace(/File$/, "")
    if (text !== option) delete env[variable(text as OptionName)]
    env[variable(option)] = value
  }
  return env
}

const fromEnvironment = (overlays: ReadonlyArray<Overlay>): Loading => {
  const env = environmentWith(overlays)
  const given = setVariables().filter((name) =>
    env[name] !== undefined && !overlays.some(({ option }) => variable(option) === name)
  )
  const label = withOptions(given.length === 0 ? "" : `environment ${given.join(", ")}`, overlays)
  const from = new Map<string, string>()
  const raw = new Map<string, string>()
  for (const option of optionNames) {
    const text = env[variable(option)]
    if (text === undefined || text === "") continue
    raw.set(option, text)
    from.set(option, overlays.find((each) => each.option === option)?.flag ?? variable(option))
  }
  const names = new Map(overlays.map(({ flag, option }) => [variable(option), flag]))
  return NatsConfig.fromEnv().pipe(
    Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env })),
    Effect.mapError((error) => withFlags(error, label === "" ? "the defaults" : label, names)),
    Effect.map((config) => ({
      label: label === "" ? "the defaults: nothing else is set" : label,
      config,
      settings: settingsOf(config, raw, from),
      notes: userInfoNotes(process.env["NATS_URL"] ?? "", "NATS_URL", overlays),
      jetStream: {}
    }))
  )
}

interface FromFile {
  readonly file: string
  readonly mode: number
  readonly value: unknown
  readonly label: string
  /** The key of the file that an option came from. */
  readonly keyOf: (option: string) => string | undefined
  /** What the file is, for warnings. */
  readonly what: string
  readonly jetStream: NatsContext["jetStream"]
  readonly notes: ReadonlyArray<string>
}

const fromObject = (
  { file, jetStream, keyOf, label: name, mode, notes, value, what }: FromFile,
  overlays: ReadonlyArray<Overlay>
): Loading => {
  const label = withOptions(name, overlays)
  const given = leaves(value)
  const merged = mergedInput(value, overlays)
  const from = new Map(given.map(([path]) => [path, keyOf(path) ?? `${file}: ${path}`]))
  const names = new Map(given.flatMap(([path]) => {
    const key = keyOf(path)
    return key === undefined ? [] : [[path, key]]
  }))
  for (const { flag, option } of overlays) {
    from.set(option, flag)
    names.set(option, flag)
  }
  const servers = new Map(given).get("servers") ?? ""
  return NatsConfig.decode(merged, label).pipe(
    Effect.mapError((error) => withFlags(error, label, names)),
    Effect.tap(() => holdsSecret(given) ? warnOfMode(file, what, mode) : Effect.void),
    Effect.map((config) => ({
      label,
      config,
      settings: settingsOf(config, new Map(leaves(merged)), from),
      notes: [...notes, ...userInfoNotes(servers, from.get("servers") ?? "servers", overlays)],
      jetStream
    }))
  )
}

const fromContext = (
  name: string,
  from: string,
  label: string,
  overlays: ReadonlyArray<Overlay>
): Loading =>
  Effect.flatMap(readContext(name, from), (context) => {
    const full = `${label} (${context.file})`
    const problems = context.problems.filter(({ option }) =>
      !(option.startsWith("auth.") ? replacesAuth(overlays) : overlays.some((each) => each.option === option))
    )
    if (problems.length > 0) {
      return Effect.fail(
        new NatsConfig.NatsConfigError({
          source: full,
          problems: problems.map(({ path, problem }) => ({ path, problem }))
        })
      )
    }
    return fromObject({
      ...context,
      value: context.input,
      label: full,
      keyOf: (option) => context.keys.get(option) ?? option,
      what: "context",
      notes: replacesAuth(overlays) ? [] : context.notes
    }, overlays)
  })

const fromFile = (file: string, overlays: ReadonlyArray<Overlay>): Loading =>
  readJsonFile(file, { option: "--config", timeout: Duration.seconds(5) }).pipe(
    Effect.mapError((problem) => new NatsConfig.NatsConfigError({ source: file, problems: [{ path: "", problem }] })),
    Effect.flatMap(({ mode, value }) =>
      fromObject(
        { file, mode, value, label: file, keyOf: () => undefined, what: "configuration", notes: [], jetStream: {} },
        overlays
      )
    )
  )

/** The selected context counts where nothing else is set. */
const notRead = (why: string): Effect.Effect<ReadonlyArray<string>> =>
  selectedContext.pipe(
    Effect.orElseSucceed(() => undefined),
    Effect.map((selected) => {
      const name = Output.shown(selected ?? "", 64)
      return selected === undefined
        ? []
        : [
          `the selected context ${name} is not read, as ${why}: --context ${name} reads it`
        ]
    })
  )

interface Found {
  /** What is set elsewhere. */
  readonly notes: ReadonlyArray<string>
  readonly loading: Loading
}

const find = (
  given: ConnectionOptions,
  overlays: ReadonlyArray<Overlay>
): Effect.Effect<Found, NatsConfig.NatsConfigError> =>
  Effect.gen(function*() {
    const set = setVariables()
    const named = process.env["NATS_CONTEXT"] ?? ""
    const all = named === "" ? set : ["NATS_CONTEXT", ...set]
    const unread = (names: ReadonlyArray<string>, why: string): ReadonlyArray<string> =>
      names.length === 0 ? [] : [`${areSet(names)}, and not read, as ${why}`]
    if (given.config !== undefined) {
      return { notes: unread(all, "--config is given"), loading: fromFile(given.config, overlays) }
    }
    if (given.context !== undefined) {
      const loading = fromContext(given.context, "--context", `context ${given.context}`, overlays)
      return { notes: unread(all, "--context is given"), loading }
    }
    if (named !== "") {
      const loading = fromContext(named, "NATS_CONTEXT", `NATS_CONTEXT ${named}`, overlays)
      return { notes: unread(set, "NATS_CONTEXT is set"), loading }
    }
    if (set.length > 0 || given.servers.length > 0) {
      const notes = yield* notRead(set.length > 0 ? areSet(set) : "--server is given")
      return { notes, loading: fromEnvironment(overlays) }
    }
    const selected = yield* selectedContext
    const loading = selected === undefined
      ? fromEnvironment(overlays)
      : fromContext(selected, selectionFile(), `selected context ${selected}`, overlays)
    return { notes: [], loading }
  })

const tell = (notes: ReadonlyArray<string>): Effect.Effect<void> =>
  Effect.forEach(notes, (note) => Output.aside(`${Output.styled("warn", "note", process.stderr)}: ${note}.`), {
    discard: true
  })

/** The secrets of a configuration, wherever they are in it. */
const redactedIn = (value: unknown): ReadonlyArray<string> =>
  Redacted.isRedacted(value)
    ? [Redacted.value(value)].filter((each) => typeof each === "string")
    : typeof value === "object" && value !== null
    ? Object.values(value).flatMap(redactedIn)
    : []

/** Keeps the secrets of a configuration, and those of the files that it names, out of whatever is shown from here on. */
const guard = (config: NatsConfig.NatsConfig): Effect.Effect<void> => {
  Output.guard([config, config.servers.flatMap(secretsInQuery)].flatMap(redactedIn))
  return Effect.match(resolveCredentials(config.auth, config.connectTimeout), {
    // Whoever needs them is told.
    onFailure: () => {},
    onSuccess: (credentials) => Output.guard(redactedIn(credentials))
  })
}

/**
 * The configuration of a command. `--config` and `--context` (or `NATS_CONTEXT`) name one; else the variables `NATS_*` are
 * it where any is set, else the selected context of the `nats` tool, else the defaults. Options go on top; `--server`
 * without any of the others leaves the selected context out, whose credentials are for its own servers. What is set and not
 * read is told on stderr.
 */
export const load = (given: ConnectionOptions): Effect.Effect<Source, NatsConfig.NatsConfigError | UsageError> =>
  Effect.gen(function*() {
    const overlays = overlaysOf(given)
    if (overlays instanceof UsageError) return yield* overlays
    const { loading, notes } = yield* find(given, overlays)
    // Before anything fails: it may be why.
    yield* tell(notes)
    const source = yield* loading
    yield* guard(source.config)
    yield* tell(source.notes)
    return { ...source, notes: [...notes, ...source.notes] }
  })
