/** What each operation can fail with: exactly this, no more. */
import type { Clock, Duration, Effect, Scope, Stream } from "effect"
import { Schema } from "effect"
import type { ConnectError } from "effect-nats"
import { type NatsClient, type NatsError, type NatsMessage, type NatsStatus } from "effect-nats"
import { holds, type Same } from "./assert.ts"

declare const nats: NatsClient.NatsClient
declare const message: NatsMessage.NatsMessage
declare const confirm: boolean

type ErrorOf<E extends Effect.Effect<unknown, unknown, unknown>> = Effect.Error<E>
type Unconfirmed =
  | NatsError.InvalidSubject
  | NatsError.InvalidPayload
  | NatsError.InvalidHeader
  | NatsError.HeadersNotSupported
  | NatsError.MaxPayloadExceeded
  | NatsError.ConnectionLost
  | NatsError.ConnectionClosed

const plain = nats.publish("a", "b")
holds<Same<ErrorOf<typeof plain>, Unconfirmed>>()
const withHeaders = nats.publish("a", new Uint8Array(1), { headers: { a: "b" }, reply: "c" })
holds<Same<ErrorOf<typeof withHeaders>, Unconfirmed>>()
const explicitlyNot = nats.publish("a", "b", { confirm: false })
holds<Same<ErrorOf<typeof explicitlyNot>, Unconfirmed>>()
// Only a publish that waits for the server's word can be told that it was refused.
const confirmed = nats.publish("a", "b", { confirm: true })
holds<Same<ErrorOf<typeof confirmed>, NatsError.PermissionsViolation | Unconfirmed>>()
holds<Same<ErrorOf<typeof confirmed>, NatsError.PublishError>>()
const perhaps = nats.publish("a", "b", { confirm })
holds<Same<ErrorOf<typeof perhaps>, NatsError.PublishError>>()
holds<Same<Effect.Success<typeof confirmed>, void>>()

const request = nats.request("a", "b", { timeout: "1 second" })
holds<
  Same<
    ErrorOf<typeof request>,
    | NatsError.PermissionsViolation
    | NatsError.SubscriptionLimitExceeded
    | NatsError.NoResponders
    | NatsError.RequestTimedOut
    | Unconfirmed
  >
>()
holds<Same<Effect.Success<typeof request>, NatsMessage.NatsMessage>>()

const many = nats.requestMany("a", "b", { count: 2, stall: "1 second" })
holds<
  Same<
    Stream.Error<typeof many>,
    | NatsError.PermissionsViolation
    | NatsError.SubscriptionLimitExceeded
    | NatsError.NoResponders
    | NatsError.SlowConsumer
    | Unconfirmed
  >
>()

type CannotSubscribe =
  | NatsError.InvalidSubject
  | NatsError.PermissionsViolation
  | NatsError.SubscriptionLimitExceeded
  | NatsError.ConnectionLost
  | NatsError.ConnectionClosed
type CannotReceive =
  | NatsError.PermissionsViolation
  | NatsError.SubscriptionLimitExceeded
  | NatsError.ConnectionClosed
  | NatsError.SlowConsumer

const subscription = nats.subscription("a", { queue: "q", capacity: 1, overflow: "dropOldest" })
holds<Same<ErrorOf<typeof subscription>, CannotSubscribe>>()
holds<Same<Effect.Services<typeof subscription>, Scope.Scope>>()
holds<Same<NatsClient.Subscription["stream"], Stream.Stream<NatsMessage.NatsMessage, CannotReceive>>>()
holds<Same<NatsClient.Subscription["unsubscribe"], Effect.Effect<void>>>()
holds<Same<NatsClient.Subscription["dropped"], Effect.Effect<number>>>()

const stream = nats.subscribe("a")
holds<Same<Stream.Error<typeof stream>, CannotSubscribe | CannotReceive>>()
holds<Same<Stream.Services<typeof stream>, never>>()

// A handler's own failures are counted, not passed on; what it needs, `consume` needs.
declare const handler: (message: NatsMessage.NatsMessage) => Effect.Effect<number, "sold out", Clock.Clock>
const consuming = nats.consume("a", handler, { concurrency: 8, queue: "q" })
holds<
  Same<typeof consuming, Effect.Effect<void, CannotSubscribe | NatsError.InvalidOption | CannotReceive, Clock.Clock>>
>()

// Whether to try again is told by each member of each union.
holds<Same<NatsError.PublishError["isRetryable"], boolean>>()
holds<Same<(NatsError.RequestManyError | NatsError.RequestError)["isRetryable"], boolean>>()
holds<Same<(NatsError.SubscribeError | NatsError.SubscriptionError)["isRetryable"], boolean>>()
holds<Same<ConnectError.ConnectError["isRetryable"], boolean>>()

type Broken = NatsError.ConnectionLost | NatsError.ConnectionClosed
holds<Same<NatsClient.NatsClient["flush"], Effect.Effect<void, Broken>>>()
holds<Same<NatsClient.NatsClient["rtt"], Effect.Effect<Duration.Duration, Broken>>>()
holds<Same<NatsClient.NatsClient["closed"], Effect.Effect<void, NatsError.ConnectionClosed>>>()
holds<Same<NatsClient.NatsClient["reconnect"], Effect.Effect<void, NatsError.ConnectionClosed>>>()
// Before the first session it waits as an operation does.
holds<Same<NatsClient.NatsClient["serverInfo"], Effect.Effect<NatsClient.ServerInfo, Broken>>>()
// These cannot fail.
holds<Same<NatsClient.NatsClient["drain"], Effect.Effect<void>>>()
holds<Same<NatsClient.NatsClient["inbox"], Effect.Effect<string>>>()
holds<Same<NatsClient.NatsClient["status"], Stream.Stream<NatsStatus.StatusEvent>>>()
holds<Same<NatsClient.NatsClient["state"], Effect.Effect<NatsStatus.ConnectionState>>>()
holds<Same<NatsClient.NatsClient["stats"], Effect.Effect<NatsClient.Stats>>>()

const Order = Schema.Struct({ id: Schema.String, at: Schema.DateTimeUtcFromString })
const decoded = message.decode(Order)
holds<Same<Effect.Success<typeof decoded>, typeof Order.Type>>()
holds<Same<ErrorOf<typeof decoded>, NatsError.MessageDecodeError>>()
holds<Same<Effect.Services<typeof decoded>, never>>()

// What ended a connection is the typed error itself.
holds<Same<NatsError.ConnectionLost["reason"], ConnectError.ConnectError>>()
holds<Same<NatsStatus.Disconnected["reason"], ConnectError.ConnectError>>()
holds<Same<NatsError.ConnectionClosed["reason"], ConnectError.ConnectError | undefined>>()
