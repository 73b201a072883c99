/**
 * The options of the command line, on top of whatever else describes a connection.
 */
import type { options } from "../../internal/config/keys.ts"
import { isContent } from "../../internal/identity/creds.ts"
import * as NatsConfig from "../../NatsConfig.ts"
import { longForm } from "./amounts.ts"
import { UsageError } from "./failure.ts"

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

/** An option of a configuration that the command line sets. */
export interface Overlay {
  readonly flag: string
  readonly option: keyof typeof options
  readonly value: string
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

const userInfo = /^((?:[a-z+]+:\/\/)?)[^/?#]*@/i

/** Whether a URL, or one of several, has a user or a token in it. */
export const hasUserInfo = (urls: string): boolean => urls.split(",").some((url) => userInfo.test(url.trim()))

export const withoutUserInfo = (urls: string): string =>
  urls.split(",").map((url) => url.trim().replace(userInfo, "$1")).join(",")

const usage = (problem: string): UsageError => new UsageError({ problem })

/** What the command line sets, or what is wrong with it. */
export const overlaysOf = (given: ConnectionOptions): ReadonlyArray<Overlay> | UsageError => {
  if (given.config !== undefined && given.context !== undefined) {
    return usage("--config and --context are two sources: give one of them.")
  }
  if (given.servers.some(hasUserInfo)) {
    return usage(
      "--server has user info, which every user of the machine can read there: set NATS_USER and " +
        "NATS_PASSWORD, or NATS_TOKEN, or write it to a file and give --config."
    )
  }
  const values: ReadonlyArray<readonly [flag: string, value: string | undefined]> = [
    ...given.servers.map((server) => ["--server", server] as const),
    ["--config", given.config],
    ["--context", given.context],
    ...flags.map(([key, flag]) => [flag, key === "servers" ? undefined : given[key] as string | undefined] as const)
  ]
  const empty = values.find(([, value]) => value !== undefined && value.trim() === "")
  if (empty !== undefined) {
    return usage(`${empty[0]} is empty, as one is from a variable that is not set: give a value, or leave it out.`)
  }
  const secret = values.find(([, value]) => value !== undefined && isContent(value))
  if (secret !== undefined) {
    return usage(
      `${secret[0]} is the content of a file, which every user of the machine can read there: give the file's path.`
    )
  }
  return flags.flatMap(([key, flag, option]) => {
    const text = key === "servers" ? given.servers.join(",") : given[key]
    const value = key === "connectTimeout" && typeof text === "string" ? longForm(text.trim()) : text
    return typeof value !== "string" || value === "" ? [] : [{ flag, option, value }]
  })
}

/** Credentials on the command line are in place of all others, and not beside them. */
export const replacesAuth = (overlays: ReadonlyArray<Overlay>): boolean =>
  overlays.some(({ option }) => option.startsWith("auth."))

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const strippedServers = (servers: unknown): unknown =>
  typeof servers === "string"
    ? withoutUserInfo(servers)
    : Array.isArray(servers)
    ? servers.map((each: unknown) => typeof each === "string" ? each.trim().replace(userInfo, "$1") : each)
    : servers

/** An input of a configuration with the options on top. What is no object is told by what decodes it. */
export const mergedInput = (input: unknown, overlays: ReadonlyArray<Overlay>): unknown => {
  if (!isObject(input)) return input
  const merged: Record<string, unknown> = { ...input }
  if (replacesAuth(overlays) && "servers" in merged) merged["servers"] = strippedServers(merged["servers"])
  for (const { option, value } of overlays) {
    const [section, field] = option.split(".")
    const below = merged[section]
    // A file in place of PEM text is in place of it, and not beside it.
    const text = field?.replace(/File$/, "")
    if (field === undefined) merged[section] = value
    else if (section === "auth") merged[section] = { _tag: "CredsFile", [field]: value }
    else {
      const kept = isObject(below) ? Object.entries(below).filter(([key]) => key !== text) : []
      merged[section] = { ...Object.fromEntries(kept), [field]: value }
    }
  }
  return merged
}

/** Of the two that are one pair on the command line. */
const pairs: ReadonlyMap<string, string> = new Map([["--tls-cert", "--tls-key"], ["--tls-key", "--tls-cert"]])

/** Problems told by the names of what set them: options of the command line, and keys of a context. */
export const withFlags = (
  error: NatsConfig.NatsConfigError,
  source: string,
  names: ReadonlyMap<string, string>
): NatsConfig.NatsConfigError =>
  new NatsConfig.NatsConfigError({
    source,
    problems: error.problems.map(({ path, problem }) => {
      for (const [option, name] of names) {
        if (path !== option && !path.startsWith(`${option}[`) && !path.startsWith(`${option}.`)) continue
        const other = pairs.get(name)
        return {
          path: name + path.slice(option.length),
          problem: other === undefined
            ? problem
            : problem.replace(/^(needs its (?:private key|certificate)): .*$/s, `$1: give ${other}`)
        }
      }
      return { path, problem }
    })
  })
