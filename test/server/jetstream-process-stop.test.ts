/** How `process` ends: what no handler has begun is with another instance at once, and what runs has its time. */
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { NatsClient, NatsHealth, NatsLayer } from "effect-nats"
import { JetStream, JetStreamConsumer, JetStreamStream } from "effect-nats/jetstream"
import { TestNatsServer } from "effect-nats/testing"
import * as childProcess from "node:child_process"
import { once } from "node:events"
import * as path from "node:path"
import * as process from "node:process"
import { until } from "../fixtures/following.ts"
import { rawApi } from "../fixtures/jetStream.ts"
import { instance, stops, withWork } from "../fixtures/processing.ts"

/**
 * How soon the other instance has to have it. Else it would be after an answer that is waited for in vain, 10 seconds, or the
 * ack wait, 30.
 */
const atOnce = 4_000

/** Waits until the server has sent so many. What another one asks for meanwhile, it would share. */
const sent = (info: Effect.Success<ReturnType<typeof withWork>>["info"], messages: number) =>
  until(Effect.map(info, (answer) => answer["num_ack_pending"] === messages))

it.layer(TestNatsServer.layer({ jetstream: true }), { timeout: "30 seconds", excludeTestServices: true })(
  "a stop of process",
  (it) => {
    for (const [number, [form, stopping]] of Object.entries(stops).entries()) {
      it.effect(`by ${form} gives back at once what no handler has begun, and lets the running one finish`, () =>
        Effect.gen(function*() {
          const { acknowledged, info, target } = yield* withWork(`STOP${number}`, 10)
          const closing = yield* instance()
          const other = yield* instance()
          const seen: Array<string> = []
          const [begun, finish] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
          const scope = yield* Scope.make()
          const working = closing.within(JetStreamConsumer.process(target, (message) =>
            Effect.gen(function*() {
              seen.push(`first ${message.text}`)
              yield* Deferred.succeed(begun, undefined)
              yield* Deferred.await(finish)
              seen.push(`done ${message.text}`)
            }), { window: 10 }))
          const fiber = yield* Effect.forkIn(working, scope)
          yield* Deferred.await(begun)
          yield* sent(info, 10)
          const rest = yield* Deferred.make<void>()
          yield* other.within(JetStreamConsumer.processScoped(target, (message) =>
            Effect.suspend(() => {
              seen.push(`other ${message.text}`)
              return message.text === "9" ? Deferred.succeed(rest, undefined) : Effect.void
            }), { window: 10 }))
          const stopped = yield* Effect.forkScoped(stopping({ scope, fiber, nats: closing.nats }))
          const since = performance.now()
          yield* Deferred.await(rest)
          assert.isBelow(performance.now() - since, atOnce)
          assert.deepStrictEqual(seen, ["first 0", ...Array.from({ length: 9 }, (_, i) => `other ${i + 1}`)])
          yield* Deferred.succeed(finish, undefined)
          yield* Fiber.await(stopped)
          yield* acknowledged
          assert.deepStrictEqual(seen.slice(10), ["done 0"])
        }))

      it.effect(`by ${form} gives back a message whose handler takes too long, and no handler begins after it`, () =>
        Effect.gen(function*() {
          const { acknowledged, target } = yield* withWork(`LATE${number}`, 20)
          const closing = yield* instance({ drainTimeout: "200 millis" })
          const other = yield* instance()
          const begun = yield* Deferred.make<void>()
          const first: Array<string> = []
          const scope = yield* Scope.make()
          const fiber = yield* Effect.forkIn(
            closing.within(JetStreamConsumer.process(target, ({ text }) =>
              Effect.suspend(() => {
                first.push(text)
                return first.length === 4
                  ? Effect.andThen(Deferred.succeed(begun, undefined), Effect.never)
                  : Effect.never
              }), { concurrency: 4 })),
            scope
          )
          yield* Deferred.await(begun)
          const seen: Array<string> = []
          yield* other.within(JetStreamConsumer.processScoped(target, ({ text }) => Effect.sync(() => seen.push(text))))
          yield* stopping({ scope, fiber, nats: closing.nats })
          yield* acknowledged
          assert.deepStrictEqual(first.length, 4)
          assert.deepStrictEqual(
            seen.map(Number).toSorted((a, b) => a - b),
            Array.from({ length: 20 }, (_, i) => i)
          )
        }))
    }

    it.effect(
      "that SIGTERM brings to a process does the same, and the process ends when its handler is done",
      () =>
        Effect.gen(function*() {
          const { url } = yield* TestNatsServer.TestNatsServer
          const { acknowledged, info, nats, target, within } = yield* withWork("SIGNAL", 10)
          const [asked, gate] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
          yield* Effect.forkScoped(nats.consume("gate", (message) =>
            Deferred.succeed(asked, undefined).pipe(
              Effect.andThen(Deferred.await(gate)),
              Effect.andThen(message.respond())
            )))
          const program = path.join(import.meta.dirname, "../fixtures/working.ts")
          const child = yield* Effect.acquireRelease(
            Effect.sync(() =>
              childProcess.spawn(process.execPath, [program, url, "SIGNAL"], { stdio: ["ignore", "pipe", "inherit"] })
            ),
            (child) => Effect.sync(() => child.kill("SIGKILL"))
          )
          let output = ""
          child.stdout.on("data", (data) => {
            output += data
          })
          const ended = once(child, "close")
          yield* Deferred.await(asked)
          yield* sent(info, 10)
          const seen: Array<string> = []
          const rest = yield* Deferred.make<void>()
          yield* within(
            JetStreamConsumer.processScoped(
              target,
              ({ text }) =>
                Effect.suspend(() => seen.push(text) === 9 ? Deferred.succeed(rest, undefined) : Effect.void)
            )
          )
          const since = performance.now()
          child.kill("SIGTERM")
          yield* Deferred.await(rest)
          assert.isBelow(performance.now() - since, atOnce)
          assert.isNull(child.exitCode)
          yield* Deferred.succeed(gate, undefined)
          yield* Effect.promise(() => ended)
          yield* acknowledged
          assert.deepStrictEqual(seen, Array.from({ length: 9 }, (_, i) => String(i + 1)))
          assert.deepStrictEqual([child.signalCode, output], [null, "ended Failure\n"])
        }),
      60_000
    )

    it.effect("that a handler asks for makes that handler the last one that begins here", () =>
      Effect.gen(function*() {
        const { info, target, within } = yield* withWork("LAST", 10)
        const begun: Array<string> = []
        const asked = yield* Deferred.make<Effect.Effect<void>>()
        const worker = yield* within(JetStreamConsumer.processScoped(target, ({ text }) =>
          Effect.gen(function*() {
            begun.push(text)
            yield* sent(info, 10)
            return yield* yield* Deferred.await(asked)
          }), { window: 10 }))
        yield* Deferred.succeed(asked, worker.stop)
        yield* worker.ended
        yield* worker.stop
        assert.deepStrictEqual(begun, ["0"])
        // A server can answer before it has counted the acknowledgement.
        yield* sent(info, 9)
        assert.strictEqual((yield* info)["num_redelivered"], 0)
      }))

    it.effect("gives back what a handler has that does not let itself be interrupted", () =>
      Effect.gen(function*() {
        const { acknowledged, target, within } = yield* withWork("STUCK", 1)
        const [begun, finish, again] = [
          yield* Deferred.make<void>(),
          yield* Deferred.make<void>(),
          yield* Deferred.make<void>()
        ]
        const { stop } = yield* within(JetStreamConsumer.processScoped(
          target,
          () => Effect.uninterruptible(Effect.andThen(Deferred.succeed(begun, undefined), Deferred.await(finish))),
          { drainTimeout: "1 millis" }
        ))
        yield* Deferred.await(begun)
        yield* stop
        const other = yield* instance()
        yield* other.within(
          JetStreamConsumer.processScoped(target, () => Deferred.succeed(again, undefined))
        )
        const since = performance.now()
        // How often it was delivered is not told by every server: 2.9 can begin to count anew.
        yield* Deferred.await(again)
        assert.isBelow(performance.now() - since, atOnce)
        yield* Deferred.succeed(finish, undefined)
        yield* acknowledged
      }))

    it.effect("does not begin again what its own handlers give back meanwhile", () =>
      Effect.gen(function*() {
        const { info, nats, target, within } = yield* withWork("BOUNCE", 3)
        const begun: Array<string> = []
        const [busy, go] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
        const { stop } = yield* within(JetStreamConsumer.processScoped(target, (message) =>
          Effect.gen(function*() {
            begun.push(message.text)
            if (begun.length === 3) yield* Deferred.succeed(busy, undefined)
            yield* Deferred.await(go)
            return yield* message.nak()
          }), { concurrency: 3, window: 10 }))
        yield* Deferred.await(busy)
        const stopping = yield* Effect.forkScoped(stop, { startImmediately: true })
        yield* Deferred.succeed(go, undefined)
        yield* Fiber.join(stopping)
        yield* nats.flush
        assert.strictEqual(begun.length, 3)
        assert.strictEqual((yield* info)["num_ack_pending"], 3)
        // All of them are there for another instance.
        const seen: Array<string> = []
        const all = yield* Deferred.make<void>()
        const other = yield* instance()
        yield* other.within(JetStreamConsumer.processScoped(target, ({ text }) =>
          Effect.suspend(() =>
            seen.push(text) === 3 ? Deferred.succeed(all, undefined) : Effect.void
          )))
        const since = performance.now()
        yield* Deferred.await(all)
        assert.isBelow(performance.now() - since, atOnce)
      }))

    it.effect("as a part: not ready from the beginning of a stop; its end is told by launch, and makes it not ready", () =>
      Effect.gen(function*() {
        const { js, nats, target } = yield* withWork("PART", 1)
        const [begun, finish] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
        const provided = Layer.succeed(JetStream.JetStream, js)
        const handler = () => Effect.andThen(Deferred.succeed(begun, undefined), Deferred.await(finish))
        const scope = yield* Scope.make()
        yield* Layer.buildWithScope(
          JetStreamConsumer.processLayer(target, handler).pipe(Layer.provide(provided)),
          scope
        )
        yield* Deferred.await(begun)
        assert.isTrue((yield* NatsHealth.check(nats)).ready)
        const closing = yield* Effect.forkScoped(Scope.close(scope, Exit.void), { startImmediately: true })
        assert.deepInclude(yield* NatsHealth.check(nats), {
          ready: false,
          reason: "the consumer \"PART/worker\" is stopping"
        })
        yield* Deferred.succeed(finish, undefined)
        yield* Fiber.join(closing)
        assert.isTrue((yield* NatsHealth.check(nats)).ready)
        const again = yield* Deferred.make<void>()
        yield* js.publish("part.new", "1")
        const launched = yield* Effect.forkScoped(NatsLayer.launch(
          JetStreamConsumer.processLayer(target, () => Deferred.succeed(again, undefined)).pipe(Layer.provide(provided))
        ))
        yield* Deferred.await(again)
        yield* rawApi(nats, "CONSUMER.DELETE.PART.worker")
        const error = yield* Effect.flip(Fiber.join(launched))
        assert.strictEqual(error._tag, "BackgroundEnded")
        if (error._tag !== "BackgroundEnded") return
        assert.deepStrictEqual(error.part, { kind: "consumer", name: "PART/worker" })
        assert.strictEqual(error.reason._tag, "ConsumerDeleted")
      }))
  }
)

