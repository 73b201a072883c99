/**
 * One connection, described: the schema of it, and its environment and file forms.
 *
 * Decoding takes what people write (options in code, JSON, environment variables), applies the defaults, and gives one
 * typed value whose secrets are `Redacted`, or fails with every problem named at its path. No error holds a value of the
 * input.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { NatsConfig } from "effect-nats"
 *
 * const program = Effect.gen(function*() {
 *   const config = yield* NatsConfig.decode({
 *     servers: ["nats://a.example.com", "nats://b.example.com"],
 *     auth: { user: "john", password: "johnpassword" },
 *     connectTimeout: "2 seconds"
 *   })
 *   yield* Effect.log(config.servers.length)
 * })
 * ```
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { generatedConfig } from "./internal/config/arbitrary.ts"
import { codec, decodePlain, toIssue } from "./internal/config/codec.ts"
import { decodeConfig, encodeConfig, holdsSecret } from "./internal/config/config.ts"
import * as defaults from "./internal/config/defaults.ts"
import { withPrefix } from "./internal/config/environment.ts"
import { type Problem, shown } from "./internal/config/problems.ts"
import { environment } from "./internal/config/variables.ts"
import type { ServerAddress } from "./internal/protocol/serverAddress.ts"
import { allShowingFields, shownProblem } from "./internal/protocol/shown.ts"
import { readJsonFile } from "./internal/wire/jsonFile.ts"
import { warnOfMode } from "./internal/wire/secretFile.ts"
import type * as NatsAuth from "./NatsAuth.ts"
import type * as NatsTls from "./NatsTls.ts"

/** The errors of these classes show their texts printable and bounded. */
const TaggedError = allShowingFields(Schema.TaggedError)

/**
 * One server to dial: `scheme` ("nats", "tls", "ws", "wss"), `host`, `port`, and for WebSocket `path`, with its query. It
 * has no user info.
 *
 * @category models
 * @since 0.1.0
 */
export interface Server extends ServerAddress {}

/**
 * How a lost connection is dialled again: at once, then after `initialDelay`, then after `factor` times the delay before,
 * up to `maxDelay`, each with jitter unless it is turned off.
 *
 * @category models
 * @since 0.1.0
 */
export interface Reconnect extends ReconnectInput {
  readonly initialDelay: Duration.Duration
  readonly maxDelay: Duration.Duration
  readonly factor: number
  readonly jitter: boolean
  readonly maxAttempts: "forever" | number
  readonly maxElapsed?: Duration.Duration | undefined
  readonly refusalTimeout: "forever" | Duration.Duration
  readonly onFirstConnect: OnFirstConnect
}

/**
 * What the very first connect does without a server. `"fail"`: it fails at once. `"wait"`: it waits for one, as a lost
 * connection does. `"background"`: the client is there at once, and the time to its first session counts as an outage.
 *
 * @category models
 * @since 0.2.0
 */
export type OnFirstConnect = "fail" | "wait" | "background"

/**
 * What an operation does while there is no connection: `"wait"` for one, `"fail"` with `ConnectionLost`, or keep up to
 * `buffer` messages and fail beyond.
 *
 * @category models
 * @since 0.1.0
 */
export type WhileDisconnected = "wait" | "fail" | { readonly buffer: number }

/**
 * A connection, decoded. Its fields are those of `Input`, with the defaults applied.
 *
 * @category models
 * @since 0.1.0
 */
export interface NatsConfig extends Input {
  readonly servers: readonly [Server, ...Array<Server>]
  readonly randomizeServers: boolean
  readonly discoverServers: boolean
  readonly name?: string | undefined
  readonly auth: NatsAuth.NatsAuth
  readonly tls: NatsTls.NatsTls
  readonly webSocket?: { readonly headers: Readonly<Record<string, Redacted.Redacted>> } | undefined
  readonly connectTimeout: Duration.Duration
  readonly requestTimeout: Duration.Duration
  readonly pingInterval: Duration.Duration
  readonly maxPingOut: number
  readonly inboxPrefix: string
  readonly noEcho: boolean
  readonly drainTimeout: Duration.Duration
  readonly banner: boolean
  readonly metrics: boolean
  readonly logStatus: boolean
  readonly reconnect: Reconnect | false
  readonly whileDisconnected: WhileDisconnected
}

