/**
 * Streams and consumers of the account, as tables.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { JetStream, make, type Options } from "../../jetstream/JetStream.ts"
import * as JetStreamConsumer from "../../jetstream/JetStreamConsumer.ts"
import type { ApiError, InvalidName } from "../../jetstream/JetStreamError.ts"
import * as JetStreamStream from "../../jetstream/JetStreamStream.ts"
import type { NatsClient } from "../../NatsClient.ts"
import { Collect } from "../../NatsMetrics.ts"
import { type Asking, patience, Problem } from "./asking.ts"
import { type Cell, type Column, type Past, type Seen, sum, tableOf } from "./table.ts"

interface Streams {
  readonly all: ReadonlyArray<JetStreamStream.StreamInfo>
  readonly consumers: ReadonlyArray<JetStreamConsumer.ConsumerInfo>
  /** Why consumers are missing. */
  readonly problem: Problem | undefined
}

/** Each of so many streams is asked for its consumers. */
const mostStreams = 100

const byName = (one: { readonly name: string }, other: { readonly name: string }): number =>
  one.name < other.name ? -1 : one.name > other.name ? 1 : 0

/** JetStream is looked for until it is there. */
export const streamAsker = (
  asking: Asking,
  options: Options | undefined
): Effect.Effect<Streams | Problem, never, NatsClient> => {
  let known: JetStream | undefined
  const jetStream: Effect.Effect<JetStream, ApiError | InvalidName, NatsClient> = Effect.suspend(() =>
    known !== undefined ? Effect.succeed(known) : Effect.map(
      // It publishes nothing that would count.
      Effect.provideService(make({ timeout: patience, ...options }), Collect, "nothing"),
      (js) => (known = js)
    )
  )
  const list = Effect.flatMap(
    jetStream,
    (js) => Effect.provideService(Stream.runCollect(JetStreamStream.list()), JetStream, js)
  )
  return Effect.gen(function*() {
    const found = yield* asking.ask("streams", list)
    if (found instanceof Problem) return found
    const all = found.toSorted(byName)
    const js = yield* Effect.orDie(jetStream)
    const answers = yield* Effect.forEach(
      all.filter(({ state }) => state.consumers > 0).slice(0, mostStreams),
      ({ name }) =>
        asking.ask(
          `consumers of ${name}`,
          Stream.runCollect(JetStreamConsumer.list(name)).pipe(
            // It was deleted meanwhile.
            Effect.catchTag("StreamNotFound", () => Effect.succeed([])),
            Effect.provideService(JetStream, js)
          )
        ),
      { concurrency: 8 }
    )
    return {
      all,
      consumers: answers.flatMap((each) => each instanceof Problem ? [] : each.toSorted(byName)),
      problem: answers.find((each) => each instanceof Problem)
    }
  })
}

const streamColumns: ReadonlyArray<Column> = [
  { title: "Stream" },
  { title: "Messages" },
  { title: "Bytes", unit: "bytes" },
  { title: "Stored/s", unit: "rate", isDrawn: true },
  { title: "Consumers" }
]

const clusterColumns: ReadonlyArray<Column> = [{ title: "Leader" }, { title: "Replicas" }, {
  title: "Behind",
  isTrouble: true
}]

const consumerColumns: ReadonlyArray<Column> = [
  { title: "Stream" },
  { title: "Consumer" },
  { title: "Lag", isDrawn: true },
  { title: "Unacknowledged" },
  { title: "Redelivered", isTrouble: true },
  { title: "Waiting pulls" }
]

const clusterCells = ({ cluster }: JetStreamStream.StreamInfo): ReadonlyArray<Cell> => {
  if (cluster === undefined) return [null, null, null]
  const { leader = null, replicas } = cluster
  const current = replicas.filter(({ isCurrent, isOffline }) => isCurrent && !isOffline).length
  return [leader, `${current} of ${replicas.length} current`, sum(replicas.map(({ lag }) => lag))]
}

export const ofStreams = (found: Streams | Problem, before: Past | undefined, at: number): Seen => {
  if (found instanceof Problem) {
    return { tiles: [{ title: "Lag", value: null }], tables: [tableOf("Streams", [], [], found)] }
  }
  const { all, consumers, problem } = found
  const isClustered = all.some(({ cluster }) => cluster !== undefined)
  const storedPerSecond = ({ name, state }: JetStreamStream.StreamInfo): number | null => {
    const last = before?.stored.get(name)
    // One that is smaller is of another stream of the name.
    return before === undefined || last === undefined || last > state.lastSequence
      ? null
      : (state.lastSequence - last) * 1000 / (at - before.at)
  }
  return {
    tiles: [{ title: "Lag", isDrawn: true, value: sum(consumers.map(({ pending }) => pending)) }],
    tables: [
      tableOf(
        "Streams",
        isClustered ? [...streamColumns, ...clusterColumns] : streamColumns,
        all.map((stream) => {
          const { bytes, consumers, messages } = stream.state
          const cells: ReadonlyArray<Cell> = [stream.name, messages, bytes, storedPerSecond(stream), consumers]
          return isClustered ? cells.concat(clusterCells(stream)) : cells
        })
      ),
      tableOf(
        "Consumers",
        consumerColumns,
        consumers.map((
          each
        ) => [each.stream, each.name, each.pending, each.ackPending, each.redelivered, each.waiting]),
        problem
      )
    ]
  }
}
