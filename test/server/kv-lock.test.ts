/** Locks and elections: who holds one, with which token, and when it is lost. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Fiber, Option, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { JetStream, KeyValue } from "effect-nats/jetstream"
import { TestNatsProxy } from "effect-nats/testing"
import { until } from "../fixtures/following.ts"
import { hasTtl, on, rawBucket, withBucket } from "../fixtures/keyValue.ts"

/** A bucket whose keys expire as the server can: each by itself, or all alike. */
const withLocks = (options: { readonly seconds?: number } = {}) =>
  Effect.gen(function*() {
    const made = yield* withBucket({ storage: "file" })
    const own = hasTtl(made.server.version)
    yield* rawBucket(made.nats, "locks", {
      storage: "file",
      ...(own ? { allow_msg_ttl: true } : { max_age: (options.seconds ?? 3) * 1e9 })
    })
    return { ...made, locks: yield* on(made.js, KeyValue.open("locks")) }
  })

const anotherOn = (url: string, bucket: string) =>
  Effect.gen(function*() {
    const nats = yield* NatsClient.make({ servers: url, reconnect: { initialDelay: "10 millis" } })
    const js = yield* Effect.provideService(JetStream.make(), NatsClient.NatsClient, nats)
    return yield* on(js, KeyValue.open(bucket))
  })

const ttl = "3 seconds"

/**
 * Runs out when so much time has passed, and half a second more. Its second timer begins when the first has fired, so that a
 * machine that stands still for a while delays what it is compared with no more than this.
 */
const deadline = (millis: number) => Effect.forkChild(Effect.andThen(Effect.sleep(millis), Effect.sleep("500 millis")))

