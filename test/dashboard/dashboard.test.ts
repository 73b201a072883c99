/** What the events of the dashboard have, of services, streams and clients of a real server. */
import { assert, it } from "@effect/vitest"
import { Effect, Exit, Layer, Schema, Scope } from "effect"
import { NatsClient } from "effect-nats"
import { NatsService } from "effect-nats/service"
import { TestNatsServer } from "effect-nats/testing"
import { Rpc, RpcGroup } from "effect/rpc"
import { readFileSync } from "node:fs"
import { serveDashboard, watch } from "../fixtures/dashboard.ts"
import { until } from "../fixtures/following.ts"
import { withJetStream } from "../fixtures/jetStream.ts"

class Gone extends Schema.TaggedError<Gone>()("Gone", {}) {
  override get message(): string {
    return "gone"
  }
}

const Shop = RpcGroup.make(
  Rpc.make("price", { payload: { sku: Schema.String }, success: Schema.Int, error: Gone })
)

const serve = Effect.fnUntraced(function*(nats: NatsClient.NatsClient) {
  const scope = yield* Effect.flatMap(Effect.scope, Scope.fork)
  const handlers = Shop.toLayer({ price: ({ sku }) => sku === "none" ? Effect.fail(new Gone()) : Effect.succeed(3) })
  const service = NatsService.layer(Shop, { name: "shop", version: "1.2.0" }).pipe(Layer.provide(handlers))
  yield* Layer.build(Layer.fresh(service)).pipe(
    Effect.provideService(NatsClient.NatsClient, nats),
    Scope.provide(scope)
  )
  return { stop: Scope.close(scope, Exit.void) }
})

it.live("a snapshot comes at once, and the next ones in their period", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make()
    const nats = yield* NatsClient.make({ servers: server.url, name: "watched" })
    const url = yield* serveDashboard(nats, { every: "1 hour" })
    const first = yield* watch(`${url}/dashboard/events`)
    yield* first.more(1)
    assert.strictEqual(first.last.everyMillis, 3_600_000)
    assert.closeTo(first.last.at, Date.now(), 60_000)
    // Who comes later does not wait for the next one.
    const second = yield* watch(`${url}/dashboard/events`)
    yield* second.more(1)
    assert.deepStrictEqual(second.last, first.last)
    const quick = yield* watch(`${yield* serveDashboard(nats)}/dashboard/events`)
    yield* quick.more(3)
  }).pipe(Effect.scoped))

it.live("a period that would ask all the time, or never, is a defect", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make()
    const nats = yield* NatsClient.make({ servers: server.url })
    for (const every of ["99 millis", "Infinity"] as const) {
      const exit = yield* Effect.exit(serveDashboard(nats, { every }))
      assert.isTrue(Exit.hasDies(exit))
      assert.match(String(exit), /`every` must be at least 100 milliseconds/)
    }
  }).pipe(Effect.scoped))

it.live("services have their instances, requests and errors, in all and per second, and come and go", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make()
    const nats = yield* NatsClient.make({ servers: server.url })
    const watching = yield* watch(`${yield* serveDashboard(nats)}/dashboard/events`)
    yield* watching.more(1)
    assert.deepStrictEqual(watching.rows("Services"), [])
    assert.isUndefined(watching.table("Services").problem)
    assert.deepStrictEqual([watching.tile("Services"), watching.tile("Instances")], [0, 0])

    const one = yield* serve(nats)
    const two = yield* serve(nats)
    yield* watching.shows(() => watching.rows("Instances").length === 2)
    assert.deepInclude(watching.rows("Services")[0], {
      Service: "shop",
      Endpoint: "price",
      Instances: 2,
      Requests: 0,
      Errors: 0
    })
    assert.deepStrictEqual(watching.rows("Instances").map(({ Version }) => Version), ["1.2.0", "1.2.0"])
    assert.deepStrictEqual([watching.tile("Services"), watching.tile("Instances")], [1, 2])

    const client = yield* Effect.provideService(
      NatsService.client(Shop, { name: "shop" }),
      NatsClient.NatsClient,
      nats
    )
    const seen = watching.snapshots.length
    yield* Effect.forEach(Array.from({ length: 20 }), () => client.price({ sku: "pen" }), { concurrency: 20 })
    yield* Effect.forEach(Array.from({ length: 5 }), () => Effect.ignore(client.price({ sku: "none" })))
    yield* watching.shows(() => watching.rows("Services")[0]?.["Requests"] === 25)
    assert.strictEqual(watching.rows("Services")[0]["Errors"], 5)
    // What was counted between two looks, by the time between them, adds up to what was asked.
    yield* watching.more(2)
    const rates = watching.snapshots.slice(seen - 1).flatMap(({ at, tables }, index, all) => {
      const row = tables.find(({ title }) => title === "Services")!.rows[0]
      return index === 0 ? [] : [{ seconds: (at - all[index - 1].at) / 1000, row }]
    })
    const total = (column: number) => rates.reduce((sum, { row, seconds }) => sum + Number(row[column]) * seconds, 0)
    assert.closeTo(total(3), 25, 2.5)
    assert.closeTo(total(4), 5, 1)
    assert.deepStrictEqual([watching.tile("Requests/s"), watching.tile("Errors/s")], [0, 0])
    assert.isTrue(rates.some(({ row }) => Number(row.at(-1)) > 0), "the time of a request")

    yield* one.stop
    yield* watching.shows(() => watching.rows("Instances").length === 1)
    assert.isTrue(watching.rows("Services").every((row) => Number(row["Requests/s"]) >= 0))
    // One that takes its place has counted nothing, and no rate is below 0 for it.
    yield* serve(nats)
    yield* two.stop
    const from = watching.snapshots.length
    yield* watching.shows(() => watching.rows("Services")[0]?.["Requests"] === 0)
    for (const { tables, tiles } of watching.snapshots.slice(from)) {
      for (const { rows, title } of tables) {
        if (title === "Services") assert.isTrue(rows.every((row) => Number(row[3]) >= 0 && Number(row[4]) >= 0))
      }
      assert.isTrue(tiles.every(({ value }) => value === null || value >= 0))
    }
  }).pipe(Effect.scoped))

