/**
 * Decodes and encodes a whole configuration.
 */
import * as Duration from "effect/Duration"
import type { NatsAuth } from "../../NatsAuth.ts"
import type { Encoded, NatsConfig, OnFirstConnect, Reconnect, WhileDisconnected } from "../../NatsConfig.ts"
import type { NatsTls } from "../../NatsTls.ts"
import { serverUrl } from "../protocol/serverAddress.ts"
import { inboxPrefixProblem, maxInboxPrefixBytes } from "../subject/rules.ts"
import { decodeAuth, encodeAuth } from "./auth.ts"
import * as Defaults from "./defaults.ts"
import { has, isEndless, readBoolean, readDuration, readLiteral, readNumber, readText } from "./fields.ts"
import { keysOf } from "./keys.ts"
import { kindOf, type Path, type Problems } from "./problems.ts"
import { readRecord, type Section } from "./record.ts"
import { type DecodedServers, decodeServers } from "./servers.ts"
import { decodeTls, encodeTls, meaningTls } from "./tls.ts"
import { hintOf, noteHint } from "./unread.ts"
import { decodeWebSocket, encodeWebSocket } from "./webSocket.ts"

const section: Section = { what: "the configuration", section: "", keys: keysOf(""), secretive: false }

const reconnectSection: Section = {
  what: "`reconnect`",
  section: "reconnect",
  keys: keysOf("reconnect"),
  secretive: false
}

const bufferSection: Section = {
  what: "`whileDisconnected`",
  section: "whileDisconnected",
  keys: keysOf("whileDisconnected"),
  secretive: false
}

/** A prefix is a subject without wildcards; the rest of an inbox follows it after a dot. */
const readInboxPrefix = (problems: Problems, path: Path, value: unknown): string | undefined => {
  const text = readText(problems, path, value, maxInboxPrefixBytes)
  if (text === undefined) return undefined
  return inboxPrefixProblem(text) !== undefined
    ? problems.add(path, "must be a subject without wildcards and white space, such as \"_INBOX\" or \"orders.inbox\"")
    : text
}

/** Up to 0.1 it was a boolean. */
const readOnFirstConnect = (problems: Problems, path: Path, value: unknown): OnFirstConnect | undefined =>
  typeof value === "boolean"
    ? problems.add(
      path,
      `must be "fail", "wait" or "background": write ${value ? "\"wait\"" : "\"fail\""} in place of ${value}`
    )
    : readLiteral(problems, path, value, ["fail", "wait", "background"])

/** Where others have -1 for no end and 0 for no attempt, there is a word for each. */
const readAttempts = (problems: Problems, path: Path, value: unknown): "forever" | number | undefined => {
  if (value === "forever") return "forever"
  return isEndless(value)
    ? problems.add(path, "must be \"forever\" or a whole number from 1: write \"forever\" for no end")
    : readNumber(problems, path, value, {
      min: 1,
      max: 1_000_000_000,
      whole: true,
      less: "for no attempt write `reconnect: false`"
    })
}

const readReconnect = (problems: Problems, path: Path, value: unknown): Reconnect | false | undefined => {
  if (value === false) return false
  if (typeof value !== "object" || value === null) {
    return problems.add(path, `must be false or an object ({} for the defaults), and is ${kindOf(value)}`)
  }
  const fields = readRecord(problems, path, value, reconnectSection)
  if (fields === undefined) return undefined
  const read = <A>(key: string, reader: (path: Path, value: unknown) => A | undefined): A | undefined => {
    const value = fields.get(key)
    return value === undefined ? undefined : reader([...path, key], value)
  }
  const duration = (at: Path, value: unknown) => readDuration(problems, at, value)
  const boolean = (at: Path, value: unknown) => readBoolean(problems, at, value)
  const first = read("initialDelay", duration)
  const last = read("maxDelay", duration)
  if (first !== undefined && last !== undefined && Duration.isLessThan(last, first)) {
    problems.add([...path, "maxDelay"], "must not be less than `initialDelay`")
  }
  const maxElapsed = read(
    "maxElapsed",
    (at, value) => readDuration(problems, at, value, { endless: "leave it out for no bound" })
  )
  const { factor, initialDelay, jitter, maxAttempts, maxDelay, onFirstConnect, refusalTimeout } = Defaults.reconnect
  return {
    initialDelay: first ?? Duration.min(initialDelay, last ?? initialDelay),
    maxDelay: last ?? Duration.max(maxDelay, first ?? maxDelay),
    factor: read("factor", (at, value) => readNumber(problems, at, value, { min: 1, max: 100, whole: false })) ??
      factor,
    jitter: read("jitter", boolean) ?? jitter,
    maxAttempts: read("maxAttempts", (at, value) => readAttempts(problems, at, value)) ?? maxAttempts,
    ...(maxElapsed === undefined ? {} : { maxElapsed }),
    refusalTimeout: read(
      "refusalTimeout",
      (at, value) =>
        value === "forever" ?
          "forever" :
          readDuration(problems, at, value, { others: ", or \"forever\"", endless: "write \"forever\" for no end" })
    ) ?? refusalTimeout,
    onFirstConnect: read("onFirstConnect", (at, value) => readOnFirstConnect(problems, at, value)) ?? onFirstConnect
  }
}

