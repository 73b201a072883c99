/**
 * Scripted: servers that are silent, speak something else, stop half-way or reset at a chosen moment. A real server does
 * none of that on demand.
 */
import { assert, describe, it } from "@effect/vitest"
import { TestFakeServer } from "effect-nats/testing"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import { fromTcp } from "../../src/internal/wire/connectFailure.ts"
import { SecretFilter } from "../../src/internal/wire/secretFilter.ts"
import { type DialTestOptions, dialTo, inTime, password, refusal } from "../fixtures/dialling.ts"
import { oneTurn, until } from "../fixtures/following.ts"
import * as Stranger from "../fixtures/stranger.ts"

const repeats = 10

/** The error of every dial to a server with this script, as `Tag` or `Tag stage`, and one of them. */
const outcomes = (script: TestFakeServer.Script, options?: DialTestOptions) =>
  Effect.gen(function*() {
    const server = yield* TestFakeServer.make(script)
    const errors = yield* Effect.all(
      Array.from({ length: repeats }, () => refusal(server.url, options)),
      { concurrency: "unbounded" }
    )
    const seen = new Set(errors.map((error) => "stage" in error ? `${error._tag} ${error.stage}` : error._tag))
    return { server, seen: [...seen], error: errors[0] }
  })

const row = (script: TestFakeServer.Script, expected: string, options?: DialTestOptions) =>
  Effect.map(outcomes(script, options), ({ error, seen }) => {
    assert.deepStrictEqual(seen, [expected])
    return error
  })

const info = TestFakeServer.info()
const tlsInfo = TestFakeServer.info({ tls_required: true })
const greeted: TestFakeServer.Script = [{ send: info }, { expect: "CONNECT" }]

/** In clear and in time: ten dials at once, all within a tenth of the deadline. */
const timesOut = (script: TestFakeServer.Script, stage: string, options?: DialTestOptions) =>
  Effect.gen(function*() {
    const server = yield* TestFakeServer.make(script)
    const connectTimeout = 1000
    for (const error of yield* inTime(server.url, { ...options, connectTimeout, repeats })) {
      assert(error._tag === "ConnectTimedOut", error._tag)
      assert.strictEqual(error.stage, stage)
      assert.strictEqual(error.timeoutMillis, connectTimeout)
    }
  })

describe("a server that stalls", () => {
  it.live("a silent listener is a ConnectTimedOut at stage info, at the configured time", () => timesOut([], "info"))

  it.live("half an INFO is a ConnectTimedOut at stage info", () => timesOut([{ send: info.slice(0, 40) }], "info"))

  it.live("INFO and then nothing is a ConnectTimedOut at stage connect", () => timesOut(greeted, "connect"))

  it.live("a TLS handshake without an answer is a ConnectTimedOut at stage tls", () =>
    timesOut([{ send: tlsInfo }], "tls"))

  it.live("a TLS handshake before INFO without an answer is a ConnectTimedOut at stage tls", () =>
    timesOut([], "tls", { tls: { handshakeFirst: true } }))

  it.live("INFO after the silence was broken counts as silence", () =>
    Effect.gen(function*() {
      yield* timesOut([{ expect: "PING" }, { send: info }], "info")
      yield* timesOut([{ expect: "PING" }, { send: `${info}-ERR 'Authorization Violation'\r\n` }], "info")
      yield* timesOut([{ expect: "PING" }, { send: "-ERR 'Authorization Violation'\r\n" }], "info")
    }))

  it.live("a listener that closes when spoken to is a ConnectTimedOut that mentions handshakeFirst", () =>
    Effect.gen(function*() {
      const error = yield* row([{ expect: "PING" }, { end: "FIN" }], "ConnectTimedOut info", { connectTimeout: 3000 })
      assert.include(error.message, "handshakeFirst")
    }))

  it("a connect that the system has given up is a ConnectTimedOut with what was waited, and its error", () => {
    const cause = Object.assign(new Error("connect ETIMEDOUT"), { code: "ETIMEDOUT" })
    const peer = { server: "nats://a:4222", hosts: [], method: "Anonymous", filter: new SecretFilter() } as const
    assert.deepInclude(fromTcp(peer, cause, 1234), {
      _tag: "ConnectTimedOut",
      stage: "tcp",
      timeoutMillis: 1234,
      cause
    })
  })

  it.effect("the deadline is the Clock's", () =>
    Effect.gen(function*() {
      const server = yield* TestFakeServer.make([])
      const fiber = yield* Effect.forkChild(refusal(server.url, { connectTimeout: 60_000 }))
      yield* server.scriptEnd()
      yield* TestClock.adjust("59 seconds")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "ConnectTimedOut")
    }))
})

