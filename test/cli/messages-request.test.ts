import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import type { NatsMessage } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"
import { handling, otherSide, running } from "../fixtures/messaging.ts"

/** Neither UTF-8 nor free of what ends a line. */
const binary = Uint8Array.of(0xff, 0x00, 0x41, 0x0a, 0xc3)

/** Answers on a subject. */
const answering = (
  subject: string,
  answer: (message: NatsMessage.NatsMessage) => Effect.Effect<unknown, unknown>
) => Effect.flatMap(otherSide(), (nats) => handling(nats, subject, answer))

it.layer(TestNatsServer.layer(), { timeout: "30 seconds", excludeTestServices: true })("request", (it) => {
  it.effect("prints the payload of the reply as it is, for the next program of a pipe", () =>
    Effect.gen(function*() {
      yield* answering("echo", (message) =>
        message.respond(message.data, { headers: { Kind: message.header("Kind") ?? "none" } }))
      const plain = yield* running(["request", "echo", "-"], { input: binary, encoding: "latin1" })
      assert.deepStrictEqual([plain.code, plain.stdout], [0, `${Buffer.from(binary).toString("latin1")}\n`])
      const headed = yield* running(["request", "echo", "hi", "-H", "Kind: test", "--headers"])
      assert.deepStrictEqual([headed.code, headed.stdout], [0, "Kind: test\n\nhi\n"])
      const json = yield* running(["request", "echo", "hi", "--json"])
      const { headers, payload, subject } = JSON.parse(json.stdout)
      assert.deepStrictEqual([headers, payload], [{ Kind: ["none"] }, "hi"])
      assert.match(subject, /^_INBOX\./)
    }))

  it.effect("fails where nobody answers, and where nobody answers in time", () =>
    Effect.gen(function*() {
      yield* answering("silent", () => Effect.void)
      for (const more of [[], ["--many"]]) {
        const nobody = yield* running(["request", "nobody", "withheld", ...more])
        assert.strictEqual(nobody.code, 7)
        assert.include(nobody.stderr, "NoResponders: Nobody answers requests on \"nobody\"")
        const late = yield* running(["request", "silent", "withheld", "--timeout", "200ms", ...more])
        assert.strictEqual(late.code, 7)
        assert.include(late.stderr, "RequestTimedOut: No reply on \"silent\" within 200 ms")
        assert.notInclude(nobody.stderr + late.stderr, "withheld")
      }
    }))

  it.effect("fails with the error that a service answers with", () =>
    Effect.gen(function*() {
      yield* answering("service", (message) =>
        message.respond("{\"field\":\"id\"}", {
          headers: { "Nats-Service-Error": "no such order", "Nats-Service-Error-Code": "404" }
        }))
      const people = yield* running(["request", "service"])
      assert.deepStrictEqual([people.code, people.stdout], [7, ""])
      assert.include(people.stderr, "The error has a body: {\"field\":\"id\"}\n")
      assert.match(
        people.stderr,
        /^ServiceError: The service on "service" answered with error 404 \("no such order"\)/m
      )
      const programs = yield* running(["request", "service", "--json"])
      assert.strictEqual(programs.code, 7)
      const [reply, failure] = programs.stdout.trimEnd().split("\n").map((line) => JSON.parse(line))
      assert.deepStrictEqual(reply.headers["Nats-Service-Error-Code"], ["404"])
      assert.strictEqual(reply.payload, "{\"field\":\"id\"}")
      assert.strictEqual(failure.error.tag, "ServiceError")
    }))

  it.effect("takes many replies: by count, by silence, by time", () =>
    Effect.gen(function*() {
      for (const name of ["one", "two", "three"]) yield* answering("all", (message) => message.respond(name))
      const names = (stdout: string): ReadonlyArray<string> => stdout.trimEnd().split("\n").toSorted()
      const counted = yield* running(["request", "all", "--count", "3"])
      assert.deepStrictEqual([counted.code, names(counted.stdout)], [0, ["one", "three", "two"]])
      const stalled = yield* running(["request", "all", "--many", "--stall", "3s", "--timeout", "20s"])
      assert.deepStrictEqual([stalled.code, names(stalled.stdout)], [0, ["one", "three", "two"]])
      const missing = yield* running(["request", "all", "--count", "4", "--timeout", "3s"])
      assert.deepStrictEqual([missing.code, names(missing.stdout)], [7, ["one", "three", "two"]])
      assert.include(missing.stderr, "RepliesMissing: 3 replies of 4 on \"all\" came in time")
    }))

  it.effect.each([
    [["a.>"], "wildcards are for subscribing"],
    [["a", "x", "--stall", "1s"], "give --many or --count, too"],
    [["a", "x", "--json", "--raw"], "--json and --raw do not go together"],
    [["a", "x", "--timeout", "0"], "--timeout has a wrong value"]
  ])("refuses %j before it connects", ([args, problem]) =>
    Effect.gen(function*() {
      const { code, stderr, stdout } = yield* running(["request", ...args as ReadonlyArray<string>])
      assert.strictEqual(code, 2)
      assert.include(stderr + stdout, problem as string)
      assert.notInclude(stderr, "Configuration")
    }))
})
