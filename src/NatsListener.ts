/**
 * Handlers on subjects that run in the background for as long as a layer lives.
 *
 * It is `NatsClient.subscription` with workers, a start that can be relied on and a stop that loses nothing. What others
 * discover and call by a contract is a service (`effect-nats/service`); typed requests are in `SubjectSchema`; for a loop
 * in the foreground there is `NatsClient.consume`.
 *
 * ```ts
 * import { NodeRuntime } from "@effect/platform-node"
 * import { Effect, Layer } from "effect"
 * import { NatsClient, NatsListener } from "effect-nats"
 *
 * const Orders = NatsListener.layer(
 *   ["orders.created", "orders.changed"],
 *   (message) => Effect.log(message.subject, message.text),
 *   { queue: "orders", concurrency: 8 }
 * )
 *
 * const Greeter = NatsListener.layer(
 *   "greet",
 *   NatsListener.replying((message) => Effect.succeed(`Hello, ${message.text}!`))
 * )
 *
 * const App = Layer.mergeAll(Orders, Greeter).pipe(Layer.provide(NatsClient.layer()))
 *
 * NatsListener.launch(App).pipe(NodeRuntime.runMain)
 * ```
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { badRequest, errorHeaders, internalError } from "./internal/payload/serviceReply.ts"
import { NatsClient, type SubscribeOptions, type Subscription } from "./NatsClient.ts"
import type { PublishError, RespondError, SubscribeError, SubscriptionError } from "./NatsError.ts"
import { MessageDecodeError, ServiceError } from "./NatsError.ts"
import type { NatsMessage } from "./NatsMessage.ts"
import { withMessageSpan } from "./NatsTracing.ts"

/**
 * Handles one message. What it fails with is reported and stops nothing. Its branches can give different effects.
 *
 * @category models
 * @since 0.1.0
 */
export type Handler<Handled extends Effect.Effect<unknown, unknown, unknown>> = (message: NatsMessage) => Handled

/**
 * What answers a message: a text, bytes, or nothing for an empty answer.
 *
 * @category models
 * @since 0.1.0
 */
export type Answer = string | Uint8Array | void

/**
 * @category options
 * @since 0.1.0
 */
export interface Options extends SubscribeOptions {
  /** Messages of each subject that are handled at the same time. Default 1: in order. */
  readonly concurrency?: number | "unbounded" | undefined
  /** How long a stop waits for what was received to be handled, before it interrupts the handlers. Default 10 seconds. */
  readonly drainTimeout?: Duration.Input | undefined
  /** Names the spans of the messages instead of the listener's subject. See `NatsTracing`. */
  readonly subjectTemplate?: string | undefined
}

/**
 * A listener that runs.
 *
 * @category models
 * @since 0.1.0
 */
export interface Listener {
  /**
   * Leaves without losing a message: the server sends no more, what it sent is handled. What is not done within
   * `drainTimeout` is interrupted. Closing the scope does the same. Never fails; a second stop does nothing.
   */
  readonly stop: Effect.Effect<void>
  /**
   * Waits for the end. Succeeds when it was stopped, after `max` messages of each subject, or when the client was closed
   * on purpose. Fails with what ended it otherwise, for all of its subjects: the end of the client, a full buffer, a
   * right that was taken away.
   */
  readonly ended: Effect.Effect<void, SubscriptionError>
}

