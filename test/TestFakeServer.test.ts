import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as net from "node:net"
import { TestFakeServer } from "../src/testing/index.ts"
import { until } from "./fixtures/following.ts"
import { rawConnect } from "./fixtures/rawClient.ts"

/** Everything a server says to a client that says nothing, and how it ends. */
const listenTo = (port: number, say = ""): Effect.Effect<readonly [text: string, end: string]> =>
  Effect.callback((resume) => {
    let text = ""
    const socket = net.connect({ host: "127.0.0.1", port })
    if (say !== "") socket.write(say)
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1")
    })
    socket.on("end", () => resume(Effect.succeed([text, "FIN"])))
    socket.on("error", (error: NodeJS.ErrnoException) => resume(Effect.succeed([text, error.code ?? ""])))
    return Effect.sync(() => socket.destroy())
  })

describe("TestFakeServer", () => {
  it.live("the handshake script lets a client in and keeps what it sent", () =>
    Effect.gen(function*() {
      const server = yield* TestFakeServer.make(TestFakeServer.handshake({ max_payload: 77 }))
      const { info, text } = yield* rawConnect({ port: server.port, connect: { user: "john" } })
      assert.strictEqual(info["max_payload"], 77)
      assert.strictEqual(text, "PONG\r\n")
      yield* server.scriptEnd()
      assert.include(yield* server.received(), "\"user\":\"john\"")
      assert.deepStrictEqual(yield* server.problems, [])
    }))

  const scripts: ReadonlyArray<readonly [name: string, TestFakeServer.Script, text: string, end: string]> = [
    [
      "an HTTP banner",
      [{ send: "HTTP/1.1 400 Bad Request\r\n\r\n" }, { end: "FIN" }],
      "HTTP/1.1 400 Bad Request\r\n\r\n",
      "FIN"
    ],
    [
      "half an INFO",
      [{ send: TestFakeServer.info().slice(0, 20) }, { end: "FIN" }],
      TestFakeServer.info().slice(0, 20),
      "FIN"
    ],
    ["INFO that is no JSON", [{ send: "INFO {nope\r\n" }, { end: "FIN" }], "INFO {nope\r\n", "FIN"],
    [
      "INFO twice",
      [{ send: TestFakeServer.info() }, { send: TestFakeServer.info() }, { end: "FIN" }],
      TestFakeServer.info() + TestFakeServer.info(),
      "FIN"
    ],
    [
      "a refusal in place of INFO",
      [{ send: "-ERR 'maximum connections exceeded'\r\n" }, { end: "FIN" }],
      "-ERR 'maximum connections exceeded'\r\n",
      "FIN"
    ],
    ["bytes", [{ send: Uint8Array.of(0, 255, 7) }, { end: "FIN" }], "\u0000\u00ff\u0007", "FIN"],
    ["a reset", [{ end: "RST" }], "", "ECONNRESET"]
  ]
  for (const [name, script, text, end] of scripts) {
    it.live(`says and does: ${name}`, () =>
      Effect.gen(function*() {
        const server = yield* TestFakeServer.make(script)
        assert.deepStrictEqual(yield* listenTo(server.port), [text, end])
      }))
  }

  it.live("stays silent and open after the last step", () =>
    Effect.gen(function*() {
      const server = yield* TestFakeServer.make([])
      const heard = yield* Effect.timeoutOption(listenTo(server.port), "50 millis")
      assert.strictEqual(heard._tag, "None")
      yield* until(Effect.map(server.accepted, (accepted) => accepted === 1))
    }))

  it.live("the script may differ from connection to connection", () =>
    Effect.gen(function*() {
      const server = yield* TestFakeServer.make((connection) => [{ send: `${connection}` }, { end: "FIN" }])
      assert.deepStrictEqual(yield* listenTo(server.port), ["0", "FIN"])
      assert.deepStrictEqual(yield* listenTo(server.port), ["1", "FIN"])
      assert.strictEqual(yield* server.accepted, 2)
    }))

  it.live("waits for lines before it goes on", () =>
    Effect.gen(function*() {
      const server = yield* TestFakeServer.make([{ expectLines: 2 }, { expect: /^B/ }, { send: "done" }, {
        end: "FIN"
      }])
      assert.deepStrictEqual(yield* listenTo(server.port, "A 1\r\nA 2\r\nA 3\r\nB\r\n"), ["done", "FIN"])
      assert.strictEqual(yield* server.received(0), "A 1\r\nA 2\r\nA 3\r\nB\r\n")
    }))

  it.live("something said where silence is expected is a problem", () =>
    Effect.gen(function*() {
      const server = yield* TestFakeServer.make([{ expectSilence: "40 millis" }, { end: "FIN" }])
      yield* listenTo(server.port)
      assert.deepStrictEqual(yield* server.problems, [])
      yield* listenTo(server.port, "hello")
      assert.deepStrictEqual(yield* server.problems, ["connection 1: silence was expected, came \"hello\""])
    }))

  it.live("a client that goes before the expected line is a problem, and its connection is closed", () =>
    Effect.gen(function*() {
      const server = yield* TestFakeServer.make([{ send: "hello" }, { expect: "CONNECT" }])
      yield* Effect.timeoutOption(listenTo(server.port), "20 millis")
      yield* server.scriptEnd()
      assert.deepStrictEqual(yield* server.problems, ["connection 0: ended before CONNECT"])
      assert.strictEqual(yield* server.connections, 0)
    }))
})
