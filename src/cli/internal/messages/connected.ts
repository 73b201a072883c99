/**
 * The connection of a command whose stdout is messages: what it says of itself goes to stderr.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { ConnectError } from "../../../ConnectError.ts"
import type { NatsClient } from "../../../NatsClient.ts"
import type { NatsConfigError } from "../../../NatsConfig.ts"
import { connect, sayConfiguration } from "../connecting.ts"
import type { UsageError } from "../failure.ts"
import { type ConnectionOptions, load, type Source } from "../source.ts"

export interface Connected {
  readonly nats: NatsClient
  readonly source: Source
}

/** Loads the configuration, names it, and connects. A connection that is lost is told, and that it is back. */
export const connected = (
  options: ConnectionOptions
): Effect.Effect<Connected, ConnectError | NatsConfigError | UsageError, Scope.Scope> =>
  Effect.gen(function*() {
    const source = yield* load(options)
    yield* sayConfiguration(source)
    const nats = yield* connect({ ...source, config: { ...source.config, logStatus: true } })
    return { nats, source }
  })

/** One of many, or the only one. */
export const counted = (count: number, one: string): string => `${count} ${one}${count === 1 ? "" : "s"}`
