import { assert, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Queue, Stream } from "effect"
import type { NatsClient } from "effect-nats"
import { TestNatsProxy, TestNatsServer } from "effect-nats/testing"
import { caller, failureTag, serve } from "../fixtures/rpcRigs.ts"

/** The broker, and a way to it that can be broken. */
const ways = Effect.gen(function*() {
  const { port, url } = yield* TestNatsServer.TestNatsServer
  return { url, proxy: yield* TestNatsProxy.make({ port }) }
})

const quick = { initialDelay: "20 millis", maxDelay: "50 millis" } as const

/** The broker has noticed that this client is gone. */
const isGone = (name: string) =>
  Effect.flatMap(
    TestNatsServer.TestNatsServer,
    ({ connz }) => Effect.repeat(connz, { until: (all) => all.every((each) => each.name !== name) })
  )

/** Does something, and waits until a message has come to the proxy because of it. */
const sentThrough = <A, E, R>(proxy: TestNatsProxy.TestNatsProxy, action: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const { length } = yield* proxy.sent("toServer")
    const result = yield* action
    yield* Effect.repeat(proxy.sent("toServer"), { until: (bytes) => bytes.length > length })
    return result
  })

/** What one has sent has come to the other. */
const delivered = (from: NatsClient.NatsClient, to: NatsClient.NatsClient) => Effect.andThen(from.flush, to.flush)

/** Servers that are cut off for good need not wait to the end of their patience. */
const impatient = { drainTimeout: "50 millis", nats: { drainTimeout: "50 millis" } } as const

/** A stream whose reader has taken one element of it and waits. */
const reading = <E>(stream: Stream.Stream<string, E>) =>
  Effect.gen(function*() {
    const taken = yield* Queue.unbounded<string>()
    const fiber = yield* Effect.forkChild(
      Effect.exit(Stream.runForEach(stream, (name) => Queue.offer(taken, name)))
    )
    yield* Queue.take(taken)
    return fiber
  })

