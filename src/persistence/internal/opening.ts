/**
 * What a store stands on, looked at when its layer is built: the installed effect, what the server can do, and the stream or
 * bucket, which is made where there is none and never changed.
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { joinParts, noteEnd, noteOpening, reportEnd } from "../../internal/operations/background.ts"
import { sleep } from "../../internal/operations/sending.ts"
import { type Api, apiOf } from "../../jetstream/internal/api.ts"
import * as Ensuring from "../../jetstream/internal/ensuring.ts"
import { type Feature, supported } from "../../jetstream/internal/level.ts"
import { JetStream } from "../../jetstream/JetStream.ts"
import type {
  ApiError,
  CreateBucketError,
  CreateStreamError,
  UnsupportedByServer
} from "../../jetstream/JetStreamError.ts"
import type { StreamDefinition, StreamInfo } from "../../jetstream/JetStreamStream.ts"
import type { BucketConfig, BucketStatus } from "../../jetstream/KeyValue.ts"
import { type ConnectionClosed, type ConnectionLost, RequestTimedOut } from "../../NatsError.ts"
import type { UnsupportedEffect } from "../NatsPersistenceError.ts"
import { checkEffect } from "./effectVersion.ts"
import { pauseAfter } from "./passing.ts"

/** Takes the stream that is as the definition declares, and makes it where there is none. */
export const ensureStream = (
  definition: StreamDefinition
): Effect.Effect<StreamInfo, CreateStreamError, JetStream> =>
  Effect.flatMap(JetStream, (js) => Ensuring.ensureStream(apiOf(js), definition))

/** Takes the bucket that is as `config` declares, and makes it where there is none. */
export const ensureBucket = (
  bucket: string,
  config: BucketConfig
): Effect.Effect<BucketStatus, CreateBucketError, JetStream> =>
  Effect.flatMap(JetStream, (js) => Ensuring.ensureBucket(apiOf(js), bucket, config))

export interface Opening<A, E> {
  /** The store by its name, for who hears of its end. */
  readonly name: string
  /** What every call needs of the server. */
  readonly needs: ReadonlyArray<Feature>
  readonly open: Effect.Effect<A, E, JetStream | Scope.Scope>
}

type LookError = ApiError | UnsupportedByServer

/** What calls of a store begin with. Where it is open, neither waits. */
export interface Ready<A, E> {
  /**
   * For every call that is like a request: waits no longer than for the answer to one, and not at all where the client is not
   * to wait for a connection.
   */
  readonly inTime: Effect.Effect<A, E | ConnectionClosed | ConnectionLost | RequestTimedOut>
  /** For what waits however long it takes, as who takes of a queue. */
  readonly whenever: Effect.Effect<A, E | ConnectionClosed>
}

/** The server has not said yes or no: it is away, or has no leader. Whether the account has JetStream it has said. */
const undecided: ReadonlySet<string> = new Set(["ConnectionLost", "RequestTimedOut", "JetStreamUnavailable"])

/**
 * Opens what a store stands on. Where the client connects in the background and has no session yet it does not wait: calls do,
 * and what is wrong then is what they fail with, the end of the part, and why the client is not ready. A server that is just
 * not able to answer is no end: it is asked again.
 */
export const opening = Effect.fnUntraced(function*<A, E extends { readonly _tag: string }>(
  { name, needs, open }: Opening<A, E>
): Effect.fn.Return<
  Ready<A, E | LookError>,
  E | LookError | UnsupportedEffect,
  JetStream | Scope.Scope
> {
  yield* checkEffect
  const api = apiOf(yield* JetStream)
  const { connection } = api
  const opened = Effect.andThen(checkServer(api, needs), open)
  if (!connection.isComing) {
    const store = Effect.succeed(yield* opened)
    return { inTime: store, whenever: store }
  }
  const scope = yield* Effect.scope
  const part = yield* joinParts(connection, { kind: "store", name })
  noteOpening(part)
  const ready = Deferred.makeUnsafe<A, E | LookError | ConnectionClosed>()
  // What one that fails has begun ends with it.
  const once = Effect.flatMap(Scope.fork(scope), (own) =>
    Effect.andThen(connection.awaitSession, opened).pipe(
      Scope.provide(own),
      Effect.onError((cause) => Scope.close(own, Exit.failCause(cause)))
    ))
  const tried = (failures: number): Effect.Effect<A, E | LookError | ConnectionClosed, JetStream> =>
    Effect.catchIf(
      once,
      (error) => undecided.has(error._tag),
      () => Effect.andThen(sleep(connection, pauseAfter(failures)), tried(failures + 1))
    )
  yield* tried(0).pipe(
    Effect.onExit((exit) => {
      const isEnd = Exit.isFailure(exit) && !Cause.hasInterruptsOnly(exit.cause)
      if (isEnd) noteEnd(part, exit.cause)
      else part.trouble = undefined
      Deferred.doneUnsafe(ready, exit)
      return isEnd ? reportEnd(part, exit.cause) : Effect.void
    }),
    // One that has not begun could end without a word.
    Effect.forkIn(scope, { startImmediately: true })
  )
  return { inTime: inTime(api, ready), whenever: Deferred.await(ready) }
})

const inTime = <A, E>(
  api: Api,
  ready: Deferred.Deferred<A, E>
): Effect.Effect<A, E | ConnectionClosed | ConnectionLost | RequestTimedOut> =>
  Effect.suspend((): Effect.Effect<A, E | ConnectionClosed | ConnectionLost | RequestTimedOut> => {
    const { connection, timeoutMillis } = api
    const opened = Deferred.await(ready)
    if (Deferred.isDoneUnsafe(ready)) return opened
    if (connection.session === undefined && connection.settings.whileDisconnected === "fail") {
      return Effect.fail(connection.unavailable)
    }
    const late = Effect.suspend(() =>
      Effect.fail(new RequestTimedOut({ subject: `${api.prefix}.INFO`, timeoutMillis }))
    )
    return Effect.raceFirst(opened, Effect.andThen(sleep(connection, timeoutMillis), late))
  })

const checkServer = (api: Api, needs: ReadonlyArray<Feature>): Effect.Effect<void, LookError> =>
  Effect.forEach(needs, (feature) => supported(api, feature), { discard: true })
