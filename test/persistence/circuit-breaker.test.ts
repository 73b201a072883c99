/** Circuits that several processes share: who is let through, who is the probe, and who hears that one is open. */
import { assert, describe, it, layer } from "@effect/vitest"
import { Deferred, Duration, Effect, Exit, Fiber, Scope, Stream } from "effect"
import type { NatsClient } from "effect-nats"
import { JetStream, KeyValue } from "effect-nats/jetstream"
import { NatsCircuitBreaker } from "effect-nats/persistence"
import { TestNatsProxy, TestNatsServer } from "effect-nats/testing"
import { CircuitBreaker } from "effect/persistence"
import { TestClock } from "effect/testing"
import { until } from "../fixtures/following.ts"
import { connectJetStream, rawApi } from "../fixtures/jetStream.ts"
import { on } from "../fixtures/keyValue.ts"
import { elsewhen, startProcess, storeOn } from "../fixtures/limits.ts"
import { randomOf } from "../fixtures/random.ts"

const made = (options?: NatsCircuitBreaker.Options, client?: NatsClient.Options) =>
  Effect.flatMap(
    TestNatsServer.TestNatsServer,
    (server) => storeOn(server, NatsCircuitBreaker.makeStore(options), client)
  )

const store = (options?: NatsCircuitBreaker.Options) => Effect.map(made(options), ({ store }) => store)

const storeOf = (js: JetStream.JetStream, options?: NatsCircuitBreaker.Options) =>
  Effect.provideService(NatsCircuitBreaker.makeStore(options), JetStream.JetStream, js)

type Store = CircuitBreaker.CircuitBreakerStore["Service"]

const tripPolicy = CircuitBreaker.consecutive(1)

const record = (
  store: Store,
  key: string,
  generation: number,
  outcome: "Success" | "Failure" | "Ignored",
  openFor: Duration.Input = Duration.zero
) => store.record({ key, generation, outcome, tripPolicy, openFor: Duration.fromInputUnsafe(openFor) })

/** Opens a circuit by a call that fails. */
const open = (store: Store, key: string, openFor: Duration.Input) =>
  Effect.scoped(
    Effect.flatMap(store.admit(key), ({ generation }) => record(store, key, generation, "Failure", openFor))
  )

/** What a call is told. */
const told = (store: Store, key: string) =>
  Effect.scoped(
    Effect.match(store.admit(key), {
      onSuccess: ({ probe }) => probe ? "probe" : "admitted",
      onFailure: ({ reason }) => reason._tag
    })
  )

/** Waits until its open time is over. */
const untilOver = (store: Store, key: string) =>
  until(Effect.map(store.state(key), (state) => state._tag === "Open" && Duration.isZero(state.retryAfter)))

const breakerOf = (store: Store, onStoreError: "fail" | "allow" = "fail") =>
  Effect.provideService(
    CircuitBreaker.make({ tripPolicy, openDuration: "1 milli", onStoreError }),
    CircuitBreaker.CircuitBreakerStore,
    store
  )

