import { assert, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Exit, Fiber, identity, Scope, Tracer } from "effect"
import { NatsClient } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"
import { TestClock } from "effect/testing"
import { keepSpans } from "../fixtures/keptSpans.ts"

const client = (options?: Partial<NatsClient.Options>) =>
  Effect.flatMap(
    TestNatsServer.TestNatsServer,
    (server) => NatsClient.make({ servers: server.url, ...options })
  )

/** A consumer whose subscription the server has. */
const consuming = <R>(
  nats: NatsClient.NatsClient,
  subject: string,
  handler: Parameters<typeof nats.consume<string, R>>[1],
  options?: NatsClient.ConsumeOptions
) =>
  Effect.gen(function*() {
    const before = (yield* nats.stats).subscriptions
    const fiber = yield* Effect.forkChild(nats.consume(subject, handler, options), { startImmediately: true })
    yield* nats.flush
    assert.strictEqual((yield* nats.stats).subscriptions, before + 1)
    return fiber
  })

it.layer(TestNatsServer.layer(), { timeout: "30 seconds", excludeTestServices: true })("consume", (it) => {
  it.effect("handles in order with one worker, and all at once with as many as are asked for", () =>
    Effect.gen(function*() {
      const nats = yield* client()
      const order: Array<string> = []
      yield* consuming(nats, "one", (message) =>
        Effect.andThen(
          Effect.yieldNow,
          Effect.sync(() => {
            order.push(message.text)
          })
        ))
      let running = 0
      const all = yield* Deferred.make<void>()
      yield* consuming(nats, "many", () =>
        Effect.suspend(() => {
          running++
          return running === 8 ? Deferred.succeed(all, undefined) : Deferred.await(all)
        }), { concurrency: 8 })
      for (let i = 0; i < 50; i++) yield* nats.publish("one", String(i))
      for (let i = 0; i < 8; i++) yield* nats.publish("many", String(i))
      yield* Deferred.await(all)
      yield* nats.drain
      assert.deepStrictEqual(order, Array.from({ length: 50 }, (_, i) => String(i)))
    }))

  it.effect("a handler that fails, dies, throws, interrupts itself or returns no Effect is counted and stops nothing", () =>
    Effect.forEach(
      [[1, false], [1, true], ["unbounded", false], ["unbounded", true]] as const,
      ([concurrency, isTraced]) =>
        Effect.gen(function*() {
          const nats = yield* client()
          const handled: Array<string> = []
          const fiber = yield* consuming(nats, "bad", (message) => {
            switch (message.text) {
              case "fail":
                return Effect.fail("no")
              case "die":
                return Effect.die(new Error("no"))
              case "throw":
                throw new Error("no")
              case "promise":
                return Promise.resolve() as never
              case "interrupt":
                return Effect.interrupt
              default:
                return Effect.sync(() => handled.push(message.text))
            }
          }, { concurrency }).pipe(isTraced ? Effect.provideService(Tracer.Tracer, keepSpans().tracer) : identity)
          for (const text of ["a", "fail", "b", "die", "c", "throw", "d", "interrupt", "e", "promise", "f"]) {
            yield* nats.publish("bad", text)
          }
          yield* nats.drain
          assert.isTrue(Exit.isSuccess(yield* Fiber.await(fiber)))
          assert.deepStrictEqual(handled, ["a", "b", "c", "d", "e", "f"])
          assert.strictEqual((yield* nats.stats).handlerFailures, 4)
        }),
      { discard: true }
    ))

  it.effect("an interruption while idle is immediate and unsubscribes", () =>
    Effect.gen(function*() {
      const nats = yield* client()
      const fiber = yield* consuming(nats, "idle", () => Effect.void, { concurrency: 4 })
      yield* Fiber.interrupt(fiber)
      assert.strictEqual((yield* nats.stats).subscriptions, 0)
      // By a clock that stands still: what waited for any time would wait for ever.
    }).pipe(Effect.provide(TestClock.layer()), Effect.scoped))

  it.effect("an interruption lets the handlers finish everything that was received", () =>
    Effect.gen(function*() {
      const nats = yield* client()
      const handled: Array<string> = []
      const started = yield* Deferred.make<void>()
      const fiber = yield* consuming(nats, "work", (message) =>
        Effect.gen(function*() {
          yield* Deferred.succeed(started, undefined)
          yield* Effect.sleep("2 millis")
          handled.push(message.text)
        }), { concurrency: 3 })
      for (let i = 0; i < 30; i++) yield* nats.publish("work", String(i))
      yield* nats.flush
      yield* Deferred.await(started)
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(handled.length, 30)
    }))

  it.effect("a handler that never ends is interrupted when drainTimeout is over", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const nats = yield* Scope.provide(client({ drainTimeout: "200 millis" }), scope)
      const started = yield* Deferred.make<void>()
      const interrupted = yield* Deferred.make<void>()
      const fiber = yield* consuming(nats, "stuck", () =>
        Effect.andThen(Deferred.succeed(started, undefined), Effect.never).pipe(
          Effect.onInterrupt(() =>
            Deferred.succeed(interrupted, undefined)
          )
        ))
      yield* nats.publish("stuck")
      yield* Deferred.await(started)
      const [elapsed] = yield* Effect.timed(Fiber.interrupt(fiber))
      yield* Deferred.await(interrupted)
      assert.isAtLeast(Duration.toMillis(elapsed), 199)
      assert.isBelow(Duration.toMillis(elapsed), 2_000)
      yield* Scope.close(scope, Exit.void)
    }))

  it.effect("members of a queue group that come and go lose no message that has come", () =>
    Effect.gen(function*() {
      const publisher = yield* client()
      const nats = yield* client()
      const handled: Array<string> = []
      const member = consuming(nats, "work", (message) => Effect.sync(() => handled.push(message.text)), { queue: "q" })
      let current = yield* member
      const sent = 20_000
      const publishing = yield* Effect.forEach(Array.from({ length: 20 }), (_, round) =>
        Effect.gen(function*() {
          const some = yield* Effect.forkChild(
            Effect.forEach(
              Array.from({ length: sent / 20 }),
              (_, i) => publisher.publish("work", `${round}-${i}`),
              { discard: true }
            ),
            { startImmediately: true }
          )
          const next = yield* member
          yield* Fiber.interrupt(current)
          current = next
          return some
        }))
      yield* Fiber.joinAll(publishing)
      yield* publisher.flush
      yield* nats.drain
      const { messagesIn } = yield* nats.stats
      assert.strictEqual(handled.length, messagesIn)
      assert.strictEqual(new Set(handled).size, handled.length)
      // A server that is just giving a message to a member whose UNSUB comes gives it to nobody: a bare socket sees the same.
      assert.isAtLeast(handled.length, sent - 20)
    }))

  it.effect("members of a queue group share the messages", () =>
    Effect.gen(function*() {
      const nats = yield* client()
      const counts = [0, 0]
      for (const member of [0, 1]) {
        yield* consuming(nats, "shared", () =>
          Effect.sync(() => {
            counts[member]++
          }), { queue: "q" })
      }
      for (let i = 0; i < 200; i++) yield* nats.publish("shared")
      yield* nats.drain
      assert.strictEqual(counts[0] + counts[1], 200)
      assert.isAbove(counts[0], 0)
      assert.isAbove(counts[1], 0)
    }))
})
