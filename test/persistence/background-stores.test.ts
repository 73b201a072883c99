/**
 * Stores of a client that connects in the background: what their calls do while there is no server, and who is told where the
 * server that comes is none for them.
 */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { NatsClient, NatsError, NatsHealth, NatsLayer } from "effect-nats"
import { NatsMessageStorage } from "effect-nats/cluster"
import { JetStream } from "effect-nats/jetstream"
import {
  NatsCircuitBreaker,
  NatsKeyValueStore,
  NatsPersistedQueue,
  NatsPersistence,
  NatsRateLimiter,
  NatsReactivity
} from "effect-nats/persistence"
import { TestNatsServer } from "effect-nats/testing"
import { Snowflake } from "effect/cluster"
import { CircuitBreaker } from "effect/persistence"
import { hasProperty, isTagged } from "effect/Predicate"
import { follow, until } from "../fixtures/following.ts"
import { connectJetStream, rawStream } from "../fixtures/jetStream.ts"
import { on } from "../fixtures/keyValue.ts"
import { requestOf, shard } from "../fixtures/messageStorage.ts"

const reconnect = { initialDelay: "20 millis", maxDelay: "50 millis", onFirstConnect: "background" } as const

const taking = { name: "mails", maxAttempts: 1, retryDelay: () => Effect.succeed(Duration.zero) }
const minute = { refillRate: Duration.minutes(1), limit: 5, tokens: 1 }

type Calls = Effect.Effect<
  Readonly<Record<string, Effect.Effect<unknown, unknown, Scope.Scope>>>,
  unknown,
  JetStream.JetStream | Scope.Scope
>

/** Each store by the stream that it stands on, what it is called, and its calls. */
const stores: ReadonlyArray<readonly [stream: string, name: string, calls: Calls]> = [
  [
    "KV_state",
    "state",
    Effect.map(NatsKeyValueStore.make({ bucket: "state" }), (store) => ({
      get: store.get("a"),
      set: store.set("a", "1"),
      modify: store.modify("a", (text) => text),
      keys: store.keys,
      clear: store.clear
    }))
  ],
  [
    "KV_cache",
    "cache",
    Effect.map(
      Effect.flatMap(NatsPersistence.makeBacking({ bucket: "cache" }), (backing) => backing.make("users")),
      (store) => ({
        get: store.get("a"),
        getMany: store.getMany(["a", "b"]),
        set: store.set("a", {}, undefined),
        setMany: store.setMany([["a", {}, undefined]]),
        remove: store.remove("a")
      })
    )
  ],
  [
    "KV_rate-limiter",
    "rate limiter rate-limiter",
    Effect.map(NatsRateLimiter.makeStore(), (store) => ({
      fixedWindow: store.fixedWindow({ key: "a", ...minute }),
      tokenBucket: store.tokenBucket({ key: "a", allowOverflow: false, ...minute })
    }))
  ],
  [
    "KV_circuit-breaker",
    "circuit breaker circuit-breaker",
    Effect.map(NatsCircuitBreaker.makeStore(), (store) => ({
      admit: store.admit("a"),
      state: store.state("a"),
      record: store.record({
        key: "a",
        generation: 1,
        outcome: "Success",
        tripPolicy: CircuitBreaker.consecutive(1),
        openFor: Duration.zero
      })
    }))
  ],
  [
    "QUEUE_jobs",
    "QUEUE_jobs",
    Effect.map(NatsPersistedQueue.makeStore({ prefix: "jobs" }), (store) => ({
      offer: store.offer({ name: "mails", id: "a", element: 1, isCustomId: true }),
      cleanup: store.cleanup({ timeToLive: Duration.minutes(1), failedTimeToLive: undefined })
    }))
  ],
  [
    "CLUSTER_shop",
    "messages of CLUSTER_shop",
    Effect.map(Effect.provide(NatsMessageStorage.make({ prefix: "shop" }), Snowflake.layerGenerator), (storage) => ({
      saveRequest: storage.saveRequest(requestOf()),
      unprocessedMessages: storage.unprocessedMessages([shard(1)])
    }))
  ]
]

/** The error of JetStream or the client in that of a store. */
const reasonIn = (error: unknown): unknown => {
  if (hasProperty(error, "reason")) return reasonIn(error.reason)
  return hasProperty(error, "cause") && error.cause !== undefined ? reasonIn(error.cause) : error
}

const reasonOf = (call: Effect.Effect<unknown, unknown, Scope.Scope>) =>
  Effect.map(Effect.flip(Effect.scoped(call)), reasonIn)

