/**
 * What a program shows of its connection when it has one.
 */
import * as Effect from "effect/Effect"
import type { NatsClient } from "../../NatsClient.ts"
import type { FlushError } from "../../NatsError.ts"
import type { SessionSettings } from "../config/settings.ts"
import type { Connection } from "../connection/connection.ts"
import { printable } from "../protocol/printable.ts"
import { formatServer } from "../protocol/serverAddress.ts"

/** Nothing in it is longer: all of it stays under two thousand characters. */
const longest = 100

const mostBrokers = 8

const short = (text: string): string => printable(text, longest)

// A server older than 2.10 does not answer, and a user may not be allowed to ask.
const account = (client: NatsClient): Effect.Effect<string> =>
  Effect.map(
    Effect.option(client.request("$SYS.REQ.USER.INFO", undefined, { timeout: "1 second" })),
    (reply) => {
      if (reply._tag === "None") return "unknown"
      try {
        const info: unknown = JSON.parse(reply.value.text)
        const name = (info as { readonly data?: { readonly account?: unknown } } | null)?.data?.account
        return typeof name === "string" ? name : "unknown"
      } catch {
        return "unknown"
      }
    }
  )

/** Those that are listed, and how many more there are. */
const brokersOf = (servers: ReadonlyArray<string>): ReadonlyArray<string> =>
  servers.length <= mostBrokers
    ? servers
    : [...servers.slice(0, mostBrokers), `and ${servers.length - mostBrokers} more`]

/** Prints a frame on a terminal, and writes one structured log line elsewhere. */
export const showBanner = (
  client: NatsClient,
  { name, servers }: SessionSettings,
  connection: Connection
): Effect.Effect<void, FlushError> =>
  Effect.gen(function*() {
    const info = yield* client.serverInfo
    const said = (text: string): string => connection.filter.shown(text, short)
    const fields = {
      id: String(info.client_id ?? "unknown"),
      name: short(name ?? "unnamed"),
      brokers: brokersOf(servers.map((server) => short(formatServer(server)))),
      server: said(`${info.server_name ?? info.server_id} ${info.version}`),
      account: said(yield* account(client)),
      auth: connection.authMethod ?? "Anonymous",
      jetstream: info.jetstream === true
    }
    if (process.stdout.isTTY !== true) return yield* Effect.annotateLogs(Effect.logInfo("Connected to NATS"), fields)
    const rows = Object.entries({
      "client id": fields.id,
      "client name": fields.name,
      brokers: short(fields.brokers.join(", ")),
      server: fields.server,
      account: fields.account,
      auth: fields.auth,
      JetStream: fields.jetstream ? "yes" : "no"
    }).map(([label, value]) => `${`${label}:`.padEnd(12)} ${value}`)
    const title = name === undefined ? "Connected to NATS" : `${fields.name} is connected to NATS`
    const lines = [title, ...rows]
    const width = Math.max(...lines.map((line) => line.length))
    const edge = "═".repeat(width + 2)
    // Loaded here: few programs show it.
    const Console = yield* Effect.promise(() => import("effect/Console"))
    yield* Console.log(
      [`╔${edge}╗`, ...lines.map((line) => `║ ${line.padEnd(width)} ║`), `╚${edge}╝`].join("\n")
    )
  })
