/**
 * Looks at services, streams and clients once, and makes the snapshot that the page shows.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { named } from "../../internal/operations/checked.ts"
import { connectionIn } from "../../internal/operations/connectionOf.ts"
import { shownProblem } from "../../internal/protocol/shown.ts"
import type { Options } from "../../jetstream/JetStream.ts"
import { NatsClient } from "../../NatsClient.ts"
import * as NatsHealth from "../../NatsHealth.ts"
import { Asking, patience, Problem } from "./asking.ts"
import { askServices, ofServices } from "./services.ts"
import { ofStreams, streamAsker } from "./streams.ts"
import { type Cell, type Past, type Section, shownSnapshot, type Snapshot, type Table, tableOf } from "./table.ts"

export interface Looked<R> {
  readonly everyMillis: number
  readonly client: NatsClient
  /** Whose states are shown. */
  readonly clients: () => ReadonlyArray<NatsClient>
  readonly jetstream: Options | undefined
  readonly sections: Effect.Effect<ReadonlyArray<Section>, unknown, R>
}

/** One look after the other: each knows the one before. */
export const makeLook = <R>(looked: Looked<R>): Effect.Effect<Snapshot, never, R> => {
  const { client, clients, everyMillis, jetstream, sections } = looked
  const filter = connectionIn(client)?.filter
  const shown = (text: string): string => filter === undefined ? shownProblem(text) : filter.shown(text, shownProblem)
  const asking = new Asking()
  const askStreams = streamAsker(asking, jetstream)
  let before: Past | undefined
  return Effect.gen(function*() {
    const { _tag } = yield* client.state
    // What is asked meanwhile would wait for the connection.
    const whenConnected = <A, R>(part: Effect.Effect<A, never, R>): Effect.Effect<A | Problem, never, R> =>
      _tag === "Connected" ? part : Effect.succeed(new Problem("the client is not connected"))
    const [connections, services, streams, added] = yield* Effect.all([
      Effect.suspend(() => Effect.forEach(named(clients()), connectionOf, { concurrency: "unbounded" })),
      whenConnected(asking.ask("services", askServices)),
      whenConnected(askStreams),
      asking.ask("sections", sections)
    ], { concurrency: "unbounded" }).pipe(Effect.provideService(NatsClient, client))
    const at = Number(yield* Clock.monotonicTimeNanos) / 1e6
    const last = before !== undefined && at - before.at <= longestBetween * everyMillis ? before : undefined
    before = {
      at,
      services: services instanceof Problem ? [] : services,
      stored: new Map(
        streams instanceof Problem ? [] : streams.all.map(({ name, state }) => [name, state.lastSequence])
      )
    }
    const millis = yield* Clock.currentTimeMillis
    const seen = [ofServices(services, last, before, millis), ofStreams(streams, last, at)]
    return shownSnapshot({
      at: millis,
      everyMillis,
      tiles: [
        ...seen.flatMap(({ tiles }) => tiles),
        { title: "Connections", value: connections.filter(([, isReady]) => isReady).length, of: connections.length }
      ],
      tables: [
        ...seen.flatMap(({ tables }) => tables),
        ...sectionTables(added),
        // The last column only where there is a reason.
        tableOf(
          "Connections",
          connections.every(([{ length }]) => length < connectionColumns.length)
            ? connectionColumns.slice(0, -1)
            : connectionColumns,
          connections.map(([row]) => row)
        )
      ]
    }, shown)
  })
}

/** Two looks that are further apart than so many periods are not compared: nobody watched between them. */
const longestBetween = 5

const connectionColumns = [
  { title: "Client" },
  { title: "State", isState: true },
  { title: "Server" },
  { title: "Round trip", unit: "nanos" },
  { title: "Not ready", isTrouble: true }
] as const

const connectionOf = Effect.fnUntraced(function*(
  [client, name]: readonly [NatsClient, string]
): Effect.fn.Return<readonly [row: ReadonlyArray<Cell>, isReady: boolean]> {
  const began = yield* Clock.monotonicTimeNanos
  const { ready, reason, state } = yield* NatsHealth.check(client, { timeout: patience })
  const took = Number((yield* Clock.monotonicTimeNanos) - began)
  const now = yield* client.state
  const row = [name, state, now._tag === "Connected" ? now.server : null, ready ? took : null]
  return [reason === undefined ? row : [...row, reason], ready]
})

const sectionTables = (added: ReadonlyArray<Section> | Problem): ReadonlyArray<Table> =>
  added instanceof Problem
    ? [tableOf("The program", [], [], added)]
    : added.map(({ columns, rows, title }) => tableOf(title, columns.map((title) => ({ title })), rows))