const readWhileDisconnected = (problems: Problems, path: Path, value: unknown): WhileDisconnected | undefined => {
  if (typeof value !== "object" || value === null) {
    return typeof value === "string"
      ? readLiteral(problems, path, value, ["wait", "fail"])
      : problems.add(path, `must be "wait", "fail" or { buffer: n }, and is ${kindOf(value)}`)
  }
  const fields = readRecord(problems, path, value, bufferSection)
  if (fields === undefined) return undefined
  if (!fields.has("buffer")) {
    return problems.add([...path, "buffer"], "is missing: it is the number of messages to keep")
  }
  const buffer = readNumber(problems, [...path, "buffer"], fields.get("buffer"), {
    min: 1,
    max: 10_000_000,
    whole: true,
    less: "for none write `whileDisconnected: \"fail\"`"
  })
  return buffer === undefined ? undefined : { buffer }
}

/** Joins user info of the URLs with `auth`: given both ways it is an error, as one of them would be ignored. */
const joinAuth = <A>(
  problems: Problems,
  path: Path,
  given: boolean,
  auth: A | undefined,
  servers: DecodedServers | undefined
): A | NatsAuth | undefined => {
  const userInfo = servers?.userInfo
  if (userInfo === undefined) return given ? auth : Defaults.anonymous
  return given
    ? problems.add([...path, "auth"], "clashes with the user info in `servers`: give the credentials in one place")
    : decodeAuth(problems, [...path, "servers"], userInfo)
}

const checkTls = (
  problems: Problems,
  path: Path,
  servers: DecodedServers | undefined,
  tls: NatsTls | undefined,
  written: { readonly [key: string]: unknown } | undefined
): void => {
  const schemes = new Set(servers?.servers.map((server) => server.scheme))
  for (const scheme of ["tls", "wss"] as const) {
    if (tls?.mode === "disable" && schemes.has(scheme)) {
      problems.add(
        [...path, "tls", "mode"],
        `is "disable" and clashes with ${scheme}:// in \`servers\`, which requires TLS`
      )
    }
  }
  if (tls?.mode === "require" && schemes.has("ws")) {
    const key = written?.["mode"] === undefined ? meaningTls((key) => written?.[key]) ?? "mode" : "mode"
    problems.add(
      [...path, "tls", key],
      `${key === "mode" ? "is \"require\"" : "requires TLS"} and clashes with ws:// in \`servers\`: use wss://`
    )
  }
}