describe("a server of something else", () => {
  const banner = (script: TestFakeServer.Script, expected: string, options?: DialTestOptions) =>
    Effect.gen(function*() {
      const error = yield* row(script, "NotANatsServer", options)
      assert(error._tag === "NotANatsServer")
      assert.strictEqual(error.banner, expected)
    })

  it.live("one that greets otherwise is NotANatsServer, with its greeting", () =>
    banner([{ send: "SSH-2.0-OpenSSH_9.2\r\n" }], "SSH-2.0-OpenSSH_9.2"))

  it.live("an HTTP server that talks first is NotANatsServer", () =>
    banner([{ send: "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n" }], "HTTP/1.1 400 Bad Request"))

  it.effect("an HTTP server that waits to be spoken to is NotANatsServer too", () =>
    Effect.gen(function*() {
      const server = yield* TestFakeServer.make([
        { expect: "PING" },
        { send: "HTTP/1.1 400 Bad Request\r\n\r\n" },
        { end: "FIN" }
      ])
      const dials = Array.from({ length: repeats }, () => refusal(server.url, { connectTimeout: 60_000 }))
      const dialled = yield* Effect.forkChild(Effect.all(dials, { concurrency: "unbounded" }))
      yield* until(Effect.map(server.accepted, (accepted) => accepted === repeats))
      for (let turns = 0; turns < 5; turns++) yield* oneTurn
      // To the last tenth, which lasts as long as the answers take.
      yield* TestClock.adjust("54 seconds")
      for (const error of yield* Fiber.join(dialled)) {
        assert.deepInclude(error, { _tag: "NotANatsServer", banner: "HTTP/1.1 400 Bad Request" })
      }
    }))

  it.live("a greeting without a line end, byte by byte, is whole in the error", () =>
    banner([{ send: "2" }, { send: "2" }, { send: "0 smtp" }], "220 smtp"))

  it.live("of a greeting at most 64 characters are shown, printable, and that there was more", () =>
    banner([{ send: `\u0000\u001b[31m${"x".repeat(500)}` }], `\\u0000\\u001b[31m${"x".repeat(47)}…`))

  it.live("an INFO that is no JSON, or not a server's, is NotANatsServer", () =>
    Effect.gen(function*() {
      yield* banner([{ send: "INFO {\"server_id\":\r\n" }], "")
      yield* banner([{ send: "INFO {\"hello\":true}\r\n" }], "")
      yield* banner([{ send: "INFO \r\n" }], "")
    }))

  it.live("an endless first line is NotANatsServer", () =>
    banner([{ send: `INFO ${"x".repeat(1024 * 1024 + 64)}` }], ""))
})

describe("a server that closes", () => {
  it.live("a FIN before INFO is a ConnectionReset at stage info", () => row([{ end: "FIN" }], "ConnectionReset info"))

  it.live("a FIN after half an INFO is a ConnectionReset at stage info", () =>
    row([{ send: info.slice(0, 40) }, { end: "FIN" }], "ConnectionReset info"))

  it.live("a FIN or an RST after CONNECT is a ConnectionReset at stage connect", () =>
    Effect.gen(function*() {
      yield* row([...greeted, { end: "FIN" }], "ConnectionReset connect")
      yield* row([...greeted, { end: "RST" }], "ConnectionReset connect")
    }))

  it.live("an RST before or after INFO is a ConnectionReset, at the stage that was seen", () =>
    Effect.gen(function*() {
      // On loopback the RST can be there before the connection is reported.
      const early: ReadonlyArray<TestFakeServer.Script> = [
        [{ end: "RST" }],
        [{ send: info.slice(0, 40) }, { end: "RST" }],
        [{ send: info }, { end: "RST" }]
      ]
      for (const script of early) {
        for (const seen of (yield* outcomes(script)).seen) {
          assert.match(seen, /^ConnectionReset (tcp|info|connect)$/)
        }
      }
    }))

  it.live("an RST or a FIN while TLS should begin is a ConnectionReset, never an uncaught error", () =>
    Effect.gen(function*() {
      for (const end of ["RST", "FIN"] as const) {
        for (const wait of ["1 millis", "5 millis", "7 millis", "20 millis"] as const) {
          for (const seen of (yield* outcomes([{ send: tlsInfo }, { wait }, { end }])).seen) {
            assert.match(seen, /^ConnectionReset (tcp|info|tls)$/)
          }
        }
      }
    }))
})

