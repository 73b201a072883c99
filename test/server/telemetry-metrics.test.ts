import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Metric, Redacted, Result, Schema, Scope, Stream } from "effect"
import { NatsClient, NatsHealth, type NatsMessage, NatsMetrics } from "effect-nats"
import { JetStream, JetStreamConsumer, JetStreamStream } from "effect-nats/jetstream"
import { NatsService } from "effect-nats/service"
import { TestNatsProxy, TestNatsServer } from "effect-nats/testing"
import { PrometheusMetrics } from "effect/observability"
import { Rpc, RpcGroup } from "effect/rpc"
import * as fs from "node:fs"
import { lateMeter } from "../../src/internal/telemetry/lateMetrics.ts"

/** Runs with a registry of its own. */
const fresh = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => Effect.provideService(effect, Metric.MetricRegistry, new Map()))

const everything = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.provideService(effect, NatsMetrics.Collect, "everything")

const client = (options?: Partial<NatsClient.Options>) =>
  Effect.flatMap(TestNatsServer.TestNatsServer, (server) => NatsClient.make({ servers: server.url, ...options }))

const consuming = (
  nats: NatsClient.NatsClient,
  subject: string,
  handler: (message: NatsMessage.NatsMessage) => Effect.Effect<unknown, unknown>
) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(nats.consume(subject, handler), { startImmediately: true })
    yield* nats.flush
    return fiber
  })

const count = (metric: Metric.Counter<number>, attributes?: Metric.Metric.AttributeSet) =>
  Effect.map(
    Metric.value(attributes === undefined ? metric : Metric.withAttributes(metric, attributes)),
    ({ count }) => count
  )

const level = (metric: Metric.Gauge<number>, attributes?: Metric.Metric.AttributeSet) =>
  Effect.map(
    Metric.value(attributes === undefined ? metric : Metric.withAttributes(metric, attributes)),
    ({ value }) => value
  )

const requests = (outcome: string) => Metric.value(Metric.withAttributes(NatsMetrics.requestTime, { outcome }))

