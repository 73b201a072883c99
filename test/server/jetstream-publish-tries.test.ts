/** A publish under a message id whose stream answers in every way, which another program plays: a real one cannot be made to. */
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Schedule, Stream } from "effect"
import { NatsClient, type NatsMessage } from "effect-nats"
import { JetStream } from "effect-nats/jetstream"
import { TestNatsProxy, TestNatsServer } from "effect-nats/testing"
import { follow } from "../fixtures/following.ts"

const refusal = (errCode: number, description: string): string =>
  JSON.stringify({ error: { code: 503, err_code: errCode, description } })

const busy = refusal(10167, "maximum buffered messages")
const unavailable = refusal(10008, "temporarily unavailable")
const refused = refusal(10054, "message size exceeds maximum allowed")
const stored = JSON.stringify({ stream: "PLAYED", seq: 7 })
const strange = "+OK"
const silence = undefined

const setting = Effect.gen(function*() {
  const { port, url } = yield* TestNatsServer.make({ jetstream: true })
  const connect = Effect.fnUntraced(function*(servers: string) {
    const nats = yield* NatsClient.make({ servers, reconnect: { initialDelay: "10 millis" } } as NatsClient.Options)
    return { nats, js: yield* Effect.provideService(JetStream.make(), NatsClient.NatsClient, nats) }
  })
  const { js, nats } = yield* connect(url)
  /** Whatever comes on the subject has the next answer. The last one is that of all behind it. */
  const play = Effect.fnUntraced(function*(subject: string, ...answers: ReadonlyArray<string | undefined>) {
    const { stream } = yield* nats.subscription(subject)
    const told = { tries: 0 }
    yield* Effect.forkScoped(Stream.runForEach(stream, (message) => {
      const answer = answers[Math.min(told.tries++, answers.length - 1)]
      return answer === undefined ? Effect.void : message.respond(answer)
    }))
    return told
  })
  return { port, connect, js, nats, play }
})

const under = (times: number) => ({ msgId: "1", retry: Schedule.recurs(times) })

/** Silence is waited for so long, and every other answer, too, which a busy machine needs time for. */
const brief = { timeout: "1500 millis" } as const

it.live("a stream that is busy is tried again, and what it says then is the answer", () =>
  Effect.gen(function*() {
    const { js, play } = yield* setting
    const first = yield* play("busy.stored", busy, unavailable, stored)
    assert.deepInclude(yield* js.publish("busy.stored", "", under(5)), { stream: "PLAYED", sequence: 7 })
    assert.strictEqual(first.tries, 3)
    const second = yield* play("busy.refused", busy, refused)
    const error = yield* Effect.flip(js.publish("busy.refused", "", under(5)))
    assert.deepInclude({ ...error }, { _tag: "MessageRefused", errCode: 10054 })
    assert.strictEqual(second.tries, 2)
    yield* play("busy.ever", busy)
    const ever = yield* Effect.flip(js.publish("busy.ever", "", under(2)))
    assert.deepInclude({ ...ever }, { _tag: "JetStreamUnavailable", errCode: 10167 })
    // Without a schedule, or without an id, there is one try.
    const once = yield* play("busy.once", busy, stored)
    assert.strictEqual((yield* Effect.flip(js.publish("busy.once", "", { msgId: "1" })))._tag, "JetStreamUnavailable")
    assert.strictEqual(once.tries, 1)
    const noId = yield* play("busy.id", busy, stored)
    const { retry } = under(5)
    assert.strictEqual((yield* Effect.flip(js.publish("busy.id", "", { retry } as never)))._tag, "JetStreamUnavailable")
    assert.strictEqual(noId.tries, 1)
  }))

