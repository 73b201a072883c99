/** What users type to have messages handled, and what they hold of a worker. `JetStreamConsumer` has it. */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Schedule from "effect/Schedule"
import type { ProcessError } from "../JetStreamError.ts"
import type { JetStreamMessage } from "../JetStreamMessage.ts"
import type { MessagesOptions } from "./consumingTypes.ts"

/**
 * Handles one message. What it comes to decides what becomes of the message: see `process`. Its branches can give different
 * effects.
 *
 * @category models
 * @since 0.2.0
 */
export type Handler<Handled extends Effect.Effect<unknown, unknown, unknown>> = (message: JetStreamMessage) => Handled

/**
 * What is given up, and where it goes. `maxDeliver` alone does not compile: what is ended without a copy is lost.
 *
 * @category options
 * @since 0.2.0
 */
export type DeadLetterOptions =
  | { readonly deadLetter?: undefined; readonly maxDeliver?: undefined }
  | {
    /**
     * The subject that what is given up is published to, which a stream has to take. The message is ended (`+TERM`) when that
     * stream has its copy. `false`: it is ended without one, after `maxDeliver` deliveries. Left out: it is tried for ever.
     *
     * The copy has the payload and the headers, but for those of the server (`Nats-…`); `Nats-Msg-Id` is
     * `<stream>.<sequence>`, and `Dead-Letter-Stream`, `-Consumer`, `-Sequence`, `-Subject`, `-Deliveries`, `-Time`, `-Error`
     * (the tag of the failure) and `-Message` tell of it. Headers of its own that leave no room for these stay behind; a payload
     * that leaves none, of nearly `max_payload`, is copied without these, and the log alone tells of it. Where the copy cannot be
     * published that is logged at level Error, and the message is tried again later.
     */
    readonly deadLetter: string | false
    /**
     * A failure is the last one when the message has been delivered so often. Deliveries that shutdowns gave back count, too,
     * but never end a message by themselves: it is given up only when its handler has just failed, or, before it is handled,
     * when it was delivered more than ten times beyond this (a handler that kills its process). The server does not tell the
     * one from the other: where stops give back the same message more than ten times, such as with two instances, ten deploys,
     * and a handler that no `drainTimeout` is enough for, take more. Default 5.
     */
    readonly maxDeliver?: number | undefined
  }

/**
 * @category options
 * @since 0.2.0
 */
export interface HandlingOptions extends MessagesOptions {
  /** How many messages are handled at once, at most. Default 1, which keeps the order of what does not fail. */
  readonly concurrency?: number | undefined
  /**
   * How many messages may be with this instance and not handled, those that handlers are busy with included. What waits in it
   * is kept from others meanwhile. Default twice the `concurrency`.
   */
  readonly window?: number | undefined
  /**
   * How long a message waits that could not be handled. No instance remembers how often it was tried: after the third
   * delivery it is the third delay of the schedule. One that ends goes on with its last delay. Its input is the failure, or
   * what the handler died of. Default: a second, doubled with each delivery, a minute at most.
   */
  readonly retry?: Schedule.Schedule<unknown, unknown> | undefined
  /**
   * Whether the server is told in time that a message takes longer (`+WPI`): what handlers are busy with, and what waits behind
   * them. Default `true`: a handler that never ends keeps its message, so give it a time of its own.
   */
  readonly extend?: boolean | undefined
  /**
   * How long a stop waits for running handlers: at most, and by default, the `drainTimeout` of the client. What is not done
   * then is interrupted and given back.
   */
  readonly drainTimeout?: Duration.Input | undefined
  /** Names the spans instead of the consumer's filter: `"orders.{id}.created"`. See `NatsTracing`. */
  readonly subjectTemplate?: string | undefined
}

/**
 * @category options
 * @since 0.2.0
 */
export type ProcessOptions = HandlingOptions & DeadLetterOptions

/**
 * Messages that are handled in the background: see `processScoped`.
 *
 * @category models
 * @since 0.2.0
 */
export interface Worker<E = never> {
  /**
   * Takes no more messages, gives back what no handler has begun, and waits for the running handlers, at most for
   * `drainTimeout`. Never fails. A second one waits for the first; a handler that asks for it does not wait.
   */
  readonly stop: Effect.Effect<void>
  /** Waits for the end. Succeeds after a stop, or when the client was closed on purpose. */
  readonly ended: Effect.Effect<void, ProcessError | E>
}