/**
 * The options of reconnecting, as they are written. All is optional.
 *
 * @category models
 * @since 0.1.0
 */
export interface ReconnectInput {
  /**
   * How long to wait before the second attempt of an outage. The first is made at once, but for `jitter`; an attempt tries
   * every server. A number is milliseconds; more than 0, at most 24 days. Default 100 ms (or `maxDelay`, if that is less).
   */
  readonly initialDelay?: Duration.Input | undefined
  /**
   * How long to wait between two attempts at most. A number is milliseconds; not less than `initialDelay`, at most 24 days.
   * Default 5 s (or `initialDelay`, if that is more).
   */
  readonly maxDelay?: Duration.Input | undefined
  /** What each delay is multiplied with for the next: a number from 1 (all the same) to 100. Default 2. */
  readonly factor?: number | undefined
  /**
   * Each delay is between its half and its whole, and the first attempt after a loss waits for up to `initialDelay`, at most
   * 100 ms, so that clients do not come back all at once. Default `true`.
   */
  readonly jitter?: boolean | undefined
  /**
   * Attempts in one outage after which the client gives up: a whole number from 1 to 1,000,000,000, or `"forever"`. An
   * attempt tries every server. Default `"forever"`.
   */
  readonly maxAttempts?: "forever" | number | undefined
  /**
   * The time of one outage after which the client gives up: it makes no attempt that would begin later. A number is
   * milliseconds; more than 0, at most 24 days. Default: no bound.
   */
  readonly maxElapsed?: Duration.Input | undefined
  /**
   * How long the same credentials may be refused before the client gives up: from their first refusal on, in one outage.
   * Other credentials, and a success, start anew. A number is milliseconds; more than 0, at most 24 days, or `"forever"`.
   * Default 30 s. `maxAttempts` and `maxElapsed` can end it sooner; with `onFirstConnect: "fail"` the first connect fails
   * with the first refusal.
   */
  readonly refusalTimeout?: "forever" | Duration.Input | undefined
  /**
   * What the very first connect does without a server. Default `"fail"`: it fails at once. `"wait"`: it waits for one in
   * the same way. `"background"`: the client is there at once, in state `Connecting`, and its operations do what
   * `whileDisconnected` says.
   */
  readonly onFirstConnect?: OnFirstConnect | undefined
}

/**
 * What can be written to describe a connection, besides who this client is. All is optional; every field takes its plain
 * form or its decoded value.
 *
 * Durations are a number of milliseconds, a text such as `"5 seconds"`, or any other `Duration.Input`; they are more than
 * zero, at most 24 days, and rounded to milliseconds.
 *
 * @category models
 * @since 0.2.0
 */
