/** A request whose reply cannot come, since its reply subject is refused or its inbox is denied, is told so on every way. */
import { assert, it } from "@effect/vitest"
import { Effect, Schema, Stream } from "effect"
import { NatsClient, SubjectSchema } from "effect-nats"
import { NatsService } from "effect-nats/service"
import { TestNatsServer } from "effect-nats/testing"
import { Rpc, RpcGroup } from "effect/rpc"
import { caller, failureTag, serve } from "../fixtures/rpcRigs.ts"

const broker = TestNatsServer.layer({
  users: [
    { user: "any", password: "pw" },
    { user: "deaf", password: "pw", permissions: { publish: [">"], subscribe: { deny: ["_INBOX.>"] } } }
  ]
})

const any = { user: "any", password: "pw" }
/** A server takes no message with such a reply subject: it has them for itself. */
const reserved = { auth: any, inboxPrefix: "_R_" }
const deaf = { auth: { user: "deaf", password: "pw" } }

const Shop = RpcGroup.make(Rpc.make("buy", { success: Schema.String }))
const Ask = SubjectSchema.makeRequest("asked", { payload: Schema.String, success: Schema.String })

it.layer(broker, { timeout: "30 seconds", excludeTestServices: true })("a reply that cannot come", (it) => {
  for (
    const [what, options, operation] of [
      ["to a reply subject that the server refuses", reserved, "publish"],
      ["to an inbox that is denied", deaf, "subscribe"]
    ] as const
  ) {
    it.effect(`${what} is PermissionsViolation of whatever asked`, () =>
      Effect.gen(function*() {
        const { url } = yield* TestNatsServer.TestNatsServer
        const echo = yield* NatsClient.make({ servers: url, auth: any })
        for (const subject of ["asked", "shop.buy"]) {
          yield* Effect.forkScoped(echo.consume(subject, (message) => message.respond("\"x\"")))
        }
        yield* echo.flush
        const nats = yield* NatsClient.make({ servers: url, requestTimeout: "20 seconds", ...options })
        const given = Effect.provideService(NatsClient.NatsClient, nats)
        const shop = yield* given(NatsService.client(Shop, { name: "shop" }))
        const ways: ReadonlyArray<Effect.Effect<unknown, { readonly _tag: string }>> = [
          nats.request("asked"),
          Stream.runDrain(nats.requestMany("asked")),
          given(Ask.request("x")),
          shop.buy()
        ]
        for (const way of ways) {
          const error: object = yield* Effect.flip(way)
          assert.deepInclude(error, { _tag: "PermissionsViolation", operation })
        }
        // All at once, each is told.
        const together = yield* Effect.forEach(
          Array.from({ length: 500 }),
          () => Effect.flip(nats.request("asked")),
          { concurrency: "unbounded" }
        )
        assert.isTrue(together.every(({ _tag }) => _tag === "PermissionsViolation"))
        assert.strictEqual((yield* nats.stats).pendingRequests, 0)
        assert.strictEqual((yield* nats.state)._tag, "Connected")
      }))
  }

  it.effect("is PermissionsViolation of a confirmed publish, and of no other that is confirmed beside it", () =>
    Effect.gen(function*() {
      const { url } = yield* TestNatsServer.TestNatsServer
      const nats = yield* NatsClient.make({ servers: url, auth: any })
      const [refused, other] = yield* Effect.all([
        Effect.flip(nats.publish("asked", "", { reply: "_R_.mine", confirm: true })),
        nats.publish("asked", "", { reply: "mine", confirm: true })
      ], { concurrency: "unbounded" })
      assert.deepInclude(refused, { _tag: "PermissionsViolation", operation: "publish", subject: "_R_.mine" })
      assert.isUndefined(other)
    }))

  it.effect("is PermissionsViolation of an rpc call, and of an rpc client that may not listen", () =>
    Effect.gen(function*() {
      const { url } = yield* TestNatsServer.TestNatsServer
      yield* serve(url, "a", { nats: { auth: any } })
      const { users } = yield* caller(url, { nats: reserved })
      assert.strictEqual(failureTag(yield* Effect.exit(users.Which())), "PermissionsViolation")
      // All at once, each is told, whatever of it are events.
      const together = yield* Effect.forEach(
        Array.from({ length: 2_000 }),
        () => Effect.exit(users.Which()),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(new Set(together.map(failureTag)), new Set(["PermissionsViolation"]))
      assert.strictEqual((yield* Effect.flip(caller(url, { nats: deaf })))._tag, "PermissionsViolation")
    }))
})
