/**
 * A message of a stream as a consumer gives it: a `NatsMessage` that knows where it comes from and is acknowledged.
 *
 * Each delivery is settled once, by `ack`, `nak` or `term`. Until then, and for as long as `ack_wait` of its consumer lasts,
 * no other reader gets it; `inProgress` begins that time anew. All of it is read from the wire's bytes when it is asked for.
 *
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { JetStreamConsumer } from "effect-nats/jetstream"
 *
 * const program = JetStreamConsumer.messages({ stream: "ORDERS", consumer: "billing" }).pipe(
 *   Stream.runForEach((message) => Effect.andThen(Effect.log(message.subject, message.sequence), message.ack))
 * )
 * ```
 *
 * @since 0.2.0
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type { PermissionsViolation } from "../NatsError.ts"
import type { NatsMessage } from "../NatsMessage.ts"
import type { AckError, AckUnconfirmed } from "./JetStreamError.ts"

/**
 * @category models
 * @since 0.2.0
 */
export interface JetStreamMessage extends NatsMessage {
  readonly stream: string
  readonly consumer: string
  /** The JetStream domain that it comes from, where there is one. */
  readonly domain: string | undefined
  /** Its sequence in the stream. */
  readonly sequence: number
  /** Which one it is of all that the consumer has delivered. */
  readonly consumerSequence: number
  /**
   * How often it was delivered, with this time. It counts from 1 again where a server lost its memory (`kill -9`): tell a
   * message that comes twice by its `sequence`.
   */
  readonly deliveries: number
  /** Messages that the consumer had not delivered yet when it delivered this one. */
  readonly pending: number
  /** When the server stored it, in nanoseconds since 1970: they do not fit a number. */
  readonly timestampNanos: bigint
  /** The same in milliseconds. */
  readonly timestampMillis: number
  /**
   * It is done, and is not delivered again. Sent with what is sent next, and not confirmed: when the server dies before it
   * has it, the message comes again.
   *
   * Without a session it waits for the next one, at most until `ack_wait` is over: then `AckLate`. Interruption leaves the
   * message unsettled. Fails with `AlreadySettled` from the second time on, with `AckNotExpected` where the consumer takes
   * none, with `ConnectionClosed` when the client has ended.
   */
  readonly ack: Effect.Effect<void, AckError>
  /**
   * As `ack`, and waits until the server says that it has it, at most for `timeout` of `JetStream.layer`. Where that fails
   * with `AckUnconfirmed` it can be done again.
   */
  readonly ackConfirmed: Effect.Effect<void, AckError | AckUnconfirmed | PermissionsViolation>
  /** It takes longer: `ack_wait` begins anew, now. As often as needed. Fails as `ack` does. */
  readonly inProgress: Effect.Effect<void, AckError>
  /** It is not done, and is delivered again, to anybody: at once, or after `delay`. Fails as `ack` does. */
  nak(delay?: Duration.Input): Effect.Effect<void, AckError>
  /**
   * It cannot be done, and is not delivered again. Servers from 2.11 on have `reason` in the advisory that they publish of it.
   * Fails as `ack` does.
   */
  term(reason?: string): Effect.Effect<void, AckError>
}
