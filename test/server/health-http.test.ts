/** Probes over HTTP, asked by a plain HTTP client, of programs that begin, run, are in trouble and end. */
import { NodeHttpServer } from "@effect/platform-node"
import { assert, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { NatsClient, NatsLayer, NatsListener } from "effect-nats"
import * as NatsHealthHttp from "effect-nats/NatsHealthHttp"
import { TestNatsServer } from "effect-nats/testing"
import { HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
import { createServer } from "node:http"
import { until } from "../fixtures/following.ts"
import { auth, service, user } from "../fixtures/losing.ts"

const reconnect = { initialDelay: "20 millis", maxDelay: "50 millis", onFirstConnect: "background" } as const

interface Answer {
  readonly status: number
  readonly body: {
    readonly live: boolean
    readonly ready?: boolean
    readonly state: string
    readonly reason?: string
    readonly clients?: ReadonlyArray<{ readonly name: string; readonly live: boolean; readonly ready?: boolean }>
  }
}

const ok = { live: true, ready: true, state: "Connected" }

/** An HTTP server of this process, and what asks it. */
const listening = Effect.gen(function*() {
  const context = yield* Layer.build(NodeHttpServer.layer(createServer, { host: "127.0.0.1", port: 0 }))
  const url = yield* Effect.provide(HttpServer.addressFormattedWith(Effect.succeed), context)
  const fetched = (path: string, method = "GET") => Effect.promise(() => fetch(`${url}${path}`, { method }))
  const get = (path: string): Effect.Effect<Answer> =>
    Effect.flatMap(
      fetched(path),
      (response) =>
        Effect.promise(async () => ({ status: response.status, body: await response.json() as Answer["body"] }))
    )
  const status = (path: string) => Effect.map(get(path), ({ status }) => status)
  return { context, fetched, get, status, isReady: Effect.map(status("/readyz"), (status) => status === 200) }
})

/** Builds a program on probes, in a scope of its own. */
const running = Effect.fnUntraced(function*<A, E>(
  app: Layer.Layer<A, E, HttpServer.HttpServer>
) {
  const http = yield* listening
  const scope = yield* Effect.flatMap(Effect.scope, Scope.fork)
  const building = Layer.build(app).pipe(Effect.provide(http.context), Scope.provide(scope))
  return { ...http, building, close: Scope.close(scope, Exit.void) }
})

/** Probes that wait longer for a server than a busy machine needs. */
const probes = () => NatsHealthHttp.layerServer({ timeout: "20 seconds" })

const nothing = Layer.effectDiscard(NatsClient.NatsClient)

it.live("are served while the client dials, and are ready when its server has come", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make(user([]))
    yield* server.kill
    const app = service.pipe(
      Layer.provide(NatsClient.layer({ servers: server.url, auth, reconnect })),
      Layer.provide(probes())
    )
    const { building, get, isReady } = yield* running(app)
    yield* building
    const { body, status } = yield* get("/readyz")
    assert.strictEqual(status, 503)
    assert.deepInclude(body, { live: true, ready: false })
    assert.isString(body.reason)
    assert.strictEqual((yield* get("/livez")).status, 200)
    yield* server.restart
    yield* until(isReady)
    assert.deepStrictEqual(yield* get("/readyz"), { status: 200, body: ok })
    assert.deepStrictEqual(yield* get("/livez"), { status: 200, body: { live: true, state: "Connected" } })
  }).pipe(Effect.scoped))

it.live("are served where the layer itself waits for the first server, and before there is any client", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make()
    yield* server.kill
    const start = yield* Deferred.make<void>()
    const slow = Layer.effectDiscard(Deferred.await(start))
    const app = nothing.pipe(
      Layer.provide(NatsClient.layer({ servers: server.url, reconnect: { ...reconnect, onFirstConnect: "wait" } })),
      Layer.provide(slow),
      Layer.provide(probes())
    )
    const { building, get, isReady } = yield* running(app)
    const built = yield* Effect.forkScoped(building, { startImmediately: true })
    yield* until(Effect.map(get("/readyz"), ({ status }) => status === 503))
    const before = yield* get("/readyz")
    assert.deepInclude(before.body, { live: true, ready: false, state: "Connecting" })
    assert.match(before.body.reason!, /^there is no client yet: /)
    assert.strictEqual((yield* get("/livez")).status, 200)
    yield* Deferred.succeed(start, undefined)
    yield* until(Effect.map(get("/readyz"), ({ body }) => body.reason !== before.body.reason))
    assert.deepInclude((yield* get("/readyz")).body, { live: true, ready: false })
    yield* server.restart
    yield* Fiber.join(built)
    assert.isTrue(yield* isReady)
  }).pipe(Effect.scoped))