it.live("an answer that is none, and none at all, may be of a message that is stored: it is tried again, and said in the end", () =>
  Effect.gen(function*() {
    const { js, play } = yield* setting
    const each = [[strange, "InvalidAnswer"], [silence, "PublishOutcomeUnknown"]] as const
    // They wait for silence: all at once.
    yield* Effect.forEach(each, ([unclear, tag]) =>
      Effect.all([
        Effect.gen(function*() {
          yield* play(`${tag}.stored`, unclear, stored)
          assert.strictEqual((yield* js.publish(`${tag}.stored`, "", { ...under(5), ...brief })).sequence, 7)
        }),
        Effect.gen(function*() {
          // That the later tries were not stored is not the truth about the first.
          const told = yield* play(`${tag}.busy`, unclear, busy)
          assert.strictEqual((yield* Effect.flip(js.publish(`${tag}.busy`, "", { ...under(2), ...brief })))._tag, tag)
          assert.strictEqual(told.tries, 3)
        }),
        Effect.gen(function*() {
          // A stream that has it would say so in place of a refusal.
          yield* play(`${tag}.refused`, unclear, refused)
          const error = yield* Effect.flip(js.publish(`${tag}.refused`, "", { ...under(2), ...brief }))
          assert.strictEqual(error._tag, "MessageRefused")
        })
      ], { concurrency: "unbounded" }), { concurrency: "unbounded" })
  }))

it.live("a client that is closed between two tries says that the first may be stored", () =>
  Effect.gen(function*() {
    const { connect, play, port } = yield* setting
    const { js, nats } = yield* connect(`nats://127.0.0.1:${port}`)
    yield* play("closed", silence)
    const [waiting, closed] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
    const retry = Schedule.tap(
      Schedule.recurs(1),
      () => Effect.andThen(Deferred.succeed(waiting, undefined), Deferred.await(closed))
    )
    const fiber = yield* Effect.forkChild(Effect.flip(js.publish("closed", "", { ...under(1), ...brief, retry })))
    yield* Deferred.await(waiting)
    yield* nats.drain
    yield* Deferred.succeed(closed, undefined)
    const error = yield* Fiber.join(fiber)
    assert(error._tag === "PublishOutcomeUnknown", error._tag)
    assert.deepStrictEqual([error.msgId, error.reason._tag], ["1", "ConnectionClosed"])
    // Of one that was closed before the first try nothing is stored.
    assert.strictEqual((yield* Effect.flip(js.publish("closed", "", under(1))))._tag, "ConnectionClosed")
  }))

it.live("`retryWithin` is the end of a wait for a connection, too: nothing is written behind it", () =>
  Effect.gen(function*() {
    const { connect, play, port } = yield* setting
    const proxy = yield* TestNatsProxy.make({ port })
    const { js, nats } = yield* connect(proxy.url)
    const told = yield* play("late", stored)
    const followed = yield* follow(nats)
    yield* proxy.refuse
    yield* proxy.drop()
    yield* followed.until(({ tags }) => tags.includes("Disconnected"))
    const options = { ...under(5), timeout: "1 hour", retryWithin: "50 millis" } as const
    const error = yield* Effect.timeout(Effect.flip(js.publish("late", "", options)), "5 seconds")
    assert.strictEqual(error._tag, "NotPublished")
    yield* proxy.heal
    yield* followed.connected(2)
    yield* nats.flush
    assert.strictEqual(told.tries, 0)
  }))

it.live("of two answers the first one counts", () =>
  Effect.gen(function*() {
    const { js, nats } = yield* setting
    const { stream } = yield* nats.subscription("twice")
    yield* Effect.forkScoped(
      Stream.runForEach(stream, (message) => Effect.andThen(message.respond(stored), message.respond(refused)))
    )
    for (let i = 0; i < 5; i++) assert.strictEqual((yield* js.publish("twice")).sequence, 7)
  }))

it.live("of two answers the first one counts in a window, too, whether it was its turn or was over", () =>
  Effect.gen(function*() {
    const { js, nats } = yield* setting
    const { stream } = yield* nats.subscription("twice")
    const came: Array<NatsMessage.NatsMessage> = []
    yield* Effect.forkScoped(Stream.runForEach(stream, (message) =>
      Effect.gen(function*() {
        if (came.push(message) < 3) return
        yield* came[1].respond(stored)
        yield* came[1].respond(refused)
        yield* came[0].respond(stored)
        yield* nats.flush
        yield* came[0].respond(refused)
        yield* nats.flush
        yield* came[2].respond(stored)
      })))
    const acks = yield* Stream.runCollect(
      js.publishAll(Stream.range(1, 3).pipe(Stream.map(() => ({ subject: "twice" }))))
    )
    assert.deepStrictEqual(acks.map(({ sequence }) => sequence), [7, 7, 7])
  }))
