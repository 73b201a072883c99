/** Limits that several processes share: what is granted, by whose time, and what a refused take costs. */
import { assert, describe, it, layer } from "@effect/vitest"
import { Cause, Duration, Effect, Exit, Fiber, Layer, Option, Scope } from "effect"
import { JetStream, KeyValue } from "effect-nats/jetstream"
import { NatsRateLimiter } from "effect-nats/persistence"
import { TestNatsProxy, TestNatsServer } from "effect-nats/testing"
import { RateLimiter } from "effect/persistence"
import { TestClock } from "effect/testing"
import { until } from "../fixtures/following.ts"
import { connectJetStream, rawApi, whenCreated } from "../fixtures/jetStream.ts"
import { on, rawBucket } from "../fixtures/keyValue.ts"
import { elsewhen, startProcess, storeOn } from "../fixtures/limits.ts"
import { randomOf } from "../fixtures/random.ts"

const refillRate = Duration.minutes(1)

const Server = TestNatsServer.layer({ jetstream: true })

const made = (options?: NatsRateLimiter.Options) =>
  Effect.flatMap(TestNatsServer.TestNatsServer, (server) => storeOn(server, NatsRateLimiter.makeStore(options)))

const store = (options?: NatsRateLimiter.Options) => Effect.map(made(options), ({ store }) => store)

const shuffled = <A>(values: ReadonlyArray<A>, random: () => number): ReadonlyArray<A> =>
  values
    .map((value) => ({ value, at: random() }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ value }) => value)

