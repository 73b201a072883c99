/**
 * Handlers on subjects that run in the background for as long as a layer lives.
 *
 * It is `NatsClient.subscription` with workers, a start that can be relied on and a stop that loses nothing. What others
 * discover and call by a contract is a service (`effect-nats/service`); handlers with schemas are the `layer` and the
 * `respond` of `SubjectSchema` and `RequestSchema`; for a loop in the foreground there is `NatsClient.consume`.
 *
 * ```ts
 * import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
 * import { Effect, Layer } from "effect"
 * import { NatsClient, NatsLayer, NatsListener } from "effect-nats"
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
 * NatsLayer.launch(App).pipe(NodeRuntime.runMain)
 * ```
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { type PartName, watchEnd } from "./internal/operations/background.ts"
import { connectionOf } from "./internal/operations/connectionOf.ts"
import { handle } from "./internal/operations/handling.ts"
import { patternsOf, settingsOf } from "./internal/operations/subscribe.ts"
import { type Answer as Reply, answering, answeringAll } from "./internal/payload/answering.ts"
import { refuseWithoutSchema } from "./internal/payload/serviceReply.ts"
import { isBytes } from "./internal/protocol/kindOf.ts"
import { NatsClient, type SubscribeOptions } from "./NatsClient.ts"
import type { HandleError, PublishError, RespondError, SubscriptionError } from "./NatsError.ts"
import type { Input } from "./NatsHeaders.ts"
import type { NatsMessage } from "./NatsMessage.ts"

/**
 * Handles one message. What it fails with is logged and counted, and stops nothing. Its branches can give different
 * effects.
 *
 * A message that asks for an answer gets the one that the handler sends, and none when it fails: its requester waits for
 * the whole of its timeout then. `replying` makes a handler that answers whatever happens.
 *
 * @category models
 * @since 0.1.0
 */
export type Handler<Handled extends Effect.Effect<unknown, unknown, unknown>> = (message: NatsMessage) => Handled

/**
 * What answers a message: a text, bytes, or nothing for an empty answer; with headers as `{ payload, headers }`.
 *
 * @category models
 * @since 0.1.0
 */
export type Answer =
  | string
  | Uint8Array
  | void
  | { readonly payload?: string | Uint8Array | undefined; readonly headers: Input }

/**
 * How messages are handled in the background.
 *
 * @category options
 * @since 0.2.0
 */
export interface ServeOptions extends SubscribeOptions {
  /**
   * Messages of each subject that are handled at the same time: a whole number above 0, or `"unbounded"`. Anything else is
   * an `InvalidOption`. Default 1: in order.
   */
  readonly concurrency?: number | "unbounded" | undefined
  /**
   * How long a stop waits for what was received to be handled, before it interrupts the handlers. Default, and at most,
   * `drainTimeout` of the client, which the end of a scope shares with the other parts of the client.
   */
  readonly drainTimeout?: Duration.Input | undefined
}

/**
 * @category options
 * @since 0.1.0
 */
export interface Options extends ServeOptions {
  /** Names the spans of the messages instead of the listener's subject. See `NatsTracing`. */
  readonly subjectTemplate?: string | undefined
}

/**
 * A listener that runs, or a typed handler.
 *
 * @category models
 * @since 0.1.0
 */
export interface Listener {
  /**
   * Leaves without losing a message: the server sends no more, what it sent is handled, and the server has the answers.
   * What is not done within `drainTimeout` is interrupted, and a warning tells how many messages no handler had begun.
   * Closing the scope does the same. Never fails; a second stop waits for the first. A handler that stops its own listener
   * does not wait for itself: the stop begins, and the handler goes on.
   */
  readonly stop: Effect.Effect<void>
  /**
   * Waits for the end. Succeeds when it was stopped, after `max` messages of each subject, or when the client was closed
   * on purpose. Fails with what ended it otherwise, for all of its subjects: the end of the client, a full buffer, a
   * right that was taken away. A failure that nobody waits for is logged at level Error.
   */
  readonly ended: Effect.Effect<void, SubscriptionError>
}