it.live("streams have their messages, and consumers their lag, which goes up and down", () =>
  Effect.gen(function*() {
    const { js, nats } = yield* withJetStream()
    const api = (name: string, body: object) => nats.request(`$JS.API.${name}`, JSON.stringify(body))
    const watching = yield* watch(`${yield* serveDashboard(nats)}/dashboard/events`)
    yield* watching.more(1)
    assert.deepStrictEqual([watching.rows("Streams"), watching.rows("Consumers")], [[], []])
    assert.strictEqual(watching.tile("Lag"), 0)

    yield* api("STREAM.CREATE.ORDERS", { name: "ORDERS", subjects: ["orders.>"], storage: "memory" })
    yield* api("CONSUMER.DURABLE.CREATE.ORDERS.billing", {
      stream_name: "ORDERS",
      config: { durable_name: "billing", ack_policy: "explicit" }
    })
    yield* watching.shows(() => watching.rows("Consumers").length === 1)
    for (let i = 0; i < 30; i++) yield* js.publish("orders.created", "{}")
    yield* watching.shows(() => watching.rows("Consumers")[0]?.["Lag"] === 30)
    const [stream] = watching.rows("Streams")
    assert.deepInclude(stream, { Stream: "ORDERS", Messages: 30, Consumers: 1 })
    assert.isAbove(Number(stream["Bytes"]), 30)
    assert.strictEqual(watching.tile("Lag"), 30)
    assert.isTrue(
      watching.snapshots.some(({ tables }) =>
        tables.some(({ rows, title }) => title === "Streams" && rows.some((row) => Number(row[3]) > 0))
      ),
      "some of them stored per second"
    )

    yield* nats.subscription("taken")
    yield* nats.publish("$JS.API.CONSUMER.MSG.NEXT.ORDERS.billing", JSON.stringify({ batch: 10, no_wait: true }), {
      reply: "taken"
    })
    yield* watching.shows(() => watching.rows("Consumers")[0]?.["Lag"] === 20)
    assert.deepInclude(watching.rows("Consumers")[0], {
      Stream: "ORDERS",
      Consumer: "billing",
      Unacknowledged: 10,
      Redelivered: 0
    })
    yield* api("STREAM.PURGE.ORDERS", {})
    yield* watching.shows(() => watching.rows("Consumers")[0]?.["Lag"] === 0)
    yield* api("STREAM.DELETE.ORDERS", {})
    yield* watching.shows(() => watching.rows("Streams").length === 0)
    assert.isTrue(watching.snapshots.every(({ tables }) => tables.every(({ problem }) => problem === undefined)))
  }).pipe(Effect.scoped))

it.live("a server without JetStream is told as one, and JetStream that comes later is found", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make()
    const nats = yield* NatsClient.make({ servers: server.url, reconnect: { initialDelay: "10 millis" } })
    yield* serve(nats)
    const watching = yield* watch(`${yield* serveDashboard(nats)}/dashboard/events`)
    yield* watching.more(1)
    assert.match(watching.table("Streams").problem!, /^This account has no JetStream: /)
    assert.isUndefined(watching.last.tables.find(({ title }) => title === "Consumers"))
    assert.isNull(watching.tile("Lag"))
    assert.strictEqual(watching.rows("Instances").length, 1)
    yield* server.reload({ jetstream: true })
    yield* watching.shows(() => watching.table("Streams").problem === undefined)
    assert.strictEqual(watching.tile("Lag"), 0)
  }).pipe(Effect.scoped))

