/** What is given up goes to the dead letter, and nothing else does. */
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Schedule, Stream } from "effect"
import { JetStreamConsumer } from "effect-nats/jetstream"
import { TestNatsServer } from "effect-nats/testing"
import { until } from "../fixtures/following.ts"
import { rawApi } from "../fixtures/jetStream.ts"
import { keepingLogs, withWork } from "../fixtures/processing.ts"

class Poisoned extends Error {
  readonly _tag = "Poisoned"
}

const soon = Schedule.spaced("10 millis")

it.layer(TestNatsServer.layer({ jetstream: true }), { timeout: "30 seconds", excludeTestServices: true })(
  "a dead letter",
  (it) => {
    it.effect("has the message, where it comes from and why, and is stored before the message is ended", () =>
      Effect.gen(function*() {
        const { acknowledged, deadLetter, js, left, nats, target, within } = yield* withWork("POISON", 0, {
          stream: { retention: "workqueue" }
        })
        const heard = yield* nats.subscription("$JS.ACK.POISON.>")
        yield* js.publish("poison.a", "bad", {
          msgId: "own",
          headers: { "Content-Type": "text/plain", "Nats-Expected-Stream": "POISON", kept: "yes" }
        })
        yield* js.publish("poison.a", "good")
        const order: Array<string> = []
        const dead = yield* nats.subscription("dead.POISON")
        yield* Effect.forkScoped(Stream.runForEach(dead.stream, () => Effect.sync(() => order.push("copy"))))
        yield* Effect.forkScoped(Stream.runForEach(heard.stream, ({ text }) => Effect.sync(() => order.push(text))))
        yield* within(JetStreamConsumer.processScoped(
          target,
          (message) => message.text === "bad" ? Effect.fail(new Poisoned("it is\r\nbad \u001b[31m")) : Effect.void,
          { retry: soon, maxDeliver: 3, deadLetter: "dead.POISON" }
        ))
        yield* acknowledged
        const { headers, text } = yield* deadLetter
        assert.strictEqual(text, "bad")
        assert.deepStrictEqual(
          headers.split("\r\n").filter((line) => line.includes(":") && !line.startsWith("Dead-Letter-Time")).toSorted(),
          [
            "Content-Type: text/plain",
            "Dead-Letter-Consumer: worker",
            "Dead-Letter-Deliveries: 3",
            "Dead-Letter-Error: Poisoned",
            "Dead-Letter-Message: it is\\r\\nbad \\u001b[31m",
            "Dead-Letter-Sequence: 1",
            "Dead-Letter-Stream: POISON",
            "Dead-Letter-Subject: poison.a",
            "Nats-Msg-Id: POISON.1",
            "kept: yes"
          ]
        )
        // A server takes it out of the stream behind its acknowledgement.
        yield* until(Effect.map(left, (messages) => messages === 0))
        yield* until(Effect.sync(() => order.length >= 5))
        const [copy, term] = [order.indexOf("copy"), order.findIndex((each) => each.startsWith("+TERM"))]
        assert.isBelow(copy, term)
        assert.strictEqual(order.filter((each) => each.startsWith("-NAK")).length, 2)
      }))

    it.effect("that cannot be published leaves the message where it is, and is reported", () =>
      Effect.gen(function*() {
        const { left, nats, target, within } = yield* withWork("NOWHERE", 1, { stream: { retention: "workqueue" } })
        const { logged, logs } = keepingLogs()
        const acks = yield* nats.subscription("$JS.ACK.NOWHERE.>")
        const told: Array<string> = []
        yield* Effect.forkScoped(Stream.runForEach(acks.stream, ({ text }) => Effect.sync(() => told.push(text))))
        yield* within(JetStreamConsumer.processScoped(target, () => Effect.fail(new Poisoned("bad")), {
          retry: soon,
          maxDeliver: 1,
          deadLetter: "nobody.takes.it"
        })).pipe(logged)
        yield* until(Effect.sync(() => told.length >= 3))
        assert.deepStrictEqual([...new Set(told)], ["-NAK {\"delay\":10000000}"])
        assert.strictEqual(yield* left, 1)
        const report = logs.find(({ text }) => text.includes("A dead letter cannot be published"))
        assert.deepInclude(report, { level: "Error" })
        assert.deepInclude(report!.annotations, { stream: "NOWHERE", sequence: 1 })
      }))

    it.effect("is not what a message comes to that shutdowns gave back: ten deploys send nothing there", () =>
      Effect.gen(function*() {
        const { acknowledged, dead, left, target, within } = yield* withWork("DEPLOY", 3, {
          stream: { retention: "workqueue" }
        })
        const deploy = Effect.scoped(Effect.gen(function*() {
          const begun = yield* Deferred.make<void>()
          const { stop } = yield* within(JetStreamConsumer.processScoped(
            target,
            () => Effect.andThen(Deferred.succeed(begun, undefined), Effect.never),
            { maxDeliver: 3, deadLetter: "dead.DEPLOY", retry: soon, drainTimeout: "1 millis" }
          ))
          yield* Deferred.await(begun)
          yield* stop
        }))
        for (let i = 0; i < 10; i++) yield* deploy
        const deliveries: Array<number> = []
        yield* within(
          JetStreamConsumer.processScoped(target, (message) => Effect.sync(() => deliveries.push(message.deliveries)), {
            maxDeliver: 3,
            deadLetter: "dead.DEPLOY"
          })
        )
        yield* acknowledged
        assert.strictEqual(Math.max(...deliveries), 11)
        yield* until(Effect.map(left, (messages) => messages === 0))
        assert.strictEqual(yield* dead, 0)
      }))

    it.effect("is what a message comes to whose handler ends its process again and again, without another try", () =>
      Effect.gen(function*() {
        const { acknowledged, deadLetter, target, within } = yield* withWork("CRASH", 1, {
          consumer: { ack_wait: 20_000_000 }
        })
        // Deliveries that nobody has answered: more than ten beyond the one that is allowed.
        for (let i = 0; i < 11; i++) yield* within(JetStreamConsumer.next(target))
        let handled = 0
        yield* within(JetStreamConsumer.processScoped(target, () => Effect.sync(() => handled++), {
          maxDeliver: 1,
          deadLetter: "dead.CRASH"
        }))
        yield* acknowledged
        assert.strictEqual(handled, 0)
        const { headers } = yield* deadLetter
        assert.include(headers, "Dead-Letter-Error: TooManyDeliveries")
        assert.include(headers, "Dead-Letter-Deliveries: 12")
      }))

    it.effect("has the whole payload of a message that leaves no room for more, and what headers it had", () =>
      Effect.gen(function*() {
        const { acknowledged, js, nats, target, within } = yield* withWork("FULL", 0)
        const headers = { A: "b" }
        // `NATS/1.0`, the header and the empty line take 18 bytes.
        const full = Buffer.alloc(1024 * 1024 - 18, "x")
        yield* js.publish("full.new", full, { headers })
        const options = { maxDeliver: 1, deadLetter: "dead.FULL" }
        yield* within(JetStreamConsumer.processScoped(target, () => Effect.fail(new Poisoned("bad")), options))
        yield* acknowledged
        const { message } = yield* rawApi(nats, "STREAM.MSG.GET.DEAD-FULL", { seq: 1 })
        assert.isTrue(full.equals(Buffer.from(message.data, "base64")))
        assert.strictEqual(Buffer.from(message.hdrs, "base64").toString(), "NATS/1.0\r\nA: b\r\n\r\n")
      }))

    it.effect("without one a message is ended where that was asked for, and else tried for ever", () =>
      Effect.gen(function*() {
        const { acknowledged, left, target, within } = yield* withWork("FALSE", 1, {
          stream: { retention: "workqueue" }
        })
        const { logged, logs } = keepingLogs()
        let tries = 0
        yield* within(JetStreamConsumer.processScoped(target, () =>
          Effect.suspend(() => {
            tries++
            return Effect.fail(new Poisoned("bad"))
          }), { retry: soon, maxDeliver: 2, deadLetter: false })).pipe(logged)
        yield* acknowledged
        yield* until(Effect.map(left, (messages) => messages === 0))
        assert.strictEqual(tries, 2)
        assert.isTrue(logs.some(({ text }) => text.includes("has no copy")))
        const forever = yield* withWork("EVER", 1)
        const enough = yield* Deferred.make<void>()
        yield* forever.within(
          JetStreamConsumer.processScoped(
            forever.target,
            ({ deliveries }) =>
              deliveries > 20 ? Effect.asVoid(Deferred.succeed(enough, undefined)) : Effect.fail("no"),
            {
              retry: Schedule.spaced("1 millis")
            }
          )
        )
        yield* Deferred.await(enough)
      }))

    it.effect("is one where the copy was stored and the end was not: a second copy is a duplicate", () =>
      Effect.gen(function*() {
        const { acknowledged, dead, js, target, within } = yield* withWork("TWICE", 1)
        yield* js.publish("dead.TWICE", "0", { msgId: "TWICE.1" })
        yield* within(JetStreamConsumer.processScoped(target, () => Effect.fail(new Poisoned("bad")), {
          maxDeliver: 1,
          deadLetter: "dead.TWICE"
        }))
        yield* acknowledged
        assert.strictEqual(yield* dead, 1)
      }))
  }
)

it.live("a dead letter has no secret of the client in the text of the failure", () =>
  Effect.gen(function*() {
    const password = "correct-horse-battery"
    const auth = { user: "john", password }
    const server = yield* TestNatsServer.make({ jetstream: true, users: [auth] })
    yield* Effect.gen(function*() {
      const { acknowledged, deadLetter, target, within } = yield* withWork("SECRET", 1, {
        client: { auth }
      })
      yield* within(
        JetStreamConsumer.processScoped(target, () => Effect.fail(new Poisoned(`login ${password} failed`)), {
          maxDeliver: 1,
          deadLetter: "dead.SECRET"
        })
      )
      yield* acknowledged
      const { headers } = yield* deadLetter
      assert.notInclude(headers, password)
      assert.include(headers, "Dead-Letter-Error: Poisoned")
    }).pipe(Effect.provideService(TestNatsServer.TestNatsServer, server))
  }))