it.live("are not ready from the first moment of a stop, and are served until the client has drained", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make()
    const [listened, consumed, first, second] = yield* Effect.all(
      Array.from({ length: 4 }, () => Deferred.make<void>())
    )
    const Listener = NatsListener.layer(
      "first",
      () => Effect.andThen(Deferred.succeed(listened, undefined), Deferred.await(first))
    )
    // No part of it: the client waits for it when it drains.
    const Loop = Layer.effectDiscard(Effect.flatMap(NatsClient.NatsClient, (nats) =>
      Effect.andThen(
        Effect.forkDetach(
          nats.consume("second", () => Effect.andThen(Deferred.succeed(consumed, undefined), Deferred.await(second))),
          { startImmediately: true }
        ),
        nats.flush
      )))
    const app = Layer.mergeAll(Listener, Loop).pipe(
      Layer.provide(NatsClient.layer({ servers: server.url })),
      Layer.provide(probes())
    )
    const { building, close, get, isReady } = yield* running(app)
    yield* building
    assert.isTrue(yield* isReady)
    const other = yield* NatsClient.make({ servers: server.url })
    yield* other.publish("first")
    yield* other.publish("second")
    yield* Deferred.await(listened)
    yield* Deferred.await(consumed)
    const closing = yield* Effect.forkChild(close, { startImmediately: true })
    const reason = "the listener \"first\" is stopping"
    assert.deepStrictEqual(yield* get("/readyz"), { status: 503, body: { ...ok, ready: false, reason } })
    assert.strictEqual(yield* Effect.map(get("/livez"), ({ status }) => status), 200)
    yield* Deferred.succeed(first, undefined)
    yield* until(Effect.map(get("/readyz"), ({ body }) => body.state === "Draining"))
    assert.deepStrictEqual(yield* get("/readyz"), {
      status: 503,
      body: { live: true, ready: false, state: "Draining", reason: "the client is closing" }
    })
    yield* Deferred.succeed(second, undefined)
    yield* Fiber.join(closing)
  }).pipe(Effect.scoped))

it.live("are those of the whole of a launched program, from its start to its end", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make()
    const [start, stopping, stop] = yield* Effect.all(Array.from({ length: 3 }, () => Deferred.make<void>()))
    const Slow = Layer.effectDiscard(Effect.acquireRelease(
      Deferred.await(start),
      () => Effect.andThen(Deferred.succeed(stopping, undefined), Deferred.await(stop))
    ))
    const app = Slow.pipe(
      Layer.provideMerge(NatsClient.layer({ servers: server.url })),
      Layer.provide(probes())
    )
    const { context, get, isReady } = yield* listening
    const program = yield* Effect.forkChild(Effect.provide(NatsLayer.launch(app), context), { startImmediately: true })
    const has = (reason: string) => until(Effect.map(get("/readyz"), ({ body }) => body.reason === reason))
    yield* has("the program is starting")
    assert.deepInclude(yield* get("/livez"), { status: 200 })
    yield* Deferred.succeed(start, undefined)
    yield* until(isReady)
    const interrupting = yield* Effect.forkChild(Fiber.interrupt(program), { startImmediately: true })
    yield* Deferred.await(stopping)
    assert.deepStrictEqual(yield* get("/readyz"), {
      status: 503,
      body: { ...ok, ready: false, reason: "the program is stopping" }
    })
    yield* Deferred.succeed(stop, undefined)
    yield* Fiber.join(interrupting)
  }).pipe(Effect.scoped))

it.live("are not ready when a part of the program was lost, and live on", () =>
  Effect.gen(function*() {
    const parts: ReadonlyArray<
      readonly [Layer.Layer<never, unknown, NatsClient.NatsClient>, denied: string, reason: RegExp]
    > = [
      [service, "s.hi", /^the endpoint "hi" of the service "s" has ended: /],
      [NatsListener.layer("plain", () => Effect.void), "plain", /^the listener "plain" has ended: /]
    ]
    for (const [part, denied, reason] of parts) {
      const server = yield* TestNatsServer.make(user([]))
      const app = part.pipe(
        Layer.provide(NatsClient.layer({ servers: server.url, auth })),
        Layer.provide(probes())
      )
      const { building, get, isReady } = yield* running(app)
      yield* building
      assert.isTrue(yield* isReady)
      yield* server.reload(user([denied]))
      yield* until(Effect.map(isReady, (ready) => !ready))
      const { body } = yield* get("/readyz")
      assert.deepInclude(body, { live: true, state: "Connected" })
      assert.match(body.reason!, reason)
      assert.strictEqual((yield* get("/livez")).status, 200)
    }
  }).pipe(Effect.scoped))