describe("a lock", () => {
  it.live(
    "is held by one at a time, with tokens that only grow, and the next has it at once when it is let go",
    () =>
      Effect.gen(function*() {
        const { locks } = yield* withLocks({ seconds: 30 })
        const tokens: Array<number> = []
        const ttl = "30 seconds"
        let inside = 0
        const started = Date.now()
        yield* Effect.forEach(
          Array.from({ length: 8 }),
          () =>
            KeyValue.lock(locks, "job", { ttl, holder: "me" }, ({ token }) =>
              Effect.gen(function*() {
                inside++
                assert.strictEqual(inside, 1)
                tokens.push(token)
                assert.strictEqual(Option.getOrThrow(yield* KeyValue.holder(locks, "job")).holder, "me")
                yield* Effect.sleep("20 millis")
                inside--
              })),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(tokens, tokens.toSorted((a, b) => a - b))
        assert.strictEqual(new Set(tokens).size, 8)
        // Woken by the watch, and not by a time that is over.
        assert.isBelow(Date.now() - started, 25_000)
        assert.strictEqual(Option.isNone(yield* KeyValue.holder(locks, "job")), true)
        assert.strictEqual(yield* KeyValue.lock(locks, "job", { ttl }, () => Effect.succeed("done")), "done")
        assert.strictEqual(
          yield* Effect.flip(KeyValue.lock(locks, "job", { ttl }, () => Effect.fail("no" as const))),
          "no"
        )
      }),
    60_000
  )

  it.live("is lost when another deletes its key: the work and its scope are interrupted, and it fails typed", () =>
    Effect.gen(function*() {
      const { locks } = yield* withLocks()
      const events: Array<string> = []
      const error = yield* Effect.flip(
        KeyValue.lock(locks, "job", { ttl }, () =>
          Effect.gen(function*() {
            yield* Effect.addFinalizer(() => Effect.sync(() => events.push("scope closed")))
            yield* locks.delete("job")
            return yield* Effect.onInterrupt(Effect.never, () => Effect.sync(() => events.push("interrupted")))
          }))
      )
      assert(error._tag === "LockLost", error._tag)
      assert.strictEqual(error.reason, "taken")
      assert.deepStrictEqual(events, ["interrupted", "scope closed"])
    }))

  it.live("interrupted while it is waited for, or while it is held, leaves nothing behind", () =>
    Effect.gen(function*() {
      const { locks } = yield* withLocks({ seconds: 30 })
      const ttl = "30 seconds"
      const held = yield* Deferred.make<void>()
      const holder = yield* Effect.forkChild(
        KeyValue.lock(locks, "job", { ttl }, () => Effect.andThen(Deferred.succeed(held, undefined), Effect.never))
      )
      yield* Deferred.await(held)
      const waiter = yield* Effect.forkChild(KeyValue.lock(locks, "job", { ttl }, () => Effect.void), {
        startImmediately: true
      })
      yield* Effect.sleep("50 millis")
      yield* Fiber.interrupt(waiter)
      yield* Fiber.interrupt(holder)
      // What is left behind is there for 30 seconds.
      yield* Effect.timeout(KeyValue.lock(locks, "job", { ttl }, () => Effect.void), "20 seconds")
    }))

  it.live("whose first word was stored and not answered is looked for, and not written once more", () =>
    Effect.gen(function*() {
      const { locks, nats, server } = yield* withLocks()
      const proxy = yield* TestNatsProxy.make({ port: server.port })
      const far = yield* anotherOn(proxy.url, "locks")
      let writes = 0
      const { stream } = yield* nats.subscription("$KV.locks.job")
      yield* Effect.forkScoped(Stream.runForEach(stream, () => Effect.sync(() => writes++)))
      yield* proxy.swallow("toClient")
      const held = yield* Effect.forkChild(
        KeyValue.lock(far, "job", { ttl: "10 seconds" }, () => Effect.andThen(nats.flush, Effect.sync(() => writes))),
        { startImmediately: true }
      )
      yield* until(Effect.map(KeyValue.holder(locks, "job"), Option.isSome))
      yield* proxy.drop()
      yield* proxy.heal
      assert.strictEqual(yield* Fiber.join(held), 1)
    }))

  it.live("needs keys that expire, and a time that has room for its margin", () =>
    Effect.gen(function*() {
      const { kv, locks, server } = yield* withLocks()
      const error = yield* Effect.flip(KeyValue.lock(kv, "job", {}, () => Effect.void))
      assert.strictEqual(error._tag, "LockNeedsTtl")
      if (!hasTtl(server.version)) return
      const defect = yield* Effect.flip(
        Effect.sandbox(KeyValue.lock(locks, "job", { ttl: "1 second" }, () => Effect.void))
      )
      assert.include(String(defect), "at least 2000")
    }))
})

// They wait for times that are over: all at once.
describe.concurrent("a lock, in time", () => {
  it.live("is refreshed for as long as the work takes, and who does not wait for it is told so", () =>
    Effect.gen(function*() {
      const { locks } = yield* withLocks({ seconds: 5 })
      const ttl = "5 seconds"
      const result = yield* KeyValue.lock(locks, "job", { ttl }, ({ remaining, token }) =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(
            KeyValue.lock(locks, "job", { ttl, wait: "6500 millis" }, () => Effect.void)
          )
          assert(error._tag === "LockNotFree", error._tag)
          assert.strictEqual(error.waitedMillis, 6500)
          const left = Duration.toMillis(yield* remaining)
          assert.isAbove(left, 500)
          assert.isAtMost(left, 4000)
          return token
        }))
      assert.isAbove(result, 0)
    }))

  it.live("whose refresh was stored and not answered goes on from there, and is let go from there", () =>
    Effect.gen(function*() {
      const { locks } = yield* withLocks()
      // As the server has it then: the same once more, under another revision.
      const again = Effect.flatMap(locks.get("job"), (entry) => locks.put("job", Option.getOrThrow(entry).value))
      const work = Effect.andThen(again, Effect.andThen(Effect.sleep("2500 millis"), again))
      yield* KeyValue.lock(locks, "job", { ttl }, () => work)
      assert.isTrue(Option.isNone(yield* KeyValue.holder(locks, "job")))
    }))

  it.live("of a holder that is cut off is lost there before another has it, whose token is higher", () =>
    Effect.gen(function*() {
      const { locks, server } = yield* withLocks()
      const proxy = yield* TestNatsProxy.make({ port: server.port })
      const far = yield* anotherOn(proxy.url, "locks")
      const held = yield* Deferred.make<number>()
      let lostAt = 0
      const holder = yield* Effect.forkChild(Effect.flip(
        KeyValue.lock(
          far,
          "job",
          { ttl },
          ({ token }) =>
            Effect.andThen(
              Deferred.succeed(held, token),
              Effect.onInterrupt(Effect.never, () =>
                Effect.sync(() => {
                  lostAt = Date.now()
                }))
            )
        )
      ))
      const first = yield* Deferred.await(held)
      const waiting = yield* Effect.forkChild(
        KeyValue.lock(locks, "job", { ttl }, ({ token }) => Effect.sync(() => [token, Date.now()] as const)),
        { startImmediately: true }
      )
      yield* proxy.swallow()
      const [second, acquiredAt] = yield* Fiber.join(waiting)
      const error = yield* Fiber.join(holder)
      assert(error._tag === "LockLost", error._tag)
      assert.strictEqual(error.reason, "notRefreshed")
      assert.strictEqual(error.token, first)
      assert.isAbove(second, first)
      assert.isAtLeast(acquiredAt, lostAt)
      yield* proxy.heal
      // What was swallowed stays so: a session of its own can be closed.
      yield* proxy.drop()
    }))

  it.live("outlives a restart of the server, also a kill", () =>
    Effect.gen(function*() {
      const { locks, server } = yield* withLocks({ seconds: 10 })
      const token = yield* KeyValue.lock(locks, "job", { ttl: "10 seconds" }, ({ token }) =>
        Effect.gen(function*() {
          yield* server.restart
          yield* server.kill
          yield* server.restart
          yield* Effect.sleep("3200 millis")
          return token
        }))
      assert.isAbove(token, 0)
      assert.strictEqual(Option.isNone(yield* KeyValue.holder(locks, "job")), true)
    }), 60_000)

  it.live("a server that stands still costs the lock in time, and nobody has it meanwhile", () =>
    Effect.gen(function*() {
      const { locks, server } = yield* withLocks()
      const lost = yield* Deferred.make<boolean>()
      const losing = yield* Effect.forkChild(
        Effect.flip(KeyValue.lock(locks, "job", { ttl }, () =>
          Effect.gen(function*() {
            yield* server.pause
            const over = yield* deadline(2000)
            return yield* Effect.onInterrupt(
              Effect.never,
              () => Deferred.succeed(lost, over.pollUnsafe() === undefined)
            )
          })))
      )
      assert.isTrue(yield* Deferred.await(lost), "it is held for longer than its time less its margin")
      // As long as its release is given.
      const over = yield* deadline(2000)
      const error = yield* Fiber.join(losing)
      assert.isUndefined(over.pollUnsafe(), "its release takes longer")
      assert.strictEqual(error._tag, "LockLost")
      yield* server.resume
    }))

  it.live("that was answered when its time was over is refreshed before the work begins", () =>
    Effect.gen(function*() {
      const { locks, server } = yield* withLocks()
      yield* server.pause
      const holding = yield* Effect.forkChild(
        KeyValue.lock(locks, "job", { ttl }, ({ remaining }) => remaining),
        { startImmediately: true }
      )
      // More than the time less its margin, and less than all of it.
      yield* Effect.sleep("2300 millis")
      yield* server.resume
      assert.isAbove(Duration.toMillis(yield* Fiber.join(holding)), 0)
    }))
})

describe("an election", () => {
  it.live("has one leader, another one when it resigns, and the same one again when it has lost it and nobody else is there", () =>
    Effect.gen(function*() {
      const { locks } = yield* withLocks()
      const terms: Array<number> = []
      const result = yield* KeyValue.leader(locks, "head", { ttl }, ({ token }) =>
        Effect.suspend(() => {
          terms.push(token)
          return terms.length < 3 ? Effect.andThen(locks.delete("head"), Effect.never) : Effect.succeed("resigned")
        }))
      assert.strictEqual(result, "resigned")
      assert.strictEqual(terms.length, 3)
      assert.deepStrictEqual(terms, terms.toSorted((a, b) => a - b))
      // What is not let go of is there for two seconds at least.
      yield* Effect.timeout(KeyValue.leader(locks, "head", { ttl }, () => Effect.void), "2 seconds")
    }))
})