/**
 * Listens until the scope closes: see `Listener.stop`. Succeeds when the server has the subscriptions, so that what is
 * published afterwards is handled; a reconnect keeps them.
 *
 * A subject that is given twice counts once. A message that two patterns match is handled for each. A handler that fails,
 * dies or throws is logged at level Error with its subject.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <Handled extends Effect.Effect<unknown, unknown, unknown>>(
  subjects: string | ReadonlyArray<string>,
  handler: Handler<Handled>,
  options: Options = {}
): Effect.Effect<Listener, SubscribeError, NatsClient | Scope.Scope | Effect.Services<Handled>> =>
  listen(subjects, handler as Handler<Effect.Effect<unknown, unknown, Effect.Services<Handled>>>, options)

/**
 * Listens for as long as the layer lives: see `make`.
 *
 * A layer cannot fail after it was built. Where the listener ends with a failure, the program ends with it if it was
 * started with `launch`; else it is logged at level Error.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = <Handled extends Effect.Effect<unknown, unknown, unknown>>(
  subjects: string | ReadonlyArray<string>,
  handler: Handler<Handled>,
  options?: Options
): Layer.Layer<never, SubscribeError, NatsClient | Exclude<Effect.Services<Handled>, Scope.Scope>> =>
  Layer.effectDiscard(Effect.gen(function*() {
    const listener = yield* make(subjects, handler, options)
    const failed = yield* Failed
    yield* listener.ended.pipe(
      Effect.catchCause((cause) =>
        failed === undefined
          ? Effect.annotateLogs(Effect.logError("A listener has ended", cause), { subjects })
          : Deferred.failCause(failed, cause)
      ),
      Effect.forkScoped
    )
  }))

/**
 * Builds a layer and keeps it, as `Layer.launch` does, but fails with the first failure of one of its listeners.
 * Interruption, which is what `SIGTERM` does under `NodeRuntime.runMain`, closes the layer: listeners stop as
 * `Listener.stop` says.
 *
 * @category layers
 * @since 0.1.0
 */
export const launch = <ROut, E, RIn>(
  self: Layer.Layer<ROut, E, RIn>
): Effect.Effect<never, E | SubscriptionError, RIn> =>
  Effect.scoped(Effect.gen(function*() {
    const failed = yield* Deferred.make<never, SubscriptionError>()
    yield* Effect.provideService(Layer.build(self), Failed, failed)
    return yield* Deferred.await(failed)
  }))

/**
 * Makes a handler of what a message is answered with: a text, bytes, or nothing for an empty answer.
 *
 * Every request gets one answer. A failure is answered at once, with the headers `Nats-Service-Error` and
 * `Nats-Service-Error-Code`, and is then the handler's own failure: 400 with the path for a `MessageDecodeError`, code and
 * description of a `ServiceError`, 500 without details for any other failure or defect, 503 when the handler was
 * interrupted. A message that asks for no answer is handled all the same. It works with `NatsClient.consume`, too.
 *
 * @category handlers
 * @since 0.1.0
 */
export const replying =
  <Handled extends Effect.Effect<Answer, unknown, unknown>>(handler: Handler<Handled>) =>
  (message: NatsMessage): Effect.Effect<void, Effect.Error<Handled> | RespondError, Effect.Services<Handled>> => {
    const handled: Effect.Effect<Answer, Effect.Error<Handled>, Effect.Services<Handled>> = Effect.suspend(() =>
      handler(message) as Effect.Effect<Answer, Effect.Error<Handled>, Effect.Services<Handled>>
    )
    if (message.reply === undefined) return Effect.asVoid(handled)
    return handled.pipe(
      Effect.flatMap((answer) => message.respond(answer ?? "")),
      Effect.tapCauseIf(
        (cause) => !Cause.hasInterruptsOnly(cause),
        (cause) => Effect.ignore(refuse(message, refusalOf(cause)))
      ),
      // In a fiber of its own: an answer can have to wait for a connection, an interruption must not.
      Effect.onInterrupt(() =>
        Effect.forkDetach(Effect.ignore(refuse(message, [unavailable, "interrupted"])), { startImmediately: true })
      )
    )
  }

/**
 * Publishes an event when a layer is built, and waits until the server has handled it: what the layer listens to is
 * there when the event is seen. Default payload `{}`.
 *
 * The layer fails with `PermissionsViolation` when the user may not publish it, else as `NatsClient.publish` does. The
 * event is not repeated after a reconnect.
 *
 * @category layers
 * @since 0.1.0
 */
export const withStartedEvent: {
  (
    subject: string,
    payload?: string | Uint8Array
  ): <A, E, R>(self: Layer.Layer<A, E, R>) => Layer.Layer<A, E | PublishError, R | Exclude<NatsClient, A>>
  <A, E, R>(
    self: Layer.Layer<A, E, R>,
    subject: string,
    payload?: string | Uint8Array
  ): Layer.Layer<A, E | PublishError, R | Exclude<NatsClient, A>>
} = dual(
  (args) => Layer.isLayer(args[0]),
  <A, E, R>(
    self: Layer.Layer<A, E, R>,
    subject: string,
    payload: string | Uint8Array = "{}"
  ): Layer.Layer<A, E | PublishError, R | Exclude<NatsClient, A>> =>
    Layer.effectDiscard(Effect.flatMap(NatsClient, (nats) => nats.publish(subject, payload, { confirm: true }))).pipe(
      Layer.provideMerge(self)
    )
)

