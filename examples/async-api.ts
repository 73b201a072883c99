/**
 * Writes the AsyncAPI 3 document of a service, from the contract that serves it.
 *
 *   node examples/async-api.ts
 *
 * Prints:
 *   wrote …orders.asyncapi.json
 *   AsyncAPI 3.0.0: orders 1.0.0
 *   receives orders.get, replies with response or error
 *   receives orders.cancel, replies with response or error
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Effect, FileSystem, Path, Schema } from "effect"
import { AsyncApi } from "effect-nats/service"
import { Rpc, RpcGroup } from "effect/rpc"

class OrderNotFound extends Schema.TaggedError<OrderNotFound>()("OrderNotFound", { id: Schema.String }) {}

const Order = Schema.Struct({ id: Schema.String, total: Schema.Number }).annotate({ identifier: "Order" })

const Orders = RpcGroup.make(
  Rpc.make("get", { payload: { id: Schema.String }, success: Order, error: OrderNotFound }),
  Rpc.make("cancel", {
    payload: { id: Schema.String, reason: Schema.optionalKey(Schema.String) },
    error: OrderNotFound
  })
)

/** The parts of the document that are read below. */
const Read = Schema.fromJsonString(Schema.Struct({
  asyncapi: Schema.String,
  info: Schema.Struct({ title: Schema.String, version: Schema.String }),
  channels: Schema.Record(
    Schema.String,
    Schema.Struct({
      address: Schema.NullOr(Schema.String),
      messages: Schema.Record(Schema.String, Schema.Unknown)
    })
  ),
  operations: Schema.Record(Schema.String, Schema.Struct({ action: Schema.String }))
}))

const program = Effect.gen(function*() {
  const files = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  const document = yield* AsyncApi.make(Orders, {
    name: "orders",
    version: "1.0.0",
    description: "Looks up and cancels orders.",
    servers: { local: "127.0.0.1:4222" }
  })
  const directory = yield* files.makeTempDirectoryScoped()
  const file = paths.join(directory, "orders.asyncapi.json")
  yield* files.writeFileString(file, JSON.stringify(document, undefined, 2))
  yield* Console.log(`wrote ${file}`)

  const { asyncapi, channels, info, operations } = yield* Schema.decodeEffect(Read)(yield* files.readFileString(file))
  yield* Console.log(`AsyncAPI ${asyncapi}: ${info.title} ${info.version}`)
  for (const [name, { action }] of Object.entries(operations)) {
    const replies = Object.keys(channels[`${name}.reply`].messages).join(" or ")
    yield* Console.log(`${action}s ${channels[name].address}, replies with ${replies}`)
  }
}).pipe(Effect.scoped, Effect.provide(NodeServices.layer))

NodeRuntime.runMain(program)