layer(Server, { excludeTestServices: true })("a limit of several processes", (it) => {
  it.effect("is one, and a refused take uses nothing, in whatever order costs come", () =>
    Effect.gen(function*() {
      const [one, two] = [yield* store(), yield* store()]
      const orders: ReadonlyArray<readonly [number, ReadonlyArray<number>]> = [
        [10, [8, 1, 1, 1]],
        [10, [1, 8, 1, 1]],
        [3, [1, 1, 1, 8]],
        [10, [3, 8, 7, 1]],
        [10, [11, 10, 1]]
      ]
      for (const [at, [expected, costs]] of orders.entries()) {
        let granted = 0
        for (const [nth, tokens] of costs.entries()) {
          const [count] = yield* (nth % 2 === 0 ? one : two).fixedWindow({
            key: `order.${at}`,
            tokens,
            refillRate,
            limit: 10
          })
          assert.strictEqual(count, granted + tokens)
          if (count <= 10) granted += tokens
        }
        assert.strictEqual(granted, expected)
      }
    }))

  it.effect(
    "grants no more than it is to three processes whose clocks are five minutes apart, and all of it",
    () =>
      Effect.gen(function*() {
        const server = yield* TestNatsServer.TestNatsServer
        const random = randomOf(7)
        // Costs of 1 are most, so that all of the limit can be granted.
        const costs = Array.from({ length: 200 }, () => random() < 0.6 ? 1 : 1 + Math.floor(random() * 9))
        const limit = 120
        const processes = yield* Effect.forEach(
          [-5, 0, 5],
          (aheadMinutes) =>
            startProcess({
              url: server.url,
              does: "take",
              key: "hot",
              limit,
              aheadMinutes,
              costs: shuffled(costs, random),
              atOnce: 200
            }),
          { concurrency: "unbounded" }
        )
        for (const { line } of processes) assert.deepStrictEqual(yield* line, { ready: true })
        let granted = 0
        for (const { line } of processes) granted += Number((yield* line)["granted"])
        assert.strictEqual(granted, limit)
        const [count] = yield* (yield* store()).fixedWindow({ key: "hot", tokens: 0, refillRate, limit })
        assert.strictEqual(count, limit)
      }),
    60_000
  )

  it.effect("counts each of many takes at once, of two processes, once", () =>
    Effect.gen(function*() {
      const [one, two] = [yield* store(), yield* store()]
      const take = { key: "counted", tokens: 1, refillRate, limit: undefined }
      const counts = yield* Effect.forEach(
        Array.from({ length: 400 }, (_, at) => at % 2 === 0 ? one : two),
        (store) => Effect.map(store.fixedWindow(take), ([count]) => count),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(
        counts.toSorted((a, b) => a - b),
        Array.from({ length: 400 }, (_, at) => at + 1)
      )
    }))

  it.effect("goes by the server's time, and by no wall clock", () =>
    Effect.gen(function*() {
      const ahead = yield* elsewhen(5, store())
      const behind = yield* elsewhen(-5, store())
      const take = { key: "clocks", tokens: 1, refillRate, limit: undefined }
      const [first, ttl] = yield* ahead.fixedWindow(take)
      assert.strictEqual(first, 1)
      assert.strictEqual(ttl, 60_000)
      const [second, left] = yield* behind.fixedWindow(take)
      assert.strictEqual(second, 2)
      assert.isAbove(left, 60_000)
      assert.isAtMost(left, 120_000)
      assert.strictEqual((yield* ahead.fixedWindow(take))[0], 3)
      // What is to be a minute is not over for one of them, and a bucket is not filled for one of them.
      const taken = { key: "clocks", tokens: 5, limit: 5, refillRate, allowOverflow: false }
      assert.strictEqual((yield* behind.tokenBucket(taken))[0], 0)
      assert.strictEqual((yield* ahead.tokenBucket(taken))[0], -5)
    }))

  it.effect("takes any string as a key, and each is one of its own", () =>
    Effect.gen(function*() {
      const { js, store } = yield* made()
      const keys = [
        "",
        ".",
        "a.b",
        "a=002eb",
        "a",
        "*",
        ">",
        "with blank",
        "é",
        "e\u0301",
        "\ud800",
        "\ud801",
        "\ufffd",
        "\u0000",
        "x".repeat(5000),
        `${"x".repeat(4999)}y`,
        "==",
        "__proto__"
      ]
      for (const key of keys) {
        const [count] = yield* store.fixedWindow({ key, tokens: 1, refillRate, limit: 1 })
        assert.strictEqual(count, 1, JSON.stringify(key.slice(0, 20)))
      }
      // Those of one name are of three kinds.
      const take = { key: "a", tokens: 1, limit: 1, refillRate, allowOverflow: false }
      assert.strictEqual((yield* store.tokenBucket(take))[0], 0)
      assert.strictEqual(
        (yield* store.adaptiveConsume({ key: "a", tokens: 1, fallbackLimit: 1, fallbackWindow: refillRate })).phase,
        "inactive"
      )
      const kv = yield* on(js, KeyValue.open("rate-limiter"))
      assert.isTrue(Option.isSome(yield* kv.get("fixed.a")))
    }))

  it.effect("lies in the bucket with a time to live, and a deleted one begins anew", () =>
    Effect.gen(function*() {
      const { js, nats, store } = yield* made()
      const take = { key: "lies", tokens: 3, refillRate, limit: 5 }
      yield* store.fixedWindow(take)
      const { message } = yield* rawApi(nats, "STREAM.MSG.GET.KV_rate-limiter", {
        last_by_subj: "$KV.rate-limiter.fixed.lies"
      })
      assert.include(Buffer.from(message.hdrs, "base64").toString(), "Nats-TTL: 240s")
      const kv = yield* on(js, KeyValue.open("rate-limiter"))
      yield* kv.delete("fixed.lies")
      assert.strictEqual((yield* store.fixedWindow(take))[0], 3)
      assert.strictEqual((yield* store.fixedWindow({ ...take, tokens: 1 }))[0], 4)
      yield* kv.purge("fixed.lies")
      assert.strictEqual((yield* (yield* storeOf(js)).fixedWindow(take))[0], 3)
    }))

  it.effect("is refused with the key, the bucket and the cause where what lies there is no state", () =>
    Effect.gen(function*() {
      const { js, store } = yield* made()
      const kv = yield* on(js, KeyValue.open("rate-limiter"))
      yield* kv.put("fixed.broken", "{\"at\":1}")
      const take = { key: "broken", tokens: 1, refillRate, limit: 5 }
      const error = yield* Effect.flip(store.fixedWindow(take))
      assert(error.reason._tag === "RateLimitStoreError")
      assert.include(error.message, "The limit \"broken\" of the bucket \"rate-limiter\" was not asked: ")
      assert.strictEqual((error.reason.cause as { readonly _tag: string })._tag, "MessageDecodeError")
      assert.strictEqual((yield* store.fixedWindow({ ...take, key: "sound" }))[0], 1)
      // Nothing is stored that could not be read again.
      const unfit = yield* Effect.flip(store.fixedWindow({ ...take, key: "unfit", tokens: NaN }))
      assert.strictEqual(unfit.reason._tag, "RateLimitStoreError")
      assert.strictEqual((yield* store.fixedWindow({ ...take, key: "unfit" }))[0], 1)
    }))

  it.effect("whose answer was lost is looked for, and counts once", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.TestNatsServer
      const proxy = yield* TestNatsProxy.make({ port: server.port })
      const far = (yield* storeOn(server, NatsRateLimiter.makeStore(), { servers: proxy.url })).store
      const near = yield* store()
      const take = { key: "lost", tokens: 1, refillRate, limit: undefined }
      yield* far.fixedWindow(take)
      yield* proxy.swallow("toClient")
      const taken = yield* Effect.forkChild(far.fixedWindow(take), { startImmediately: true })
      const look = { ...take, tokens: 0, limit: -1 }
      yield* until(Effect.map(near.fixedWindow(look), ([count]) => count === 2))
      // Others take meanwhile: what it finds is not its own state.
      yield* near.fixedWindow(take)
      yield* proxy.drop()
      yield* proxy.heal
      assert.strictEqual((yield* Fiber.join(taken))[0], 2)
      assert.strictEqual((yield* near.fixedWindow(look))[0], 3)
    }))

  it.effect("ends with the scope of its store: nobody waits for ever", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const store = (yield* Scope.provide(made(), scope)).store
      const take = { key: "closed", tokens: 1, refillRate, limit: 5 }
      yield* store.fixedWindow(take)
      yield* Scope.close(scope, Exit.void)
      for (let times = 0; times < 2; times++) {
        const exit = yield* Effect.exit(store.fixedWindow(take))
        assert(Exit.isFailure(exit) && (Cause.hasInterrupts(exit.cause) || Cause.hasFails(exit.cause)))
      }
    }))
})