it.live("say that a client has ended for good, why, and no secret", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make(user([]))
    const url = server.url.replace("://", "://u:canary-41fe@")
    const app = nothing.pipe(
      // What a client is called can repeat its password.
      Layer.provide(NatsClient.layer({
        servers: url,
        name: "canary-41fe",
        reconnect: { ...reconnect, refusalTimeout: "1 millis" }
      })),
      Layer.provide(NatsLayer.Named<"second">()("second").layerFrom(NatsClient.layer({ servers: server.url, auth }))),
      Layer.provide(probes())
    )
    const { building, fetched, get } = yield* running(app)
    yield* building
    yield* until(Effect.map(get("/livez"), ({ status }) => status === 503))
    for (const path of ["/livez", "/readyz"]) {
      const response = yield* fetched(path)
      const text = yield* Effect.promise(() => response.text())
      assert.strictEqual(response.status, 503)
      assert.include(text, `"live":false`)
      assert.include(text, "refused a user and a password")
      assert.notInclude(text, "canary")
    }
  }).pipe(Effect.scoped))

it.live("answer within their time where a server is silent, which ends no program", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make()
    const app = nothing.pipe(
      Layer.provide(NatsClient.layer({ servers: server.url, drainTimeout: "50 millis" })),
      Layer.provide(
        NatsHealthHttp.layerServer({ timeout: "50 millis", livePath: "/health/live", readyPath: "/health" })
      )
    )
    const { building, get, status } = yield* running(app)
    yield* building
    yield* server.pause
    const reason = `${server.url} has not answered for 50ms`
    assert.deepStrictEqual(yield* get("/health"), { status: 503, body: { ...ok, ready: false, reason } })
    assert.deepStrictEqual(yield* get("/health/live"), { status: 200, body: { live: true, state: "Connected" } })
    yield* server.resume
    yield* until(Effect.map(status("/health"), (status) => status === 200))
  }).pipe(Effect.scoped))

it.live("cost one round trip together, and who leaves takes the answer from nobody", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make()
    const http = createServer()
    let requests = 0
    http.on("request", () => requests++)
    const client = NatsClient.layer({ servers: server.url })
    const context = yield* client.pipe(
      Layer.provideMerge(NatsHealthHttp.layerServer({ timeout: "30 seconds" })),
      Layer.provideMerge(NodeHttpServer.layer(() => http, { host: "127.0.0.1", port: 0 })),
      Layer.build
    )
    const nats = Context.get(context, NatsClient.NatsClient)
    const url = yield* Effect.provide(HttpServer.addressFormattedWith(Effect.succeed), context)
    const probe = Effect.promise((signal) => fetch(`${url}/readyz`, { signal }))
    const { bytesOut } = yield* nats.stats
    yield* server.pause
    const leaving = yield* Effect.forkChild(probe, { startImmediately: true })
    yield* until(Effect.sync(() => requests === 1))
    const probes = yield* Effect.forEach(
      Array.from({ length: 20 }),
      () => Effect.forkChild(probe, { startImmediately: true })
    )
    yield* until(Effect.sync(() => requests === 21))
    yield* Fiber.interrupt(leaving)
    yield* server.resume
    for (const fiber of probes) assert.strictEqual((yield* Fiber.join(fiber)).status, 200)
    assert.strictEqual((yield* nats.stats).bytesOut - bytesOut, "PING\r\n".length)
    assert.strictEqual((yield* probe).status, 200)
    assert.strictEqual((yield* nats.stats).bytesOut - bytesOut, 2 * "PING\r\n".length)
  }).pipe(Effect.scoped))

it.live("answer HEAD as GET, without a body, and nothing else", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make()
    const app = nothing.pipe(
      Layer.provide(NatsClient.layer({ servers: server.url, reconnect })),
      Layer.provide(probes())
    )
    const { building, fetched, isReady } = yield* running(app)
    yield* building
    yield* until(isReady)
    const asked = (path: string, method: string) =>
      Effect.flatMap(fetched(path, method), (response) =>
        Effect.promise(async () => [response.status, (await response.text()).length]))
    assert.deepStrictEqual(yield* asked("/readyz", "HEAD"), [200, 0])
    for (const method of ["POST", "DELETE", "PUT"]) {
      assert.strictEqual((yield* asked("/readyz", method))[0], 404)
    }
    assert.strictEqual((yield* asked("/readyz/more", "GET"))[0], 404)
    const response = yield* fetched("/readyz")
    assert.strictEqual(response.headers.get("cache-control"), "no-store")
    assert.match(response.headers.get("content-type")!, /^application\/json/)
    yield* server.kill
    yield* until(Effect.map(isReady, (ready) =>
      !ready))
    assert.deepStrictEqual(yield* asked("/readyz", "HEAD"), [503, 0])
    assert.deepStrictEqual(yield* asked("/livez", "HEAD"), [200, 0])
  }).pipe(Effect.scoped))