it.layer(TestNatsServer.layer(), { timeout: "30 seconds", excludeTestServices: true })("metrics", (it) => {
  it.effect("count known traffic exactly, without a subject in any label", () =>
    fresh(everything(Effect.gen(function*() {
      const nats = yield* client()
      yield* consuming(nats, "work.*", (message) => {
        switch (message.text) {
          case "fail":
            return Effect.fail("no")
          case "ask":
            return message.respond("yes")
          default:
            return Effect.void
        }
      })
      for (let i = 0; i < 10; i++) yield* nats.publish(`work.${i}`, "x")
      yield* nats.publish("work.bad", "fail")
      yield* nats.request("work.ask", "ask")
      yield* Effect.flip(nats.request("nobody"))
      yield* Effect.flip(nats.request("bad subject"))
      yield* Effect.flip(nats.request("work.silent", "", { timeout: "5 millis" }))
      yield* nats.flush

      // 10, a failing one, three requests on the wire and an answer.
      assert.strictEqual(yield* count(NatsMetrics.messagesOut), 15)
      // All but the one without a subscriber, the answer and the server's word that there is none.
      assert.strictEqual(yield* count(NatsMetrics.messagesIn), 15)
      const stats = yield* nats.stats
      assert.strictEqual(yield* count(NatsMetrics.bytesIn), stats.bytesIn)
      assert.strictEqual(yield* count(NatsMetrics.bytesOut), stats.bytesOut)
      assert.strictEqual(yield* count(NatsMetrics.dials), 1)
      assert.strictEqual(yield* count(NatsMetrics.handlerFailures), 1)
      assert.strictEqual(yield* level(NatsMetrics.subscriptions), 1)
      assert.strictEqual(yield* level(NatsMetrics.connectionState, { state: "connected" }), 1)
      assert.strictEqual((yield* Metric.value(NatsMetrics.handlerTime)).count, 13)
      assert.strictEqual((yield* requests("success")).count, 1)
      assert.strictEqual((yield* requests("NoResponders")).count, 1)
      assert.strictEqual((yield* requests("InvalidSubject")).count, 1)
      const timedOut = yield* requests("RequestTimedOut")
      assert.strictEqual(timedOut.count, 1)
      assert.isAtLeast(timedOut.min, 0.004)
      assert.isAtMost(timedOut.max, 5)
      assert.strictEqual(timedOut.buckets.find(([boundary]) => boundary === 0.001)?.[1], 0)
      assert.strictEqual(timedOut.buckets.at(-1)?.[1], 1)

      const labels = new Map<string, Set<string>>()
      for (const { attributes, id } of yield* Metric.snapshot) {
        for (const name of Object.keys(attributes ?? {})) labels.set(id, (labels.get(id) ?? new Set()).add(name))
      }
      const found = Object.fromEntries([...labels].map(([id, names]) => [id, [...names]]))
      assert.deepStrictEqual(found, {
        nats_client_request_duration_seconds: ["outcome"],
        nats_client_dropped_total: ["policy"],
        nats_client_reconnects_total: ["cause"],
        nats_client_auth_failures_total: ["kind"],
        nats_client_connection_state: ["state"]
      })
    }))))

  it.effect("of a request that was interrupted are none of one that succeeded", () =>
    fresh(everything(Effect.gen(function*() {
      const nats = yield* client()
      yield* nats.subscription("silent")
      for (const interrupted of [1, 2]) {
        const asking = yield* Effect.forkChild(nats.request("silent"), { startImmediately: true })
        yield* Fiber.interrupt(asking)
        assert.strictEqual((yield* requests("interrupted")).count, interrupted)
      }
      assert.strictEqual((yield* requests("success")).count, 0)
    }))))

  it.effect("have as many series after any traffic as before", () =>
    fresh(everything(Effect.gen(function*() {
      const nats = yield* client({ reconnect: { initialDelay: "1 millis" } })
      const before = (yield* Metric.snapshot).length
      yield* consuming(nats, "many.*", () => Effect.void)
      for (let i = 0; i < 200; i++) yield* nats.publish(`many.${i}`)
      yield* Effect.flip(nats.request("nobody"))
      yield* nats.reconnect
      assert.strictEqual((yield* Metric.snapshot).length, before)
      assert.isAtMost(before, 80)
      assert.strictEqual(yield* count(NatsMetrics.reconnects, { cause: "ConnectionReset" }), 1)
    }))))

  it.effect("count drops by policy and what waits unread, and keep the drops of a closed subscription", () =>
    fresh(Effect.gen(function*() {
      const nats = yield* client()
      yield* Effect.scoped(Effect.gen(function*() {
        yield* nats.subscription("flood", { capacity: 3, overflow: "dropNewest" })
        yield* nats.subscription("flood", { capacity: 4, overflow: "dropOldest" })
        for (let i = 0; i < 10; i++) yield* nats.publish("flood", "12345")
        yield* nats.flush
        assert.strictEqual(yield* level(NatsMetrics.pendingMessages), 7)
        assert.isAtLeast(yield* level(NatsMetrics.pendingBytes), 7 * 10)
        assert.strictEqual(yield* count(NatsMetrics.dropped, { policy: "dropNewest" }), 7)
        assert.strictEqual(yield* count(NatsMetrics.dropped, { policy: "dropOldest" }), 6)
      }))
      assert.strictEqual(yield* level(NatsMetrics.pendingMessages), 0)
      assert.strictEqual(yield* count(NatsMetrics.dropped, { policy: "dropNewest" }), 7)
      assert.strictEqual(yield* count(NatsMetrics.dropped, { policy: "dropOldest" }), 6)
    })))

  it.effect("of several clients are sums, or apart by attributes, and do not fall when a client is closed", () =>
    fresh(Effect.gen(function*() {
      const one = yield* client()
      yield* one.publish("a")
      yield* Effect.scoped(Effect.gen(function*() {
        const two = yield* client()
        yield* two.publish("a")
        yield* two.publish("a")
        assert.strictEqual(yield* count(NatsMetrics.messagesOut), 3)
        assert.strictEqual(yield* level(NatsMetrics.connectionState, { state: "connected" }), 2)
      }))
      assert.strictEqual(yield* count(NatsMetrics.messagesOut), 3)
      assert.strictEqual(yield* count(NatsMetrics.dials), 2)
      assert.strictEqual(yield* level(NatsMetrics.connectionState, { state: "connected" }), 1)
      const named = { client: "orders" }
      const three = yield* Effect.provideService(client(), Metric.CurrentMetricAttributes, named)
      yield* three.publish("a")
      assert.strictEqual(yield* count(NatsMetrics.messagesOut), 3)
      assert.strictEqual(yield* count(NatsMetrics.messagesOut, named), 1)
    })))

  it.effect("with nothing to collect leave the registry empty, and times are there only when asked for", () =>
    Effect.gen(function*() {
      const ids = (collect: "nothing" | "counters" | "everything") =>
        fresh(Effect.gen(function*() {
          yield* Effect.gen(function*() {
            const nats = yield* client()
            yield* nats.publish("a")
            yield* NatsService.make(Group, { name: "asked", version: "1.0.0" }).pipe(
              Effect.provide(Handlers),
              Effect.provideService(NatsClient.NatsClient, nats)
            )
          }).pipe(Effect.provideService(NatsMetrics.Collect, collect))
          return new Set((yield* Metric.snapshot).map(({ id }) => id))
        }))
      assert.strictEqual((yield* ids("nothing")).size, 0)
      const counters = yield* ids("counters")
      const all = yield* ids("everything")
      for (const counter of [NatsMetrics.messagesIn, NatsMetrics.serviceRequests]) {
        assert.isTrue(counters.has(counter.id))
      }
      for (const time of [NatsMetrics.requestTime, NatsMetrics.serviceTime]) {
        assert.isFalse(counters.has(time.id))
        assert.isTrue(all.has(time.id))
      }
    }))

  it.effect("of times are there for what is made on a client whose configuration asks for them", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ jetstream: true })
      const names = (metrics: boolean, collect?: "nothing") =>
        fresh(
          Effect.gen(function*() {
            const nats = yield* NatsClient.make({ servers: server.url, metrics })
            const made = Effect.gen(function*() {
              yield* NatsService.make(Group, { name: "asked", version: "1.0.0" }).pipe(Effect.provide(Handlers))
              const js = yield* JetStream.make()
              yield* Effect.gen(function*() {
                yield* JetStreamStream.provision([
                  JetStreamStream.make("TIMES", { subjects: ["times"] }),
                  JetStreamConsumer.make("TIMES", "timed")
                ])
                yield* JetStreamConsumer.processScoped(
                  { stream: "TIMES", consumer: "timed" },
                  () => Effect.void
                )
              }).pipe(Effect.provideService(JetStream.JetStream, js))
            })
            yield* Effect.provideService(made, NatsClient.NatsClient, nats)
            return new Set((yield* Metric.snapshot).map(({ id }) => id))
          }).pipe(
            Effect.scoped,
            collect === undefined ? (self) => self : Effect.provideService(NatsMetrics.Collect, collect)
          )
        )
      const times = [
        NatsMetrics.handlerTime,
        NatsMetrics.requestTime,
        NatsMetrics.serviceTime,
        NatsMetrics.jetStreamPublishTime,
        NatsMetrics.consumerTime
      ]
      const without = yield* names(false)
      assert.isTrue(without.has(NatsMetrics.serviceRequests.id))
      for (const { id } of times) assert.isFalse(without.has(id), id)
      for (const asked of [yield* names(true), yield* names(true, "nothing")]) {
        for (const { id } of times) assert.isTrue(asked.has(id), id)
      }
      assert.strictEqual((yield* names(false, "nothing")).size, 0)
    }))

  it.effect("say what happened to the connection: state, dials and reconnects by cause", () =>
    fresh(Effect.gen(function*() {
      const server = yield* TestNatsServer.TestNatsServer
      const proxy = yield* TestNatsProxy.make({ port: server.port })
      const nats = yield* NatsClient.make({
        servers: proxy.url,
        reconnect: { initialDelay: "1 millis", maxDelay: "5 millis" }
      })
      const gone = yield* Effect.forkChild(
        nats.status.pipe(Stream.filter(({ _tag }) => _tag === "Reconnecting"), Stream.runHead),
        { startImmediately: true }
      )
      yield* proxy.refuse
      yield* proxy.drop("RST")
      yield* Fiber.join(gone)
      assert.strictEqual(yield* level(NatsMetrics.connectionState, { state: "connected" }), 0)
      assert.strictEqual(yield* level(NatsMetrics.connectionState, { state: "reconnecting" }), 1)
      const health = yield* NatsHealth.check(nats)
      assert.deepInclude(health, { live: true, ready: false, state: "Reconnecting" })
      assert.include(health.reason, proxy.url)
      yield* proxy.heal
      yield* nats.flush
      assert.deepStrictEqual(yield* NatsHealth.check(nats), { live: true, ready: true, state: "Connected" })
      assert.strictEqual(yield* count(NatsMetrics.reconnects, { cause: "ConnectionReset" }), 1)
      assert.isAtLeast(yield* count(NatsMetrics.dials), 3)
    })))
})

