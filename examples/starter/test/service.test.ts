/** The service as its callers meet it, on a real nats-server that is there for these tests alone. */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { assert, layer } from "@effect/vitest"
import { ConfigProvider, Effect, Layer } from "effect"
import { NatsClient } from "effect-nats"
import { NatsService } from "effect-nats/service"
import { TestNatsServer } from "effect-nats/testing"
import { HttpClient } from "effect/http"
import { Contract, name } from "../src/contract.ts"
import { Http } from "../src/http.ts"
import { Service } from "../src/service.ts"

// As in the program, with a server and an HTTP port of the test in place of those of the environment.
const Live = Service.pipe(
  Layer.provideMerge(TestNatsServer.layerClient()),
  Layer.provide(Http),
  Layer.provideMerge(NodeHttpServer.layerTest),
  Layer.provide(ConfigProvider.layer(ConfigProvider.fromUnknown({ GREETING: "Good morning" })))
)

// Clients have their deadlines in real time, so the test clock is left out.
layer(Live, { excludeTestServices: true })(name, (it) => {
  it.effect("greets by the words of its configuration", () =>
    Effect.gen(function*() {
      const service = yield* NatsService.client(Contract, { name })
      const greeting = yield* service.greet({ name: "Ada" })
      assert.strictEqual(greeting.text, "Good morning, Ada!")
    }))

  it.effect("refuses a name that is too long with a failure of its contract", () =>
    Effect.gen(function*() {
      const service = yield* NatsService.client(Contract, { name })
      const error = yield* Effect.flip(service.greet({ name: "A".repeat(65) }))
      assert.strictEqual(error._tag, "NameTooLong")
      assert.strictEqual(error.message, "A name has 64 characters at most.")
    }))

  it.effect("answers what does not fit its contract with the code 400", () =>
    Effect.gen(function*() {
      const nats = yield* NatsClient.NatsClient
      const reply = yield* nats.request(`${name}.greet`, "{\"name\":7}")
      assert.strictEqual(reply.header("Nats-Service-Error-Code"), "400")
    }))

  it.effect("is ready while its server is there, and alive without it", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.TestNatsServer
      const nats = yield* NatsClient.NatsClient
      const status = (path: string) => Effect.map(HttpClient.get(path), (response) => response.status)
      assert.strictEqual(yield* status("/readyz"), 200)
      yield* server.stop
      assert.strictEqual(yield* status("/readyz"), 503)
      assert.strictEqual(yield* status("/livez"), 200)
      yield* server.restart
      // It waits for the connection, which has the service's subscriptions then.
      yield* nats.flush
      assert.strictEqual(yield* status("/readyz"), 200)
    }))

  it.effect("counts requests for Prometheus", () =>
    Effect.gen(function*() {
      const service = yield* NatsService.client(Contract, { name })
      yield* service.greet({ name: "Grace" })
      const response = yield* HttpClient.get("/metrics")
      assert.match(yield* response.text, /^nats_service_requests_total\{.*endpoint="greet".*\} [1-9]/m)
    }))
})
