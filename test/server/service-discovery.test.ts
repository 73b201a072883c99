/**
 * `$SRV.PING`, `$SRV.INFO`, `$SRV.STATS` as ADR-32 has them: asked by raw requests, by the services library of nats.js,
 * and by `ServiceDiscovery`, which asks services of that library too.
 */
import { assert, it } from "@effect/vitest"
import { Svcm } from "@nats-io/services"
import { connect as connectNatsJs } from "@nats-io/transport-node"
import { Effect, Fiber, Layer, Logger, Schema, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { NatsService, ServiceDiscovery } from "effect-nats/service"
import { TestNatsServer } from "effect-nats/testing"
import { Rpc, RpcGroup } from "effect/rpc"
import { TestClock } from "effect/testing"
import { until } from "../fixtures/following.ts"
import { order, OrderNotFound, Orders } from "../fixtures/orders.ts"

const connect = Effect.flatMap(TestNatsServer.TestNatsServer, (server) => NatsClient.make({ servers: server.url }))

const client = Layer.effect(NatsClient.NatsClient, connect)

const handlers = Orders.toLayer({
  get: ({ id }) => id === "0" ? Effect.fail(new OrderNotFound({ id })) : Effect.succeed(order(id)),
  total: ({ items }) => Effect.succeed(items.length),
  since: ({ from }) => Effect.succeed(from),
  ping: () => Effect.void
})

const serve = (name: string, options?: Partial<NatsService.Options>) =>
  Effect.flatMap(connect, (nats) =>
    NatsService.make(Orders, { name, version: "1.0.0", ...options }).pipe(
      Effect.provide(handlers),
      Effect.provideService(NatsClient.NatsClient, nats)
    ))

/** The nats.js services API on a connection of its own. */
const natsJs = Effect.gen(function*() {
  const { url } = yield* TestNatsServer.TestNatsServer
  const connection = yield* Effect.acquireRelease(
    Effect.promise(() => connectNatsJs({ servers: url })),
    (connection) => Effect.promise(() => connection.close())
  )
  return {
    // Its types are those of another version of nats-core, which it brings along.
    services: new Svcm(connection as unknown as ConstructorParameters<typeof Svcm>[0]),
    flush: Effect.promise(() => connection.flush())
  }
})

const collect = async <A>(answers: Promise<AsyncIterable<A>>): Promise<Array<A>> => {
  const all: Array<A> = []
  for await (const answer of await answers) all.push(answer)
  return all
}

const all = <A, E>(answers: Stream.Stream<A, E, NatsClient.NatsClient>) =>
  Effect.provide(Stream.runCollect(answers), client, { local: true })

it.layer(TestNatsServer.layer(), { timeout: "30 seconds", excludeTestServices: true })("discovery", (it) => {
  it.effect("each verb answers on its three subjects with exactly the fields of ADR-32", () =>
    Effect.gen(function*() {
      const nats = yield* connect
      const service = yield* serve("orders", {
        version: "2.1.0",
        description: "All orders",
        metadata: { region: "eu" },
        queue: false
      })
      const standard = { name: "orders", id: service.id, version: "2.1.0", metadata: { region: "eu" } }
      const raw = Effect.fnUntraced(function*(verb: string) {
        const answers: Array<Record<string, unknown>> = []
        for (const rest of ["", ".orders", `.orders.${service.id}`]) {
          const message = yield* nats.request(`$SRV.${verb}${rest}`)
          assert.deepStrictEqual(message.headers, Object.create(null))
          answers.push(JSON.parse(message.text))
        }
        assert.deepStrictEqual(answers[0], answers[1])
        assert.deepStrictEqual(answers[0], answers[2])
        return answers[0]
      })
      assert.match(service.id, /^[0-9A-Za-z]{20,}$/)
      assert.deepStrictEqual(yield* raw("PING"), { type: "io.nats.micro.v1.ping_response", ...standard })

      const info = yield* raw("INFO")
      const endpoints = info.endpoints as ReadonlyArray<Record<string, unknown>>
      assert.deepStrictEqual({ ...info, endpoints: [] }, {
        type: "io.nats.micro.v1.info_response",
        ...standard,
        description: "All orders",
        endpoints: []
      })
      assert.deepStrictEqual(
        endpoints.map(({ name, queue_group, subject }) => ({ name, subject, queue_group })),
        ["get", "total", "since", "ping"].map((
          name
        ) => ({ name, subject: `orders.${name}`, queue_group: "" }))
      )
      for (const endpoint of endpoints) {
        assert.sameMembers(Object.keys(endpoint), ["name", "subject", "queue_group", "metadata"])
      }
      const metadata = endpoints[0].metadata as Record<string, string>
      assert.deepStrictEqual(Object.keys(metadata), ["request_schema", "response_schema", "error_schema"])
      assert.deepStrictEqual(JSON.parse(metadata.request_schema), {
        type: "object",
        properties: { id: { type: "string" } },
        required: ["id"],
        additionalProperties: true
      })
      assert.deepStrictEqual(endpoints[3].metadata, {})

      const stats = yield* raw("STATS")
      assert.match(String(stats.started), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
      assert.deepStrictEqual({ ...stats, started: "" }, {
        type: "io.nats.micro.v1.stats_response",
        ...standard,
        started: "",
        endpoints: ["get", "total", "since", "ping"].map((name) => ({
          name,
          subject: `orders.${name}`,
          queue_group: "",
          num_requests: 0,
          num_errors: 0,
          last_error: "",
          processing_time: 0,
          average_processing_time: 0
        }))
      })
    }))

  it.effect("stats count requests, errors and time, each endpoint its own, and can be reset", () =>
    Effect.gen(function*() {
      const nats = yield* connect
      const service = yield* serve("counted")
      const before = process.hrtime.bigint()
      for (let i = 0; i < 5; i++) yield* nats.request("counted.get", "{\"id\":\"1\"}")
      yield* nats.request("counted.get", "{\"id\":\"0\"}")
      yield* nats.request("counted.get", "{")
      yield* nats.request("counted.ping")
      const elapsed = Number(process.hrtime.bigint() - before)
      const [stats] = yield* all(ServiceDiscovery.stats({ name: "counted", id: service.id }))
      const [get, total, , ping] = stats.endpoints
      assert.deepStrictEqual([get.num_requests, get.num_errors], [7, 2])
      assert.strictEqual(get.last_error, "400:the payload does not fit: it is not JSON")
      assert.isTrue(Number.isInteger(get.processing_time) && get.processing_time > 0, `${get.processing_time}`)
      assert.isBelow(get.processing_time, elapsed)
      assert.strictEqual(get.average_processing_time, Math.trunc(get.processing_time / 7))
      assert.deepStrictEqual([total.num_requests, total.average_processing_time], [0, 0])
      assert.deepStrictEqual([ping.num_requests, ping.num_errors, ping.last_error], [1, 0, ""])
      yield* service.reset
      const after = (yield* service.stats).endpoints[0]
      assert.deepStrictEqual(
        [after.num_requests, after.num_errors, after.last_error, after.processing_time],
        [0, 0, "", 0]
      )
    }))

  it.effect("the services client of nats.js reads pings, infos and stats of this one", () =>
    Effect.gen(function*() {
      const first = yield* serve("seen", { metadata: { zone: "a" } })
      const second = yield* serve("seen")
      yield* NatsService.client(Orders, { name: "seen" }).pipe(
        Effect.flatMap((orders) => orders.get({ id: "1" })),
        Effect.provide(client, { local: true })
      )
      const { services } = yield* natsJs
      const asked = services.client()
      const pings = yield* Effect.promise(() => collect(asked.ping("seen")))
      assert.sameMembers(pings.map(({ id }) => id), [first.id, second.id])
      const [info] = yield* Effect.promise(() => collect(asked.info("seen", first.id)))
      assert.deepStrictEqual(info, yield* first.info as Effect.Effect<typeof info>)
      const stats = yield* Effect.promise(() => collect(asked.stats("seen")))
      assert.strictEqual(stats.length, 2)
      const requests = stats.flatMap(({ endpoints }) => endpoints ?? []).map((endpoint) => endpoint.num_requests)
      assert.strictEqual(requests.reduce((sum, n) => sum + n, 0), 1)
    }))

  it.effect("finds services of nats.js, and calls them", () =>
    Effect.gen(function*() {
      const { flush, services } = yield* natsJs
      const other = yield* Effect.promise(() =>
        services.add({ name: "other", version: "0.1.0", description: "theirs" })
      )
      yield* Effect.addFinalizer(() => Effect.promise(() => other.stop()))
      other.addGroup("other").addEndpoint("get", (error, message) => {
        const { id } = message.json<{ readonly id: string }>()
        if (id === "1") message.respond(JSON.stringify(order(id)))
        else message.respondError(410, "gone")
        return error
      })
      // The server has its endpoint.
      yield* flush
      const nats = yield* connect
      const orders = yield* NatsService.client(Orders, { name: "other" }).pipe(
        Effect.provideService(NatsClient.NatsClient, nats)
      )
      assert.deepStrictEqual(yield* orders.get({ id: "1" }), order("1"))
      const error = yield* Effect.flip(orders.get({ id: "2" }))
      assert(error._tag === "ServiceError")
      assert.deepStrictEqual([error.code, error.description], [410, "gone"])
      const [ping] = yield* all(ServiceDiscovery.ping({ name: "other" }))
      assert.deepStrictEqual({ ...ping }, { ...other.ping(), type: "io.nats.micro.v1.ping_response", metadata: {} })
      const [info] = yield* all(ServiceDiscovery.info({ name: "other" }))
      assert.deepStrictEqual(
        [info.description, info.endpoints.map((it) => [it.name, it.subject, it.queue_group])],
        ["theirs", [["get", "other.get", "q"]]]
      )
      const [stats] = yield* all(ServiceDiscovery.stats({ name: "other" }))
      assert.deepStrictEqual(stats.endpoints.map((it) => [it.name, it.num_requests]), [["get", 2]])
    }))

  it.effect("a search ends by silence, count or id, goes under another prefix, and says when nobody is there", () =>
    Effect.gen(function*() {
      const one = yield* serve("many")
      yield* serve("many")
      yield* serve("many")
      yield* Effect.gen(function*() {
        const nats = yield* connect
        const asking = yield* Effect.forkChild(
          Effect.provideService(
            Stream.runCollect(ServiceDiscovery.ping({ name: "many", stall: "50 millis" })),
            NatsClient.NatsClient,
            nats
          ),
          { startImmediately: true }
        )
        // The silence begins when all three have answered, and is that of a clock which stands still until then.
        yield* until(Effect.map(nats.stats, ({ messagesIn }) => messagesIn === 3))
        yield* nats.flush
        yield* TestClock.adjust("49 millis")
        yield* nats.flush
        assert.isUndefined(asking.pollUnsafe())
        yield* TestClock.adjust("1 milli")
        assert.strictEqual((yield* Fiber.join(asking)).length, 3)
      }).pipe(Effect.scoped, Effect.provide(TestClock.layer()))
      assert.strictEqual((yield* all(ServiceDiscovery.ping({ name: "many", count: 2 }))).length, 2)
      const [only, ...rest] = yield* all(ServiceDiscovery.info({ name: "many", id: one.id }))
      assert.deepStrictEqual([only.id, rest.length], [one.id, 0])
      const nobody = yield* Effect.flip(all(ServiceDiscovery.ping({ name: "nobody" })))
      assert.strictEqual(nobody._tag, "NoResponders")
      const nats = yield* connect
      const bare = { name: "imported", id: "1", version: "1.0.0" }
      yield* Effect.forkChild(nats.consume("imported.PING", (message) => message.respond(JSON.stringify(bare))), {
        startImmediately: true
      })
      yield* nats.flush
      const [imported] = yield* all(ServiceDiscovery.ping({ prefix: "imported", count: 1 }))
      assert.deepStrictEqual(imported, { ...bare, type: "io.nats.micro.v1.ping_response", metadata: {} })
    }))

  it.effect("what other libraries leave out or write as null is empty", () =>
    Effect.gen(function*() {
      const nats = yield* connect
      const bare = { name: "bare", id: "1", version: "1.0.0" }
      yield* Effect.forkChild(
        nats.consume("$SRV.*.bare", (message) => {
          const verb = message.subject.split(".")[1].toLowerCase()
          const type = `io.nats.micro.v1.${verb}_response`
          return message.respond(JSON.stringify({ ...bare, type, metadata: null, endpoints: null, started: "now" }))
        }),
        { startImmediately: true }
      )
      yield* nats.flush
      const [ping] = yield* all(ServiceDiscovery.ping({ name: "bare", count: 1 }))
      assert.deepStrictEqual(ping.metadata, {})
      const [info] = yield* all(ServiceDiscovery.info({ name: "bare", count: 1 }))
      assert.deepStrictEqual([info.metadata, info.description, info.endpoints], [{}, "", []])
      const [stats] = yield* all(ServiceDiscovery.stats({ name: "bare", count: 1 }))
      assert.deepStrictEqual(stats.endpoints, [])
    }))

  it.effect("schemas that would be over max_payload are left out, with a warning", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ maxPayload: 1024 })
      const nats = yield* NatsClient.make({ servers: server.url })
      const logged: Array<string> = []
      const logger = Logger.make(({ logLevel, message }) => {
        logged.push(`${logLevel} ${String(message)}`)
      })
      const service = yield* NatsService.make(Orders, { name: "small", version: "1.0.0" }).pipe(
        Effect.provide([handlers, Logger.layer([logger])]),
        Effect.provideService(NatsClient.NatsClient, nats)
      )
      const answer = JSON.parse((yield* nats.request("$SRV.INFO.small")).text)
      assert.deepStrictEqual(answer, yield* service.info)
      assert.deepStrictEqual(answer.endpoints[0].metadata, {})
      assert.deepStrictEqual(logged, [
        "Warn Without schemas: with them the answer to $SRV.INFO is over the server's limit of 1024 bytes"
      ])
    }))
})

