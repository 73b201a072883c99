/**
 * Run your nats.js library on it: `@nats-io/jetstream` and `@nats-io/kv` on a connection over an effect-nats client. The
 * password is rotated and the server restarted under them; reconnects and credentials are the client's.
 *
 *   node examples/nats-js-libraries.ts
 *
 * Prints:
 *   stored 1: order 1
 *   handled order 1
 *   config limit = 10
 *   dial 2 with the password of autumn
 *   status: disconnect, reconnecting, reconnect
 *   handled order 2
 *   config limit = 20
 *   published while the server is away: stored 3
 *   handled order 3
 *   what nats.js throws: JetStreamNotEnabled, RequestError, NoResponders, and in it the client's NoResponders
 *   closed with its scope
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { AckPolicy, jetstream, jetstreamManager } from "@nats-io/jetstream"
import { Kvm } from "@nats-io/kv"
import { Console, Deferred, Effect, Queue, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { NatsConnection } from "effect-nats/compat"
import { TestNatsServer } from "effect-nats/testing"

const users = (password: string) => ({ jetstream: true, users: [{ user: "john", password }] })

const program = Effect.gen(function*() {
  const server = yield* TestNatsServer.make(users("spring"))
  let password = "spring"
  let dials = 0
  const nats = yield* NatsClient.make({
    servers: server.url,
    // As from a vault: asked before every dial.
    auth: Effect.sync(() => {
      dials++
      return { user: "john", password }
    }),
    reconnect: { initialDelay: "20 millis" }
  })
  const closed = yield* Deferred.make<void | Error>()

  yield* Effect.gen(function*() {
    const nc = yield* NatsConnection.make
    void nc.closed().then((error) => Deferred.doneUnsafe(closed, Effect.succeed(error)))

    // What follows is nats.js as it is written without Effect.
    const js = jetstream(nc)
    const handled = yield* Queue.unbounded<string>()
    const changed = yield* Queue.unbounded<string>()
    const kv = yield* Effect.promise(async () => {
      const jsm = await jetstreamManager(nc)
      await jsm.streams.add({ name: "ORDERS", subjects: ["orders.>"] })
      await jsm.consumers.add("ORDERS", { durable_name: "worker", ack_policy: AckPolicy.Explicit })
      const worker = await js.consumers.get("ORDERS", "worker")
      await worker.consume({
        expires: 2000,
        callback: (message) => {
          message.ack()
          Queue.offerUnsafe(handled, message.string())
        }
      })
      const kv = await new Kvm(nc).create("config")
      const watch = await kv.watch()
      void (async () => {
        for await (const entry of watch) Queue.offerUnsafe(changed, `${entry.key} = ${entry.string()}`)
      })()
      return kv
    })
    const showHandled = Effect.flatMap(Queue.take(handled), (text) => Console.log(`handled ${text}`))
    const showChanged = Effect.flatMap(Queue.take(changed), (text) => Console.log(`config ${text}`))

    const first = yield* Effect.promise(() => js.publish("orders.new", "order 1"))
    yield* Console.log(`stored ${first.seq}: order 1`)
    yield* showHandled
    yield* Effect.promise(() => kv.put("limit", "10"))
    yield* showChanged

    // The password changes: the server drops who has the old one, and the client is back with the new one.
    const statuses: Array<string> = []
    const status = nc.status()
    const again = (async () => {
      for await (const { type } of status) {
        if (/connect/.test(type)) statuses.push(type)
        if (type === "reconnect") return
      }
    })()
    password = "autumn"
    yield* server.reload(users("autumn"))
    yield* Effect.promise(() => again)
    yield* Console.log(`dial ${dials} with the password of ${password}`)
    yield* Console.log(`status: ${statuses.join(", ")}`)
    yield* Effect.promise(() => js.publish("orders.new", "order 2"))
    yield* showHandled
    yield* Effect.promise(() => kv.put("limit", "20"))
    yield* showChanged

    // A publish while there is no server waits, and is stored when there is one.
    yield* server.stop
    yield* nats.status.pipe(Stream.takeUntil((event) => event._tag !== "Connected"), Stream.runDrain)
    const publishing = js.publish("orders.new", "order 3", { timeout: 20_000 })
    yield* server.restart
    const third = yield* Effect.promise(() => publishing)
    yield* Console.log(`published while the server is away: stored ${third.seq}`)
    yield* showHandled

    // Errors are those of nats.js, and the last cause is the client's.
    const error = yield* Effect.promise(() => js.publish("nothing.takes.this", "").catch((error: unknown) => error))
    const causes: Array<Error> = []
    for (let each: unknown = error; each instanceof Error; each = each.cause) causes.push(each)
    const last = causes.pop()
    yield* Console.log(
      `what nats.js throws: ${causes.map(({ name }) => name).join(", ")}, and in it the client's ${last?.name}`
    )
  }).pipe(Effect.scoped, Effect.provideService(NatsClient.NatsClient, nats))

  const error = yield* Deferred.await(closed)
  yield* Console.log(error === undefined ? "closed with its scope" : `closed: ${error.message}`)
}).pipe(Effect.scoped)

NodeRuntime.runMain(program)