const absentServer = Effect.tap(TestNatsServer.make({ jetstream: true }), ({ kill }) => kill)

describe("without a server", () => {
  it.live("each call waits for as long as a request may take, and fails with that", () =>
    Effect.gen(function*() {
      const server = yield* absentServer
      const { js } = yield* connectJetStream(server, { reconnect, requestTimeout: "50 millis" })
      for (const [name, , make] of stores) {
        for (const [call, effect] of Object.entries(yield* on(js, make))) {
          const reason = yield* reasonOf(effect)
          assert(isTagged(reason, "RequestTimedOut"), `${call} of ${name}: ${String(reason)}`)
          assert.propertyVal(reason, "timeoutMillis", 50)
        }
      }
    }))

  it.live("where JetStream has a time of its own, that one counts", () =>
    Effect.gen(function*() {
      const server = yield* absentServer
      const { nats } = yield* connectJetStream(server, { reconnect, requestTimeout: "1 hour" })
      const js = yield* JetStream.make({ timeout: "40 millis" }).pipe(
        Effect.provideService(NatsClient.NatsClient, nats)
      )
      const store = yield* on(js, NatsKeyValueStore.make({ bucket: "state" }))
      assert.deepInclude(yield* reasonOf(store.get("a")), { _tag: "RequestTimedOut", timeoutMillis: 40 })
    }))

  it.live("a call ends in its time also where it cannot be interrupted", () =>
    Effect.gen(function*() {
      const server = yield* absentServer
      const { js } = yield* connectJetStream(server, { reconnect, requestTimeout: "50 millis" })
      const store = yield* on(js, NatsKeyValueStore.make({ bucket: "state" }))
      const reason = yield* reasonOf(Effect.uninterruptible(store.get("a")))
      assert.deepInclude(reason, { _tag: "RequestTimedOut" })
    }))

  it.live("where the client is not to wait, each call fails at once", () =>
    Effect.gen(function*() {
      const server = yield* absentServer
      const { js } = yield* connectJetStream(server, {
        reconnect,
        requestTimeout: "1 hour",
        whileDisconnected: "fail"
      })
      for (const [name, , make] of stores) {
        for (const [call, effect] of Object.entries(yield* on(js, make))) {
          const reason = yield* reasonOf(effect)
          // `ConnectionLost`, and what it was lost by.
          assert.isFalse(isTagged(reason, "RequestTimedOut"), `${call} of ${name}`)
        }
      }
    }))

  it.live("who takes of a queue waits on, and has what is offered when there is one", () =>
    Effect.gen(function*() {
      const server = yield* absentServer
      const { js } = yield* connectJetStream(server, { reconnect, requestTimeout: "50 millis" })
      const store = yield* on(js, NatsPersistedQueue.makeStore({ prefix: "jobs" }))
      const taken = yield* Effect.forkChild(store.take(taking), { startImmediately: true })
      for (const id of ["a", "b", "c"]) {
        const reason = yield* reasonOf(store.offer({ name: "mails", id, element: 1, isCustomId: true }))
        assert.deepInclude(reason, { _tag: "RequestTimedOut" })
      }
      assert.isUndefined(taken.pollUnsafe())
      yield* server.restart
      const other = yield* connectJetStream(server)
      const offering = yield* on(other.js, NatsPersistedQueue.makeStore({ prefix: "jobs" }))
      yield* offering.offer({ name: "mails", id: "d", element: 1, isCustomId: true })
      assert.strictEqual((yield* Fiber.join(taken)).id, "d")
    }).pipe(Effect.scoped))

  it.live("a call that waits is done when the server comes in time", () =>
    Effect.gen(function*() {
      const server = yield* absentServer
      const { js, nats } = yield* connectJetStream(server, { reconnect, requestTimeout: "1 hour" })
      const calls = (yield* Effect.forEach(stores, ([, , make]) => on(js, make))).flatMap((each) =>
        Object.entries(each).filter(([call]) => call !== "cleanup")
      )
      const running = yield* Effect.forEach(calls, ([, call]) =>
        Effect.forkChild(Effect.scoped(call), { startImmediately: true }))
      assert.isFalse((yield* NatsHealth.check(nats)).ready)
      yield* server.restart
      for (const [i, fiber] of running.entries()) {
        const exit = yield* Fiber.await(fiber)
        assert.strictEqual(exit._tag, "Success", `${calls[i]![0]}: ${String(exit)}`)
      }
      assert.isTrue((yield* NatsHealth.check(nats)).ready)
    }), 30_000)

  it.live("a call is interrupted when its store is closed before one comes", () =>
    Effect.gen(function*() {
      const server = yield* absentServer
      const { js, nats } = yield* connectJetStream(server, { reconnect, requestTimeout: "1 hour" })
      const scope = yield* Scope.make()
      const store = yield* Scope.provide(on(js, NatsPersistedQueue.makeStore({ prefix: "jobs" })), scope)
      const taking1 = yield* Effect.forkChild(Effect.scoped(store.take(taking)), { startImmediately: true })
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Fiber.await(taking1))._tag, "Failure")
      yield* server.restart
      yield* nats.flush
      assert.isTrue((yield* NatsHealth.check(nats)).ready)
    }))
})

