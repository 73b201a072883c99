/**
 * A message as a subscription or a request gives it.
 *
 * A message is a view of the bytes that came from the server: nothing is decoded before it is read. It keeps those bytes
 * (up to 64 KiB around its own) alive, so copy `data` of messages that are kept for long.
 *
 * ```ts
 * import { Effect, Schema, Stream } from "effect"
 * import { NatsClient } from "effect-nats"
 *
 * const Order = Schema.Struct({ id: Schema.String, total: Schema.Number })
 *
 * const program = Effect.gen(function*() {
 *   const nats = yield* NatsClient.NatsClient
 *   yield* nats.subscribe("orders.*").pipe(
 *     Stream.mapEffect((message) => message.decode(Order)),
 *     Stream.runForEach((order) => Effect.log(order.id))
 *   )
 * })
 * ```
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type { MessageDecodeError, RespondError } from "./NatsError.ts"
import type { Input, NatsHeaders } from "./NatsHeaders.ts"

/**
 * @category options
 * @since 0.1.0
 */
export interface RespondOptions {
  readonly headers?: Input | undefined
  /** How long the answer may wait before it is sent: see `timeout` of a publish. */
  readonly timeout?: Duration.Input | undefined
}

/**
 * A received message. All fields are read from the wire's bytes when they are asked for.
 *
 * @category models
 * @since 0.1.0
 */
export interface NatsMessage {
  readonly subject: string
  /** The payload. A view, not a copy. */
  readonly data: Uint8Array
  /** The payload as UTF-8 text. */
  readonly text: string
  /** The headers, empty when there are none. */
  readonly headers: NatsHeaders
  /** Where an answer is expected. */
  readonly reply: string | undefined
  /**
   * The status in the first line of the headers, which messages of the server itself have: 503 nobody answers, 100 a sign of
   * life, 404 nothing there, 408 out of time, 409 ended or refused. `undefined` in what programs send.
   *
   * @since 0.2.0
   */
  readonly status: number | undefined
  /**
   * The words behind the status, such as `No Messages`. `undefined` where there are none.
   *
   * @since 0.2.0
   */
  readonly description: string | undefined
  /** The first value of a header. */
  header(name: string): string | undefined
  /**
   * Publishes to `reply`, on the current session even if the message came on an earlier one. Fails with `InvalidSubject`
   * when the message asks for no reply, else as `publish` does.
   */
  respond(payload?: string | Uint8Array, options?: RespondOptions): Effect.Effect<void, RespondError>
  /** Decodes the payload as JSON with a schema. Fails with `MessageDecodeError`, which names the path, never the payload. */
  decode<S extends Schema.Top>(schema: S): Effect.Effect<S["Type"], MessageDecodeError, S["DecodingServices"]>
}