it.layer(
  TestNatsServer.layer({ args: ["--user", "svc", "--pass", "canary-77ab"] }),
  { timeout: "30 seconds", excludeTestServices: true }
)("metrics of credentials", (it) => {
  it.effect("count refusals by kind, also of a client that never came up, and tell no secret", () =>
    fresh(everything(Effect.gen(function*() {
      yield* Effect.flip(Effect.scoped(client({ auth: { user: "svc", password: Redacted.make("canary-77ab-no") } })))
      yield* Effect.flip(
        Effect.scoped(client({ auth: { _tag: "CredsFile", path: "/nowhere/canary-77ab.creds" } }))
      )
      const nats = yield* client({ auth: { user: "svc", password: Redacted.make("canary-77ab") } })
      yield* nats.publish("canary-77ab.subject")
      assert.strictEqual(yield* count(NatsMetrics.authFailures, { kind: "AuthorizationViolation" }), 1)
      assert.strictEqual(yield* count(NatsMetrics.authFailures, { kind: "CredentialsUnavailable" }), 1)
      assert.strictEqual(yield* count(NatsMetrics.dials), 2)
      const told = yield* PrometheusMetrics.format()
      assert.include(told, "nats_client_auth_failures_total{kind=\"AuthorizationViolation\"} 1")
      assert.notInclude(told, "canary")
    }))))
})

