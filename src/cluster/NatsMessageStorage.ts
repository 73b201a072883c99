/**
 * Effect's `MessageStorage` in a stream of NATS.
 *
 * @since 0.2.0
 */
import { PersistenceError } from "effect/cluster/ClusterError"
import * as MessageStorage from "effect/cluster/MessageStorage"
import type * as Reply from "effect/cluster/Reply"
import * as Snowflake from "effect/cluster/Snowflake"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { quoted } from "../internal/protocol/shown.ts"
import { JetStream } from "../jetstream/JetStream.ts"
import * as JetStreamStream from "../jetstream/JetStreamStream.ts"
import { ensureStream, opening } from "../persistence/internal/opening.ts"
import type { StreamStoreError } from "../persistence/NatsPersistenceError.ts"
import { clusterStream } from "./internal/clusterStream.ts"
import { makeMoves } from "./internal/messageMoves.ts"
import { makeReader } from "./internal/messageReader.ts"
import { inOrder, messageStream, unacknowledged } from "./internal/messageStream.ts"
import { messageSubjects } from "./internal/messageSubjects.ts"
import { inTransaction, PendingExits } from "./internal/messageTransaction.ts"
import { makeWriter } from "./internal/messageWriter.ts"
import { ShardLocks } from "./internal/shardLocks.ts"

/**
 * @category options
 * @since 0.2.0
 */
export interface Options {
  /** Names the cluster. Any text. All its runners and clients have the same. */
  readonly prefix: string
  /** Servers that have the stream. Default: what the stream has, 1 where it is made. */
  readonly replicas?: number | undefined
  /** How long what is processed is kept. Default 7 days. */
  readonly retention?: Duration.Input | "forever" | undefined
}

/**
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
  const js = yield* JetStream
  const locks = yield* Effect.serviceOption(ShardLocks)
  let isReplicated = false
  // One that somebody deletes at this moment is a failure of the first call.
  const looked = JetStreamStream.info(names.definition).pipe(
    Effect.map(({ config }) => {
      isReplicated = config.replicas > 1
    }),
    Effect.catchTag("StreamNotFound", () => Effect.void)
  )
  const ready = yield* opening({
    name: `the messages of ${quoted(options.prefix)}`,
    needs: ["ttl", "expectedSubject", "directBatch", "batch"],
    open: Effect.andThen(ensureStream(names.definition), looked)
  })
  const retention = options.retention ?? Duration.days(7)
  const keepMillis = retention === "forever" ? undefined : Duration.toMillis(Duration.fromInputUnsafe(retention))
  const stream = messageStream({
    js,
    name: names.name,
    subjects: messageSubjects(names),
    isReplicated: () => isReplicated
  })
  const moves = (yield* makeMoves(keepMillis))(stream)
  const reader = makeReader({
    stream,
    fenceOf: (shard) => Option.isSome(locks) ? locks.value.fenceOf(shard) : undefined,
    repair: ({ kind, subject }, sequence, exit) =>
      moves.offer({ subject, kind, sequence, data: undefined, exitMillis: exit.atMillis, extras: [], done: () => {} })
  })
  const writer = makeWriter({
    stream,
    reader,
    moves,
    ttl: keepMillis === undefined ? undefined : keepMillis + 600_000
  })
  const failed = (what: string) => (cause: { readonly message: string }) =>
    new PersistenceError({ cause: new Error(`${what} in ${quoted(names.name)}: ${cause.message}`, { cause }) })
  const during = <A, E extends { readonly message: string }>(what: string, effect: Effect.Effect<A, E>) =>
    Effect.mapError(Effect.andThen(ready, effect), failed(what))
  const saveNow = (reply: Reply.Encoded) =>
    during(`saving a reply to request ${reply.requestId}`, writer.saveReply(reply))
  const storage = yield* MessageStorage.makeEncoded({
    saveEnvelope: (saved) =>
      during(`saving ${saved.envelope._tag} ${saved.envelope.requestId}`, writer.saveEnvelope(saved)),
    saveReply: (reply) =>
      Effect.flatMap(PendingExits, (pending) => {
        if (pending === undefined || reply._tag === "Chunk") return saveNow(reply)
        return Effect.sync(() => {
          pending.push(reply)
        })
      }),
    clearReplies: (request, expected) =>
      during(
        `clearing replies of request ${request}`,
        writer.clearReplies(
          String(request),
          expected?.expectedReplyId === undefined ? undefined : String(expected.expectedReplyId)
        )
      ),
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
    withTransaction: inTransaction(saveNow)
  })
  return {
    ...storage,
    requestIdForPrimaryKey: ({ address, id, tag }) =>
      Effect.map(
        during("reading a primary key", writer.requestOfKey(address, `${tag}/${id}`)),
        (request) => Option.map(Option.fromUndefinedOr(request), Snowflake.Snowflake)
      )
  }
})

/**
 * @category layers
 * @since 0.2.0
 */
export const layer = (
  options: Options
): Layer.Layer<MessageStorage.MessageStorage, StreamStoreError, JetStream> =>
  Layer.effect(MessageStorage.MessageStorage, make(options)).pipe(Layer.provide(Snowflake.layerGenerator))
