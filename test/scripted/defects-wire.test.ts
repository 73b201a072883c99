/**
 * Scripted: a server that breaks the protocol while connected, and one that resets between INFO and the TLS handshake. A
 * real server does neither on demand.
 */
import { assert, describe, it } from "@effect/vitest"
import { NatsClient } from "effect-nats"
import { TestCertificates, TestFakeServer } from "effect-nats/testing"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { recordStatus } from "../fixtures/clients.ts"

const quick = { initialDelay: "10 millis", maxDelay: "50 millis" } as const

/** The first connection is let in and then sent this; the second one works. */
const breaksOnce = (bytes: string) =>
  TestFakeServer.make((connection) => [
    ...TestFakeServer.handshake(),
    { expect: "SUB orders 2" },
    ...(connection === 0
      ? [{ expect: "PUB go 0" }, { send: bytes }]
      : [{ send: "MSG orders 2 5\r\nagain\r\n" }])
  ])

const temporaryDirectory = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "effect-nats-"))),
  (directory) => Effect.sync(() => fs.rmSync(directory, { recursive: true, force: true }))
)

describe("a server that breaks the protocol", () => {
  for (
    const [what, bytes] of [
      ["malformed INFO", "INFO {\"server_id\":\r\n"],
      ["INFO that is no server's", "INFO 7\r\n"],
      ["an unknown operation", "HELLO\r\n"],
      ["a size that is no number", "MSG orders 2 x\r\nhello\r\n"]
    ]
  ) {
    it.live(`${what} while connected replaces the session, and the same subscription goes on`, () =>
      Effect.gen(function*() {
        const server = yield* breaksOnce(bytes)
        const nats = yield* NatsClient.make({ servers: server.url, reconnect: quick })
        const status = yield* recordStatus(nats)
        const orders = yield* nats.subscription("orders")
        const unanswered = yield* Effect.forkChild(Effect.flip(nats.request("unanswered")), {
          startImmediately: true
        })
        yield* nats.publish("go")
        assert.strictEqual((yield* status.nth("Disconnected")).reason._tag, "ServerRejected")
        assert.strictEqual((yield* Fiber.join(unanswered))._tag, "ConnectionLost")
        const [message] = yield* Stream.runCollect(Stream.take(orders.stream, 1))
        assert.strictEqual(message.text, "again")
        yield* nats.flush
        assert.deepStrictEqual(status.states, ["Connected", "Disconnected", "Connected"])
        assert.deepStrictEqual(yield* server.problems, [])
      }))
  }

  it.live("a reset between INFO and the TLS handshake is a typed failure each time, with large PEM files too", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const authority = yield* TestCertificates.authority()
      const client = yield* authority.issue({ names: [] })
      const caFile = path.join(directory, "ca.pem")
      const certFile = path.join(directory, "cert.pem")
      const keyFile = path.join(directory, "key.pem")
      fs.writeFileSync(caFile, authority.cert.repeat(Math.floor(300_000 / authority.cert.length)))
      fs.writeFileSync(certFile, client.cert)
      fs.writeFileSync(keyFile, client.key, { mode: 0o600 })
      // Spread over the pause before the handshake and the handshake itself.
      const server = yield* TestFakeServer.make((connection) => [
        { send: TestFakeServer.info({ tls_required: true }) },
        { wait: connection % 15 },
        { end: "RST" }
      ])
      // An 'error' event that nobody listens to would end the process; the test runner reports it as an unhandled error.
      const unhandled: Array<unknown> = []
      const listener = (error: unknown): void => {
        unhandled.push(error)
      }
      yield* Effect.acquireRelease(
        Effect.sync(() => process.on("uncaughtExceptionMonitor", listener)),
        () => Effect.sync(() => process.off("uncaughtExceptionMonitor", listener))
      )
      const errors = yield* Effect.forEach(
        Array.from({ length: 30 }),
        () => Effect.flip(Effect.scoped(NatsClient.make({ servers: server.url, tls: { caFile, certFile, keyFile } })))
      )
      const resets = errors.filter((error) => error._tag === "ConnectionReset")
      assert.strictEqual(resets.length, 30)
      assert.include(resets.map((error) => error.stage), "tls")
      assert.deepStrictEqual(unhandled, [])
      assert.strictEqual(yield* server.accepted, 30)
    }))
})
