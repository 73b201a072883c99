/**
 * The failures of a call, apart from those that a contract names.
 */
import {
  ConnectionClosed,
  ConnectionLost,
  HeadersNotSupported,
  InvalidHeader,
  InvalidPayload,
  InvalidSubject,
  MaxPayloadExceeded,
  MessageDecodeError,
  MessageEncodeError,
  NoResponders,
  PermissionsViolation,
  type RequestError,
  RequestTimedOut,
  ServiceError,
  SubscriptionLimitExceeded
} from "../../NatsError.ts"

/**
 * What a call can fail with besides the failures that its schema names.
 *
 * `ServiceError` is the service's word: 400 for a payload that it does not understand, 500 for a fault of its own, 503
 * while it stops. `MessageEncodeError` is an input that does not fit the schema, `MessageDecodeError` an answer that does
 * not.
 *
 * @category errors
 * @since 0.2.0
 */
export type CallError = RequestError | MessageEncodeError | MessageDecodeError | ServiceError

/**
 * Whether a failed call has failed by the call itself, and not with a failure that its schema names. It parts the two, so
 * that a service which calls another can pass on what its contract names and decide about the rest at once:
 *
 * ```ts
 * import { Effect } from "effect"
 * import { NatsService } from "effect-nats/service"
 *
 * const orDie = <A, E, R>(call: Effect.Effect<A, E, R>) =>
 *   Effect.catchIf(call, NatsService.isCallError, (error) => Effect.die(error))
 * ```
 *
 * @category guards
 * @since 0.2.0
 */
export const isCallError = <E>(error: E): error is E & CallError => callErrors.some((it) => error instanceof it)

// The type keeps the list as long as the union: one that is missing here does not compile.
const callErrorsByTag: { readonly [Tag in CallError["_tag"]]: abstract new(...args: never) => { readonly _tag: Tag } } =
  {
    ConnectionClosed,
    ConnectionLost,
    HeadersNotSupported,
    InvalidHeader,
    InvalidPayload,
    InvalidSubject,
    MaxPayloadExceeded,
    MessageDecodeError,
    MessageEncodeError,
    NoResponders,
    PermissionsViolation,
    RequestTimedOut,
    ServiceError,
    SubscriptionLimitExceeded
  }

const callErrors = Object.values(callErrorsByTag)
