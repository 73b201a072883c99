/**
 * Effect's `MessageStorage` in a stream of NATS: the messages of entities that are `Persisted`, and their replies, survive
 * processes and servers. `Sharding`, `ClusterWorkflowEngine`, `DurableClock` and `DurableDeferred` stand on it as they are.
 *
 * ```ts
 * import { Layer } from "effect"
 * import { NatsLayer } from "effect-nats"
 * import { NatsMessageStorage } from "effect-nats/cluster"
 * import { JetStream } from "effect-nats/jetstream"
 *
 * export const Storage = NatsMessageStorage.layer({ prefix: "shop" }).pipe(
 *   Layer.provide(JetStream.layer()),
 *   Layer.provide(NatsLayer.fromEnv())
 * )
 * ```
 *
 * What is promised, and what is not:
 *
 * - A primary key is one request, processed or not, for as long as what is processed is kept (`retention`).
 * - The first exit that is stored for a request is the only one. Beside the locks of `NatsRunnerStorage` of the same `prefix` a
 *   reply is refused as soon as another runner has taken the shard since its request was read: what a stopped process sends
 *   when it goes on is not stored. Beside another `RunnerStorage` the second exit is refused, whoever sends it.
 * - A message has to fit into one message of NATS (`max_payload` of the server, 1 MiB if it does not say otherwise). A request
 *   that does not is a `PersistenceError` for its caller; in place of a reply that does not its caller gets a defect. Both name
 *   the size and the limit, and nothing is tried again.
 * - A transaction holds back exits until it succeeds, and discards them when it fails. What a handler writes elsewhere is not
 *   part of it: `ClusterSchema.WithTransaction` and activities in transactions need effect's SQL storage. This is logged at Info
 *   when the first layer of a process is built whose handlers can begin one, and as a Warning when a transaction begins.
 * - Of acknowledged chunks the last one is kept. A stream of replies that is not acknowledged for as long as `retention` forgets
 *   its chunks.
 *
 * Needs nats-server 2.12.
 *
 * @since 0.2.0
 */
import { PersistenceError } from "effect/cluster/ClusterError"
import * as MessageStorage from "effect/cluster/MessageStorage"
import * as Reply from "effect/cluster/Reply"
import * as Snowflake from "effect/cluster/Snowflake"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { quoted } from "../internal/protocol/shown.ts"
import { lateMeter } from "../internal/telemetry/lateMetrics.ts"
import { apiOf } from "../jetstream/internal/api.ts"
import { JetStream } from "../jetstream/JetStream.ts"
import { InvalidDefinition } from "../jetstream/JetStreamError.ts"
import { ensureStream, opening } from "../persistence/internal/opening.ts"
import { waitThrough } from "../persistence/internal/passing.ts"
import type { StreamStoreError } from "../persistence/NatsPersistenceError.ts"
import { clusterStream } from "./internal/clusterStream.ts"
import { makeLateReplies } from "./internal/lateReplies.ts"
import { makeMoves } from "./internal/messageMoves.ts"
import { makeReader } from "./internal/messageReader.ts"
import { endedBySize, isTooLarge, overLimit } from "./internal/messageSize.ts"
import { inOrder, messageStream, unacknowledged } from "./internal/messageStream.ts"
import { messageSubjects } from "./internal/messageSubjects.ts"
import { inTransaction, noTransactions, PendingExits, tellOfTransactions } from "./internal/messageTransaction.ts"
import { makeWriter } from "./internal/messageWriter.ts"
import { Replicas } from "./internal/replicas.ts"
import { keepRetention, makeRetention } from "./internal/retention.ts"
import { noLocks, ShardLocks } from "./internal/shardLocks.ts"
import { isWorkflow, workflowSubjects } from "./internal/workflowSubjects.ts"

/**
 * @category options
 * @since 0.2.0
 */
export interface Options {
  /** Names the cluster. Any text. All its runners and clients have the same. */
  readonly prefix: string
  /** Servers that have the stream. Default: what the stream has, 1 where it is made. */
  readonly replicas?: number | undefined
  /**
   * How long a request is kept when it is processed, with its replies: so long its primary key finds it, and its caller the
   * reply. An execution of a workflow keeps all that it has stored until it is at its end, however long it sleeps; this begins
   * then, and where the execution is a child, not before its parent is at its end, too. An execution id is free again
   * afterwards, and whoever asks for the result later gets none. Executions are removed in rounds, each 24th of this, from
   * a minute to an hour. At least a second; what is not processed is kept for ever. Default 7 days, which outlives a weekend
   * and fills no disk; `"forever"` keeps all, and grows.
   */
  readonly retention?: Duration.Input | "forever" | undefined
}

