/**
 * Options that several commands have: what they read, and those of a connection.
 */
import * as Flag from "effect/cli/Flag"
import type * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import { readTime } from "./amounts.ts"
import type { ConnectionOptions } from "./source.ts"

export const textFlag = (name: string, metavar: string, description: string): Flag.Flag<string | undefined> =>
  Flag.String(name).pipe(
    Flag.withMetavar(metavar),
    Flag.withDescription(description),
    Flag.optional,
    Flag.map(Option.getOrUndefined)
  )

/** A time, such as `2s` or `500 millis`. */
export const timeFlag = (name: string, description: string): Flag.Flag<Duration.Duration | undefined> =>
  Flag.String(name).pipe(
    Flag.withMetavar("TIME"),
    Flag.withDescription(description),
    Flag.filterMap(readTime, () => "a time such as \"500ms\", \"2s\" or \"5 minutes\", at most 24 days"),
    Flag.optional,
    Flag.map(Option.getOrUndefined)
  )

const most = 999_999_999

export const countFlag = (name: string, description: string): Flag.Flag<number | undefined> =>
  Flag.Int(name).pipe(
    Flag.withMetavar("N"),
    Flag.withDescription(description),
    Flag.filter((count) => count >= 1 && count <= most, () => `a whole number from 1 to ${most}`),
    Flag.optional,
    Flag.map(Option.getOrUndefined)
  )

export const switchFlag = (name: string, description: string): Flag.Flag<boolean> =>
  Flag.Boolean(name).pipe(Flag.withDescription(description), Flag.withDefault(false), Flag.withoutNegation)

export const jsonFlag: Flag.Flag<boolean> = switchFlag("json", "Print JSON, for programs")

/** Where the configuration comes from, and what is set on top of it. No secret is among them. */
export const connectionFlags = {
  servers: Flag.String("server").pipe(
    Flag.withAlias("s"),
    Flag.withMetavar("URL"),
    Flag.withDescription("A server, or several separated by commas; without user info"),
    Flag.atLeast(0)
  ),
  config: textFlag("config", "FILE", "A configuration as a JSON file"),
  context: textFlag("context", "NAME", "A context of the nats tool"),
  creds: textFlag("creds", "FILE", "A credentials file"),
  tlsCa: textFlag("tls-ca", "FILE", "Certificates that the server's is verified with"),
  tlsCert: textFlag("tls-cert", "FILE", "The certificate of this client"),
  tlsKey: textFlag("tls-key", "FILE", "The key of this client's certificate"),
  connectTimeout: textFlag("connect-timeout", "TIME", "How long a whole dial may take, such as \"2s\" or \"2 seconds\"")
} as const

export type { ConnectionOptions }
