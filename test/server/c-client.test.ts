/** Discovery and calls, both ways, with services and callers of the C client. */
import { afterAll, assert, describe, it } from "@effect/vitest"
import { Effect, Logger, References, Schema, type Scope, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { NatsService, ServiceDiscovery } from "effect-nats/service"
import { TestNatsServer } from "effect-nats/testing"
import { Rpc, RpcGroup } from "effect/rpc"
import * as CClient from "../fixtures/cClient.ts"

class Taken extends Schema.TaggedError<Taken>()("Taken", { left: Schema.Int }) {}
const Left = Schema.Struct({ left: Schema.Int })

const InC = RpcGroup.make(
  Rpc.make("echo", { payload: Schema.Struct({ a: Schema.String }), success: Schema.Struct({ a: Schema.String }) }),
  Rpc.make("nothing", { success: Schema.UndefinedOr(Schema.String) }),
  Rpc.make("taken", { error: Left }),
  Rpc.make("explode", { error: Taken }),
  Rpc.make("refuse", { error: Taken })
)

class Negative extends Schema.TaggedError<Negative>()("Negative", { at: Schema.Int }, { natsServiceErrorCode: 409 }) {
  override get message(): string {
    return `The price at ${this.at} is negative.`
  }
}

const Prices = RpcGroup.make(
  Rpc.make("total", { payload: { prices: Schema.Array(Schema.Finite) }, success: Schema.Finite, error: Negative })
)

const prices = Prices.toLayer({
  total: ({ prices }) => {
    const at = prices.findIndex((price) => price < 0)
    return at < 0 ? Effect.succeed(prices.reduce((sum, price) => sum + price, 0)) : Effect.fail(new Negative({ at }))
  }
})

const run = <A, E>(
  test: (url: string) => Effect.Effect<A, E, NatsClient.NatsClient | Scope.Scope>
) =>
  Effect.scoped(Effect.gen(function*() {
    const { url } = yield* TestNatsServer.make()
    return yield* Effect.provide(test(url), NatsClient.layer({ servers: url }))
  }))

const only = <A, E, R>(found: Stream.Stream<A, E, R>) =>
  Effect.map(Stream.runCollect(found), (all) => {
    assert.lengthOf(all, 1)
    return all[0]
  })

afterAll(CClient.clean)

describe(CClient.described, () => {
  it.live("its services are found and called, with their errors, headers and statistics", () =>
    run(Effect.fnUntraced(function*(url) {
      yield* CClient.serve(url, "calls")
      const ping = yield* only(ServiceDiscovery.ping({ name: "cmicro", count: 1 }))
      assert.deepInclude(ping, { name: "cmicro", version: "0.3.1", metadata: {} })
      assert.isAbove(ping.id.length, 8)

      const info = yield* only(ServiceDiscovery.info({ name: "cmicro", id: ping.id }))
      assert.deepInclude(info, { id: ping.id, description: "in C", metadata: { region: "eu" } })
      assert.sameDeepMembers(
        [...info.endpoints],
        Array.from(InC.requests.keys(), (name) => ({
          name,
          subject: `cmicro.${name}`,
          queue_group: "q",
          metadata: { kind: "test" }
        }))
      )

      const calls = yield* NatsService.client(InC, { name: "cmicro" })
      assert.deepStrictEqual(yield* calls.echo({ a: "ü" }), { a: "ü" })
      assert.isUndefined(yield* calls.nothing())
      assert.deepStrictEqual(yield* Effect.flip(calls.taken()), { left: 3 })
      const exploded = yield* Effect.flip(calls.explode())
      assert(exploded._tag === "ServiceError")
      assert.deepStrictEqual([exploded.code, exploded.codeText, exploded.description, exploded.body], [
        0,
        undefined,
        "out of order",
        ""
      ])
      const refused = yield* Effect.flip(calls.refuse())
      assert(refused._tag === "ServiceError")
      assert.deepStrictEqual([refused.code, refused.codeText, refused.description, refused.body], [
        0,
        "BAD_INPUT",
        "not today",
        "details as text"
      ])
      assert.deepStrictEqual(refused.headers["Retry-After"], ["3"])

      const { endpoints } = yield* only(ServiceDiscovery.stats({ name: "cmicro", count: 1 }))
      const counted = (name: string) => {
        const found = endpoints.find((endpoint) => endpoint.name === name)!
        // The library tells the average alone.
        assert.isAbove(found.average_processing_time, 0)
        assert.strictEqual(found.processing_time, found.average_processing_time * found.num_requests)
        return [found.num_requests, found.num_errors, found.last_error]
      }
      assert.deepStrictEqual(counted("echo"), [1, 0, ""])
      assert.deepStrictEqual(counted("taken"), [1, 1, "code 409: taken"])
      assert.deepStrictEqual(counted("explode"), [1, 1, "out of order"])
    })))

  it.live("one whose statistics are no JSON is left out, and the others are found", () =>
    run(Effect.fnUntraced(function*(url) {
      yield* CClient.serve(url, "quotes")
      const nats = yield* NatsClient.NatsClient
      const { id } = yield* only(ServiceDiscovery.ping({ name: "cquote", count: 1 }))
      // The library writes this error into its statistics with the quotes in it.
      assert.include((yield* nats.request("cquote.quote", "again")).header("Nats-Service-Error"), "\"quotes\"")
      const warnings: Array<readonly [string, unknown]> = []
      const logger = Logger.make(({ fiber, message }) => {
        warnings.push([String(message), fiber.getRef(References.CurrentLogAnnotations)["id"]])
      })
      const found = yield* Stream.runCollect(ServiceDiscovery.stats()).pipe(Effect.provide(Logger.layer([logger])))
      assert.sameMembers(found.map(({ name }) => name), ["cmicro", "cstats"])
      assert.deepStrictEqual(warnings, [[
        `A service with the id "${id}" gave an answer to $SRV.STATS that is left out: it is not JSON`,
        id
      ]])
      // What its own handler of statistics tells.
      assert.deepStrictEqual(found.find(({ name }) => name === "cstats")?.endpoints, [{
        name: "echo",
        subject: "",
        queue_group: "",
        num_requests: 2,
        num_errors: 0,
        last_error: "{\"code\":7}",
        processing_time: 9,
        average_processing_time: 4
      }])
    })))

  it.live("it finds and calls a service of ours, and is told its errors", () =>
    run(Effect.fnUntraced(function*(url) {
      const service = yield* NatsService.make(Prices, {
        name: "prices",
        version: "1.2.3",
        description: "All prices",
        metadata: { region: "eu" }
      }).pipe(Effect.provide(prices))
      const lines = yield* CClient.call(url, "prices")
      const rows = lines.map((line) => line.split("\t"))
      const unfit = "the payload does not fit at prices: Expected array"
      assert.deepStrictEqual(rows.slice(0, 5), [
        ["prices.total", "", "", "3.5"],
        ["prices.total", "409", "The price at 0 is negative.", "{\"_tag\":\"Negative\",\"at\":0}"],
        ["prices.total", "400", unfit, ""],
        ["client prices.total", "", "", "3.5"],
        ["client prices.total", "-", "code 409: The price at 0 is negative.", ""]
      ])
      assert.deepStrictEqual(rows.slice(5, 8).map(([subject, code, error]) => [subject, code, error]), [
        ["$SRV.PING.prices", "", ""],
        ["$SRV.INFO.prices", "", ""],
        ["$SRV.STATS.prices", "", ""]
      ])
      const [ping, info, stats] = rows.slice(5, 8).map((row) => JSON.parse(row[3]))
      assert.deepInclude(ping, { name: "prices", version: "1.2.3", metadata: { region: "eu" } })
      assert.deepInclude(info, { description: "All prices" })
      assert.deepInclude(info.endpoints[0], { name: "total", subject: "prices.total", queue_group: "q" })
      assert.deepInclude(stats.endpoints[0], {
        num_requests: 5,
        num_errors: 3,
        last_error: "409:The price at 0 is negative."
      })
      assert.strictEqual(rows[8][0], "prices.none")
      assert.include(rows[8][2].toLowerCase(), "no responders")
      // They were asked here, and of nobody else.
      assert.strictEqual((yield* service.stats).endpoints[0].num_requests, 5)
    })))
})