it.effect("the time of a request is from its reading to its answer, whatever that is: a refusal, a fault, a 503", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make()
    // The clock that stands still is that of the service alone.
    const [nats, own] = yield* TestClock.withLive(
      Effect.all([NatsClient.make({ servers: server.url }), NatsClient.make({ servers: server.url })])
    )
    class No extends Schema.TaggedError<No>()("No", {}, { natsServiceErrorCode: 429 }) {}
    const Timed = RpcGroup.make(Rpc.make("work", { payload: Schema.Finite, success: Schema.Finite, error: No }))
    const ends: ReadonlyArray<Effect.Effect<number, No>> = [
      Effect.succeed(1),
      Effect.fail(new No()),
      Effect.die("no"),
      Effect.interrupt,
      Effect.never
    ]
    let begun = 0
    const service = yield* NatsService.make(Timed, {
      name: "timed",
      version: "1.0.0",
      concurrency: 1,
      drainTimeout: "1 milli"
    }).pipe(
      Effect.provide(Timed.toLayer({
        work: (n) =>
          Effect.suspend(() => {
            begun++
            return Effect.delay(ends[n], "10 millis")
          })
      })),
      Effect.provideService(NatsClient.NatsClient, own)
    )
    const ask = (payload: string) =>
      Effect.forkChild(
        Effect.map(nats.request("timed.work", payload), (reply) => reply.header("Nats-Service-Error-Code")),
        { startImmediately: true }
      )
    const seen = Effect.map(service.stats, ({ endpoints: [{ num_errors, num_requests, processing_time }] }) => [
      num_requests,
      num_errors,
      processing_time
    ])
    const codes = [undefined, "429", "500", "503"]
    for (const [i, code] of codes.entries()) {
      const asked = yield* ask(String(i))
      yield* until(Effect.sync(() => begun === i + 1))
      yield* TestClock.adjust("10 millis")
      assert.strictEqual(yield* Fiber.join(asked), code)
      assert.deepStrictEqual(yield* seen, [i + 1, i, (i + 1) * 10_000_000])
    }
    // What does not fit is answered at once. One that is never begun has waited, and so has the one before it.
    assert.strictEqual(yield* Fiber.join(yield* ask("{")), "400")
    assert.deepStrictEqual(yield* seen, [5, 4, 40_000_000])
    const running = yield* ask("4")
    yield* until(Effect.sync(() => begun === 5))
    const queued = yield* ask("4")
    yield* until(Effect.map(service.stats, ({ endpoints: [{ num_requests }] }) => num_requests === 7))
    yield* TestClock.adjust("7 millis")
    yield* service.stop
    assert.deepStrictEqual([yield* Fiber.join(running), yield* Fiber.join(queued)], ["503", "503"])
    assert.deepStrictEqual(yield* seen, [7, 6, 54_000_000])
    assert.strictEqual((yield* service.stats).endpoints[0].average_processing_time, Math.trunc(54_000_000 / 7))
  }))
