/** What publishing into streams can fail with: exactly this, no more; and what does not compile. */
// @effect-diagnostics floatingEffect:off
import { type Duration, type Effect, Schedule, type Sink, type Stream } from "effect"
import type { NatsClient, NatsError } from "effect-nats"
import type { JetStream, JetStreamAdvisory, JetStreamError } from "effect-nats/jetstream"
import { holds, type Same } from "./assert.ts"

declare const js: JetStream.JetStream
declare const nats: NatsClient.NatsClient
declare const subject: string
declare const options: JetStream.PublishOptions
declare const messages: Stream.Stream<JetStream.OutgoingMessage, "mine", Duration.Duration>

type ErrorOf<E extends Effect.Effect<unknown, unknown, unknown>> = Effect.Error<E>
type Plain =
  | NatsError.InvalidSubject
  | NatsError.InvalidPayload
  | NatsError.InvalidHeader
  | NatsError.HeadersNotSupported
  | NatsError.MaxPayloadExceeded
  | NatsError.PermissionsViolation
  | NatsError.ConnectionClosed
  | JetStreamError.NotPublished
  | JetStreamError.PublishOutcomeUnknown
  | JetStreamError.InvalidAnswer
  | JetStreamError.NoStreamForSubject
  | JetStreamError.StreamFull
  | JetStreamError.MessageRefused
  | JetStreamError.JetStreamUnavailable
type Expectation = JetStreamError.WrongLastSequence | JetStreamError.WrongLastMessageId | JetStreamError.WrongStream
type Old = JetStreamError.UnsupportedByServer

const plain = js.publish("orders.a")
holds<Same<ErrorOf<typeof plain>, Plain>>()
holds<Same<ErrorOf<typeof plain>, JetStreamError.PublishError>>()
holds<Same<Effect.Success<typeof plain>, JetStream.PubAck>>()
const of = js.publish(subject, "x", { msgId: "7", headers: { a: "b" }, timeout: "1 second" })
holds<Same<ErrorOf<typeof of>, Plain>>()
// Only who expects something can be told that it is not so, and only who asks for a time to live that there is none.
const expecting = js.publish("orders.a", "x", { expect: { lastSubjectSequence: 7 } })
holds<Same<ErrorOf<typeof expecting>, Plain | Expectation>>()
const ofOthers = js.publish("orders.a", "x", { expect: { lastSubjectSequence: 7, forSubject: "orders.*" } })
holds<Same<ErrorOf<typeof ofOthers>, Plain | Expectation | Old>>()
const mortal = js.publish("orders.a", "x", { ttl: "1 minute" })
holds<Same<ErrorOf<typeof mortal>, Plain | Old>>()
const both = js.publish("orders.a", "x", { ttl: "never", expect: { stream: "ORDERS" } })
holds<Same<ErrorOf<typeof both>, Plain | Expectation | Old>>()
const any = js.publish("orders.a", "x", options)
holds<Same<ErrorOf<typeof any>, Plain | Expectation | Old>>()

// A retry without a message id would store the message twice.
js.publish("orders.a", "x", { msgId: "7", retry: Schedule.recurs(3), retryWithin: "1 minute" })
// @ts-expect-error
js.publish("orders.a", "x", { retry: Schedule.recurs(3) })
// @ts-expect-error
js.publish("orders.a", "x", { retryWithin: "1 minute" })
// @ts-expect-error: a wildcard
js.publish("orders.*")
// @ts-expect-error: a blank
js.publish("orders. a")
// @ts-expect-error: an empty token
js.publish("orders..a", "x", { ttl: "1 minute" })
// @ts-expect-error: no text and no bytes
js.publish("orders.a", { id: 7 })
// @ts-expect-error: a sequence is a number
js.publish("orders.a", "x", { expect: { lastSequence: "7" } })

const all = js.publishAll(messages, { inFlight: 10 })
holds<
  Same<
    typeof all,
    Stream.Stream<JetStream.PubAck, Plain | Expectation | Old | "mine", Duration.Duration>
  >
>()
holds<
  Same<
    ReturnType<JetStream.JetStream["sink"]>,
    Sink.Sink<JetStream.PublishSummary, JetStream.OutgoingMessage, never, JetStreamError.SinkStopped>
  >
>()
const batch = js.batch([{ subject: "orders.a" }])
holds<
  Same<
    ErrorOf<typeof batch>,
    Plain | Expectation | Old | JetStreamError.BatchNotAllowed | JetStreamError.BatchRefused
  >
>()
// @ts-expect-error: nothing is no batch
js.batch([])
holds<Same<ErrorOf<typeof js.account>, JetStreamError.ApiError>>()
const advisories = js.advisories({ kinds: ["MaxDeliveries"], stream: "ORDERS" })
holds<
  Same<
    typeof advisories,
    Stream.Stream<JetStreamAdvisory.JetStreamAdvisory, JetStreamError.AdvisoryError>
  >
>()
// @ts-expect-error: no such kind
js.advisories({ kinds: ["MaxDeliver"] })

declare const outgoing: Stream.Stream<NatsClient.OutgoingMessage, "mine", Duration.Duration>
const core = nats.publishAll(outgoing)
holds<Same<typeof core, Effect.Effect<number, NatsError.PublishAllStopped | "mine", Duration.Duration>>>()
holds<Same<typeof nats.sink, Sink.Sink<number, NatsClient.OutgoingMessage, never, NatsError.PublishAllStopped>>>()
