import { assert, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import type { NatsMessage } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"
import { rawStream } from "../fixtures/jetStream.ts"
import { mostMemory, otherSide, running, starting } from "../fixtures/messaging.ts"

/** Neither UTF-8 nor free of what ends a line. */
const binary = Uint8Array.of(0xff, 0x00, 0x41, 0x0a, 0xc3)

/** A command line, and what it is given on stdin. */
type Given = readonly [args: ReadonlyArray<string>, input?: string | Uint8Array]

/** What arrives on the subject of what these publish, one after the other. */
const arriving = (subject: string, commands: ReadonlyArray<Given>, count: number) =>
  Effect.gen(function*() {
    const nats = yield* otherSide()
    const { stream } = yield* nats.subscription(subject, { max: count })
    for (const [args, input] of commands) {
      const finished = yield* running(["pub", ...args], { input })
      assert.strictEqual(finished.code, 0, JSON.stringify(finished))
      assert.strictEqual(finished.stdout, "")
    }
    return yield* Stream.runCollect(stream)
  })

const texts = (messages: ReadonlyArray<NatsMessage.NatsMessage>): ReadonlyArray<string> =>
  messages.map(({ data }) => Buffer.from(data).toString("latin1"))

it.layer(TestNatsServer.layer({ jetstream: true }), { timeout: "30 seconds", excludeTestServices: true })(
  "pub",
  (it) => {
    it.effect("publishes its argument, stdin as a whole, or nothing", () =>
      Effect.gen(function*() {
        const commands: ReadonlyArray<Given> = [
          [["payloads", "text"], "not this"],
          [["payloads", "-"], "of\nstdin\n"],
          [["payloads"], binary],
          [["payloads", ""]],
          [["payloads"]],
          [["payloads", "--count", "2", "--", "--json"]]
        ]
        assert.deepStrictEqual(texts(yield* arriving("payloads", commands, 7)), [
          "text",
          "of\nstdin\n",
          Buffer.from(binary).toString("latin1"),
          "",
          "",
          "--json",
          "--json"
        ])
      }))

    it.effect("sends headers and a reply subject", () =>
      Effect.gen(function*() {
        const header = ["--header", "Source: shop", "-H", "Source:web", "--header", "Time: 10:30"]
        const [message] = yield* arriving("headed", [[["headed", "x", "--reply", "answers.here", ...header]]], 1)
        assert.deepStrictEqual({ ...message.headers }, { Source: ["shop", "web"], Time: ["10:30"] })
        assert.strictEqual(message.reply, "answers.here")
      }))

    it.effect("publishes each line of stdin, the empty ones and the last one, too", () =>
      Effect.gen(function*() {
        const messages = yield* arriving("lines", [
          [
            ["lines", "--lines"],
            Buffer.concat([Buffer.from("one\n\ntwo\r\n"), Uint8Array.of(0xff, 0x0a), Buffer.from("end")])
          ],
          [["lines", "--lines"], "with a break\n"],
          [["lines", "--lines"], ""]
        ], 6)
        assert.deepStrictEqual(texts(messages), ["one", "", "two\r", "\xff", "end", "with a break"])
      }))

    it.effect("publishes any number of lines without keeping them", () =>
      Effect.gen(function*() {
        const nats = yield* otherSide()
        const lines = 120_000
        const line = (i: number): string => `${i} ${"x".repeat(1000)}`
        let next = 0
        let wrong = 0
        const { stream } = yield* nats.subscription("many", { max: lines, capacity: lines, capacityBytes: 1e9 })
        const pub = yield* starting(["pub", "many", "--lines"], { keepsInput: true })
        const stdin = pub.process.stdin!
        yield* Effect.forkScoped(Effect.gen(function*() {
          for (let from = 0; from < lines; from += 1000) {
            const text = Array.from({ length: 1000 }, (_, i) => `${line(from + i)}\n`).join("")
            yield* Effect.callback<void>((resume) => void stdin.write(text, () => resume(Effect.void)))
          }
        }))
        yield* Stream.runForEach(stream, ({ text }) =>
          Effect.sync(() => {
            if (text !== line(next++)) wrong++
          }))
        assert.deepStrictEqual([next, wrong], [lines, 0])
        // 120 MB went through.
        const memory = mostMemory(pub.process.pid)
        if (memory !== undefined) assert.isBelow(memory, 250)
        stdin.end()
        const { code, stderr } = yield* pub.finished
        assert.strictEqual(code, 0)
        assert.include(stderr, `Published ${lines} messages`)
      }), 240_000)

    it.effect("tells programs how many it has published", () =>
      Effect.gen(function*() {
        const { code, stdout } = yield* running(["pub", "told", "é", "--count", "10000", "--json"])
        assert.strictEqual(code, 0)
        assert.strictEqual(stdout, "{\"subject\":\"told\",\"published\":10000,\"bytes\":20000}\n")
      }))

    it.effect("takes a payload up to the server's limit, and says what is over it", () =>
      Effect.gen(function*() {
        const nats = yield* otherSide()
        const { max_payload: limit } = yield* nats.serverInfo
        const [message] = yield* arriving("large", [[["large", "-"], "x".repeat(limit)]], 1)
        assert.strictEqual(message.data.length, limit)
        const { code, stderr } = yield* running(["pub", "large", "-"], { input: "x".repeat(limit + 1) })
        assert.strictEqual(code, 7)
        assert.include(stderr, `MaxPayloadExceeded: A message of ${limit + 1} bytes`)
        assert.isBelow(stderr.length, 1000)
        const lines = yield* running(["pub", "large", "--lines", "--json"], {
          input: `one\ntwo\n${"x".repeat(limit + 1)}\nfour\n`
        })
        const told = lines.stdout.trimEnd().split("\n").map((line) => JSON.parse(line))
        assert.deepStrictEqual(told[0], { subject: "large", published: 2, bytes: 6 })
        assert.strictEqual(told[1].error.tag, "MaxPayloadExceeded")
        assert.strictEqual(lines.code, 7)
      }))

    it.effect("with --jetstream prints where each message is stored", () =>
      Effect.gen(function*() {
        const nats = yield* otherSide()
        yield* rawStream(nats, "ORDERS")
        const first = yield* running(["pub", "orders.a", "x", "--jetstream", "-H", "Nats-Msg-Id: 1"])
        assert.deepStrictEqual([first.code, first.stdout], [0, "Stored in stream ORDERS as 1\n"])
        assert.include(first.stderr, "Published 1 message to orders.a\n")
        const again = yield* running(["pub", "orders.a", "x", "--jetstream", "-H", "Nats-Msg-Id: 1"])
        assert.strictEqual(again.stdout, "Already in stream ORDERS as 1: a duplicate\n")
        const lines = yield* running(["pub", "orders.b", "--lines", "--jetstream", "--json"], { input: "a\nb\n" })
        assert.strictEqual(
          lines.stdout,
          "{\"stream\":\"ORDERS\",\"sequence\":2,\"duplicate\":false}\n{\"stream\":\"ORDERS\",\"sequence\":3,\"duplicate\":false}\n"
        )
        const nowhere = yield* running(["pub", "nowhere", "x", "--jetstream"])
        assert.strictEqual(nowhere.code, 7)
        assert.include(nowhere.stderr, "NoStreamForSubject: ")
        assert.notInclude(nowhere.stderr, "Published")
      }))

    it.effect.each([
      [["a.*", "x"], "wildcards are for subscribing"],
      [["a b", "x"], "The subject \"a b\" is invalid"],
      [["a", "x", "--reply", "a..b"], "The reply \"a..b\" is invalid"],
      [["a", "x", "-H", "withheld"], "--header has no colon"],
      [["a", "x", "-H", "ok: 1", "-H", "withheld"], "--header number 2 has no colon"],
      [["a", "x", "-H", "a b: withheld"], "The header \"a b\" is invalid"],
      [["a", "x", "-H", "a: with\nheld"], "The header \"a\" is invalid"],
      [["a", "withheld", "--lines"], "--lines and PAYLOAD do not go together"],
      [["a", "--lines", "--count", "2"], "--lines and --count do not go together"],
      [["a", "x", "--jetstream", "--reply", "b"], "--jetstream and --reply do not go together"],
      [["a", "withheld", "more"], "an argument too many"]
    ])("refuses %j before it connects, and repeats no content", ([args, problem]) =>
      Effect.gen(function*() {
        const { code, stderr } = yield* running(["pub", ...args as ReadonlyArray<string>])
        assert.strictEqual(code, 2)
        assert.include(stderr, problem as string)
        assert.notMatch(stderr, /withheld|held|Configuration/)
      }))
  }
)