/** Exits live longer than what leads to them, so that no request is found whose exit is gone. */
const exitMarginMillis = 10 * 60 * 1_000

const leastRetentionMillis = 1_000

/** `undefined` is for ever. */
const retentionMillis = (retention: Duration.Input | "forever" = "7 days"): number | undefined => {
  if (retention === "forever") return undefined
  const duration = Duration.fromInputUnsafe(retention)
  return Duration.isFinite(duration) ? Duration.toMillis(duration) : undefined
}

/**
 * A storage, and its stream where there is none. A stream that is configured otherwise is left as it is: `StreamExists`. A server
 * before 2.12 is `UnsupportedByServer`. Where the client connects in the background nothing is waited for: calls wait for the first
 * session, no longer than for the answer to a request, and fail with what is wrong.
 *
 * That a stream is given replicas while it is used is noticed within a minute. Until then a replica that is behind may answer a
 * read: start and stop no runner in that minute.
 *
 * Operations fail with `PersistenceError`, whose `cause` says what was tried, in which stream, and has the error of JetStream as
 * its own `cause`. Interrupting one leaves open whether it was stored. Closing the scope leaves entries of processed requests
 * that were to be moved; the next reader moves them.
 *
 * @category constructors
 * @since 0.2.0
 */
export const make = Effect.fnUntraced(function*(
  options: Options
): Effect.fn.Return<
  MessageStorage.MessageStorage["Service"],
  StreamStoreError,
  JetStream | Snowflake.Generator | Scope.Scope
> {
  const names = clusterStream(options)
  const keepMillis = retentionMillis(options.retention)
  if (keepMillis !== undefined && keepMillis < leastRetentionMillis) {
    const problem = "it is at least a second"
    return yield* new InvalidDefinition({ of: "stream", name: names.name, field: "retention", problem })
  }
  const js = yield* JetStream
  const locks = Option.getOrElse(yield* Effect.serviceOption(ShardLocks), () => noLocks)
  const replicas = new Replicas(js, names.name)
  const ready = yield* opening({
    name: `messages of ${names.name}`,
    // What comes latest is first: an error names the version that has all of it.
    needs: ["batch", "ttl", "expectedSubject", "directBatch"],
    open: Effect.map(ensureStream(names.definition), ({ config }) => replicas.note(config))
  })
  yield* Effect.forkScoped(replicas.keeping())
  yield* tellOfTransactions

  const stream = messageStream({
    js,
    name: names.name,
    subjects: messageSubjects(names),
    isReplicated: () => replicas.isReplicated
  })
  /** Executions of workflows need what they have stored until they end, whenever that is. */
  const lifetime = (entity: string | undefined) => entity !== undefined && isWorkflow(entity) ? undefined : keepMillis
  const moves = yield* makeMoves(stream, lifetime)
  const reader = makeReader({
    stream,
    locks,
    repair: ({ kind, subject }, sequence, exit) =>
      moves.offer({ subject, kind, sequence, data: undefined, exitMillis: exit.atMillis, extras: [], done: () => {} })
  })
  const writer = makeWriter({
    stream,
    reader,
    moves,
    locks,
    lifetime: (entity) => {
      const millis = lifetime(entity)
      return millis === undefined ? undefined : millis + exitMarginMillis
    }
  })
  if (keepMillis !== undefined) {
    const { round } = makeRetention({ stream, workflows: workflowSubjects(names), keepMillis })
    yield* Effect.forkScoped(
      keepRetention({ round: Effect.andThen(Effect.orDie(ready.whenever), round) }, keepMillis, names.name)
    )
  }

  // All of it can be done twice.
  const during = <A, E extends { readonly message: string }>(what: string, effect: Effect.Effect<A, E>) =>
    Effect.mapError(Effect.andThen(ready.inTime, waitThrough(apiOf(js), effect)), (cause) =>
      new PersistenceError({
        cause: new Error(`${what} in the stream ${quoted(names.name)}: ${cause.message}`, { cause })
      }))
  const counted = makeLateReplies(
    lateMeter(yield* Effect.context<never>(), "cluster", apiOf(js).connection.settings.metrics)
  )
  const saveNow = (reply: Reply.Encoded) =>
    during(`saving a reply to request ${reply.requestId}`, counted(reply, writer.saveReply(reply)))
  let warned = false
  const warnOnce = Effect.suspend(() => {
    if (warned) return Effect.void
    warned = true
    return Effect.logWarning(noTransactions)
  })
  const commit = inTransaction(saveNow)

  const storage = yield* MessageStorage.makeEncoded({
    saveEnvelope: (saved) =>
      during(
        `saving the ${saved.envelope._tag} of request ${saved.envelope.requestId}`,
        writer.saveEnvelope(saved)
      ),
    saveReply: (reply) =>
      Effect.flatMap(PendingExits, (pending) => {
        if (pending === undefined || reply._tag === "Chunk") return saveNow(reply)
        // Nobody could be told of it once the transaction has succeeded.
        const problem = overLimit(apiOf(js), names.name, reply)
        return during(
          `saving a reply to request ${reply.requestId}`,
          problem === undefined
            ? Effect.sync(() => {
              pending.push(reply)
            })
            : Effect.fail(problem)
        )
      }),
    clearReplies: (request, expected) =>
      Effect.suspend(() =>
        during(
          `clearing the replies to request ${request}`,
          writer.clearReplies(
            String(request),
            expected?.expectedReplyId === undefined ? undefined : String(expected.expectedReplyId)
          )
        )
      ),
    // Replaced below by one that knows the entity.
    requestIdForPrimaryKey: () => Effect.succeedNone,
    repliesFor: (requests) =>
      during("reading replies", Effect.map(stream.replies(requests), (found) => inOrder(found, unacknowledged))),
    repliesForUnfiltered: (requests) =>
      during(
        "reading replies",
        Effect.map(stream.freshReplies(requests), (found) => inOrder(found, (of) => of.chunks))
      ),
    unprocessedMessages: (shards, now, read) => during("reading unprocessed messages", reader.read(shards, now, read)),
    unprocessedMessagesById: (ids, now) => during("reading unprocessed messages", reader.byId(ids.map(String), now)),
    resetRequests: (ids) => Effect.sync(() => reader.resetRequests(ids.map(String))),
    resetAddresses: (addresses) => Effect.sync(() => reader.resetAddresses(addresses)),
    resetShards: (shards) => Effect.sync(() => reader.resetShards(shards)),
    clearAddress: (address) => during("clearing an entity", writer.clearAddress(address)),
    withTransaction: (effect) => Effect.andThen(warnOnce, commit(effect))
  })

  const ended = endedBySize()
  return {
    ...storage,
    saveReply: (reply) => {
      const { id, requestId } = reply.reply
      if (ended.has(requestId)) return Effect.void
      return Effect.catchIf(storage.saveReply(reply), isTooLarge, (error) => {
        const defect = Reply.ReplyWithContext.fromDefect({ id, requestId, defect: error.cause })
        if (reply.reply._tag === "WithExit") return storage.saveReply(defect)
        // Nobody waits for the rest of a stream that has ended.
        ended.add(requestId)
        return Effect.andThen(storage.saveReply(defect), Effect.interrupt)
      })
    },
    requestIdForPrimaryKey: ({ address, id, tag }) =>
      Effect.map(
        during("reading a primary key", writer.requestOfKey(address, `${tag}/${id}`)),
        (request) => Option.map(Option.fromUndefinedOr(request), Snowflake.Snowflake)
      )
  }
})

/**
 * Gives `MessageStorage`: see `make`. Beside `NatsRunnerStorage.layer` of the same prefix, provide that one to this, so that
 * replies of a runner that has lost its shard are refused; `NatsCluster.layer` does.
 *
 * @category layers
 * @since 0.2.0
 */
export const layer = (
  options: Options
): Layer.Layer<MessageStorage.MessageStorage, StreamStoreError, JetStream> =>
  Layer.effect(MessageStorage.MessageStorage, make(options)).pipe(Layer.provide(Snowflake.layerGenerator))
