/** What readers promise where a consumer has replicas, which agree on each delivery before it is sent. */
import { assert, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Layer, Scope, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { JetStreamConsumer } from "effect-nats/jetstream"
import { TestNatsServer } from "effect-nats/testing"
import { until } from "../fixtures/following.ts"
import { instance, stops, withWork } from "../fixtures/processing.ts"

/**
 * How soon the other instance has to have it, whatever the replicas need to agree. Else it would be after an answer that is waited
 * for in vain, 10 seconds, or the ack wait, 30.
 */
const atOnce = 8_000
const drainMillis = 200

class Cluster extends Context.Service<Cluster, ReadonlyArray<TestNatsServer.TestNatsServer>>()("test/Cluster") {}

const ThreeServers = Layer.effect(
  Cluster,
  Effect.gen(function*() {
    const servers = yield* TestNatsServer.cluster(3, { jetstream: true })
    const nats = yield* NatsClient.make({ servers: servers[0].url })
    // The leader of a new cluster refuses replicas until it has the numbers of all peers, which no monitoring port tells.
    const body = JSON.stringify({ name: "FIRST", subjects: ["first"], num_replicas: 3 })
    // Nor does it answer what was asked while another one is elected.
    yield* until(
      Effect.match(nats.request("$JS.API.STREAM.CREATE.FIRST", body), {
        onSuccess: ({ text }) => !text.includes("\"error\""),
        onFailure: () => false
      })
    )
    return servers
  })
)

/** A stream of three replicas with a consumer, which has as many. */
const replicated = (stream: string, messages: number, consumer: object = {}) =>
  Effect.gen(function*() {
    const servers = yield* Cluster
    const work = yield* withWork(stream, messages, { stream: { num_replicas: 3 }, consumer }).pipe(
      Effect.provideService(TestNatsServer.TestNatsServer, servers[0])
    )
    // The consumer's leader gives what its own replica of the stream has.
    yield* until(Effect.map(work.info, (answer) => answer["num_pending"] === messages))
    /** An instance of the program on the server of this number. */
    const on = (server: number, options: object = {}) =>
      instance(options).pipe(Effect.provideService(TestNatsServer.TestNatsServer, servers[server]))
    return { ...work, on }
  })

/** What is asked of the consumer, as its server has it. */
const pullsOf = Effect.fnUntraced(function*(nats: NatsClient.NatsClient, stream: string) {
  const pulls: Array<string> = []
  const { stream: asked } = yield* nats.subscription(`$JS.API.CONSUMER.MSG.NEXT.${stream}.worker`)
  yield* Effect.forkScoped(Stream.runForEach(asked, ({ text }) => Effect.sync(() => pulls.push(text))))
  return pulls
})

it.layer(ThreeServers, { timeout: "60 seconds", excludeTestServices: true })("with three replicas", (it) => {
  for (const [number, [form, stopping]] of Object.entries(stops).entries()) {
    it.effect(`a stop by ${form} gives back at once what waits, and in time what handlers have: another instance has it`, () =>
      Effect.gen(function*() {
        const { acknowledged, info, on, target } = yield* replicated(`STOP${number}`, 20)
        const closing = yield* on(number, { drainTimeout: drainMillis })
        const other = yield* on((number + 1) % 3)
        const begun: Array<string> = []
        const scope = yield* Scope.make()
        const fiber = yield* Effect.forkIn(
          closing.within(JetStreamConsumer.process(target, ({ text }) =>
            Effect.suspend(() => {
              begun.push(text)
              return Effect.never
            }), { concurrency: 4, window: 20 })),
          scope
        )
        yield* until(Effect.map(info, (answer) => answer["num_ack_pending"] === 20 && begun.length === 4))
        const since = performance.now()
        const seen = new Set<string>()
        const all = yield* Deferred.make<void>()
        yield* other.within(
          JetStreamConsumer.processScoped(
            target,
            ({ text }) =>
              Effect.suspend(() => seen.add(text).size === 20 ? Deferred.succeed(all, undefined) : Effect.void)
          )
        )
        yield* Effect.forkScoped(stopping({ scope, fiber, nats: closing.nats }), { startImmediately: true })
        yield* Deferred.await(all)
        assert.isBelow(performance.now() - since, atOnce)
        assert.deepStrictEqual(begun, ["0", "1", "2", "3"])
        // What waits does not wait for the handlers.
        assert.sameMembers([...seen].slice(-4), begun)
        yield* acknowledged
      }))
  }

  it.effect("the window holds, though it is told that a pull is complete before the messages of the pull come", () =>
    Effect.gen(function*() {
      const { info, on, target } = yield* replicated("WINDOW", 50)
      const { nats, within } = yield* on(1, { drainTimeout: drainMillis })
      const pulls = yield* pullsOf(nats, "WINDOW")
      const [busy, go, again] = [
        yield* Deferred.make<void>(),
        yield* Deferred.make<void>(),
        yield* Deferred.make<void>()
      ]
      let begun = 0
      yield* within(JetStreamConsumer.processScoped(target, () =>
        Effect.suspend(() => {
          if (++begun === 20) Deferred.doneUnsafe(busy, Exit.void)
          if (begun === 40) Deferred.doneUnsafe(again, Exit.void)
          return Deferred.await(begun <= 20 ? go : again)
        }), { concurrency: 20, window: 20 }))
      yield* Deferred.await(busy)
      yield* nats.flush
      assert.strictEqual(pulls.length, 1)
      assert.strictEqual((yield* info)["num_ack_pending"], 20)
      yield* Deferred.succeed(go, undefined)
      yield* until(Effect.map(info, (answer) => answer["num_pending"] === 0 && answer["num_ack_pending"] === 0))
    }))

  it.effect("a pull that has given all the bytes that the consumer allows is not taken for a message that is too large", () =>
    Effect.gen(function*() {
      const { acknowledged, target, within } = yield* replicated("BYTES", 50, { max_bytes: 500 })
      const { ended } = yield* within(JetStreamConsumer.processScoped(target, () => Effect.void, { window: 20 }))
      yield* Effect.raceFirst(acknowledged, ended)
      yield* acknowledged
    }))

  it.effect("fetch gives all that it asked for, once, where the consumer limits the bytes of a pull", () =>
    Effect.gen(function*() {
      for (const [stream, max_bytes] of [["FEW", 400], ["MANY", 100_000]] as const) {
        const { info, target, within } = yield* replicated(stream, 50, { max_bytes })
        for (const [maxWait, times] of [["0 millis", 1], ["2 seconds", 2]] as const) {
          const messages = yield* within(Stream.runCollect(JetStreamConsumer.fetch(target, 20, { maxWait })))
          assert.strictEqual(messages.length, 20)
          // What else was asked for would be with nobody.
          assert.strictEqual((yield* info)["num_ack_pending"], 20 * times)
        }
      }
    }))
})