// Of its own, since the fields of an `Omit<Input, "auth">` have no text where they are hovered.
export interface Settings {
  /**
   * One URL, several separated by commas, or an array of such texts. `nats://`, `tls://` (TLS required), `ws://`, `wss://`, or
   * `host:port`. User info becomes `auth`. The path and the query of a WebSocket are sent as they are written; errors and
   * logs leave the query out. Default `nats://127.0.0.1:4222`.
   *
   * All servers get the same credentials. So `host:port` has the scheme of the others in the list (and that scheme's
   * port), and `nats://` or `ws://` beside `tls://` or `wss://` is refused.
   */
  readonly servers?:
    | string
    | Redacted.Redacted
    | Server
    | ReadonlyArray<string | Redacted.Redacted | Server>
    | undefined
  /**
   * Whether the order in which servers are dialled is drawn, once for each client, so that the clients of a cluster spread
   * over it. With `false` it is the one of `servers`, and learned ones follow as they were named. Default `true`.
   */
  readonly randomizeServers?: boolean | undefined
  /**
   * Whether to dial also the servers that a server of the list names: those of its cluster. Default `true`.
   *
   * With TLS their certificates are verified. An address that came in clear, before the TLS handshake, has to have a
   * certificate for the host that was configured; one that came inside TLS for itself, or, where it is an IP address, for
   * that host. (Before 2.15 a server names its cluster inside TLS only when the cluster changes.)
   */
  readonly discoverServers?: boolean | undefined
  /** The name that the server shows for this client. At most 1024 characters. Default: none. */
  readonly name?: string | undefined
  /** How the wire is protected. Default: TLS where the server wants it, always verified, and a warning where it has none. */
  readonly tls?: NatsTls.Input | undefined
  /** What a WebSocket is opened with; `nats://` and `tls://` do not use it. Default: the handshake alone. */
  readonly webSocket?: {
    /**
     * Headers of the request that opens a WebSocket, from name to value: what a proxy in front of the server asks for, such
     * as `cookie` or `authorization`. Values are ASCII, at most 65,536 characters, and never shown. At most 100; those that
     * the handshake writes (`Host`, `Upgrade`, `Sec-WebSocket-Key`, …) are refused. Default: none.
     */
    readonly headers?: Readonly<Record<string, NatsAuth.Secret>> | undefined
  } | undefined
  /**
   * How long a whole dial may take, from the name lookup to the server's answer. A number is milliseconds; more than 0, at
   * most 24 days. Default 5 s.
   */
  readonly connectTimeout?: Duration.Input | undefined
  /**
   * How long a request waits that has no timeout of its own. A number is milliseconds; more than 0, at most 24 days.
   * Default 10 s.
   */
  readonly requestTimeout?: Duration.Input | undefined
  /** How long after a ping the next one is sent. A number is milliseconds; more than 0, at most 24 days. Default 30 s. */
  readonly pingInterval?: Duration.Input | undefined
  /** Pings without an answer before the connection counts as dead: a whole number from 1 to 1000. Default 2. */
  readonly maxPingOut?: number | undefined
  /** What the subjects of replies begin with. A subject without wildcards, at most 512 bytes. Default `"_INBOX"`. */
  readonly inboxPrefix?: string | undefined
  /** `true`: the server does not send this client its own messages. Default `false`. */
  readonly noEcho?: boolean | undefined
  /**
   * How long everything may take that happens when the client is closed, what runs on it included: all that is closed
   * together shares this time, and a second for what is interrupted then. Also how long a wait that cannot be interrupted,
   * as one in a finalizer, bears with a connection on which nothing moves; at least a second. A number is milliseconds;
   * more than 0, at most 24 days. Default 10 s.
   */
  readonly drainTimeout?: Duration.Input | undefined
  /** `true`: prints who is connected to what, at connect. Default `false`. */
  readonly banner?: boolean | undefined
  /**
   * `true`: the times of handlers, requests and acknowledgements are metrics, too, as with `NatsMetrics.Collect` at
   * `"everything"`: of this client, and of what is made on it. Either of the two turns them on; counters need neither.
   * Default `false`.
   */
  readonly metrics?: boolean | undefined
  /**
   * Whether the log has what happens to the connection: that it was lost, is refused, is waited for or has ended (level
   * Warn), that it is back (Info), and every dial (Debug). Warnings of what is not safe (see `tls`) are there in any case.
   * Default `true`.
   */
  readonly logStatus?: boolean | undefined
  /** How a lost connection is dialled again, or `false` for not at all. Default `{}`: again and again, until it succeeds. */
  readonly reconnect?: ReconnectInput | false | undefined
  /** What operations do without a connection. Default `"wait"`; `buffer` is a number of messages, 1 to 10,000,000. */
  readonly whileDisconnected?: WhileDisconnected | undefined
}

/**
 * What can be written to describe a connection: the fields of `Settings`, and `auth`. A `NatsConfig` is an `Input`, too.
 *
 * @category models
 * @since 0.1.0
 */
