/** What a recording has, and what comes of it when it is published again. */
import { NodeFileSystem } from "@effect/platform-node"
import { assert, it } from "@effect/vitest"
import { Effect, Exit, Fiber, FileSystem, Layer, Result, Scope, Stream } from "effect"
import { NatsClient, NatsListener, NatsRecorder } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"
import { TestClock } from "effect/testing"

const temporaryFile = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  return `${yield* fs.makeTempDirectoryScoped()}/recording.jsonl`
})

/** Records what an effect does. */
const recorded = Effect.fnUntraced(function*<E, R>(
  path: string,
  subjects: string | ReadonlyArray<string>,
  effect: Effect.Effect<unknown, E, R>
) {
  const scope = yield* Scope.make()
  yield* Layer.buildWithScope(NatsRecorder.layerFile(path, subjects), scope)
  yield* effect
  yield* Scope.close(scope, Exit.void)
  return yield* Stream.runCollect(NatsRecorder.fromFile(path))
})

const at = (millis: number, subject: string, more: Partial<NatsRecorder.Entry> = {}): NatsRecorder.Entry => ({
  at: millis,
  subject,
  payload: "",
  ...more
})

const Live = Layer.mergeAll(TestNatsServer.layerClient(), NodeFileSystem.layer)

it.layer(Live, { timeout: "30 seconds", excludeTestServices: true })("a recording", (it) => {
  it.effect("has subject, text or bytes, headers, the reply subject and the time, in order", () =>
    Effect.gen(function*() {
      const nats = yield* NatsClient.NatsClient
      const path = yield* temporaryFile
      const before = Date.now()
      const entries = yield* recorded(
        path,
        "rec.>",
        Effect.gen(function*() {
          yield* nats.publish("rec.text", "schön \u0000 \n", { headers: { A: ["1", "2"], b: "x" } })
          yield* nats.publish("rec.bytes", new Uint8Array([0xff, 0, 1]))
          yield* nats.publish("rec.reply", undefined, { reply: "somewhere" })
          yield* nats.publish("other", "not recorded")
        })
      )
      assert.deepStrictEqual(entries.map((entry) => ({ ...entry, at: 0 })), [
        { at: 0, subject: "rec.text", payload: "schön \u0000 \n", headers: { A: ["1", "2"], b: ["x"] } },
        { at: 0, subject: "rec.bytes", payload: "/wAB", encoding: "base64" },
        { at: 0, subject: "rec.reply", payload: "", reply: "somewhere" }
      ])
      assert.deepStrictEqual([...NatsRecorder.payloadOf(entries[1])], [0xff, 0, 1])
      for (const entry of entries) {
        assert.isAtLeast(entry.at, before)
        assert.isAtMost(entry.at, Date.now())
      }
    }))

  it.effect("goes on in its file, which only its owner can read", () =>
    Effect.gen(function*() {
      const nats = yield* NatsClient.NatsClient
      const fs = yield* FileSystem.FileSystem
      const path = yield* temporaryFile
      yield* recorded(path, "again.*", nats.publish("again.1"))
      const entries = yield* recorded(path, ["again.*", "again.*"], nats.publish("again.2"))
      assert.deepStrictEqual(entries.map(({ subject }) => subject), ["again.1", "again.2"])
      assert.strictEqual((yield* fs.stat(path)).mode & 0o777, 0o600)
    }))

  it.effect("has everything that was received when it is closed", () =>
    Effect.gen(function*() {
      const nats = yield* NatsClient.NatsClient
      const path = yield* temporaryFile
      const count = 20_000
      const entries = yield* recorded(
        path,
        "many",
        Effect.forEach(Array.from({ length: count }, (_, i) => i), (i) => nats.publish("many", String(i)), {
          discard: true
        })
      )
      assert.deepStrictEqual(entries.map(({ payload }) => payload), Array.from({ length: count }, (_, i) => String(i)))
    }))

  it.effect("is published again elsewhere, and the answers are compared with the recorded ones", () =>
    Effect.gen(function*() {
      const nats = yield* NatsClient.NatsClient
      const path = yield* temporaryFile
      const answering = (prefix: string, second: string) =>
        NatsListener.make(
          `${prefix}shop.*`,
          NatsListener.replying((message) => Effect.succeed(message.subject.endsWith("b") ? second : message.text))
        )
      const entries = yield* recorded(
        path,
        ["shop.>", "_INBOX.>"],
        Effect.scoped(Effect.gen(function*() {
          yield* answering("", "then")
          yield* nats.request("shop.a", "same", { headers: { traceparent: "00-1-2-00", kept: "yes" } })
          yield* nats.request("shop.b", "?")
          yield* nats.publish("shop.event", "e")
        }))
      )
      assert.strictEqual(entries.length, 5)

      const seen = yield* nats.subscription("new.>")
      yield* answering("new.", "now")
      const replayed = yield* NatsRecorder.fromFile(path).pipe(
        NatsRecorder.replay({ subject: (subject) => `new.${subject}`, timing: "none" }),
        Stream.runCollect
      )
      const told = new Map(replayed.map((each) => [each.subject, each]))
      assert.strictEqual(replayed.length, 3)
      assert.strictEqual(told.get("new.shop.a")?.isSame, true)
      assert.strictEqual(told.get("new.shop.b")?.isSame, false)
      assert.strictEqual(told.get("new.shop.b")?.recorded?.payload, "then")
      const answer = told.get("new.shop.b")?.answer
      assert.isTrue(answer !== undefined && Result.isSuccess(answer) && answer.success.text === "now")
      assert.isUndefined(told.get("new.shop.event")?.answer)
      yield* nats.flush
      yield* seen.unsubscribe
      const messages = yield* Stream.runCollect(seen.stream)
      assert.deepStrictEqual(messages.map(({ subject, text }) => [subject, text]), [
        ["new.shop.a", "same"],
        ["new.shop.b", "?"],
        ["new.shop.event", "e"]
      ])
      assert.deepStrictEqual(messages[0].headers, { kept: ["yes"] })
    }).pipe(Effect.scoped))

  it.effect("a request that nobody answers is told and stops nothing; a message that cannot be sent fails it", () =>
    Effect.gen(function*() {
      const entries = [at(0, "nobody", { reply: "_INBOX.x" }), at(0, "_INBOX.x", { payload: "once" }), at(0, "event")]
      const replayed = yield* Stream.runCollect(NatsRecorder.replay(Stream.fromIterable(entries)))
      assert.deepStrictEqual(replayed.map(({ entry }) => entry.subject), ["nobody", "event"])
      const answer = replayed[0].answer
      assert.isTrue(answer !== undefined && Result.isFailure(answer) && answer.failure._tag === "NoResponders")
      assert.strictEqual(replayed[0].isSame, false)
      const error = yield* NatsRecorder.replay(Stream.fromIterable(entries), { subject: () => "a b" }).pipe(
        Stream.filter(({ answer }) => answer === undefined),
        Stream.runCollect,
        Effect.flip
      )
      assert.strictEqual(error._tag, "InvalidSubject")
    }))

  it.effect("is published with the pauses it was recorded with", () =>
    Effect.gen(function*() {
      const published: Array<string> = []
      const replaying = yield* NatsRecorder.replay(
        Stream.make(at(5_000, "p.1"), at(6_000, "p.2"), at(16_000, "p.3"))
      ).pipe(
        Stream.runForEach(({ subject }) => Effect.sync(() => published.push(subject))),
        Effect.forkChild({ startImmediately: true })
      )
      const after = (duration: "999 millis" | "1 millis" | "10 seconds") =>
        Effect.andThen(TestClock.adjust(duration), Effect.sync(() => published.join(" ")))
      assert.strictEqual(yield* after("999 millis"), "p.1")
      assert.strictEqual(yield* after("1 millis"), "p.1 p.2")
      assert.strictEqual(yield* after("10 seconds"), "p.1 p.2 p.3")
      yield* Fiber.join(replaying)
    }).pipe(Effect.provide(TestClock.layer())))

  it.effect("with a line that is none names the line and not what is in it", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const path = yield* temporaryFile
      for (
        const [line, problem] of [["a secret", "it is not JSON"], [`{"at":1,"subject":"s"}`, "Missing key at payload"]]
      ) {
        yield* fs.writeFileString(path, `${JSON.stringify(at(1, "s"))}\n\n${line}\n`)
        const read: Array<string> = []
        const error = yield* Effect.flip(
          Stream.runForEach(NatsRecorder.fromFile(path), ({ subject }) => Effect.sync(() => read.push(subject)))
        )
        assert.deepStrictEqual(read, ["s"])
        assert.strictEqual(error.reason._tag, "InvalidData")
        assert.include(error.message, `line 3 is no entry of a recording: ${problem}`)
        assert.notInclude(error.message, "secret")
      }
    }))

  it.effect("whose file cannot be opened is a failure of its layer", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Layer.build(NatsRecorder.layerFile("/nowhere/recording.jsonl", "a")))
      assert.strictEqual(error._tag, "PlatformError")
    }))
})
