/**
 * What can be wrong with a service, and what a call of one can fail with.
 *
 * A service tells its failures by code, as HTTP does. The failures that the schemas of an `RpcGroup` name are sent as
 * they are, with code 422 unless their schema is annotated with another:
 *
 * ```ts
 * import { Schema } from "effect"
 *
 * class OrderNotFound extends Schema.TaggedError<OrderNotFound>()(
 *   "OrderNotFound",
 *   { id: Schema.String },
 *   { natsServiceErrorCode: 404 }
 * ) {
 *   override get message(): string {
 *     return `There is no order ${this.id}.`
 *   }
 * }
 * ```
 *
 * `httpApiStatus` is read where `natsServiceErrorCode` is absent, so that one schema serves HTTP and NATS.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import {
  ConnectionClosed,
  ConnectionLost,
  InvalidHeader,
  InvalidSubject,
  MaxPayloadExceeded,
  MessageDecodeError,
  MessageEncodeError,
  NoResponders,
  PermissionsViolation,
  type RequestError,
  RequestTimedOut,
  ServiceError
} from "../NatsError.ts"

/**
 * A service that cannot be served or called as it is described. Nothing was subscribed or sent.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidService extends Schema.TaggedError<InvalidService>()("InvalidService", {
  /** The service's name as it was given, cut at 128 characters. */
  service: Schema.String,
  /** Which part of the description is wrong. */
  what: Schema.Literals(["name", "version", "endpoint", "subject", "queue", "concurrency"]),
  /** The part as it was given, cut at 128 characters. */
  given: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return `The service ${JSON.stringify(this.service)} cannot be used: its ${this.what} ${
      JSON.stringify(this.given)
    } is invalid: ${this.problem}.`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * What a call can fail with besides the failures that its schema names.
 *
 * `ServiceError` is the service's word: 400 for a payload that it does not understand, 500 for a fault of its own, 503
 * while it stops. `MessageEncodeError` is an input that does not fit the schema, `MessageDecodeError` an answer that does
 * not.
 *
 * @category errors
 * @since 0.1.0
 */
export type CallError = RequestError | MessageEncodeError | MessageDecodeError | ServiceError

/**
 * Whether a failed call has failed by the call itself, and not with a failure that its schema names. It parts the two, so
 * that a service which calls another can pass on what its contract names and decide about the rest at once:
 *
 * ```ts
 * import { Effect } from "effect"
 * import { ServiceError } from "effect-nats/service"
 *
 * const orDie = <A, E, R>(call: Effect.Effect<A, E, R>) =>
 *   Effect.catchIf(call, ServiceError.isCallError, (error) => Effect.die(error))
 * ```
 *
 * @category guards
 * @since 0.1.0
 */
export const isCallError = <E>(error: E): error is E & CallError => callErrors.some((it) => error instanceof it)

// internal

// The type keeps the list as long as the union: one that is missing here does not compile.
const callErrorsByTag: { readonly [Tag in CallError["_tag"]]: abstract new(...args: never) => { readonly _tag: Tag } } =
  {
    ConnectionClosed,
    ConnectionLost,
    InvalidHeader,
    InvalidSubject,
    MaxPayloadExceeded,
    MessageDecodeError,
    MessageEncodeError,
    NoResponders,
    PermissionsViolation,
    RequestTimedOut,
    ServiceError
  }

const callErrors = Object.values(callErrorsByTag)
