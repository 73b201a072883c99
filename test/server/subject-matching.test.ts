/** The wildcard rules are the server's: who receives what is decided by a real one. */
import { assert, it } from "@effect/vitest"
import { NatsClient, Subject } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"

// Few tokens, so that patterns and subjects meet often; none has a wildcard in it, which the server would take literally.
const token = Schema.Literals(["a", "b", "A", "aa", "%2A", "{a}", "ü"])
const some = <A>(item: Arbitrary.Arbitrary<A>, minLength: number, maxLength: number) =>
  Arbitrary.array(item, { minLength, maxLength })

const subject = Arbitrary.map(some(Arbitrary.schema(token), 1, 4), (tokens) => tokens.join("."))
const pattern = Arbitrary.map(
  Arbitrary.all([
    some(Arbitrary.schema(Schema.Union([token, Schema.Literals(["*", "*", "*"])])), 0, 4),
    Arbitrary.schema(Schema.Boolean)
  ]),
  ([tokens, open]) => [...tokens, ...(open || tokens.length === 0 ? [">"] : [])].join(".")
)

it.layer(TestNatsServer.layer({}), { timeout: "30 seconds", excludeTestServices: true })("a real server", (it) => {
  let seen = 0
  let missed = 0

  it.effect.prop(
    "delivers a subject to a pattern exactly when they match",
    [some(pattern, 1, 6), some(subject, 1, 12)],
    ([patterns, subjects]) =>
      Effect.gen(function*() {
        const server = yield* TestNatsServer.TestNatsServer
        const nats = yield* NatsClient.make({ servers: server.url })
        const opened = yield* Effect.forEach(patterns, (each) => nats.subscription(`t.${each}`))
        yield* Effect.forEach(subjects, (each) => nats.publish(`t.${each}`))
        yield* nats.flush
        for (const [index, { stream, unsubscribe }] of opened.entries()) {
          yield* unsubscribe
          const received = yield* Stream.runCollect(stream)
          const expected = subjects.filter((each) => Subject.matches(`t.${patterns[index]}`, `t.${each}`))
          assert.deepStrictEqual(received.map((message) => message.subject), expected.map((each) => `t.${each}`))
          seen += expected.length
          missed += subjects.length - expected.length
        }
      }).pipe(Effect.scoped),
    { arbitrary: { runs: 150 } }
  )

  it.effect("decided both ways often enough to mean something", () =>
    Effect.sync(() => {
      assert.isAbove(seen, 100)
      assert.isAbove(missed, 100)
    }))

  it.effect("takes the longest names that are accepted, and keeps the connection", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.TestNatsServer
      const nats = yield* NatsClient.make({ servers: server.url })
      const longest = yield* Subject.make("ü".repeat(1000))
      const queue = yield* Subject.makeQueueGroup("q".repeat(2000))
      const { stream } = yield* nats.subscription(longest, { queue })
      yield* nats.publish(longest, "here", { reply: longest })
      const [message] = yield* Stream.runCollect(Stream.take(stream, 1))
      assert.deepStrictEqual([message.subject, message.reply], [longest, longest])
    }))
})