it.layer(TestNatsServer.layer(), { timeout: "30 seconds", excludeTestServices: true })("health", (it) => {
  it.effect("is live and not ready when the server does not answer in time, and says for how long", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.TestNatsServer
      const proxy = yield* TestNatsProxy.make({ port: server.port })
      const nats = yield* NatsClient.make({ servers: proxy.url, drainTimeout: "50 millis" })
      yield* proxy.swallow("toClient")
      assert.deepStrictEqual(yield* NatsHealth.check(nats, { timeout: "20 millis" }), {
        live: true,
        ready: false,
        state: "Connected",
        reason: `${proxy.url} has not answered for 20ms`
      })
    }))

  it.effect("has the state that made a check fail, when the connection is lost meanwhile", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.TestNatsServer
      const proxy = yield* TestNatsProxy.make({ port: server.port })
      const nats = yield* NatsClient.make({
        servers: proxy.url,
        drainTimeout: "50 millis",
        reconnect: { initialDelay: "1 hour" }
      })
      yield* proxy.swallow("toClient")
      const checking = yield* Effect.forkChild(NatsHealth.check(nats, { timeout: "10 seconds" }), {
        startImmediately: true
      })
      yield* proxy.drop()
      const health = yield* Fiber.join(checking)
      assert.deepInclude(health, { live: true, ready: false })
      assert.include(["Disconnected", "Reconnecting"], health.state)
    }))

  it.effect("is not live once the client has ended, with the reason", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.TestNatsServer
      const proxy = yield* TestNatsProxy.make({ port: server.port })
      const closed = yield* client()
      yield* closed.drain
      assert.deepStrictEqual(yield* NatsHealth.check(closed), {
        live: false,
        ready: false,
        state: "Closed",
        reason: "the client was closed"
      })
      const nats = yield* NatsClient.make({ servers: proxy.url, reconnect: false })
      yield* proxy.drop()
      const ended = yield* Effect.result(nats.closed)
      const health = yield* NatsHealth.check(nats)
      assert.isFalse(health.live)
      assert.isTrue(Result.isFailure(ended) && ended.failure.reason?.message === health.reason)
    }))

  it.effect("of a service are its requests, errors and times by endpoint, and stay when it has gone", () =>
    fresh(everything(Effect.gen(function*() {
      const nats = yield* client()
      const scope = yield* Scope.make()
      const service = yield* NatsService.make(Group, { name: "asked", version: "1.0.0" }).pipe(
        Effect.provide(Handlers),
        Effect.provideService(NatsClient.NatsClient, nats),
        Scope.provide(scope)
      )
      for (const text of ["a", "b", "no"]) yield* nats.request("asked.ask", JSON.stringify(text))
      yield* service.reset
      yield* nats.request("asked.ask", "no JSON")
      const labels = { service: "asked", endpoint: "ask" }
      const look = Effect.gen(function*() {
        const times = yield* Metric.value(Metric.withAttributes(NatsMetrics.serviceTime, labels))
        assert.strictEqual(yield* count(NatsMetrics.serviceRequests, labels), 4)
        assert.strictEqual(yield* count(NatsMetrics.serviceErrors, labels), 2)
        assert.strictEqual(times.count, 4)
        assert.isAbove(times.sum, 0)
      })
      yield* look
      yield* Scope.close(scope, Exit.void)
      yield* look
    }))))

  it.effect("of instances of a service are sums for each endpoint, whatever the order of the attributes is", () =>
    fresh(everything(Effect.gen(function*() {
      const nats = yield* client()
      const Two = RpcGroup.make(Rpc.make("one"), Rpc.make("two"))
      for (const attributes of [{ a: "1", b: "2" }, { b: "2", a: "1" }]) {
        yield* NatsService.make(Two, { name: "many", version: "1.0.0" }).pipe(
          Effect.provide(Two.toLayer({ one: () => Effect.void, two: () => Effect.void })),
          Effect.provideService(NatsClient.NatsClient, nats),
          Effect.provideService(Metric.CurrentMetricAttributes, attributes)
        )
      }
      for (let i = 0; i < 20; i++) yield* nats.request("many.one")
      yield* nats.request("many.two")
      for (const [endpoint, requests] of [["one", 20], ["two", 1]] as const) {
        const labels = { service: "many", endpoint, a: "1", b: "2" }
        assert.strictEqual(yield* count(NatsMetrics.serviceRequests, labels), requests)
        const times = yield* Metric.value(Metric.withAttributes(NatsMetrics.serviceTime, labels))
        assert.strictEqual(times.count, requests)
      }
    }))))

  it.effect("is live and not ready while the client drains", () =>
    Effect.gen(function*() {
      const nats = yield* client()
      const handling = yield* Deferred.make<void>()
      const finish = yield* Deferred.make<void>()
      yield* consuming(
        nats,
        "slow",
        () => Effect.andThen(Deferred.succeed(handling, undefined), Deferred.await(finish))
      )
      yield* nats.publish("slow")
      yield* Deferred.await(handling)
      const draining = yield* Effect.forkChild(nats.drain, { startImmediately: true })
      assert.deepInclude(yield* NatsHealth.check(nats), { live: true, ready: false, state: "Draining" })
      yield* Deferred.succeed(finish, undefined)
      yield* Fiber.join(draining)
    }))
})