it.live("are those of all clients: of those that stand on them by themselves, of others where they are named", () =>
  Effect.gen(function*() {
    class Billing extends NatsLayer.Named<Billing>()("Billing") {}
    const server = yield* TestNatsServer.make()
    const other = yield* TestNatsServer.make()
    const clients = Layer.mergeAll(
      NatsClient.layer({ servers: server.url, name: "orders" }),
      Billing.layerFrom(NatsClient.layer({ servers: other.url, reconnect: { ...reconnect, onFirstConnect: "fail" } }))
    )
    const routes = Layer.mergeAll(
      NatsHealthHttp.layer({ clients: [Billing], timeout: "20 seconds" }),
      HttpRouter.add("GET", "/mine", HttpServerResponse.text("mine"))
    )
    const programs = {
      under: nothing.pipe(Layer.provide(clients), Layer.provide(probes())),
      beside: HttpRouter.serve(routes, { disableLogger: true, disableListenLog: true }).pipe(Layer.provide(clients))
    }
    for (const [name, app] of Object.entries(programs)) {
      const { building, fetched, get, isReady } = yield* running(Layer.fresh(app))
      yield* building
      const { body, status } = yield* get("/readyz")
      assert.strictEqual(status, 200, name)
      assert.deepStrictEqual(body, {
        ...ok,
        clients: [{ name: "Billing", ...ok }, { name: "orders", ...ok }]
      })
      assert.strictEqual((yield* fetched("/mine")).status, name === "under" ? 404 : 200)
      yield* other.kill
      yield* until(Effect.map(isReady, (ready) => !ready))
      const lost = yield* get("/readyz")
      assert.deepInclude(lost.body, { live: true, ready: false })
      assert.match(lost.body.reason!, /^the client "Billing": /)
      assert.deepStrictEqual(lost.body.clients?.map(({ name, ready }) => [name, ready]), [
        ["Billing", false],
        ["orders", true]
      ])
      assert.deepStrictEqual((yield* get("/livez")).body.clients?.map((each) => "ready" in each), [false, false])
      yield* other.restart
      yield* until(isReady)
    }
  }).pipe(Effect.scoped))

it.live("say what to do where there is no client, and forget one that has gone", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make()
    const { context, get, isReady } = yield* listening
    const health = yield* Effect.provide(Layer.build(probes()), context)
    const { body } = yield* get("/readyz")
    assert.deepStrictEqual(body, {
      live: true,
      ready: false,
      state: "Connecting",
      reason: "there is no client yet: clients are to stand on the layer of NatsHealthHttp, or to be named in `clients`"
    })
    // Only what a layer makes is asked.
    yield* Effect.provide(NatsClient.make({ servers: server.url }), health)
    assert.isFalse(yield* isReady)
    const scope = yield* Scope.make()
    yield* Layer.build(NatsClient.layer({ servers: server.url })).pipe(Effect.provide(health), Scope.provide(scope))
    assert.isTrue(yield* isReady)
    yield* Scope.close(scope, Exit.void)
    assert.deepStrictEqual(yield* get("/readyz"), {
      status: 503,
      body: { live: true, ready: false, state: "Closed", reason: "the client was closed" }
    })
  }).pipe(Effect.scoped))

it.live("are the same on two ports of one program, and ask a client once that is found twice", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make()
    const [below, above, beside] = yield* Effect.all([listening, listening, listening])
    const first = yield* Effect.provide(Layer.build(probes()), below.context)
    const second = Context.merge(
      first,
      yield* Effect.provide(Layer.build(probes()), Context.merge(first, above.context))
    )
    const client = yield* Effect.provide(Layer.build(NatsClient.layer({ servers: server.url })), second)
    const all = Context.mergeAll(second, client, beside.context)
    yield* Effect.provide(
      Layer.build(NatsHealthHttp.layerServer({ clients: [NatsClient.NatsClient], timeout: "20 seconds" })),
      all
    )
    for (const { get } of [below, above, beside]) {
      assert.deepStrictEqual(yield* get("/readyz"), { status: 200, body: ok })
    }
  }).pipe(Effect.scoped))