it.layer(TestNatsServer.layer(), { timeout: "30 seconds", excludeTestServices: true })(
  "rpc peers that vanish",
  (it) => {
    it.effect("a server killed in the middle of a stream: the next ack is RpcServerLost, though pings are far apart", () =>
      Effect.gen(function*() {
        const { proxy, url } = yield* ways
        const { nats, seen } = yield* serve(proxy.url, "a", { subject: "kill", nats: { reconnect: false } })
        const { nats: own, users } = yield* caller(url, { subject: "kill", pingInterval: "1 hour" })
        const queue = yield* users.Count({ to: 1_000, each: 1 }, { asQueue: true, streamBufferSize: 1 })
        yield* seen.until("Count emitted", 2)
        yield* delivered(nats, own)
        yield* proxy.refuse
        yield* proxy.drop("RST")
        yield* isGone("a")
        const exit = yield* Effect.exit(Stream.runDrain(Stream.fromQueue(queue)))
        assert.strictEqual(failureTag(exit), "RpcServerLost")
        assert.strictEqual(failureTag(yield* Effect.exit(users.Which())), "NoResponders")
      }))

    it.effect("a server killed while a stream is running: RpcServerLost by the next ping at the latest", () =>
      Effect.gen(function*() {
        const { proxy, url } = yield* ways
        yield* serve(proxy.url, "a", { subject: "cut", nats: { reconnect: false } })
        const { users } = yield* caller(url, { subject: "cut", pingInterval: "200 millis" })
        const fiber = yield* reading(users.WhichStream())
        yield* proxy.refuse
        yield* proxy.drop("RST")
        assert.strictEqual(failureTag(yield* Fiber.join(fiber)), "RpcServerLost")
      }))

    it.effect("a server killed under a call that is silent: RpcServerLost by the next ping, and others are not touched", () =>
      Effect.gen(function*() {
        const { proxy, url } = yield* ways
        const a = yield* serve(proxy.url, "a", { subject: "hush", nats: { reconnect: false } })
        const { users } = yield* caller(url, { subject: "hush", pingInterval: "200 millis" })
        const lost = yield* Effect.forkChild(Effect.exit(users.Never({ id: "1" })))
        yield* a.seen.until("Never 1 started", 1)
        const b = yield* serve(url, "b", { subject: "hush" })
        // The queue group gives some of these to each.
        const calls = yield* Effect.forEach(
          Array.from({ length: 30 }, (_, i) => String(i)),
          (id) => Effect.forkChild(Effect.exit(users.Wait({ id })))
        )
        const where = yield* Effect.forEach(
          calls,
          (_, i) =>
            Effect.raceFirst(
              Effect.as(a.seen.until(`Wait ${i} started`, 1), "a"),
              Effect.as(b.seen.until(`Wait ${i} started`, 1), "b")
            )
        )
        yield* proxy.refuse
        yield* proxy.drop("RST")
        assert.strictEqual(failureTag(yield* Fiber.join(lost)), "RpcServerLost")
        yield* b.seen.open
        const results = yield* Effect.forEach(calls, Fiber.join)
        assert.deepStrictEqual(
          results.map(failureTag),
          where.map((name, i) => name === "a" ? "RpcServerLost" : `success b ${i}`)
        )
        assert.strictEqual(new Set(where).size, 2)
      }))

    it.effect("a server that nobody knows to be gone: RpcServerLost after the pings, and its streams are released there", () =>
      Effect.gen(function*() {
        const { proxy, url } = yield* ways
        const { seen } = yield* serve(proxy.url, "a", { subject: "dark", clientTimeout: "400 millis", ...impatient })
        const { users } = yield* caller(url, { subject: "dark", pingInterval: "100 millis" })
        const waiting = yield* Effect.forkChild(Effect.exit(users.Never({ id: "1" })))
        const fiber = yield* reading(users.WhichStream())
        yield* proxy.swallow()
        assert.strictEqual(failureTag(yield* Fiber.join(fiber)), "RpcServerLost")
        assert.strictEqual(failureTag(yield* Fiber.join(waiting)), "RpcServerLost")
        yield* seen.until("WhichStream ended", 1)
        yield* seen.until("Never 1 interrupted", 1)
      }))

    it.effect("a request that goes to such a server fails too, though nobody ever took it", () =>
      Effect.gen(function*() {
        const { proxy, url } = yield* ways
        yield* serve(proxy.url, "a", { subject: "void", ...impatient })
        const { users } = yield* caller(url, { subject: "void", pingInterval: "50 millis" })
        yield* proxy.swallow()
        assert.strictEqual(failureTag(yield* Effect.exit(users.Which())), "RpcServerLost")
      }))

    it.effect("a client killed in the middle of a stream: its handlers are interrupted within clientTimeout", () =>
      Effect.gen(function*() {
        const { proxy, url } = yield* ways
        const gone = yield* Queue.unbounded<number>()
        const { seen } = yield* serve(url, "a", {
          subject: "orphan",
          clientTimeout: "400 millis",
          onDisconnect: (id) => Effect.asVoid(Queue.offer(gone, id))
        })
        const { users } = yield* caller(proxy.url, { subject: "orphan", nats: { reconnect: false } })
        const other = yield* caller(url, { subject: "orphan", pingInterval: "100 millis" })
        const kept = yield* Effect.forkChild(other.users.Wait({ id: "kept" }))
        yield* seen.until("Wait kept started", 1)
        const queue = yield* users.WhichStream(undefined, { asQueue: true, streamBufferSize: 2 })
        const waiting = yield* Effect.forkChild(Effect.exit(users.Never({ id: "1" })))
        yield* seen.until("Never 1 started", 1)
        assert.strictEqual(yield* Queue.take(queue), "a")
        yield* proxy.refuse
        yield* proxy.drop("RST")
        yield* seen.until("Never 1 interrupted", 1)
        yield* seen.until("WhichStream ended", 1)
        assert.isTrue(Exit.isFailure(yield* Fiber.join(waiting)))
        yield* Queue.take(gone)
        yield* seen.open
        assert.strictEqual(yield* Fiber.join(kept), "a kept")
      }))

    it.effect("a client that vanishes while nothing is in flight is forgotten within clientTimeout, one that is there is not", () =>
      Effect.gen(function*() {
        const { proxy, url } = yield* ways
        const gone = yield* Queue.unbounded<number>()
        yield* serve(url, "a", {
          subject: "idle",
          clientTimeout: "400 millis",
          onDisconnect: (id) => Effect.asVoid(Queue.offer(gone, id))
        })
        const first = yield* caller(url, { subject: "idle", pingInterval: "50 millis" })
        const second = yield* caller(proxy.url, {
          subject: "idle",
          pingInterval: "50 millis",
          nats: { drainTimeout: "50 millis" }
        })
        yield* first.users.Which()
        yield* second.users.Which()
        yield* proxy.swallow()
        assert.strictEqual(yield* Queue.take(gone), 1)
        assert.strictEqual(yield* Queue.size(gone), 0)
      }))

    it.effect("an answer to a client that is gone releases all that the server has of it, at once", () =>
      Effect.gen(function*() {
        const { proxy, url } = yield* ways
        const { seen } = yield* serve(url, "a", { subject: "answer", clientTimeout: "1 hour" })
        const { users } = yield* caller(proxy.url, { subject: "answer", nats: { name: "answers", reconnect: false } })
        const calls = Effect.all([users.Never({ id: "1" }), users.Wait({ id: "1" })], { concurrency: "unbounded" })
        yield* Effect.forkChild(Effect.exit(calls))
        yield* seen.until("Never 1 started", 1)
        yield* seen.until("Wait 1 started", 1)
        yield* proxy.refuse
        yield* proxy.drop("RST")
        yield* isGone("answers")
        yield* seen.open
        yield* seen.until("Never 1 interrupted", 1)
      }))

    it.effect("a client that leaves in order releases its calls at once", () =>
      Effect.gen(function*() {
        const { url } = yield* ways
        const { seen } = yield* serve(url, "a", { subject: "bye", clientTimeout: "1 hour" })
        const { stop, users } = yield* caller(url, { subject: "bye", pingInterval: "1 hour" })
        const fiber = yield* reading(users.WhichStream())
        const waiting = yield* Effect.forkChild(Effect.exit(users.Never({ id: "1" })))
        yield* seen.until("Never 1 started", 1)
        yield* stop
        yield* seen.until("WhichStream ended", 1)
        yield* seen.until("Never 1 interrupted", 1)
        for (const each of [fiber, waiting]) {
          const exit = yield* Fiber.join(each)
          assert(Exit.isFailure(exit))
          assert.isTrue(Cause.hasInterrupts(exit.cause))
        }
      }))

    it.effect("the client's connection breaks: its calls are ConnectionLost, their handlers end, and the next call is answered", () =>
      Effect.gen(function*() {
        const { proxy, url } = yield* ways
        const { seen } = yield* serve(url, "a", { subject: "redial", clientTimeout: "1 hour" })
        const { users } = yield* caller(proxy.url, {
          subject: "redial",
          pingInterval: "1 hour",
          nats: { reconnect: quick }
        })
        const waiting = yield* Effect.forkChild(Effect.exit(users.Never({ id: "1" })))
        const fiber = yield* reading(users.WhichStream())
        yield* seen.until("Never 1 started", 1)
        yield* proxy.drop("RST")
        assert.strictEqual(failureTag(yield* Fiber.join(waiting)), "ConnectionLost")
        assert.strictEqual(failureTag(yield* Fiber.join(fiber)), "ConnectionLost")
        assert.strictEqual(yield* users.Which(), "a")
        yield* seen.until("Never 1 interrupted", 1)
        yield* seen.until("WhichStream ended", 1)
      }))

    it.effect("a call that is silent while its client's connection breaks is interrupted when the client is back", () =>
      Effect.gen(function*() {
        const { proxy, url } = yield* ways
        const { seen } = yield* serve(url, "a", { subject: "silent", clientTimeout: "1 hour" })
        const { nats, users } = yield* caller(proxy.url, {
          subject: "silent",
          pingInterval: "1 hour",
          nats: { reconnect: quick }
        })
        const waiting = yield* Effect.forkChild(Effect.exit(users.Never({ id: "1" })))
        // The one message that comes is the server's word that it has the call.
        yield* Effect.repeat(nats.stats, { until: (stats) => stats.messagesIn === 1 })
        yield* proxy.drop("RST")
        assert.strictEqual(failureTag(yield* Fiber.join(waiting)), "ConnectionLost")
        yield* seen.until("Never 1 interrupted", 1)
      }))

    it.effect("the server's connection breaks and comes back: a call that nothing was lost of is answered", () =>
      Effect.gen(function*() {
        const { proxy, url } = yield* ways
        const { nats, seen } = yield* serve(proxy.url, "a", { subject: "keep", nats: { reconnect: quick } })
        const { users } = yield* caller(url, { subject: "keep", pingInterval: "1 hour" })
        const waiting = yield* Effect.forkChild(users.Wait({ id: "1" }))
        yield* seen.until("Wait 1 started", 1)
        yield* proxy.drop("RST")
        yield* nats.status.pipe(
          Stream.takeUntil((event) => event._tag === "Connected" && event.session === 2),
          Stream.runDrain
        )
        yield* seen.open
        assert.strictEqual(yield* Fiber.join(waiting), "a 1")
        assert.strictEqual(yield* users.Which(), "a")
      }))

    it.effect("an answer that is lost on the way is found by the pings: RpcServerLost", () =>
      Effect.gen(function*() {
        const { proxy, url } = yield* ways
        const { nats, seen } = yield* serve(proxy.url, "a", { subject: "lost" })
        const { nats: own, users } = yield* caller(url, { subject: "lost", pingInterval: "500 millis", maxPingOut: 20 })
        // The server says that it has the call.
        const waiting = yield* sentThrough(proxy, Effect.forkChild(Effect.exit(users.Wait({ id: "1" }))))
        yield* delivered(nats, own)
        yield* proxy.swallow("toServer")
        yield* sentThrough(proxy, seen.open)
        yield* proxy.heal
        assert.strictEqual(failureTag(yield* Fiber.join(waiting)), "RpcServerLost")
        assert.strictEqual(yield* users.Which(), "a")
      }))

    it.effect("an interruption that is lost on the way takes effect within clientTimeout, and other calls go on", () =>
      Effect.gen(function*() {
        const { proxy, url } = yield* ways
        const { seen } = yield* serve(url, "a", { subject: "deaf", clientTimeout: "400 millis" })
        const { nats, users } = yield* caller(proxy.url, {
          subject: "deaf",
          pingInterval: "100 millis",
          maxPingOut: 20
        })
        const waiting = yield* Effect.forkChild(users.Never({ id: "1" }))
        const kept = yield* Effect.forkChild(users.Wait({ id: "1" }))
        // The server's word that it has the two calls.
        yield* Effect.repeat(nats.stats, { until: (stats) => stats.messagesIn >= 2 })
        yield* proxy.swallow("toServer")
        yield* sentThrough(proxy, Fiber.interrupt(waiting))
        yield* proxy.heal
        yield* seen.until("Never 1 interrupted", 1)
        yield* seen.open
        assert.strictEqual(yield* Fiber.join(kept), "a 1")
      }))

    it.effect("an ack that is lost on the way is made up for by a ping: the stream goes on", () =>
      Effect.gen(function*() {
        const { proxy, url } = yield* ways
        const { nats: theirs, seen } = yield* serve(url, "a", { subject: "unacked" })
        const { nats, users } = yield* caller(proxy.url, {
          subject: "unacked",
          pingInterval: "300 millis",
          maxPingOut: 20
        })
        const queue = yield* users.Count({ to: 30, each: 1 }, { asQueue: true, streamBufferSize: 1 })
        // One is in the buffer, another waits for room and has no ack yet.
        yield* seen.until("Count emitted", 2)
        yield* delivered(theirs, nats)
        yield* proxy.swallow("toServer")
        assert.strictEqual(yield* sentThrough(proxy, Queue.take(queue)), 1)
        yield* proxy.heal
        const rest = yield* Stream.runCollect(Stream.fromQueue(queue))
        assert.deepStrictEqual(rest, Array.from({ length: 29 }, (_, i) => i + 2))
      }))

    it.effect("a chunk that is lost on the way is found by the pings: RpcServerLost, and the handler ends", () =>
      Effect.gen(function*() {
        const { proxy, url } = yield* ways
        const { nats, seen } = yield* serve(proxy.url, "a", { subject: "hole" })
        const { nats: own, users } = yield* caller(url, { subject: "hole", pingInterval: "300 millis", maxPingOut: 20 })
        const queue = yield* users.Count({ to: 30, each: 1 }, { asQueue: true, streamBufferSize: 1 })
        yield* seen.until("Count emitted", 2)
        yield* delivered(nats, own)
        yield* proxy.swallow("toServer")
        yield* sentThrough(proxy, Queue.take(queue))
        yield* proxy.heal
        const exit = yield* Effect.exit(Stream.runDrain(Stream.fromQueue(queue)))
        assert.strictEqual(failureTag(exit), "RpcServerLost")
        yield* seen.until("Count ended", 1)
      }))

    it.effect("a client that has closed for good fails its calls with ConnectionClosed", () =>
      Effect.gen(function*() {
        const { url } = yield* ways
        const { seen } = yield* serve(url, "a", { subject: "closed" })
        const { nats, users } = yield* caller(url, { subject: "closed" })
        const waiting = yield* Effect.forkChild(Effect.exit(users.Never({ id: "1" })))
        yield* seen.until("Never 1 started", 1)
        yield* nats.drain
        assert.strictEqual(failureTag(yield* Fiber.join(waiting)), "ConnectionClosed")
        assert.strictEqual(failureTag(yield* Effect.exit(users.Which())), "ConnectionClosed")
      }))
  }
)