it.live(
  "a server that comes without the others of its cluster is asked again until it has a leader",
  () =>
    Effect.gen(function*() {
      const [server, ...others] = yield* TestNatsServer.cluster(3, { jetstream: true })
      for (const other of others) yield* other.kill
      const { js, nats } = yield* connectJetStream(server, { reconnect, requestTimeout: "200 millis" })
      const status = yield* follow(nats)
      const made = yield* on(js, NatsKeyValueStore.make({ bucket: "state" }))
      yield* status.connected(1)
      assert.deepInclude(yield* reasonOf(made.get("a")), { _tag: "RequestTimedOut" })
      assert.deepInclude(yield* NatsHealth.look(nats), { ready: false, reason: "the store \"state\" is not open yet" })
      for (const other of others) yield* other.restart
      yield* until(Effect.match(made.set("a", "1"), { onSuccess: () => true, onFailure: () => false }))
      assert.isTrue((yield* NatsHealth.look(nats)).ready)
    }),
  60_000
)

describe("a server that comes and has a stream that is none for the store", () => {
  it.live(
    "ends it: each call fails with that, the client is not ready and names it, and a launched program ends",
    () =>
      Effect.gen(function*() {
        for (const [stream, name, make] of stores) {
          const server = yield* TestNatsServer.make({ jetstream: true })
          yield* Effect.scoped(
            Effect.flatMap(
              connectJetStream(server),
              ({ nats }) => rawStream(nats, stream, { subjects: ["else.>"], storage: "file" })
            )
          )
          yield* server.kill
          const client = { servers: server.url, reconnect } as const
          const App = Layer.effectDiscard(make).pipe(
            Layer.provide(JetStream.layer()),
            Layer.provide(NatsClient.layer(client))
          )
          const launched = yield* Effect.forkChild(NatsLayer.launch(App), { startImmediately: true })
          const { js, nats } = yield* connectJetStream(server, { reconnect })
          const status = yield* follow(nats)
          const scope = yield* Scope.make()
          const calls = yield* Scope.provide(on(js, make), scope)
          const before = yield* NatsHealth.check(nats)
          assert.isTrue(before.live)
          assert.isFalse(before.ready)
          yield* server.restart
          yield* status.connected(1)
          for (const [call, effect] of Object.entries(calls)) {
            assert.match(String(yield* reasonOf(effect)), /exists/i, `${call} of ${name}`)
          }
          const health = yield* NatsHealth.check(nats)
          assert.deepInclude(health, { live: true, ready: false, state: "Connected" })
          assert.include(health.reason, `the store "${name}" has ended`)
          assert.include(health.reason, stream.startsWith("KV_") ? stream.slice(3) : stream)
          const ended = yield* Effect.flip(Fiber.join(launched))
          assert.instanceOf(ended, NatsError.BackgroundEnded)
          assert.deepStrictEqual(ended.part, { kind: "store", name })
          // A program that does without the store is ready.
          yield* Scope.close(scope, Exit.void)
          assert.isTrue((yield* NatsHealth.check(nats)).ready)
        }
      }).pipe(Effect.scoped),
    60_000
  )

  it.live("a subject that may not be subscribed to ends a shared reactivity, and the client is not ready", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({
        users: [{ user: "u", password: "p", permissions: { publish: [">"], subscribe: { deny: ["changed"] } } }]
      })
      yield* server.kill
      const nats = yield* NatsClient.make({ servers: server.url, reconnect, auth: { user: "u", password: "p" } })
      const scope = yield* Scope.make()
      yield* NatsReactivity.make({ subject: "changed" }).pipe(
        Effect.provideService(NatsClient.NatsClient, nats),
        Scope.provide(scope)
      )
      yield* server.restart
      yield* until(Effect.map(NatsHealth.look(nats), ({ reason = "" }) => reason.includes("reactivity changed")))
      assert.isFalse((yield* NatsHealth.check(nats)).ready)
      yield* Scope.close(scope, Exit.void)
      assert.isTrue((yield* NatsHealth.check(nats)).ready)
    }))
})
