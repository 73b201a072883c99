/**
 * Effect's `Reactivity` over processes: what one invalidates is invalidated in all that share the subject.
 *
 * It is the one of effect in each process, and a core NATS message of the keys that were invalidated. NATS delivers such a
 * message at most once, so whatever a process may have missed is invalidated, too: after a reconnect everything is, and a
 * process that could not tell the others what it invalidated tells them that everything is, as soon as it is back.
 * It knows of its own connection only: what is lost between servers that lose each other is not told again.
 *
 * ```ts
 * import { Effect, Layer } from "effect"
 * import { Reactivity } from "effect/reactivity"
 * import { NatsClient } from "effect-nats"
 * import { NatsReactivity } from "effect-nats/persistence"
 *
 * const Shared = NatsReactivity.layer({ subject: "shop.invalidated" }).pipe(
 *   Layer.provide(NatsClient.layer({ servers: "nats://127.0.0.1:4222" }))
 * )
 *
 * const program = Effect.succeed("saved").pipe(
 *   Reactivity.mutation({ orders: [1] }),
 *   Effect.provide(Shared)
 * )
 * ```
 *
 * Keys are what effect makes of them: texts, numbers, bigints and booleans by their text, anything else by its hash. A hash that
 * is of one object alone, as that of a function, is of one process alone. It needs no JetStream, and any nats-server.
 *
 * @since 0.2.0
 */
import type * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Reactivity from "effect/reactivity/Reactivity"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { randomToken } from "../internal/identity/randomToken.ts"
import { asPart, joinParts, noteEnd, reportEnd } from "../internal/operations/background.ts"
import { connectionOf } from "../internal/operations/connectionOf.ts"
import { shownName } from "../internal/protocol/shown.ts"
import { invalidSubject } from "../internal/subject/invalid.ts"
import { subjectProblem } from "../internal/subject/rules.ts"
import { NatsClient } from "../NatsClient.ts"
import type { SubscribeError, SubscriptionError } from "../NatsError.ts"
import { checkEffect } from "./internal/effectVersion.ts"
import * as Invalidations from "./internal/invalidations.ts"
import type { UnsupportedEffect } from "./NatsPersistenceError.ts"

/**
 * @category options
 * @since 0.2.0
 */
export interface Options {
  /** Without wildcards. Those who share it share invalidations. Default `"effect.reactivity"`. */
  readonly subject?: string | undefined
}

/**
 * What building it can fail with. `PermissionsViolation`: the user may not subscribe to the subject.
 *
 * @category unions
 * @since 0.2.0
 */
export type ReactivityError = SubscribeError | UnsupportedEffect

/**
 * The service, for as long as the scope; after it, invalidations are of this process alone. Succeeds when the server has the
 * subscription, and where the client connects in the background at once.
 *
 * Nothing fails and nothing waits because there is no connection: an invalidation is done in this process at once, and told to
 * the others when that can be done. What could not be told is logged at Debug, and a publish that is not permitted at Warning.
 * A message that is none of ours is left out, with a warning.
 *
 * @category constructors
 * @since 0.2.0
 */