/** Decodes a configuration whose `auth` is read by `readAuth`. */
export const decodeWith = <A>(
  problems: Problems,
  path: Path,
  input: unknown,
  readAuth: (problems: Problems, path: Path, input: unknown) => A | undefined
): (Omit<NatsConfig, "auth"> & { readonly auth: A | NatsAuth }) | undefined => {
  const fields = readRecord(problems, path, input, section)
  if (fields === undefined) return undefined
  const read = <A>(
    key: string,
    reader: (problems: Problems, path: Path, value: unknown) => A | undefined
  ): A | undefined => {
    const value = fields.get(key)
    return value === undefined ? undefined : reader(problems, [...path, key], value)
  }
  const defaults = Defaults.config
  const servers = fields.has("servers")
    ? read("servers", decodeServers)
    : { servers: defaults.servers, userInfo: undefined }
  const auth = joinAuth(problems, path, fields.has("auth"), read("auth", readAuth), servers)
  const tls = fields.has("tls") ? read("tls", decodeTls) : defaults.tls
  checkTls(problems, path, servers, tls, fields.get("tls") as { readonly [key: string]: unknown } | undefined)
  const webSocket = read("webSocket", decodeWebSocket)
  const name = read("name", (problems, at, value) => readText(problems, at, value, has.short))
  const config = {
    randomizeServers: read("randomizeServers", readBoolean) ?? defaults.randomizeServers,
    discoverServers: read("discoverServers", readBoolean) ?? defaults.discoverServers,
    connectTimeout: read("connectTimeout", readDuration) ?? defaults.connectTimeout,
    requestTimeout: read("requestTimeout", readDuration) ?? defaults.requestTimeout,
    pingInterval: read("pingInterval", readDuration) ?? defaults.pingInterval,
    maxPingOut: read(
      "maxPingOut",
      (problems, at, value) =>
        readNumber(problems, at, value, { min: 1, max: 1000, whole: true, less: "pings cannot be turned off" })
    ) ?? defaults.maxPingOut,
    inboxPrefix: read("inboxPrefix", readInboxPrefix) ?? defaults.inboxPrefix,
    noEcho: read("noEcho", readBoolean) ?? defaults.noEcho,
    drainTimeout: read("drainTimeout", readDuration) ?? defaults.drainTimeout,
    banner: read("banner", readBoolean) ?? defaults.banner,
    metrics: read("metrics", readBoolean) ?? defaults.metrics,
    logStatus: read("logStatus", readBoolean) ?? defaults.logStatus,
    reconnect: read("reconnect", readReconnect) ?? defaults.reconnect,
    whileDisconnected: read("whileDisconnected", readWhileDisconnected) ?? defaults.whileDisconnected
  }
  if (servers === undefined || auth === undefined || tls === undefined) return undefined
  const decoded = {
    servers: servers.servers,
    ...(name === undefined ? {} : { name }),
    auth,
    tls,
    ...(webSocket === undefined ? {} : { webSocket }),
    ...config
  }
  // What was decoded from variables can be given as options.
  const hint = hintOf(input as object)
  if (hint !== undefined) noteHint(decoded, hint)
  return decoded
}

export const decodeConfig = (problems: Problems, path: Path, input: unknown): NatsConfig | undefined =>
  decodeWith<NatsAuth>(problems, path, input, decodeAuth)

export const encodeConfig = ({ webSocket, ...config }: NatsConfig): Encoded => ({
  ...config,
  servers: config.servers.map(serverUrl),
  auth: encodeAuth(config.auth),
  tls: encodeTls(config.tls),
  ...(webSocket === undefined ? {} : { webSocket: encodeWebSocket(webSocket) }),
  connectTimeout: Duration.toMillis(config.connectTimeout),
  requestTimeout: Duration.toMillis(config.requestTimeout),
  pingInterval: Duration.toMillis(config.pingInterval),
  drainTimeout: Duration.toMillis(config.drainTimeout),
  reconnect: config.reconnect === false ? false : encodeReconnect(config.reconnect)
})

/** Whether a configuration has a secret in itself, and not the path of a file with one. */
export const holdsSecret = ({ auth, tls, webSocket }: NatsConfig): boolean =>
  (auth._tag !== "Anonymous" && auth._tag !== "CredsFile") || tls.key !== undefined || tls.passphrase !== undefined ||
  Object.keys(webSocket?.headers ?? {}).length > 0

const encodeReconnect = (
  { maxElapsed, refusalTimeout, ...reconnect }: Reconnect
): Exclude<Encoded["reconnect"], false> => ({
  ...reconnect,
  initialDelay: Duration.toMillis(reconnect.initialDelay),
  maxDelay: Duration.toMillis(reconnect.maxDelay),
  ...(maxElapsed === undefined ? {} : { maxElapsed: Duration.toMillis(maxElapsed) }),
  refusalTimeout: refusalTimeout === "forever" ? refusalTimeout : Duration.toMillis(refusalTimeout)
})
