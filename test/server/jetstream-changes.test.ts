/** What is done to a consumer and its stream while they are read: other leaders, other settings, a pause, a purge. */
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { JetStream, JetStreamConsumer } from "effect-nats/jetstream"
import { TestNatsServer } from "effect-nats/testing"
import * as childProcess from "node:child_process"
import * as path from "node:path"
import * as process from "node:process"
import { until } from "../fixtures/following.ts"
import { acked, gather, upTo } from "../fixtures/gathering.ts"
import { insistRaw, rawApi, rawConsumer, rawStream } from "../fixtures/jetStream.ts"
import { withWork } from "../fixtures/processing.ts"
import { isAtLeast } from "../fixtures/serverVersion.ts"

const { messages, ordered, processScoped } = JetStreamConsumer
const heartbeat = "500 millis"

it.live(
  "other leaders of a replicated stream and its consumers stall nobody, and nothing is lost or out of order",
  () =>
    Effect.gen(function*() {
      const servers = yield* TestNatsServer.cluster(3, { jetstream: true })
      const nats = yield* NatsClient.make({
        servers: servers.map(({ url }) => url),
        reconnect: { initialDelay: "10 millis" }
      } as NatsClient.Options)
      const js = yield* Effect.provideService(JetStream.make(), NatsClient.NatsClient, nats)
      yield* insistRaw(rawStream(nats, "S", { num_replicas: 3 }))
      for (const name of ["M", "P"]) yield* insistRaw(rawConsumer(nats, "S", name))
      const handled = new Set<number>()
      const inOrder = yield* gather(js, ordered({ stream: "S", heartbeat }))
      const durable = yield* gather(js, messages({ stream: "S", consumer: "M", heartbeat }), acked)
      yield* Effect.provideService(
        processScoped({ stream: "S", consumer: "P" }, ({ sequence }) => Effect.sync(() => handled.add(sequence)), {
          concurrency: 5,
          heartbeat
        }),
        JetStream.JetStream,
        js
      )
      let last = 0
      const everybody = until(
        Effect.sync(() =>
          inOrder.sequences.at(-1) === last && handled.size === last && new Set(durable.sequences).size === last
        )
      )
      for (
        const leader of ["CONSUMER.LEADER.STEPDOWN.S.M", "CONSUMER.LEADER.STEPDOWN.S.P", "STREAM.LEADER.STEPDOWN.S"]
      ) {
        yield* insistRaw(rawApi(nats, leader))
        for (const _ of upTo(20)) {
          // Without a leader nobody answers, or nobody has the subject.
          const publish = js.publish("s.a", "x", { msgId: String(last), timeout: "500 millis" })
          last = (yield* Effect.eventually(Effect.tapError(publish, () => Effect.sleep("50 millis")))).sequence
        }
        yield* everybody
      }
      assert.deepStrictEqual(inOrder.sequences, upTo(60))
      assert.sameMembers([...new Set(durable.sequences)], [...upTo(60)])
    }),
  60_000
)