const exported = [
  NatsMetrics.connectionState,
  NatsMetrics.dials,
  NatsMetrics.reconnects,
  NatsMetrics.authFailures,
  NatsMetrics.messagesIn,
  NatsMetrics.messagesOut,
  NatsMetrics.bytesIn,
  NatsMetrics.bytesOut,
  NatsMetrics.dropped,
  NatsMetrics.pendingMessages,
  NatsMetrics.pendingBytes,
  NatsMetrics.pendingRequests,
  NatsMetrics.subscriptions,
  NatsMetrics.handlerFailures,
  NatsMetrics.handlerTime,
  NatsMetrics.requestTime,
  NatsMetrics.serviceRequests,
  NatsMetrics.serviceErrors,
  NatsMetrics.serviceTime,
  NatsMetrics.jetStreamPublishes,
  NatsMetrics.jetStreamPublishesInFlight,
  NatsMetrics.lateResults,
  NatsMetrics.jetStreamPublishTime,
  NatsMetrics.consumerMessages,
  NatsMetrics.consumerRedelivered,
  NatsMetrics.consumerAcks,
  NatsMetrics.consumerDeadLetters,
  NatsMetrics.consumerHeld,
  NatsMetrics.consumerPending,
  NatsMetrics.consumerLag,
  NatsMetrics.consumerTime
]

