/**
 * Scripted: servers that stand still after they have let a client in, and servers that say what would do harm on a terminal.
 * No real one does either.
 */
import { assert, describe, it } from "@effect/vitest"
import { TestFakeServer, TestNatsServer } from "effect-nats/testing"
import * as Effect from "effect/Effect"
import { exitCodes } from "../../src/cli/internal/failure.ts"
import { check, failureOf, stageIn, stagesOf } from "../fixtures/checking.ts"
import { run } from "../fixtures/command.ts"
import * as Stranger from "../fixtures/stranger.ts"

describe("a server that lets in and then stands still", () => {
  it.live("is told at the round trip, in one time for all questions", () =>
    Effect.gen(function*() {
      const server = yield* TestFakeServer.make([{ send: TestFakeServer.info() }, { expect: "PING" }, {
        send: "PONG\r\n"
      }])
      const checked = yield* check({ NATS_URL: server.url })
      const { error, stage } = failureOf(checked)
      assert.strictEqual(stage, "rtt")
      assert.strictEqual(error?.tag, "StaleConnection")
      assert.strictEqual(checked.code, exitCodes.unreachable)
      const account = stageIn(checked, "account")
      assert.strictEqual(account.status, "noted")
      assert.strictEqual(account.error?.tag, "RequestTimedOut")
      // What each was given, and not how long it took.
      assert.isAtMost(Number(account.error?.fields["timeoutMillis"]), 2000)
      assert.isFalse(stagesOf(checked).some(({ stage }) => stage === "jetstream"), "it is not asked any more")
    }))

  it.live("has no more time for questions than a slow dial has left", () =>
    Effect.gen(function*() {
      const connectTimeout = 5000
      const dialled = 3600
      const server = yield* TestFakeServer.make([
        { send: TestFakeServer.info() },
        { expect: "PING" },
        { wait: dialled },
        { send: "PONG\r\n" }
      ])
      // A busy machine can need more than is left for the dial itself.
      const checked = yield* Effect.repeat(
        check({ NATS_URL: server.url, NATS_CONNECT_TIMEOUT: `${connectTimeout} millis` }),
        { until: (checked) => stagesOf(checked).some(({ stage }) => stage === "account") }
      )
      const timeout = Number(stageIn(checked, "account").error?.fields["timeoutMillis"])
      assert.isAtMost(timeout, connectTimeout + 500 - dialled)
    }))
})

const canary = "CANARY-of-john"

/** Anything that moves a cursor, turns text around or begins an escape. */
const harmful = /(?!\n)[\p{Cc}\u2028\u2029\p{Bidi_Control}]/u

const nasty = "\u001b[2J\u001b]0;owned\u0007\u0085\u202eabc\r\n\u009b31m"

/** Answers what a checked client asks, and says `words` in every place that has words. */
const talking = (words: string): Stranger.Play => {
  let answered = 0
  return (socket, received) => {
    if (received === "") {
      return void socket.write(TestFakeServer.info({
        server_name: words,
        version: words,
        cluster: words,
        domain: words,
        connect_urls: Array.from({ length: 2000 }, () => words.slice(0, 100)),
        max_payload: 1024
      }))
    }
    const lines = received.split("\r\n").slice(0, -1)
    for (const line of lines.slice(answered)) {
      if (line === "PING") socket.write("PONG\r\n")
      const [, subject, reply] = /^H?PUB (\S+) (\S+) /.exec(line) ?? []
      if (subject === "$SYS.REQ.USER.INFO") {
        const rights = { allow: Array.from({ length: 2000 }, () => words.slice(0, 100)), deny: [words] }
        answer(socket, reply, {
          data: { user: words, account: words, permissions: { publish: rights, subscribe: rights } }
        })
      } else if (subject?.endsWith(".INFO") === true) {
        answer(socket, reply, { type: words, error: { code: 500, err_code: 10_000, description: words } })
      }
    }
    answered = lines.length
  }
}

const answer = (socket: { write: (bytes: Buffer) => unknown }, reply: string, value: unknown): void => {
  const body = Buffer.from(JSON.stringify(value))
  socket.write(Buffer.concat([Buffer.from(`MSG ${reply} 1 ${body.length}\r\n`), body, Buffer.from("\r\n")]))
}

describe("what a server says of itself", () => {
  const told = (words: string) =>
    Effect.gen(function*() {
      const stranger = yield* Stranger.make
      const env = { NATS_URL: `localhost:${stranger.port}`, NATS_USER: "john", NATS_PASSWORD: canary }
      stranger.play = talking(words)
      const forPeople = yield* run(["check"], { env })
      stranger.play = talking(words)
      const checked = yield* check(env)
      return { checked, output: forPeople.stdout + forPeople.stderr + checked.output }
    })

  it.live("is shown without what acts on a terminal, and bounded", () =>
    Effect.gen(function*() {
      const { checked, output } = yield* told(`${nasty}${"x".repeat(10_000)}`)
      assert.notMatch(output, harmful)
      assert.include(output, "\\u001b[2J")
      assert.isBelow(output.length, 1_500_000)
      assert.deepStrictEqual(
        stagesOf(checked).map(({ stage }) => stage),
        ["lookup", "tcp", "info", "connect", "account", "rtt", "jetstream"],
        checked.output.slice(0, 2000)
      )
      assert.strictEqual(stageIn(checked, "info").detail.connectUrls.length, 256)
      assert.isBelow(String(stageIn(checked, "account").text).length, 500)
    }))

  it.live.each([
    ["as it is", canary],
    ["in JSON", JSON.stringify({ pass: canary })],
    ["percent-encoded", encodeURIComponent(`${canary} é`)],
    ["in part", `…${canary.slice(0, 10)}…`]
  ])("is withheld where it repeats the secret that it was sent: %s", ([, words]) =>
    Effect.gen(function*() {
      const { checked, output } = yield* told(words)
      assert.notInclude(output, canary.slice(0, 10))
      assert.include(stageIn(checked, "info").text, "withheld: it repeats a secret")
      assert.include(stageIn(checked, "account").text, "withheld: it repeats a secret")
    }))

  it.live("is the token itself where an old server calls the user by it", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ token: canary })
      const { code, output } = yield* check({ NATS_URL: server.url, NATS_TOKEN: canary })
      assert.strictEqual(code, 0)
      assert.notInclude(output, canary)
    }))

  it.live("is shown in the words of an error too, without what acts on a terminal and without the secret", () =>
    Effect.gen(function*() {
      for (const words of [nasty.replace(/[\r\n]/g, ""), canary]) {
        const server = yield* TestFakeServer.make([
          { send: TestFakeServer.info() },
          { expect: "CONNECT" },
          { send: `-ERR 'no: ${words}'\r\n` },
          { end: "FIN" }
        ])
        const env = { NATS_URL: server.url, NATS_USER: "john", NATS_PASSWORD: canary }
        const forPeople = yield* run(["check"], { env })
        const checked = yield* check(env)
        assert.strictEqual(failureOf(checked).error?.tag, "ServerRejected")
        assert.notMatch(forPeople.stdout + checked.output, harmful)
        assert.notInclude(forPeople.stdout + checked.output, canary)
      }
    }))
})