it.live("what the client may not ask is told in its place, asked seldom, and takes nothing from the rest", () =>
  Effect.gen(function*() {
    const denied = ["$SRV.>", "$JS.API.CONSUMER.LIST.SECRET"]
    const server = yield* TestNatsServer.make({
      jetstream: true,
      users: [
        { user: "admin", password: "p" },
        { user: "u", password: "p", permissions: { publish: { deny: denied }, subscribe: [">"] } }
      ]
    })
    const admin = yield* NatsClient.make({ servers: server.url, auth: { user: "admin", password: "p" } })
    for (const name of ["OPEN", "SECRET"]) {
      const api = (request: string, body: object) => admin.request(`$JS.API.${request}`, JSON.stringify(body))
      yield* api(`STREAM.CREATE.${name}`, { name, storage: "memory" })
      yield* api(`CONSUMER.DURABLE.CREATE.${name}.c`, {
        stream_name: name,
        config: { durable_name: "c", ack_policy: "explicit" }
      })
    }
    const nats = yield* NatsClient.make({ servers: server.url, auth: { user: "u", password: "p" } })
    const watching = yield* watch(`${yield* serveDashboard(nats)}/dashboard/events`)
    yield* watching.more(5)
    assert.match(watching.table("Services").problem!, /\$SRV\.STATS/)
    // It would say that there are none.
    assert.isUndefined(watching.last.tables.find(({ title }) => title === "Instances"))
    assert.match(watching.table("Consumers").problem!, /\$JS\.API\.CONSUMER\.LIST\.SECRET/)
    assert.deepStrictEqual(watching.rows("Streams").map(({ Stream }) => Stream), ["OPEN", "SECRET"])
    assert.deepStrictEqual(watching.rows("Consumers").map(({ Stream }) => Stream), ["OPEN"])
    assert.deepInclude(watching.rows("Connections")[0], { State: "Connected" })
    const refusals = (yield* server.logs).filter((line) => line.includes("Publish Violation"))
    assert.strictEqual(refusals.length, 2)
  }).pipe(Effect.scoped))

it.live("everything is there with the rights that docs/dashboard.md names, and no others", () =>
  Effect.gen(function*() {
    const publish = ["$SRV.STATS", "$JS.API.INFO", "$JS.API.STREAM.LIST", "$JS.API.CONSUMER.LIST.*"]
    const server = yield* TestNatsServer.make({
      jetstream: true,
      users: [
        { user: "admin", password: "p" },
        { user: "u", password: "p", permissions: { publish, subscribe: ["_INBOX.>"] } }
      ]
    })
    const admin = yield* NatsClient.make({ servers: server.url, auth: { user: "admin", password: "p" } })
    yield* serve(admin)
    yield* admin.request("$JS.API.STREAM.CREATE.S", JSON.stringify({ name: "S", storage: "memory" }))
    yield* admin.request(
      "$JS.API.CONSUMER.DURABLE.CREATE.S.c",
      JSON.stringify({ stream_name: "S", config: { durable_name: "c", ack_policy: "explicit" } })
    )
    const nats = yield* NatsClient.make({ servers: server.url, auth: { user: "u", password: "p" } })
    const watching = yield* watch(`${yield* serveDashboard(nats)}/dashboard/events`)
    yield* watching.more(2)
    assert.deepStrictEqual(watching.last.tables.map(({ problem, rows, title }) => [title, rows.length, problem]), [
      ["Services", 1, undefined],
      ["Instances", 1, undefined],
      ["Streams", 1, undefined],
      ["Consumers", 1, undefined],
      ["Connections", 1, undefined]
    ])
    const told = yield* Effect.sync(() => readFileSync(new URL("../../docs/dashboard.md", import.meta.url), "utf8"))
    for (const subject of [...publish, "_INBOX.>"]) assert.include(told, `\`${subject}\``)
  }).pipe(Effect.scoped))

it.live("a stream of a cluster has its leader, and how many of its replicas are current", () =>
  Effect.gen(function*() {
    const servers = yield* TestNatsServer.cluster(3, { jetstream: true })
    const nats = yield* NatsClient.make({ servers: servers[0].url })
    const body = JSON.stringify({ name: "S", subjects: ["s"], num_replicas: 3 })
    // The leader of a new cluster refuses replicas until it has the numbers of all peers, and answers nothing before its election.
    yield* until(Effect.match(nats.request("$JS.API.STREAM.CREATE.S", body), {
      onSuccess: ({ text }) => !text.includes("\"error\""),
      onFailure: () => false
    }))
    const watching = yield* watch(`${yield* serveDashboard(nats)}/dashboard/events`)
    yield* watching.shows(() => watching.rows("Streams")[0]?.["Replicas"] === "2 of 2 current")
    const { Leader } = watching.rows("Streams")[0]
    const names = yield* Effect.forEach(servers, ({ monitor }) => monitor("/varz"))
    assert.include(names.map((each) => (each as { readonly server_name: string }).server_name), Leader)
    assert.strictEqual(watching.rows("Streams")[0]["Behind"], 0)
  }).pipe(Effect.scoped), 60_000)
