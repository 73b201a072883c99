/**
 * What a store stands on, looked at when its layer is built: the installed effect, what the server can do, and the stream or
 * bucket, which is made where there is none and never changed.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { reportEnd } from "../../internal/operations/background.ts"
import { connectionOf } from "../../internal/operations/connectionOf.ts"
import { type Api, apiOf } from "../../jetstream/internal/api.ts"
import { type Feature, supported } from "../../jetstream/internal/level.ts"
import { JetStream } from "../../jetstream/JetStream.ts"
import type {
  ApiError,
  CreateBucketError,
  CreateStreamError,
  UnsupportedByServer
} from "../../jetstream/JetStreamError.ts"
import * as JetStreamStream from "../../jetstream/JetStreamStream.ts"
import * as KeyValue from "../../jetstream/KeyValue.ts"
import type { ConnectionClosed } from "../../NatsError.ts"
import type { UnsupportedEffect } from "../NatsPersistenceError.ts"
import { checkEffect } from "./effectVersion.ts"

/** Makes the stream where there is none. One that is there is taken if it is as the definition declares. */
export const ensureStream = (
  definition: JetStreamStream.StreamDefinition
): Effect.Effect<void, CreateStreamError, JetStream> =>
  Effect.asVoid(JetStreamStream.create(definition)).pipe(
    // Where it differs in what is not declared, it is what is declared.
    Effect.catchTag("StreamExists", (error) => error.differences.length === 0 ? Effect.void : Effect.fail(error))
  )

/** Makes the bucket where there is none. One that is there is taken if it is as `config` declares. */
export const ensureBucket = (
  bucket: string,
  config: KeyValue.BucketConfig
): Effect.Effect<KeyValue.KeyValue, CreateBucketError, JetStream> =>
  KeyValue.create(bucket, config).pipe(
    Effect.catchTag(
      "BucketExists",
      (error): Effect.Effect<KeyValue.KeyValue, CreateBucketError, JetStream> =>
        error.differences.length === 0 ? KeyValue.open(bucket) : Effect.fail(error)
    )
  )

export interface Opening<A, E> {
  /** The store by its name, for who hears of its end. */
  readonly name: string
  /** What every call needs of the server. */
  readonly needs: ReadonlyArray<Feature>
  readonly open: Effect.Effect<A, E, JetStream | Scope.Scope>
}

type LookError = ApiError | UnsupportedByServer

/**
 * Opens what a store stands on, and gives it as what every call begins with. Where the client connects in the background and
 * has no session yet it does not wait: calls do, and what is wrong then is what they fail with, and the end of the part.
 */
export const opening = Effect.fnUntraced(function*<A, E>(
  { name, needs, open }: Opening<A, E>
): Effect.fn.Return<
  Effect.Effect<A, E | LookError | ConnectionClosed>,
  E | LookError | UnsupportedEffect,
  JetStream | Scope.Scope
> {
  yield* checkEffect
  const api = apiOf(yield* JetStream)
  const opened = Effect.andThen(checkServer(api, needs), open)
  const connection = connectionOf(api.nats)
  if (!connection.isComing) return Effect.succeed(yield* opened)
  const scope = yield* Effect.scope
  const ready = yield* Deferred.make<A, E | LookError | ConnectionClosed>()
  yield* Effect.andThen(connection.awaitSession, opened).pipe(
    Effect.tapCause((cause) => reportEnd({ kind: "store", name }, cause)),
    Effect.exit,
    Effect.flatMap((exit) => Deferred.done(ready, exit)),
    Effect.forkIn(scope)
  )
  return Deferred.await(ready)
})

const checkServer = (api: Api, needs: ReadonlyArray<Feature>): Effect.Effect<void, LookError> =>
  Effect.forEach(needs, (feature) => supported(api, feature), { discard: true })