const storeOf = (js: JetStream.JetStream) => Effect.provideService(NatsRateLimiter.makeStore(), JetStream.JetStream, js)

describe("a store of limits", () => {
  it.live("makes its bucket, takes one that is so, and fails typed where it differs", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ jetstream: true })
      const { nats } = yield* storeOn(server, NatsRateLimiter.makeStore({ bucket: "limits", storage: "memory" }))
      const { config } = yield* rawApi(nats, "STREAM.INFO.KV_limits")
      assert.strictEqual(config.storage, "memory")
      yield* storeOn(server, NatsRateLimiter.makeStore({ bucket: "limits" }))
      const other = NatsRateLimiter.makeStore({ bucket: "limits", storage: "file" })
      assert.strictEqual((yield* Effect.flip(storeOn(server, other)))._tag, "BucketExists")
      yield* rawBucket(nats, "without-ttl")
      const error = yield* Effect.flip(storeOn(server, NatsRateLimiter.makeStore({ bucket: "without-ttl" })))
      assert.strictEqual(error._tag, "BucketExists")
      const unfit = yield* Effect.flip(storeOn(server, NatsRateLimiter.makeStore({ bucket: "a.b" })))
      assert.strictEqual(unfit._tag, "InvalidName")
    }))

  it.live("takes a bucket that another one makes while it looks for it, if it is as declared", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ jetstream: true })
      const { nats } = yield* connectJetStream(server)
      const js = yield* whenCreated(nats, Effect.ignore(rawBucket(nats, "rate-limiter", { allow_msg_ttl: true })))
      const store = yield* storeOf(js)
      assert.strictEqual((yield* store.fixedWindow({ key: "a", tokens: 1, refillRate, limit: 1 }))[0], 1)
      const other = yield* whenCreated(nats, Effect.ignore(rawBucket(nats, "other", { max_msgs_per_subject: 5 })))
      const error = yield* Effect.flip(on(other, NatsRateLimiter.makeStore({ bucket: "other" })))
      assert(error._tag === "BucketExists", error._tag)
      assert.deepStrictEqual(error.differences.toSorted(), ["maxMessagesPerSubject", "ttl"])
    }))

  it.live("of a client in the background waits for the first session, and no longer than requests do", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ jetstream: true })
      yield* server.kill
      const { store } = yield* storeOn(server, NatsRateLimiter.makeStore(), {
        reconnect: { onFirstConnect: "background" },
        requestTimeout: "100 millis"
      })
      const take = { key: "a", tokens: 1, refillRate, limit: 5 }
      const error = yield* Effect.flip(store.fixedWindow(take))
      assert(error.reason._tag === "RateLimitStoreError")
      assert.strictEqual((error.reason.cause as { readonly _tag: string })._tag, "RequestTimedOut")
      const waiting = yield* storeOn(server, NatsRateLimiter.makeStore(), {
        reconnect: { onFirstConnect: "background", initialDelay: "10 millis" },
        requestTimeout: "1 minute"
      })
      const taken = yield* Effect.forkChild(waiting.store.fixedWindow(take), { startImmediately: true })
      yield* server.restart
      assert.strictEqual((yield* Fiber.join(taken))[0], 1)
    }))

  it.live("keeps what was taken through a restart of the server", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ jetstream: true })
      const { nats, store } = yield* storeOn(server, NatsRateLimiter.makeStore())
      const take = { key: "a", tokens: 1, refillRate, limit: 5 }
      yield* store.fixedWindow(take)
      yield* server.kill
      yield* server.restart
      yield* nats.flush
      assert.strictEqual((yield* store.fixedWindow(take))[0], 2)
    }))
})

