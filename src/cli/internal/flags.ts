/**
 * The options that every command has which connects.
 */
import * as Flag from "effect/cli/Flag"
import * as Option from "effect/Option"
import type { ConnectionOptions } from "./source.ts"

export const text = (name: string, metavar: string, description: string): Flag.Flag<string | undefined> =>
  Flag.String(name).pipe(
    Flag.withMetavar(metavar),
    Flag.withDescription(description),
    Flag.optional,
    Flag.map(Option.getOrUndefined)
  )

export const jsonFlag: Flag.Flag<boolean> = Flag.Boolean("json").pipe(
  Flag.withDescription("Print JSON, for programs"),
  Flag.withDefault(false),
  Flag.withoutNegation
)

/** Where the configuration comes from, and what is set on top of it. No secret is among them. */
export const connectionFlags = {
  servers: Flag.String("server").pipe(
    Flag.withAlias("s"),
    Flag.withMetavar("URL"),
    Flag.withDescription("A server, or several separated by commas; without user info"),
    Flag.atLeast(0)
  ),
  config: text("config", "FILE", "A configuration as a JSON file"),
  context: text("context", "NAME", "A context of the nats tool"),
  creds: text("creds", "FILE", "A credentials file"),
  tlsCa: text("tls-ca", "FILE", "Certificates that the server's is verified with"),
  tlsCert: text("tls-cert", "FILE", "The certificate of this client"),
  tlsKey: text("tls-key", "FILE", "The key of this client's certificate"),
  connectTimeout: text("connect-timeout", "TIME", "How long a whole dial may take, such as \"2 seconds\"")
} as const

export type { ConnectionOptions }
