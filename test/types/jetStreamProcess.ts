/** What handling the messages of a consumer needs, can fail with, and does not take. */
// @effect-diagnostics floatingEffect:off
import { Effect, type FileSystem, type Layer, Schema, type Stream } from "effect"
import { type NatsError, Subject, SubjectSchema } from "effect-nats"
import {
  type JetStream,
  JetStreamConsumer,
  type JetStreamError,
  JetStreamSchema,
  JetStreamStream
} from "effect-nats/jetstream"
import { holds, type Same } from "./assert.ts"

class Missing extends Schema.TaggedError<Missing>()("Missing", {}) {}

declare const needs: Effect.Effect<string, Missing, FileSystem.FileSystem>
declare const at: { readonly stream: string; readonly consumer: string }

// What the handler fails with is nobody's failure but the message's; what it needs is needed.
const handled = JetStreamConsumer.process(at, () => needs)
holds<
  Same<typeof handled, Effect.Effect<void, JetStreamError.ProcessError, JetStream.JetStream | FileSystem.FileSystem>>
>()
const layer = JetStreamConsumer.processLayer(at, (message) => message.text === "" ? needs : Effect.fail("no"))
holds<
  Same<typeof layer, Layer.Layer<never, JetStreamError.ProcessError, JetStream.JetStream | FileSystem.FileSystem>>
>()

// By a definition it can fail as provisioning does.
const Worker = JetStreamConsumer.make(JetStreamStream.make("ORDERS", { subjects: ["orders.>"] }), "worker")
const declared = JetStreamConsumer.process(Worker, () => Effect.void)
holds<Same<Effect.Error<typeof declared>, JetStreamError.ProcessError | JetStreamError.ProvisionError>>()

// What is given up goes somewhere.
JetStreamConsumer.process(at, () => Effect.void, { deadLetter: "dead.orders", maxDeliver: 3 })
JetStreamConsumer.process(at, () => Effect.void, { deadLetter: false, maxDeliver: 3 })
// @ts-expect-error it does not say where
JetStreamConsumer.process(at, () => Effect.void, { maxDeliver: 3 })
// @ts-expect-error what is not handled is kept from others, and has a bound
JetStreamConsumer.process(at, () => Effect.void, { concurrency: "unbounded" })

// Typed
const Placed = SubjectSchema.make(Subject.template("orders.{id}.placed"), Schema.NumberFromString)

const ack = JetStreamSchema.publish(Placed, { id: "7" }, 7, { msgId: "7" })
holds<Same<Effect.Error<typeof ack>, JetStreamError.PublishError | NatsError.MessageEncodeError>>()
const expected = JetStreamSchema.publish(Placed, { id: "7" }, 7, { expect: { lastSequence: 1 } })
holds<
  Same<Extract<Effect.Error<typeof expected>, JetStreamError.WrongLastSequence>, JetStreamError.WrongLastSequence>
>()
// @ts-expect-error the parameter is missing
JetStreamSchema.publish(Placed, {}, 7)
// @ts-expect-error the value is another
JetStreamSchema.publish(Placed, { id: "7" }, "7")

const values = JetStreamSchema.messages(Placed, at)
holds<Same<Stream.Success<typeof values>, JetStreamSchema.Received<number, { readonly id: string }>>>()

JetStreamSchema.process(Placed, Worker, ({ parameters, value }) => Effect.log(parameters.id, value.toFixed(2)), {
  onInvalid: "deadLetter",
  deadLetter: "dead.orders"
})
JetStreamSchema.process(Placed, at, () => Effect.void, { onInvalid: (error) => Effect.log(error.path) })
// @ts-expect-error there is no dead letter
JetStreamSchema.process(Placed, at, () => Effect.void, { onInvalid: "deadLetter" })

JetStreamSchema.ordered(Placed, { stream: "ORDERS", headersOnly: false })
// @ts-expect-error there is no value without a payload
JetStreamSchema.ordered(Placed, { stream: "ORDERS", headersOnly: true })