const Group = RpcGroup.make(
  Rpc.make("ask", { payload: Schema.String, success: Schema.String, error: Schema.String })
)
const Handlers = Group.toLayer({ ask: (text) => text === "no" ? Effect.fail("no") : Effect.succeed(text) })

it.layer(TestNatsServer.layer({ jetstream: true }), { timeout: "30 seconds", excludeTestServices: true })(
  "the dashboard",
  (it) => {
    it.effect("asks for names and labels that Prometheus is served, and leaves no metric out", () =>
      fresh(everything(Effect.gen(function*() {
        const nats = yield* client()
        yield* NatsService.make(Group, { name: "asked", version: "1.0.0" }).pipe(
          Effect.provide(Handlers),
          Effect.provideService(NatsClient.NatsClient, nats)
        )
        const js = yield* Effect.provideService(JetStream.make(), NatsClient.NatsClient, nats)
        const Served = JetStreamStream.make("SERVED", { subjects: ["served"], storage: "memory" })
        yield* JetStreamStream.create(Served).pipe(
          Effect.andThen(JetStreamConsumer.processScoped(JetStreamConsumer.make(Served, "c", {}), () => Effect.void)),
          Effect.provideService(JetStream.JetStream, js)
        )
        // As stores do, of which older servers have none.
        lateMeter(yield* Effect.context<never>(), "queue", true)
        const text = yield* PrometheusMetrics.format()
        const served = new Map<string, Set<string>>()
        for (const line of text.split("\n")) {
          const [, name, labels = ""] = /^(nats_\w+)(?:\{(.*)\})? /.exec(line) ?? []
          if (name === undefined) continue
          const names = served.get(name) ?? new Set<string>()
          for (const [, label] of labels.matchAll(/(\w+)="/g)) names.add(label)
          served.set(name, names)
        }
        const dashboard = JSON.parse(
          fs.readFileSync(new URL("../../docs/grafana-dashboard.json", import.meta.url), "utf8")
        )
        const queries: ReadonlyArray<string> = dashboard.panels.flatMap((
          panel: { targets?: ReadonlyArray<{ expr: string }> }
        ) => (panel.targets ?? []).map(({ expr }) => expr))
        const asked = new Set<string>()
        for (const query of queries) {
          const names = [...query.matchAll(/nats_\w+/g)].map(([name]) => name)
          assert.isNotEmpty(names, query)
          for (const name of names) {
            assert.isTrue(served.has(name), `${name} is not served`)
            asked.add(name.replace(/_(bucket|sum|count)$/, ""))
            for (const [, list] of query.matchAll(/by \(([^)]*)\)/g)) {
              for (const label of list.split(",").map((label) => label.trim())) {
                assert.isTrue(served.get(name)!.has(label), `${name} has no label ${label}`)
              }
            }
          }
        }
        assert.deepStrictEqual([...asked].toSorted(), exported.map(({ id }) => id).toSorted())
      }))))
  }
)

describe("the metrics module", () => {
  it("exports the handles that the dashboard is checked with, and no other", () => {
    const handles = Object.values(NatsMetrics).flatMap((value) => Metric.isMetric(value) ? [value.id] : [])
    assert.deepStrictEqual(handles.toSorted(), exported.map(({ id }) => id).toSorted())
  })
})