describe("a limit under a test clock", () => {
  const program = Layer.build(
    RateLimiter.layer.pipe(
      Layer.provide(NatsRateLimiter.layerStore()),
      Layer.provide(JetStream.layer()),
      Layer.provide(TestNatsServer.layerClient({ jetstream: true }))
    )
  )

  it.effect("ends when the clock says so", () =>
    Effect.gen(function*() {
      const limiter = yield* Effect.map(program, (context) => RateLimiter.RateLimiter.pipe(Effect.provide(context)))
      const take = (yield* limiter).consume({ key: "a", limit: 2, window: "1 minute" })
      yield* take
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* take).remaining, 0)
      const refused = yield* Effect.flip(take)
      assert(refused.reason._tag === "RateLimitExceeded")
      assert.strictEqual(Duration.toMillis(refused.reason.retryAfter), 50_000)
      yield* TestClock.adjust("50 seconds")
      assert.strictEqual((yield* take).remaining, 1)
    }))

  it.effect("does what effect's own store does, call by call", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ jetstream: true })
      const { js } = yield* TestClock.withLive(connectJetStream(server))
      const store = yield* storeOf(js)
      const memory = yield* RateLimiter.RateLimiterStore.pipe(Effect.provide(RateLimiter.layerStoreMemory))
      const random = randomOf(11)
      const pick = <A>(values: ReadonlyArray<A>): A => values[Math.floor(random() * values.length)]
      // Times of now are larger here, and the last digits of a fraction are lost.
      const same = (actual: ReadonlyArray<number>, expected: ReadonlyArray<number>, what: string): void => {
        for (const [at, value] of expected.entries()) assert.approximately(actual[at], value, 0.01, what)
      }
      const epochs = new Map<string, number>()
      for (let nth = 0; nth < 600; nth++) {
        const key = pick(["a", "b"])
        const tokens = pick([1, 1, 2, 0.5, 3, 7])
        const refillRate = Duration.millis(key === "a" ? 1000 : 1000 / 3)
        const what = `call ${nth}`
        switch (pick(["fixed", "bucket", "consume", "feedback", "wait"])) {
          case "fixed": {
            const limit = key === "a" ? 5 : undefined
            const take = { key, tokens, refillRate, limit }
            same(yield* store.fixedWindow(take), yield* memory.fixedWindow(take), what)
            break
          }
          case "bucket": {
            const take = { key, tokens, refillRate, limit: 5, allowOverflow: key === "b" }
            const taken = yield* store.tokenBucket(take)
            same(taken, yield* memory.tokenBucket(take), what)
            assert.isBelow(taken[1], Duration.toMillis(refillRate))
            break
          }
          case "consume": {
            const take = { key, tokens, fallbackLimit: 5, fallbackWindow: Duration.seconds(10) }
            const ours = yield* store.adaptiveConsume(take)
            const theirs = yield* memory.adaptiveConsume(take)
            assert.strictEqual(ours.phase, theirs.phase, what)
            assert.strictEqual(ours.epoch, theirs.epoch, what)
            same([Duration.toMillis(ours.delay)], [Duration.toMillis(theirs.delay)], what)
            epochs.set(key, ours.epoch)
            break
          }
          case "feedback": {
            const feedback = {
              key,
              tokens,
              epoch: Math.max(0, (epochs.get(key) ?? 0) - pick([0, 0, 0, 1])),
              status: pick([429, 429, 429, 200]),
              retryAfter: pick([Duration.seconds(3), Duration.seconds(3), Duration.zero, undefined])
            }
            yield* store.adaptiveFeedback(feedback)
            yield* memory.adaptiveFeedback(feedback)
            break
          }
          case "wait":
            yield* TestClock.adjust(pick([100, 500, 1000, 1700, 5000, 100_000]))
            break
        }
      }
    }))
})