export const make = (
  options: Options = {}
): Effect.Effect<Reactivity.Reactivity, ReactivityError, NatsClient | Scope.Scope> =>
  Effect.gen(function*() {
    yield* checkEffect
    const { subject = "effect.reactivity" } = options
    const problem = subjectProblem(subject)
    if (problem !== undefined) return yield* invalidSubject("subject", subject, problem)
    const nats = yield* NatsClient
    const connection = connectionOf(nats)
    const local = yield* Reactivity.make
    const scope = yield* Effect.scope
    const runFork = Effect.runForkWith(yield* Effect.context<never>())
    const from = randomToken(8)
    const named = { subject: shownName(subject) }

    /** Whether others may have missed something. */
    let owed = false
    const look = Latch.makeUnsafe(false)

    const everything = (): void => local.invalidateUnsafe(Invalidations.everything)

    const missed = (why: string): Effect.Effect<void> => {
      owed = true
      look.openUnsafe()
      return Effect.annotateLogs(
        Effect.logDebug(`An invalidation was not told to others, which are told to invalidate everything: ${why}`),
        named
      )
    }

    const publish = (message: string): Effect.Effect<void> =>
      Effect.catch(
        nats.publish(subject, message, { confirm: true }),
        (error) => {
          switch (error._tag) {
            case "PermissionsViolation":
              return Effect.annotateLogs(Effect.logWarning("Invalidations are not told to others", error), named)
            case "ConnectionClosed":
              return Effect.void
            default:
              return missed(error.message)
          }
        }
      )

    const tell = (messages: ReadonlyArray<string>): void => {
      const telling = connection.session === undefined
        ? missed("there is no connection")
        : Effect.forEach(messages, publish, { discard: true })
      Fiber.runIn(runFork(telling), scope)
    }

    const tellKeys = (hashes: ReadonlyArray<Invalidations.KeyHash>): void => {
      if (hashes.length > 0) tell(Invalidations.messagesOf(from, new Set(hashes), connection.maxPayload))
    }

    const receive = ({ text }: { readonly text: string }): Effect.Effect<void> =>
      Effect.suspend(() => {
        const message = Invalidations.readMessage(text)
        if (message === undefined) {
          return Effect.annotateLogs(Effect.logWarning("A message is no invalidation, and is left out"), named)
        }
        if (message.from === from) return Effect.void
        if (message.keys === undefined) everything()
        else local.invalidateUnsafe(message.keys.map(Invalidations.keyOf))
        return Effect.void
      })

    const opened = asPart(nats.subscription(subject))
    type Opened = Effect.Success<typeof opened>
    const listen = ({ stream }: Opened): Effect.Effect<void, SubscribeError | SubscriptionError> =>
      Effect.catchTag(
        Stream.runForEach(stream, receive),
        "SlowConsumer",
        () =>
          Effect.scoped(Effect.flatMap(opened, (next) => {
            everything()
            return listen(next)
          }))
      )

    const part = yield* joinParts(connection, { kind: "store", name: `reactivity ${subject}` })
    const ended = (cause: Cause.Cause<unknown>): Effect.Effect<void> => {
      noteEnd(part, cause)
      return reportEnd(part, cause)
    }
    yield* Effect.flatMap(opened, (first) => Effect.forkScoped(Effect.catchCause(listen(first), ended)))

    // After a reconnect messages were missed, on both sides.
    let { sessions } = connection
    const again = Effect.gen(function*() {
      yield* look.await
      look.closeUnsafe()
      if (connection.sessions !== sessions) {
        const now = connection.sessions
        // The subscription is on the server then: what is invalidated from now on comes.
        if ((yield* Effect.exit(nats.flush))._tag === "Failure") {
          if (connection.session !== undefined) look.openUnsafe()
          return
        }
        if (sessions > 0) everything()
        sessions = now
      }
      if (!owed || connection.session === undefined) return
      owed = false
      tell([Invalidations.allMessage(from)])
    })
    yield* Effect.forkScoped(
      Stream.runForEach(nats.status, (event) =>
        event._tag === "Connected" ? Effect.sync(() => look.openUnsafe()) : Effect.void)
    )
    yield* Effect.forkScoped(Effect.repeat(again, {
      while: () =>
        connection.ended === undefined
    }))

    const invalidateUnsafe: Reactivity.Reactivity["invalidateUnsafe"] = (keys) => {
      local.invalidateUnsafe(keys)
      tellKeys(Invalidations.hashesOf(keys))
    }
    const invalidate: Reactivity.Reactivity["invalidate"] = (keys) =>
      Effect.withFiber((fiber) => {
        const batch = fiber.getRef(Batch)
        if (batch === undefined) {
          invalidateUnsafe(keys)
          return Effect.void
        }
        batch.push(...Invalidations.hashesOf(keys))
        return local.invalidate(keys)
      })

    return Reactivity.Reactivity.of({
      ...local,
      invalidateUnsafe,
      invalidate,
      registerUnsafe: (keys, handler) => local.registerUnsafe(Invalidations.withEverything(keys), handler),
      mutation: (keys, effect) => Effect.tap(effect, invalidate(keys)),
      query: (keys, effect) => local.query(Invalidations.withEverything(keys), effect),
      stream: (keys, effect) => local.stream(Invalidations.withEverything(keys), effect),
      withBatch: (effect) =>
        Effect.suspend(() => {
          const batch: Array<Invalidations.KeyHash> = []
          return local.withBatch(Effect.provideService(effect, Batch, batch)).pipe(
            Effect.onExit(() => Effect.sync(() => tellKeys(batch)))
          )
        })
    })
  })

/**
 * `make` as a layer.
 *
 * @category layers
 * @since 0.2.0
 */
export const layer = (options?: Options): Layer.Layer<Reactivity.Reactivity, ReactivityError, NatsClient> =>
  Layer.effect(Reactivity.Reactivity, make(options))

// internal

/** What is invalidated where several invalidations are told together. */
const Batch: Context.Reference<Array<Invalidations.KeyHash> | undefined> = Context.Reference<
  Array<Invalidations.KeyHash> | undefined
>("effect-nats/NatsReactivity/Batch", { defaultValue: () => undefined })
