/** What a service answers, to the typed client and to anybody else. */
import { assert, it } from "@effect/vitest"
import { Cause, DateTime, Deferred, Effect, Exit, Fiber, Layer, Logger, Schema } from "effect"
import { NatsClient, type NatsMessage } from "effect-nats"
import { NatsService } from "effect-nats/service"
import { TestNatsServer } from "effect-nats/testing"
import { Rpc, RpcGroup } from "effect/rpc"
import { type Order, order, OrderNotFound, Orders, OutOfStock } from "../fixtures/orders.ts"

const connect = Effect.flatMap(
  TestNatsServer.TestNatsServer,
  (server) => NatsClient.make({ servers: server.url, requestTimeout: "5 seconds" })
)

/** A client of its own for the service, so that what is asked goes over the wire twice. */
const serving = Effect.fnUntraced(function*<Rpcs extends Rpc.Any, E, R>(
  group: RpcGroup.RpcGroup<Rpcs> & NatsService.Unary<Rpcs>,
  name: string,
  handlers: Layer.Layer<Rpc.ToHandler<Rpcs> | Rpc.Middleware<Rpcs> | Rpc.ServicesServer<Rpcs>, E, R>,
  options?: Partial<NatsService.Options>
) {
  const nats = yield* connect
  const context = yield* Layer.build(handlers)
  return yield* NatsService.make(group, { name, version: "1.0.0", ...options }).pipe(
    Effect.provideContext(context),
    Effect.provideService(NatsClient.NatsClient, nats)
  )
})

const calling = <Rpcs extends Rpc.Any>(
  group: RpcGroup.RpcGroup<Rpcs> & NatsService.Unary<Rpcs>,
  options: NatsService.ClientOptions
) =>
  Effect.flatMap(
    connect,
    (nats) => Effect.provideService(NatsService.client(group, options), NatsClient.NatsClient, nats)
  )

const refusalOf = (message: NatsMessage.NatsMessage) => ({
  code: message.header("Nats-Service-Error-Code"),
  description: message.header("Nats-Service-Error"),
  body: message.text
})

const handlers = (calls: Array<string> = []) =>
  Orders.toLayer({
    get: ({ id }) => {
      calls.push(id)
      switch (id) {
        case "missing":
          return Effect.fail(new OrderNotFound({ id }))
        case "sold":
          return Effect.andThen(Effect.yieldNow, Effect.fail(new OutOfStock({ left: 2 })))
        case "dies":
          return Effect.die(new Error("password=hunter2"))
        case "throws":
          throw new Error("password=hunter2")
        case "dies later":
          return Effect.andThen(Effect.yieldNow, Effect.die(new Error("password=hunter2")))
        case "interrupts":
          return Effect.interrupt
        case "unfit":
          return Effect.succeed({ ...order(id), customer: { name: "Ann" } } as typeof Order.Type)
        case "slow":
          return Effect.never
        default:
          return Effect.succeed(order(id))
      }
    },
    total: ({ items }) => Effect.succeed(items.reduce((sum, item) => sum + item.price, 0)),
    since: ({ from }) => Effect.succeed(DateTime.add(from, { days: 1 })),
    ping: () => Effect.void
  })

