/**
 * Subjects bound to schemas: events on a template, and a request whose error crosses the wire.
 *
 *   node examples/typed-subjects.ts
 *
 * Prints:
 *   "orders..created" is refused: The subject "orders..created" is invalid (token 2): it is empty.
 *   "7.a b" is one token: orders.7%2Ea%20b.created
 *   order "7.a b" over 12.5 came on orders.7%2Ea%20b.created
 *   a bad message is reported: A message on "orders.8.created" does not fit its schema at total: …
 *   order "9" over 3 came on orders.9.created
 *   stock of "pen": 12
 *   stock of "unicorn": UnknownItem
 *   a question that does not fit: ServiceError: The service on "stock.get" answered with error 400 …
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Layer, Schema, Stream } from "effect"
import { NatsClient, Subject, SubjectSchema } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"

// What both sides share. Nothing is opened here.
const Created = SubjectSchema.make(
  Subject.template("orders.{id}.created"),
  Schema.Struct({ total: Schema.Finite })
)

class UnknownItem extends Schema.TaggedError<UnknownItem>()("UnknownItem", { item: Schema.String }) {}

const GetStock = SubjectSchema.makeRequest("stock.get", {
  payload: Schema.Struct({ item: Schema.NonEmptyString }),
  success: Schema.Int,
  error: UnknownItem
})

const events = Effect.gen(function*() {
  const nats = yield* NatsClient.NatsClient

  // A message that does not fit is reported, and the others go on.
  const { stream } = yield* Created.subscription({
    onInvalid: (error) => Console.log(`a bad message is reported: ${error.message}`)
  })

  // No value of a parameter can add a token or a wildcard.
  const subject = yield* Created.template.build({ id: "7.a b" })
  yield* Console.log(`"7.a b" is one token: ${subject}`)

  yield* Created.publish({ id: "7.a b" }, { total: 12.5 })
  yield* nats.publish("orders.8.created", "{\"total\":\"much\"}")
  yield* Created.publish({ id: "9" }, { total: 3 })

  yield* stream.pipe(
    Stream.take(2),
    Stream.runForEach(({ message, parameters, value }) =>
      Console.log(`order "${parameters.id}" over ${value.total} came on ${message.subject}`)
    )
  )
}).pipe(Effect.scoped)

const stock = new Map([["pen", 12]])

// The handler as a layer: it answers for as long as the layer lives.
const Stock = GetStock.layer(({ item }) =>
  stock.has(item) ? Effect.succeed(stock.get(item)!) : Effect.fail(new UnknownItem({ item }))
)

const requests = Effect.gen(function*() {
  yield* Console.log(`stock of "pen": ${yield* GetStock.request({ item: "pen" })}`)

  yield* GetStock.request({ item: "unicorn" }).pipe(
    Effect.catchTag("UnknownItem", (error) => Console.log(`stock of "${error.item}": ${error._tag}`))
  )

  // Somebody without the schema: the service's answer is an error, for everybody.
  const Careless = SubjectSchema.makeRequest("stock.get", { payload: Schema.String, success: Schema.Int })
  yield* Careless.request("pen").pipe(
    Effect.catchTag(
      "ServiceError",
      (error) => Console.log(`a question that does not fit: ${error._tag}: ${error.message}`)
    )
  )
}).pipe(Effect.provide(Stock))

const program = Effect.gen(function*() {
  // From outside, a subject is checked before it is used. In the program, the compiler checks Subject.literal.
  yield* Subject.make("orders..created").pipe(
    Effect.catchTag("InvalidSubject", (error) => Console.log(`"${error.subject}" is refused: ${error.message}`))
  )
  yield* events
  yield* requests
})

const Nats = Layer.unwrap(
  Effect.map(TestNatsServer.make({}), (server) => NatsClient.layer({ servers: server.url, name: "typed-subjects" }))
)

program.pipe(Effect.provide(Nats), NodeRuntime.runMain)