layer(TestNatsServer.layer({ jetstream: true }), { excludeTestServices: true })("a circuit", (it) => {
  it.effect("opens for all, lets one probe through, and closes for all", () =>
    Effect.gen(function*() {
      const [one, two] = [yield* store(), yield* store()]
      const key = "life of *.> one"
      assert.strictEqual(yield* told(one, key), "admitted")
      const other = `${key}, for longer`
      assert.strictEqual((yield* open(one, other, "1 hour"))?.to, "Open")
      assert.strictEqual(yield* told(one, other), "CircuitOpen")
      assert.strictEqual(yield* told(two, other), "CircuitOpen")
      yield* open(one, key, "1 milli")
      yield* untilOver(two, key)
      const scope = yield* Scope.make()
      const admission = yield* Scope.provide(two.admit(key), scope)
      assert.isTrue(admission.probe)
      assert.deepStrictEqual(admission.transition, { key, from: "Open", to: "HalfOpen" })
      assert.strictEqual(yield* told(one, key), "CircuitHalfOpen")
      assert.strictEqual(yield* told(two, key), "CircuitHalfOpen")
      const closed = yield* record(two, key, admission.generation, "Success")
      assert.deepStrictEqual(closed, { key, from: "HalfOpen", to: "Closed" })
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* told(one, key), "admitted")
    }))

  it.effect("lets one through of all who ask at once when it is half open", () =>
    Effect.gen(function*() {
      const stores = [yield* store(), yield* store(), yield* store()]
      yield* open(stores[0], "race", "1 milli")
      yield* untilOver(stores[0], "race")
      const exits = yield* Effect.forEach(
        Array.from({ length: 60 }, (_, at) => stores[at % 3]),
        (store) => Effect.exit(store.admit("race")),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(exits.filter(Exit.isSuccess).length, 1)
      const state = yield* stores[0].state("race")
      assert(state._tag === "HalfOpen" && state.probing)
    }))

  it.effect("has a free slot at once when a probe was interrupted, ignored, or let go without a word", () =>
    Effect.gen(function*() {
      const one = yield* store({ probeLease: "1 day" })
      const two = yield* store({ probeLease: "1 day" })
      const breaker = yield* breakerOf(one)
      const key = "freed"
      yield* Effect.flip(breaker.execute(Effect.fail("no"), { key }))
      yield* untilOver(two, key)

      const runs = yield* Deferred.make<void>()
      const probe = yield* Effect.forkChild(
        breaker.execute(Effect.andThen(Deferred.succeed(runs, undefined), Effect.never), { key })
      )
      yield* Deferred.await(runs)
      assert.strictEqual(yield* told(two, key), "CircuitHalfOpen")
      yield* Fiber.interrupt(probe)
      assert.deepInclude(yield* two.state(key), { _tag: "HalfOpen", probing: false })

      yield* breaker.execute(Effect.void, { key, classify: () => CircuitBreaker.ignored })
      assert.deepInclude(yield* two.state(key), { _tag: "HalfOpen", probing: false })

      // A scope that closes, and nothing was recorded.
      assert.strictEqual(yield* told(one, key), "probe")
      assert.strictEqual(yield* told(two, key), "probe")
      yield* breaker.execute(Effect.void, { key })
      assert.strictEqual((yield* two.state(key))._tag, "Closed")
    }))

  it.effect(
    "has its slot free again after one lease when the process of its probe was killed",
    () =>
      Effect.gen(function*() {
        const server = yield* TestNatsServer.TestNatsServer
        const near = yield* store()
        const key = "killed"
        yield* open(near, key, "1 milli")
        yield* untilOver(near, key)
        const child = yield* startProcess({ url: server.url, does: "hold", key, leaseMillis: 6000 })
        assert.strictEqual((yield* child.line)["probe"], true)
        assert.strictEqual(yield* told(near, key), "CircuitHalfOpen")
        yield* child.kill
        const killedAt = performance.now()
        yield* until(Effect.map(told(near, key), (answer) => answer === "probe"))
        // A bound that only says that it was the lease, and not the end of the key an hour later.
        assert.isBelow(performance.now() - killedAt, 25_000)
      }),
    60_000
  )

  it.effect("records nothing of a generation that is over", () =>
    Effect.gen(function*() {
      const [one, two] = [yield* store(), yield* store()]
      const key = "stale"
      const late = yield* Effect.scoped(one.admit(key))
      const other = yield* Effect.scoped(two.admit(key))
      assert.strictEqual((yield* record(two, key, other.generation, "Failure", "1 milli"))?.to, "Open")
      assert.isUndefined(yield* record(one, key, late.generation, "Failure", "1 day"))
      assert.isUndefined(yield* record(one, key, late.generation, "Success"))
      yield* untilOver(one, key)
      const probe = yield* one.admit(key)
      assert.isTrue(probe.probe)
      assert.isUndefined(yield* record(one, key, late.generation, "Success"))
      assert.isUndefined(yield* record(two, key, other.generation, "Failure", "1 day"))
      assert.deepInclude(yield* two.state(key), { _tag: "HalfOpen", probing: true, consecutiveOpenings: 1 })
    }))

  it.effect("is open for the same time for processes whose wall clocks are five minutes apart", () =>
    Effect.gen(function*() {
      const ahead = yield* elsewhen(5, store())
      const behind = yield* elsewhen(-5, store())
      yield* open(ahead, "clocks", "1 minute")
      const error = yield* Effect.flip(Effect.scoped(behind.admit("clocks")))
      assert(error.reason._tag === "CircuitOpen")
      assert.isAtMost(Duration.toMillis(error.reason.retryAfter), 60_000)
      yield* open(behind, "clocks 2", "1 minute")
      assert.strictEqual(yield* told(ahead, "clocks 2"), "CircuitOpen")
    }))

  it.effect(
    "that is open is told in other processes without a request, and while there is no connection",
    () =>
      Effect.gen(function*() {
        const server = yield* TestNatsServer.TestNatsServer
        const proxy = yield* TestNatsProxy.make({ port: server.port })
        const one = yield* store()
        const far = yield* made({}, { servers: proxy.url, whileDisconnected: "fail" })
        const { nats } = yield* connectJetStream(server)
        let requests = 0
        const { stream } = yield* nats.subscription("$JS.API.STREAM.MSG.GET.>")
        yield* Effect.forkScoped(Stream.runForEach(stream, () => Effect.sync(() => requests++)))
        const asks = (key: string) =>
          Effect.gen(function*() {
            yield* nats.flush
            const before = requests
            const answer = yield* told(far.store, key)
            yield* far.nats.flush
            yield* nats.flush
            return { answer, requests: requests - before }
          })
        assert.deepStrictEqual(yield* asks("watched"), { answer: "admitted", requests: 1 })
        yield* open(one, "watched", "1 hour")
        yield* until(
          Effect.map(asks("watched"), ({ answer, requests }) => answer === "CircuitOpen" && requests === 0)
        )
        yield* proxy.refuse
        yield* proxy.drop()
        assert.strictEqual(yield* told(far.store, "watched"), "CircuitOpen")
        // What is not known to be open is not said to be.
        assert.strictEqual(yield* told(far.store, "never seen"), "CircuitBreakerStoreError")
        const allowing = yield* breakerOf(far.store, "allow")
        assert.strictEqual(yield* allowing.execute(Effect.succeed("ran"), { key: "never seen" }), "ran")
        // What went without a trace meanwhile is asked for again.
        yield* rawApi(nats, "STREAM.PURGE.KV_circuit-breaker", { filter: "$KV.circuit-breaker.circuit.watched" })
        yield* proxy.heal
        yield* until(Effect.map(told(far.store, "watched"), (answer) => answer === "admitted"))
      }),
    60_000
  )

  it.effect("that somebody deletes is closed for all", () =>
    Effect.gen(function*() {
      const { js, store: one } = yield* made()
      const two = yield* store()
      yield* open(one, "deleted", "1 hour")
      yield* until(Effect.map(told(two, "deleted"), (answer) => answer === "CircuitOpen"))
      yield* (yield* on(js, KeyValue.open("circuit-breaker"))).delete("circuit.deleted")
      yield* until(Effect.map(told(two, "deleted"), (answer) => answer === "admitted"))
      assert.strictEqual(yield* told(one, "deleted"), "admitted")
    }))

  it.effect("can be kept for ever, and is not written by calls that change nothing", () =>
    Effect.gen(function*() {
      const forEver = { probeLease: Duration.infinity, idleTimeToLive: Duration.infinity }
      const { js, store } = yield* made(forEver)
      yield* open(store, "for ever", "1 milli")
      yield* untilOver(store, "for ever")
      const { generation, probe } = yield* store.admit("for ever")
      assert.isTrue(probe)
      yield* record(store, "for ever", generation, "Success")
      const kv = yield* on(js, KeyValue.open("circuit-breaker"))
      // The openings are forgotten with the first call.
      yield* until(Effect.map(Effect.scoped(store.admit("for ever")), (call) => call.consecutiveOpenings === 0))
      const before = yield* kv.get("circuit.for=0020ever", { consistent: true })
      const call = yield* Effect.scoped(store.admit("for ever"))
      yield* record(store, "for ever", call.generation, "Success")
      assert.strictEqual(before._tag, "Some")
      assert.deepStrictEqual(yield* kv.get("circuit.for=0020ever", { consistent: true }), before)
    }))

  it.effect("counts every outcome of many at once, of two processes", () =>
    Effect.gen(function*() {
      const stores = [yield* store(), yield* store()]
      const key = "counted"
      const policy = CircuitBreaker.consecutive(101)
      const admissions = yield* Effect.forEach(stores, (store) => Effect.scoped(store.admit(key)))
      const moves = yield* Effect.forEach(
        Array.from({ length: 100 }, (_, at) => at % 2),
        (at) =>
          stores[at].record({
            key,
            generation: admissions[at].generation,
            outcome: "Failure",
            tripPolicy: policy,
            openFor: Duration.zero
          }),
        { concurrency: "unbounded" }
      )
      assert.isTrue(moves.every((move) => move === undefined))
      const [{ generation }] = admissions
      const last = { key, generation, outcome: "Failure", tripPolicy: policy, openFor: Duration.hours(1) } as const
      assert.strictEqual((yield* stores[0].record(last))?.to, "Open")
    }))
})