it.layer(TestNatsServer.layer(), { timeout: "30 seconds", excludeTestServices: true })("a service", (it) => {
  it.effect("answers with what its schemas say, decoded on both sides", () =>
    Effect.gen(function*() {
      yield* serving(Orders, "typed", handlers())
      const orders = yield* calling(Orders, { name: "typed" })
      assert.deepStrictEqual(yield* orders.get({ id: "1" }), order("1"))
      assert.strictEqual(yield* orders.total(order("1")), 3.5)
      const next = yield* orders.since({ from: DateTime.makeUnsafe("2020-01-01T00:00:00Z") })
      assert.strictEqual(DateTime.formatIso(next), "2020-01-02T00:00:00.000Z")
      assert.isUndefined(yield* orders.ping())
    }))

  it.effect("a failure that the schema names comes back as it is, at once or later", () =>
    Effect.gen(function*() {
      yield* serving(Orders, "failing", handlers())
      const orders = yield* calling(Orders, { name: "failing" })
      const missing = yield* Effect.flip(orders.get({ id: "missing" }))
      assert.instanceOf(missing, OrderNotFound)
      assert.strictEqual(missing.id, "missing")
      const sold = yield* Effect.catchTag(orders.get({ id: "sold" }), "OutOfStock", ({ left }) => Effect.succeed(left))
      assert.strictEqual(sold, 2)
    }))

  it.effect("tells others of a named failure by headers, with its code or 422, and its JSON", () =>
    Effect.gen(function*() {
      yield* serving(Orders, "headers", handlers())
      const nats = yield* connect
      const missing = yield* nats.request("headers.get", JSON.stringify({ id: "missing" }))
      assert.deepStrictEqual(refusalOf(missing), {
        code: "404",
        description: "There is no order missing.",
        body: "{\"_tag\":\"OrderNotFound\",\"id\":\"missing\"}"
      })
      const sold = yield* nats.request("headers.get", JSON.stringify({ id: "sold" }))
      assert.deepStrictEqual(refusalOf(sold), {
        code: "422",
        description: "OutOfStock",
        body: "{\"_tag\":\"OutOfStock\",\"left\":2}"
      })
      const fine = yield* nats.request("headers.get", JSON.stringify({ id: "1" }))
      assert.deepStrictEqual(fine.headers, Object.create(null))
      assert.deepStrictEqual(JSON.parse(fine.text), order("1"))
    }))

  it.effect("a payload that does not fit is a 400 that names the path and not the value, and no handler sees it", () =>
    Effect.gen(function*() {
      const calls: Array<string> = []
      const service = yield* serving(Orders, "strict", handlers(calls))
      const nats = yield* connect
      const bad = { ...order("secret-7"), items: [{ sku: "a", price: 1 }, { sku: "b", price: "hunter2" }] }
      const wrong = refusalOf(yield* nats.request("strict.total", JSON.stringify(bad)))
      assert.strictEqual(wrong.code, "400")
      assert.include(wrong.description, "items[1].price")
      assert.notInclude(wrong.description, "hunter2")
      assert.strictEqual(wrong.body, "")
      for (const payload of ["{\"id\": hunter2", "", "null", "\u0000\u0001"]) {
        const answer = refusalOf(yield* nats.request("strict.get", payload))
        assert.strictEqual(answer.code, "400", payload)
        assert.notInclude(answer.description, "hunter2")
      }
      assert.deepStrictEqual(calls, [])
      const [get, total] = (yield* service.stats).endpoints
      assert.deepStrictEqual([get.num_requests, get.num_errors], [4, 4])
      assert.deepStrictEqual([total.num_requests, total.num_errors], [1, 1])
      assert.strictEqual(total.last_error, `400:${wrong.description}`)
    }))

  it.effect("a defect is a 500 that tells nothing, is logged where the service runs, and stops nothing", () =>
    Effect.gen(function*() {
      const logged: Array<string> = []
      const logger = Logger.make(({ cause, logLevel, message }) => {
        logged.push(`${logLevel} ${String(message)} ${Cause.pretty(cause)}`)
      })
      const service = yield* Effect.provide(serving(Orders, "faulty", handlers()), Logger.layer([logger]))
      const nats = yield* connect
      const orders = yield* calling(Orders, { name: "faulty" })
      for (const id of ["dies", "throws", "dies later", "unfit"]) {
        const answer = refusalOf(yield* nats.request("faulty.get", JSON.stringify({ id })))
        assert.deepStrictEqual(answer, { code: "500", description: "internal error", body: "" }, id)
        const error = yield* Effect.flip(orders.get({ id }))
        assert(error._tag === "ServiceError")
        assert.deepStrictEqual([error.code, error.isRetryable], [500, false])
      }
      assert.strictEqual(logged.length, 8)
      assert.match(logged[0], /^Error A request died .*hunter2/)
      assert.match(logged[7], /does not fit its schema at customer\.email/)
      assert.deepStrictEqual(yield* orders.get({ id: "1" }), order("1"))
      const [get] = (yield* service.stats).endpoints
      assert.deepStrictEqual([get.num_requests, get.num_errors, get.last_error], [9, 8, "500:internal error"])
    }))

  it.effect("a handler that interrupts itself is a 503", () =>
    Effect.gen(function*() {
      yield* serving(Orders, "interrupting", handlers())
      const orders = yield* calling(Orders, { name: "interrupting" })
      const error = yield* Effect.flip(orders.get({ id: "interrupts" }))
      assert(error._tag === "ServiceError")
      assert.strictEqual(error.code, 503)
    }))

  it.effect("an answer over max_payload is a 500 that says the sizes", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ maxPayload: 1024 })
      const nats = yield* NatsClient.make({ servers: server.url })
      const Big = RpcGroup.make(Rpc.make("big", { success: Schema.String }))
      yield* Effect.provide(
        NatsService.make(Big, { name: "big", version: "1.0.0", schemas: false }),
        Big.toLayer({ big: () => Effect.succeed("x".repeat(2000)) })
      ).pipe(Effect.provideService(NatsClient.NatsClient, nats))
      const answer = refusalOf(yield* nats.request("big.big"))
      assert.strictEqual(answer.code, "500")
      assert.include(answer.description, "2002 bytes")
      assert.include(answer.description, "1024")
    }))

  it.effect("a request that wants no answer is handled", () =>
    Effect.gen(function*() {
      const handled = yield* Deferred.make<string>()
      const Notes = RpcGroup.make(Rpc.make("note", { payload: { text: Schema.String } }))
      yield* serving(
        Notes,
        "notes",
        Notes.toLayer({ note: ({ text }) => Effect.asVoid(Deferred.succeed(handled, text)) })
      )
      const nats = yield* connect
      yield* nats.publish("notes.note", "{\"text\":\"hello\"}")
      assert.strictEqual(yield* Deferred.await(handled), "hello")
    }))

  it.effect("a handler's scope closes when it has answered, and a Deferred answers later", () =>
    Effect.gen(function*() {
      const Late = RpcGroup.make(
        Rpc.make("scoped", { success: Schema.String }),
        Rpc.make("late", { success: Schema.String })
      )
      const closed = yield* Deferred.make<boolean>()
      const later = yield* Deferred.make<string>()
      const released = yield* Deferred.make<void>()
      yield* serving(
        Late,
        "late",
        Late.toLayer({
          scoped: () =>
            Effect.as(Effect.addFinalizer((exit) => Deferred.succeed(closed, Exit.isSuccess(exit))), "done"),
          late: () => Effect.as(Effect.addFinalizer(() => Deferred.succeed(released, undefined)), later)
        }),
        { concurrency: 1 }
      )
      const late = yield* calling(Late, { name: "late" })
      assert.strictEqual(yield* late.scoped(), "done")
      assert.isTrue(yield* Deferred.await(closed))
      const waiting = yield* Effect.forkChild(late.late())
      yield* Deferred.await(released)
      // The slot is free again.
      assert.strictEqual(yield* late.scoped(), "done")
      yield* Deferred.succeed(later, "at last")
      assert.strictEqual(yield* Fiber.join(waiting), "at last")
    }))

  it.effect("runs as many handlers at a time as it is allowed, and those wrapped with fork besides", () =>
    Effect.gen(function*() {
      const Work = RpcGroup.make(Rpc.make("work", { payload: Schema.Finite }), Rpc.make("aside"))
      const gate = yield* Deferred.make<void>()
      const two = yield* Deferred.make<void>()
      const aside = yield* Deferred.make<void>()
      let running = 0
      let most = 0
      yield* serving(
        Work,
        "work",
        Work.toLayer({
          work: Effect.fnUntraced(function*() {
            running++
            most = Math.max(most, running)
            if (running === 2) yield* Deferred.succeed(two, undefined)
            yield* Deferred.await(gate)
            running--
          }),
          aside: () => Rpc.fork(Effect.asVoid(Deferred.succeed(aside, undefined)))
        }),
        { concurrency: 2 }
      )
      const work = yield* calling(Work, { name: "work" })
      const all = yield* Effect.forkChild(
        Effect.forEach([1, 2, 3, 4, 5, 6, 7], (n) => work.work(n), { concurrency: "unbounded", discard: true })
      )
      yield* Deferred.await(two)
      yield* work.aside()
      yield* Deferred.await(aside)
      assert.strictEqual(most, 2)
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(all)
      assert.deepStrictEqual([running, most], [0, 2])
    }))
})