it.live("as a part of a client that connects in the background it begins with the first session, or is stopped before", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make({ jetstream: true })
    const Later = JetStreamStream.make("LATER", { subjects: ["later.>"] })
    const worker = JetStreamConsumer.make(Later, "worker")
    yield* Effect.gen(function*() {
      yield* JetStreamStream.provision([Later, worker])
      yield* (yield* JetStream.JetStream).publish("later.new", "1")
    }).pipe(Effect.provide(JetStream.layer().pipe(Layer.provide(NatsClient.layer({ servers: server.url })))))
    yield* server.kill
    const nats = yield* NatsClient.make({
      servers: server.url,
      reconnect: { onFirstConnect: "background", initialDelay: "20 millis", maxDelay: "50 millis" }
    })
    const js = yield* Effect.provideService(JetStream.make(), NatsClient.NatsClient, nats)
    yield* Effect.gen(function*() {
      const before = yield* JetStreamConsumer.processScoped(worker, () => Effect.void)
      yield* before.stop
      yield* before.ended
      const seen = yield* Deferred.make<string>()
      const { stop } = yield* JetStreamConsumer.processScoped(worker, ({ text }) => Deferred.succeed(seen, text))
      const none = { stream: "LATER", consumer: "none" }
      const missing = yield* JetStreamConsumer.processScoped(none, () => Effect.void)
      yield* server.restart
      assert.strictEqual(yield* Deferred.await(seen), "1")
      assert.deepInclude(yield* Effect.flip(missing.ended), { _tag: "ConsumerNotFound", consumer: "none" })
      assert.include((yield* NatsHealth.check(nats)).reason, "the consumer \"LATER/none\" has ended")
      yield* stop
    }).pipe(Effect.provideService(JetStream.JetStream, js))
  }).pipe(Effect.scoped))