// internal

/** Where listeners tell `launch` of their failure. */
const Failed: Context.Reference<Deferred.Deferred<never, SubscriptionError> | undefined> = Context.Reference<
  Deferred.Deferred<never, SubscriptionError> | undefined
>("effect-nats/NatsListener/Failed", { defaultValue: () => undefined })

const unavailable = 503

const listen = Effect.fnUntraced(function*<R>(
  subjects: string | ReadonlyArray<string>,
  handler: Handler<Effect.Effect<unknown, unknown, R>>,
  options: Options
): Effect.fn.Return<Listener, SubscribeError, NatsClient | Scope.Scope | R> {
  const nats = yield* NatsClient
  const patterns = typeof subjects === "string" ? [subjects] : [...new Set(subjects)]
  const subscriptions = yield* Effect.forEach(
    patterns,
    (pattern) => Effect.map(nats.subscription(pattern, options), (open) => ({ pattern, open })),
    { concurrency: "unbounded" }
  )
  const fiber = yield* Effect.forEach(
    subscriptions,
    ({ open, pattern }) => work(open, guarded(pattern, handler, options), options.concurrency ?? 1),
    { concurrency: "unbounded", discard: true }
  ).pipe(
    // One subject that fails ends the listener; what the others would still receive has nobody to handle it.
    Effect.ensuring(Effect.forEach(subscriptions, ({ open }) => open.unsubscribe, { discard: true })),
    Effect.forkScoped
  )
  const left = Effect.forEach(subscriptions, ({ open }) => open.drain, { concurrency: "unbounded", discard: true })
  const stop = left.pipe(
    Effect.andThen(Fiber.await(fiber)),
    Effect.timeoutOption(options.drainTimeout ?? "10 seconds"),
    Effect.andThen(Fiber.interrupt(fiber))
  )
  yield* Effect.addFinalizer(() => stop)
  return {
    stop,
    // Handlers that a stop could not wait for are interrupted.
    ended: Effect.catchCauseIf(Fiber.join(fiber), Cause.hasInterruptsOnly, () => Effect.void)
  }
})

const work = <R>(
  subscription: Subscription,
  handle: (message: NatsMessage) => Effect.Effect<void, never, R>,
  concurrency: number | "unbounded"
): Effect.Effect<void, SubscriptionError, R> =>
  concurrency === 1
    ? Stream.runForEach(subscription.stream, handle)
    : Stream.runDrain(Stream.mapEffect(subscription.stream, handle, { concurrency, unordered: true }))

const guarded =
  <R>(pattern: string, handler: Handler<Effect.Effect<unknown, unknown, R>>, options: Options) =>
  (message: NatsMessage): Effect.Effect<void, never, R> =>
    Effect.suspend(() => handler(message)).pipe(
      withMessageSpan(message, { subjectTemplate: options.subjectTemplate ?? pattern, queue: options.queue }),
      Effect.asVoid,
      Effect.catchCause((cause) =>
        // A handler that interrupts itself has ended; an interruption of the listener ends it without coming here.
        Cause.hasInterruptsOnly(cause)
          ? Effect.void
          : Effect.annotateLogs(Effect.logError("A message handler failed", cause), { subject: message.subject })
      )
    )

const refusalOf = (cause: Cause.Cause<unknown>): readonly [code: number, description: string] => {
  const found = Cause.findErrorOption(cause)
  if (found._tag === "Some") {
    const error = found.value
    if (error instanceof ServiceError) return [error.code, error.description]
    if (error instanceof MessageDecodeError) {
      return [badRequest, `the payload does not fit${error.path === "" ? "" : ` at ${error.path}`}: ${error.problem}`]
    }
  }
  return [internalError, "internal error"]
}

const refuse = (
  message: NatsMessage,
  [code, description]: readonly [code: number, description: string]
): Effect.Effect<void, RespondError> => message.respond("", { headers: errorHeaders(code, description) })