export interface Input extends Settings {
  /** Who this client is: a form of `NatsAuth`. Default: anonymous, or the user info of the URLs. */
  readonly auth?: NatsAuth.Input | undefined
}

/**
 * The JSON form, complete. Durations are in milliseconds, and secrets are in plain text.
 *
 * @category models
 * @since 0.1.0
 */
export interface Encoded {
  readonly servers: ReadonlyArray<string>
  readonly randomizeServers: boolean
  readonly discoverServers: boolean
  readonly name?: string | undefined
  readonly auth: NatsAuth.Encoded
  readonly tls: NatsTls.Encoded
  readonly webSocket?: { readonly headers: Readonly<Record<string, string>> } | undefined
  readonly connectTimeout: number
  readonly requestTimeout: number
  readonly pingInterval: number
  readonly maxPingOut: number
  readonly inboxPrefix: string
  readonly noEcho: boolean
  readonly drainTimeout: number
  readonly banner: boolean
  readonly metrics: boolean
  readonly logStatus: boolean
  readonly reconnect: false | {
    readonly initialDelay: number
    readonly maxDelay: number
    readonly factor: number
    readonly jitter: boolean
    readonly maxAttempts: "forever" | number
    readonly maxElapsed?: number | undefined
    readonly refusalTimeout: "forever" | number
    readonly onFirstConnect: OnFirstConnect
  }
  readonly whileDisconnected: WhileDisconnected
}

/**
 * A configuration does not decode. It names every problem (the first forty of many) and holds no value of the input.
 *
 * @category errors
 * @since 0.1.0
 */
export class NatsConfigError extends TaggedError<NatsConfigError>()("NatsConfigError", {
  /** Where the configuration came from: `options`, `environment NATS_*`, or the path of a file. */
  source: Schema.String,
  problems: Schema.Array(Schema.Struct({
    /** Such as `servers[1]` or `tls.caFile`, or the name of a variable. Empty for the whole. */
    path: Schema.String,
    /** What is wrong there, and what would be right. */
    problem: Schema.String
  }))
}) {
  override get message(): string {
    const all = this.problems.map(({ path, problem }) => (path === "" ? `it ${problem}` : `${path}: ${problem}`))
    const text = all.join("; ")
    // A problem can end with a question, such as "did you mean `servers`?".
    return `The NATS configuration (${shownProblem(this.source)}) is invalid: ${text}${text.endsWith("?") ? "" : "."}`
  }
  /** `false`: the same configuration is refused again. */
  get isRetryable(): boolean {
    return false
  }
}

/**
 * Decodes what can be written into a `NatsConfig`, and encodes one as complete JSON with the secrets in plain text. The
 * issues of a failed decoding name every problem at its path and hold no value.
 *
 * @category schemas
 * @since 0.1.0
 */
export const NatsConfig: Schema.Codec<NatsConfig, Encoded> = codec(
  "NatsConfig",
  decodeConfig,
  encodeConfig,
  generatedConfig
)

const toError = (source: string) => (problems: ReadonlyArray<Problem>): NatsConfigError =>
  new NatsConfigError({ source, problems: shown(problems) })

/**
 * Decodes an unknown value. `source` is what errors call it, by default `options`.
 *
 * @category decoding
 * @since 0.1.0
 */
export const decodeResult = (input: unknown, source = "options"): Result.Result<NatsConfig, NatsConfigError> =>
  Result.mapError(decodePlain(input, decodeConfig), toError(source))

/**
 * Decodes an unknown value. `source` is what errors call it, by default `options`.
 *
 * @category decoding
 * @since 0.1.0
 */
export const decode = (input: unknown, source = "options"): Effect.Effect<NatsConfig, NatsConfigError> =>
  Effect.suspend(() => Effect.fromResult(decodeResult(input, source)))

/**
 * How the variables are named: `NATS_URL` and so on with the default prefix `NATS`.
 *
 * @category models
 * @since 0.1.0
 */