it.layer(TestNatsServer.layer(), { timeout: "30 seconds", excludeTestServices: true })(
  "a client of a service",
  (it) => {
    it.effect("fails with NoResponders without an instance, with RequestTimedOut without an answer", () =>
      Effect.gen(function*() {
        const none = yield* calling(Orders, { name: "nobody" })
        const error = yield* Effect.flip(none.ping())
        assert.deepStrictEqual([error._tag, error._tag === "NoResponders" && error.subject], [
          "NoResponders",
          "nobody.ping"
        ])
        yield* serving(Orders, "slow", handlers(), { drainTimeout: "10 millis" })
        const slow = yield* calling(Orders, { name: "slow", timeout: "20 millis" })
        const late = yield* Effect.flip(slow.get({ id: "slow" }))
        assert(late._tag === "RequestTimedOut")
        assert.strictEqual(late.timeoutMillis, 20)
        const later = yield* Effect.flip(slow.get({ id: "slow" }, { timeout: "30 millis" }))
        assert(later._tag === "RequestTimedOut")
        assert.strictEqual(later.timeoutMillis, 30)
      }))

    it.effect("sends nothing that does not fit, and tells of answers that do not", () =>
      Effect.gen(function*() {
        const nats = yield* connect
        const seen: Array<string> = []
        yield* Effect.forkChild(
          nats.consume("liar.*", (message) => {
            seen.push(message.subject)
            return message.respond(message.subject === "liar.total" ? "\"1\"" : "")
          }),
          { startImmediately: true }
        )
        yield* nats.flush
        const orders = yield* calling(Orders, { name: "liar" })
        const bad = { ...order("1"), items: [{ sku: "a", price: "hunter2" as unknown as number }] }
        const unsent = yield* Effect.flip(orders.total(bad))
        assert(unsent._tag === "MessageEncodeError")
        assert.deepStrictEqual([unsent.subject, unsent.path], ["liar.total", "items[0].price"])
        assert.deepStrictEqual(seen, [])
        const misread = yield* Effect.flip(orders.total(order("1")))
        assert(misread._tag === "MessageDecodeError")
        assert.strictEqual(misread.subject, "liar.total")
        assert.strictEqual((yield* Effect.flip(orders.get({ id: "1" })))._tag, "MessageDecodeError")
      }))

    it.effect("reads the error of any service, whatever its body is", () =>
      Effect.gen(function*() {
        const nats = yield* connect
        const bodies = ["", "no JSON", "{\"_tag\":\"Other\"}", "{\"_tag\":\"OutOfStock\",\"left\":5}"]
        let asked = 0
        yield* Effect.forkChild(
          nats.consume("foreign.get", (message) =>
            message.respond(bodies[asked++], {
              headers: { "nats-service-error": "gone", ...(asked === 1 ? {} : { "Nats-Service-Error-Code": "410" }) }
            })),
          { startImmediately: true }
        )
        yield* nats.flush
        const orders = yield* calling(Orders, { name: "foreign" })
        const errors = yield* Effect.forEach(bodies, () => Effect.flip(orders.get({ id: "1" })))
        assert.deepStrictEqual(
          errors.map((error) => error._tag === "ServiceError" ? `${error.code} ${error.description}` : error._tag),
          ["0 gone", "410 gone", "410 gone", "OutOfStock"]
        )
      }))
  }
)