describe("a store of circuits", () => {
  it.live("fails typed where its bucket differs, and waits for a first session no longer than requests do", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ jetstream: true })
      yield* storeOn(server, NatsCircuitBreaker.makeStore({ storage: "memory" }))
      const other = NatsCircuitBreaker.makeStore({ storage: "file" })
      assert.strictEqual((yield* Effect.flip(storeOn(server, other)))._tag, "BucketExists")
      yield* server.kill
      const { store } = yield* storeOn(server, NatsCircuitBreaker.makeStore(), {
        reconnect: { onFirstConnect: "background" },
        requestTimeout: "100 millis"
      })
      assert.strictEqual(yield* told(store, "a"), "CircuitBreakerStoreError")
      const breaker = yield* breakerOf(store, "allow")
      assert.strictEqual(yield* breaker.execute(Effect.succeed("ran"), { key: "a" }), "ran")
    }))
})

describe("a circuit under a test clock", () => {
  it.effect("keeps its probe's slot for as long as the probe runs, and loses it a lease after the last renewal", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ jetstream: true })
      const { js } = yield* TestClock.withLive(connectJetStream(server))
      const options = { probeLease: "9 seconds" } as const
      const [one, two] = [yield* storeOf(js, options), yield* storeOf(js, options)]
      const dying = yield* Scope.make()
      const third = yield* Scope.provide(storeOf(js, options), dying)
      const kv = yield* on(js, KeyValue.open("circuit-breaker"))
      const revision = Effect.map(
        kv.get("circuit.a", { consistent: true }),
        (entry) => entry._tag === "Some" ? entry.value.revision : 0
      )
      yield* open(one, "a", "1 second")
      yield* TestClock.adjust("1 second")
      const scope = yield* Scope.make()
      const probe = yield* Scope.provide(one.admit("a"), scope)
      assert.isTrue(probe.probe)
      let last = yield* revision
      for (let thirds = 0; thirds < 10; thirds++) {
        yield* TestClock.adjust("3 seconds")
        yield* until(Effect.map(revision, (now) => now > last))
        last = yield* revision
        assert.strictEqual(yield* told(two, "a"), "CircuitHalfOpen")
      }
      // Nothing renews it any more, and nothing lets it go.
      yield* record(one, "a", probe.generation, "Failure", "1 second")
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust("1 second")
      const held = yield* third.admit("a")
      assert.isTrue(held.probe)
      yield* Scope.close(dying, Exit.void)
      yield* TestClock.adjust("8 seconds")
      assert.strictEqual(yield* told(two, "a"), "CircuitHalfOpen")
      yield* TestClock.adjust("2 seconds")
      const next = yield* two.admit("a")
      assert.isTrue(next.probe)
      assert.isUndefined(next.transition)
      assert.isUndefined(yield* record(two, "a", held.generation, "Success"))
    }))

  it.effect("is forgotten when it was idle long enough, and not before", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ jetstream: true })
      const { js } = yield* TestClock.withLive(connectJetStream(server))
      const store = yield* storeOf(js, { idleTimeToLive: "1 hour" })
      yield* open(store, "a", "1 minute")
      yield* TestClock.adjust("60 minutes")
      assert.strictEqual((yield* store.state("a"))._tag, "Open")
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual((yield* store.state("a"))._tag, "Closed")
      // A call that came from before it is none of the new one.
      const before = yield* Effect.scoped(store.admit("a"))
      yield* TestClock.adjust("2 hours")
      const after = yield* Effect.scoped(store.admit("a"))
      assert.isAbove(after.generation, before.generation)
      assert.isUndefined(yield* record(store, "a", before.generation, "Failure", "1 minute"))
      // Calls that change nothing keep it.
      for (let times = 0; times < 4; times++) {
        yield* TestClock.adjust("50 minutes")
        assert.strictEqual((yield* Effect.scoped(store.admit("a"))).generation, after.generation)
      }
    }))

  it.effect("does what effect's own store does, call by call", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ jetstream: true })
      const { js } = yield* TestClock.withLive(connectJetStream(server))
      const forEver = { probeLease: "10000 days", idleTimeToLive: "10000 days" } as const
      const ours = yield* storeOf(js, forEver)
      const theirs = yield* CircuitBreaker.CircuitBreakerStore.pipe(
        Effect.provide(CircuitBreaker.layerStoreMemory({ idleTimeToLive: "10000 days" }))
      )
      const random = randomOf(23)
      const pick = <A>(values: ReadonlyArray<A>): A => values[Math.floor(random() * values.length)]
      const policies: Record<string, CircuitBreaker.TripPolicy> = {
        a: CircuitBreaker.consecutive(2),
        b: CircuitBreaker.rate({ size: 5, minimumCalls: 3, threshold: 0.5 })
      }
      const scope = yield* Effect.scope
      const shown = (exit: Exit.Exit<CircuitBreaker.Admission, CircuitBreaker.CircuitBreakerError>) =>
        Exit.match(exit, {
          onSuccess: (admission) => ({ ...admission, generation: 0 }) as object,
          onFailure: (cause) => JSON.parse(JSON.stringify(cause)) as object
        })
      const running: Array<{ readonly key: string; readonly generations: readonly [number, number] }> = []
      let moves = 0
      for (let nth = 0; nth < 600; nth++) {
        const key = pick(["a", "b"])
        const what = `call ${nth}`
        switch (pick(["admit", "admit", "record", "record", "state", "wait"])) {
          case "admit": {
            const exits = [
              yield* Effect.exit(Scope.provide(ours.admit(key), scope)),
              yield* Effect.exit(Scope.provide(theirs.admit(key), scope))
            ] as const
            assert.deepStrictEqual(shown(exits[0]), shown(exits[1]), what)
            if (Exit.isSuccess(exits[0]) && Exit.isSuccess(exits[1])) {
              running.push({ key, generations: [exits[0].value.generation, exits[1].value.generation] })
            }
            break
          }
          case "record": {
            if (running.length === 0) break
            const [call] = running.splice(Math.floor(random() * running.length), 1)
            const options = {
              key: call.key,
              outcome: pick(["Success", "Failure", "Failure", "Ignored"] as const),
              tripPolicy: policies[call.key],
              openFor: Duration.millis(pick([1000, 5000]))
            }
            const moved = yield* ours.record({ ...options, generation: call.generations[0] })
            assert.deepStrictEqual(moved, yield* theirs.record({ ...options, generation: call.generations[1] }), what)
            if (moved !== undefined) moves++
            break
          }
          case "state":
            assert.deepStrictEqual(yield* ours.state(key), yield* theirs.state(key), what)
            break
          case "wait":
            yield* TestClock.adjust(pick([100, 1000, 4000, 20_000]))
            break
        }
      }
      assert.isAbove(moves, 20)
    }))
})