export interface EnvironmentOptions {
  /** What every name begins with, before an underscore, with that or without. Default `NATS`. */
  readonly prefix?: string | undefined
}

/**
 * A `Config` of the variables `NATS_URL` (several are separated by commas), `NATS_NAME`, one way to authenticate
 * (`NATS_USER` and `NATS_PASSWORD`, `NATS_TOKEN`, `NATS_NKEY_SEED`, `NATS_JWT` with or without `NATS_NKEY_SEED`,
 * `NATS_CREDS`, or `NATS_CREDS_FILE`), `NATS_TLS_MODE`, `NATS_TLS_CA_FILE` and so on, `NATS_CONNECT_TIMEOUT` and so on: a
 * name for every option, in capitals. An unset variable is the default, and so is an empty one, as everywhere in Effect.
 *
 * Variables of two ways to authenticate are an error. Errors name variables and hold no value. Names that other clients and
 * tools have for these (`NATS_SERVERS`, `NATS_SERVER`, `NATS_USERNAME`, `NATS_PASS`, `NATS_CREDENTIALS`, `NATS_TLS`, `NATS_CA`,
 * `NATS_CERT`, `NATS_KEY`, `NATS_NKEY`) are not read: where one is set, and the `ConfigProvider` lists its keys, a warning says
 * so, and so do the errors.
 *
 * ```ts
 * import { ConfigProvider, Effect } from "effect"
 * import { NatsConfig } from "effect-nats"
 *
 * const program = Effect.gen(function*() {
 *   const config = yield* NatsConfig.config({ prefix: "ORDERS_NATS" })
 *   yield* Effect.log(config.connectTimeout)
 * }).pipe(Effect.provide(ConfigProvider.layer(ConfigProvider.fromUnknown({ ORDERS_NATS_CONNECT_TIMEOUT: "2 seconds" }))))
 * ```
 *
 * @category decoding
 * @since 0.1.0
 */
export const config = ({ prefix = "NATS" }: EnvironmentOptions = {}): Config.Config<NatsConfig> =>
  Config.flatMap(
    environment(prefix),
    (decoded) =>
      Result.isSuccess(decoded)
        ? Config.succeed(decoded.success)
        : Config.fail(new Schema.SchemaError(toIssue(decoded.failure)))
  )

/**
 * Decodes the variables that `config` describes, with their problems as a `NatsConfigError`.
 *
 * @category decoding
 * @since 0.1.0
 */
export const fromEnv = ({ prefix = "NATS" }: EnvironmentOptions = {}): Effect.Effect<NatsConfig, NatsConfigError> => {
  const failed = toError(`environment ${withPrefix(prefix, "*")}`)
  return environment(prefix).pipe(
    Effect.mapError(() => failed([{ path: [], problem: "could not be read from the ConfigProvider" }])),
    Effect.flatMap((decoded) => Effect.fromResult(Result.mapError(decoded, failed)))
  )
}

/**
 * Reads a JSON file once, and decodes it. It is a regular file (no pipe, no device) of at most 1 MiB, and is read within 5
 * seconds. A path in it is relative to the working directory. Fails with `NatsConfigError`, whose `source` is the path, also
 * when the file cannot be read (a problem with the empty path) or is not JSON (the problem names line and column). A file
 * that holds a secret, and that every user of the machine can read or write, is named in one warning.
 *
 * @category decoding
 * @since 0.1.0
 */
export const fromFile = (path: string): Effect.Effect<NatsConfig, NatsConfigError> => {
  const failed = toError(path)
  return readJsonFile(path, { option: "configuration", timeout: defaults.config.connectTimeout }).pipe(
    Effect.mapError((problem) => failed([{ path: [], problem }])),
    Effect.flatMap(({ mode, value }) =>
      Effect.tap(
        decode(value, path),
        (config) => holdsSecret(config) ? warnOfMode(path, "configuration", mode) : Effect.void
      )
    )
  )
}