it.layer(TestNatsServer.layer({ jetstream: true }), { timeout: "30 seconds", excludeTestServices: true })(
  "of a consumer that is read",
  (it) => {
    const change = (nats: NatsClient.NatsClient, stream: string, config: object) =>
      rawApi(nats, `CONSUMER.DURABLE.CREATE.${stream}.worker`, {
        stream_name: stream,
        config: { durable_name: "worker", ack_policy: "explicit", ack_wait: 10_000_000_000, ...config }
      })

    it.effect("a shorter ack wait is kept, once a message has come twice", () =>
      Effect.gen(function*() {
        const { acknowledged, js, nats, subject, target, within } = yield* withWork("SHORTER", 0, {
          consumer: { ack_wait: 30_000_000_000 }
        })
        const seen: Array<string> = []
        yield* within(processScoped(target, (message) =>
          Effect.suspend(() => {
            seen.push(message.text)
            return Effect.sleep(message.text === "2" ? 0 : "5200 millis")
          }), { window: 2 }))
        // It is kept with two seconds to spare, in which a process may pause.
        yield* change(nats, "SHORTER", { ack_wait: 4_000_000_000 })
        yield* js.publish(subject, "0")
        // It comes again while its handler is busy, as there is room for it.
        yield* until(Effect.sync(() => seen.length >= 2))
        yield* acknowledged
        yield* js.publish(subject, "1")
        yield* js.publish(subject, "2")
        yield* acknowledged
        assert.deepStrictEqual(seen.filter((text) => text !== "0"), ["1", "2"])
      }))

    it.effect("limits of a pull, a purge and a pause are survived", () =>
      Effect.gen(function*() {
        const { version } = yield* TestNatsServer.TestNatsServer
        const { js, nats, subject, target } = yield* withWork("LIMITS", 5)
        const durable = yield* gather(js, messages({ ...target, heartbeat }), acked)
        const inOrder = yield* gather(js, ordered({ stream: "LIMITS", heartbeat }))
        yield* durable.count(5)
        yield* inOrder.count(5)
        yield* change(nats, "LIMITS", { max_ack_pending: 1, max_batch: 1, max_expires: 1_000_000_000 })
        for (const _ of upTo(5)) yield* js.publish(subject, "x")
        yield* durable.count(10)
        // Neither may miss what is purged.
        yield* inOrder.count(10)
        yield* rawApi(nats, "STREAM.PURGE.LIMITS", { seq: 100 })
        if (isAtLeast(version, 2, 11)) {
          const pause_until = new Date(Date.now() + 300).toISOString()
          yield* rawApi(nats, "CONSUMER.PAUSE.LIMITS.worker", { pause_until })
        }
        yield* js.publish(subject, "x")
        yield* durable.count(11)
        yield* inOrder.count(11)
        assert.deepStrictEqual(durable.sequences, inOrder.sequences)
        assert.deepStrictEqual(inOrder.sequences.slice(0, 10), upTo(10))
      }))

    it.effect("with acknowledgements of all before: what is left unread comes again, and what is read is settled", () =>
      Effect.gen(function*() {
        const { js, nats, within } = yield* withWork("POLICY", 20)
        yield* rawConsumer(nats, "POLICY", "all", { ack_policy: "all", ack_wait: 300_000_000 })
        const all = { stream: "POLICY", consumer: "all" }
        const five = yield* within(Stream.runCollect(Stream.take(messages(all), 5)))
        yield* five[4].ack
        const rest = yield* gather(js, messages(all))
        yield* rest.count(15)
        // And once more after the next ack wait.
        assert.deepStrictEqual(rest.sequences.slice(0, 15), upTo(20, 6))
      }))

    it.effect(
      "what a killed process had in hand is another instance's after the ack wait, and the rest goes on",
      () =>
        Effect.gen(function*() {
          const { url } = yield* TestNatsServer.TestNatsServer
          const { acknowledged, nats, target, within } = yield* withWork("KILLED", 12, {
            consumer: { ack_wait: 1_000_000_000 }
          })
          const asked = yield* Deferred.make<void>()
          yield* Effect.forkScoped(nats.consume("gate", () => Deferred.succeed(asked, undefined)))
          const program = path.join(import.meta.dirname, "../fixtures/working.ts")
          const child = yield* Effect.acquireRelease(
            Effect.sync(() => childProcess.spawn(process.execPath, [program, url, "KILLED"], { stdio: "ignore" })),
            (child) => Effect.sync(() => child.kill("SIGKILL"))
          )
          yield* Deferred.await(asked)
          const seen: Array<string> = []
          yield* within(processScoped(target, ({ text }) => Effect.sync(() => seen.push(text))))
          child.kill("SIGKILL")
          yield* acknowledged
          // Once or more: this process can pause for an ack wait, too.
          assert.sameMembers([...new Set(seen)], Array.from({ length: 12 }, (_, i) => String(i)))
        }),
      60_000
    )
  }
)