/**
 * Listens until the scope closes: see `Listener.stop`. Succeeds when the server has the subscriptions, so that what is
 * published afterwards is handled; a reconnect keeps them.
 *
 * Of a client that connects in the background (`reconnect.onFirstConnect`) it succeeds at once, and subscribes when there is a
 * session: what the server refuses then is its end.
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
): Effect.Effect<Listener, HandleError, NatsClient | Scope.Scope | Effect.Services<Handled>> =>
  listen(subjects, handler as Handler<Effect.Effect<unknown, unknown, Effect.Services<Handled>>>, options)

/**
 * Listens for as long as the layer lives: see `make`.
 *
 * A layer cannot fail after it was built. Where the listener ends with a failure, a program that was started with
 * `NatsLayer.launch` fails with `BackgroundEnded`; else it is logged at level Error.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = <Handled extends Effect.Effect<unknown, unknown, unknown>>(
  subjects: string | ReadonlyArray<string>,
  handler: Handler<Handled>,
  options?: Options
): Layer.Layer<never, HandleError, NatsClient | Exclude<Effect.Services<Handled>, Scope.Scope>> =>
  Layer.effectDiscard(
    Effect.flatMap(make(subjects, handler, options), ({ ended }) => watchEnd(partOf(patternsOf(subjects)), ended))
  )

/**
 * Makes a handler of what a message is answered with: a text, bytes, or nothing for an empty answer, with headers or not.
 *
 * Every request gets one answer. A failure is answered at once, with the headers `Nats-Service-Error` and
 * `Nats-Service-Error-Code`, and is then the handler's own failure:
 * - 400 with the path for a `MessageDecodeError`;
 * - code and description of a `ServiceError`;
 * - the code of an error whose class is annotated with one (`natsServiceErrorCode`, else `httpApiStatus`), with the error
 *   as JSON;
 * - 500 without details for any other failure or defect, and for an answer that cannot be sent: one over `max_payload`,
 *   whose description has the sizes, or with a header that NATS does not allow, or no answer at all;
 * - 503 when the handler was interrupted, and for what a stop of the listener had no time to begin.
 *
 * Give it to the listener as it is, and put what is around handlers inside of it: a function around it is another handler,
 * and what a stop has no time to begin is not answered then. A message that asks for no answer is handled all the same. It
 * works with `NatsClient.consume`, too, but for the messages that no handler had begun.
 *
 * @category handlers
 * @since 0.1.0
 */
export const replying = <Handled extends Effect.Effect<Answer, unknown, unknown>>(
  handler: Handler<Handled>
): (message: NatsMessage) => Effect.Effect<void, Effect.Error<Handled> | RespondError, Effect.Services<Handled>> => {
  const replies = (
    message: NatsMessage
  ): Effect.Effect<void, Effect.Error<Handled> | RespondError, Effect.Services<Handled>> => {
    const handled = Effect.map(
      Effect.suspend(() => handler(message) as Effect.Effect<Answer, Effect.Error<Handled>, Effect.Services<Handled>>),
      toAnswer
    )
    return answering(message, handled, refuseWithoutSchema, { keepsRefused: true }) as Effect.Effect<
      void,
      Effect.Error<Handled> | RespondError,
      Effect.Services<Handled>
    >
  }
  return answeringAll(replies)
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

/** Without types, anything can come here: what is no answer stays what it is, and is refused where it is sent. */
const toAnswer = (answer: Answer): Reply => {
  if (answer === undefined) return { payload: "" }
  if (typeof answer !== "object" || isBytes(answer)) return { payload: answer }
  try {
    const { headers, payload } = answer
    if (payload !== undefined) return { payload, headers }
    if (headers !== undefined) return { payload: "", headers }
  } catch {
    // `null`, a getter that throws, a Proxy.
  }
  return { payload: answer as never }
}

const partOf = (patterns: ReadonlyArray<string>): PartName => ({ kind: "listener", name: patterns.join(", ") })

const listen = <R>(
  subjects: string | ReadonlyArray<string>,
  handler: Handler<Effect.Effect<unknown, unknown, R>>,
  options: Options
): Effect.Effect<Listener, HandleError, NatsClient | Scope.Scope | R> =>
  Effect.flatMap(Effect.all([NatsClient, Effect.scope]), ([nats, scope]) => {
    const patterns = patternsOf(subjects)
    return handle(connectionOf(nats), patterns.map((pattern) => settingsOf(pattern, options)), handler, {
      concurrency: options.concurrency,
      subjectTemplate: options.subjectTemplate,
      drainTimeout: options.drainTimeout,
      part: partOf(patterns)
    }, scope)
  })