describe("a server that refuses", () => {
  const says = (text: string, expected: string) =>
    row([...greeted, { send: `-ERR '${text}'\r\n` }, { end: "FIN" }], expected)

  it.live("each of its words has a name", () =>
    Effect.gen(function*() {
      yield* says("Authorization Violation", "AuthorizationViolation")
      yield* says("Authentication Timeout", "AuthenticationTimeout")
      yield* says("Authorization Timeout", "AuthenticationTimeout")
      yield* says("User Authentication Expired", "AuthenticationExpired")
      yield* says("maximum account active connections exceeded", "MaxConnectionsExceeded")
      yield* says("attempted to connect to gateway port", "WrongPort")
      const throttled = yield* says("Connection throttling is active. Please try again later.", "ServerRejected")
      assert(throttled._tag === "ServerRejected")
      assert.strictEqual(throttled.text, "Connection throttling is active. Please try again later.")
      assert.isTrue(throttled.isRetryable)
    }))

  it.live("a refusal right behind INFO, in one piece with it, is heard", () =>
    row([{ send: `${info}-ERR 'maximum connections exceeded'\r\n` }, { end: "FIN" }], "MaxConnectionsExceeded"))

  it.live("a refusal in clear after an INFO that announces TLS is heard, though it comes a little later", () =>
    row(
      [{ send: tlsInfo }, { wait: "1 millis" }, { send: "-ERR 'maximum connections exceeded'\r\n" }, { end: "FIN" }],
      "MaxConnectionsExceeded"
    ))

  it.live("one that comes when the handshake has begun is heard on a second connection, and there is no third", () =>
    Effect.gen(function*() {
      const full = "-ERR 'maximum connections exceeded'\r\n"
      for (const [words, later] of [[full, full], ["no TLS", undefined]] as const) {
        const stranger = yield* Stranger.make
        let connections = 0
        stranger.play = (socket, received) => {
          // The handshake has begun.
          if (received !== "") return void socket.end(words)
          socket.write(tlsInfo)
          connections++
          // Later than on the first connection.
          if (connections === 2 && later !== undefined) setTimeout(() => socket.end(later), 20)
        }
        const error = yield* refusal(`nats://127.0.0.1:${stranger.port}`)
        assert.strictEqual(error._tag, later === undefined ? "TlsHandshakeFailed" : "MaxConnectionsExceeded")
        assert.strictEqual(connections, 2)
      }
    }))

  it.live("a refusal in place of INFO is heard", () =>
    row([{ send: "-ERR 'maximum connections exceeded'\r\n" }, { end: "FIN" }], "MaxConnectionsExceeded"))

  it.live("an unknown refusal is the cause when the connection ends, or when time is up", () =>
    Effect.gen(function*() {
      yield* says("something new", "ServerRejected")
      const open = [...greeted, { send: "-ERR 'something new'\r\n" }]
      const error = yield* row(open, "ServerRejected", { connectTimeout: 1000 })
      assert(error._tag === "ServerRejected")
      assert.strictEqual(error.text, "something new")
    }))

  it.live("bytes in clear between INFO and TLS are refused, and nothing is sent", () =>
    Effect.gen(function*() {
      const { seen, server } = yield* outcomes([{ send: `${tlsInfo}MSG a 1 5\r\nhello\r\n` }], {
        credentials: password("john", "canary")
      })
      assert.deepStrictEqual(seen, ["ServerRejected"])
      assert.strictEqual(yield* server.received(), "")
    }))
})

describe("the handshake", () => {
  it.live("a PING before the PONG is answered, but only after it", () =>
    Effect.gen(function*() {
      const server = yield* TestFakeServer.make([
        { send: info },
        { expect: "CONNECT" },
        { expect: "PING" },
        { send: "PING\r\n" },
        { expectSilence: "50 millis" },
        { send: "PONG\r\n" },
        { expect: "PONG" }
      ])
      yield* dialTo(server.url)
      yield* server.scriptEnd()
      assert.deepStrictEqual(yield* server.problems, [])
    }))

  it.live("CONNECT says what this client is and wants", () =>
    Effect.gen(function*() {
      const server = yield* TestFakeServer.make(TestFakeServer.handshake())
      yield* dialTo(server.url, { credentials: password("john", "p"), name: "orders", noEcho: true })
      const [line] = (yield* server.received()).split("\r\n")
      const { version, ...fields } = JSON.parse(line.replace(/^CONNECT /, "")) as Record<string, unknown>
      assert.match(String(version), /^\d+\.\d+\.\d+/)
      assert.deepStrictEqual(fields, {
        verbose: false,
        pedantic: false,
        protocol: 1,
        headers: true,
        no_responders: true,
        echo: false,
        lang: "effect-nats",
        name: "orders",
        tls_required: false,
        user: "john",
        pass: "p"
      })
    }))
})
