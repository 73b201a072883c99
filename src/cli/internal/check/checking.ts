/**
 * One server, from its name to JetStream.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { formatServer } from "../../../internal/protocol/serverAddress.ts"
import { DialTracing } from "../../../internal/wire/dialTracing.ts"
import type { NatsConfig, Server } from "../../../NatsConfig.ts"
import { connect } from "../connecting.ts"
import type { Source } from "../source.ts"
import { ask, Budget } from "./asking.ts"
import { dialStages } from "./dialStages.ts"
import { Recording, type Stage } from "./stages.ts"

export interface ServerReport {
  readonly server: string
  readonly stages: ReadonlyArray<Stage>
  /** How long all of it took, in milliseconds. */
  readonly millis: number
}

/** How long a client that asks nothing any more may take to leave. */
const leaving = Duration.millis(200)

/** A dial of this server alone, and no other one after it. */
const configFor = (config: NatsConfig, server: Server): NatsConfig => ({
  ...config,
  servers: [server],
  discoverServers: false,
  reconnect: false,
  whileDisconnected: "fail",
  drainTimeout: leaving,
  logStatus: false
})

/** What all questions together may take, in milliseconds. */
const longestAsking = 4000

/** What is left for questions after a dial that has taken all of its time. */
const shortestAsking = 500

/**
 * Until when a server has answered everything: a quick dial leaves all the time to questions, and a slow one the rest of
 * what the slowest dial and a moment take. So a server takes less than `connectTimeout` and a second, or 6 seconds.
 */
const askedUntil = (recording: Recording, connected: number, { connectTimeout }: NatsConfig): number => {
  const whole = Math.max(5000, Duration.toMillis(connectTimeout)) + shortestAsking
  return Math.min(connected + longestAsking, recording.began + whole)
}

/** Dials a server, asks it what it is asked, and leaves. Never fails: what fails is a stage of the report. */
export const checkServer = (source: Source, server: Server): Effect.Effect<ServerReport> =>
  Effect.gen(function*() {
    const recording = new Recording()
    const connected = connect({ ...source, config: configFor(source.config, server) }).pipe(
      Effect.provideService(DialTracing, recording),
      Effect.exit
    )
    const stages = yield* Effect.scoped(Effect.gen(function*() {
      const exit = yield* connected
      const ended = performance.now()
      const now = yield* Clock.currentTimeMillis
      const dialled = { recording, server, ended, now }
      if (Exit.isFailure(exit)) {
        const error = Cause.findErrorOption(exit.cause)
        if (error._tag === "None") return yield* Effect.failCause(exit.cause as Cause.Cause<never>)
        return dialStages({ ...dialled, error: error.value })
      }
      const budget = new Budget(askedUntil(recording, ended, source.config))
      const asking = { client: exit.value, source, server: formatServer(server), budget }
      return [...dialStages({ ...dialled, error: undefined }), ...(yield* ask(asking))]
    }))
    return { server: formatServer(server), stages, millis: performance.now() - recording.began }
  })
