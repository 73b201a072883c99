import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as net from "node:net"
import { TestNatsProxy } from "../src/testing/index.ts"

/** A target that sends `greeting` and then echoes. */
const target = (greeting = "INFO {}\r\n"): Effect.Effect<number, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<{ readonly server: net.Server; readonly sockets: Set<net.Socket> }>((resume) => {
        const sockets = new Set<net.Socket>()
        const server = net.createServer((socket) => {
          sockets.add(socket)
          socket.on("error", () => {})
          socket.write(greeting)
          socket.pipe(socket)
        })
        server.listen(0, "127.0.0.1", () => resume(Effect.succeed({ server, sockets })))
      }),
      ({ server, sockets }) =>
        Effect.sync(() => {
          server.close()
          for (const socket of sockets) socket.destroy()
        })
    ),
    ({ server }) => (server.address() as net.AddressInfo).port
  )

interface Outcome {
  readonly text: string
  readonly bytes: Buffer
  readonly end: "FIN" | "RST" | "refused" | "open"
}

/** Sends `text` when something was received, or at once, then reads until `until` ends it or the connection ends. */
const exchange = (
  port: number,
  text: string,
  until?: string,
  when: "greeted" | "at once" = "greeted"
): Effect.Effect<Outcome> =>
  Effect.callback((resume) => {
    const chunks: Array<Buffer> = []
    const socket = net.connect({ host: "127.0.0.1", port })
    const done = (end: Outcome["end"]): void => {
      socket.destroy()
      const bytes = Buffer.concat(chunks)
      resume(Effect.succeed({ text: bytes.toString("latin1"), bytes, end }))
    }
    socket.once(when === "greeted" ? "data" : "connect", () => text === "" || socket.write(text))
    socket.on("data", (chunk) => {
      chunks.push(chunk)
      if (until !== undefined && Buffer.concat(chunks.slice(-2)).toString("latin1").endsWith(until)) done("open")
    })
    socket.on("end", () => done("FIN"))
    socket.on("error", (error: NodeJS.ErrnoException) => done(error.code === "ECONNREFUSED" ? "refused" : "RST"))
    return Effect.sync(() => socket.destroy())
  })

const connect = "CONNECT {}\r\nPING\r\n"

describe("TestNatsProxy", () => {
  it.live("without faults it passes everything, both ways, and keeps what was sent", () =>
    Effect.gen(function*() {
      const proxy = yield* TestNatsProxy.make({ port: yield* target() })
      const { text } = yield* exchange(proxy.port, connect, "PING\r\n")
      assert.strictEqual(text, `INFO {}\r\n${connect}`)
      assert.strictEqual((yield* proxy.sent("toServer")).toString(), connect)
      assert.strictEqual((yield* proxy.sent("toClient")).toString(), `INFO {}\r\n${connect}`)
      assert.strictEqual(yield* proxy.accepted, 1)
    }))

  for (const how of ["FIN", "RST"] as const) {
    it.live(`cuts at every stage by ${how}`, () =>
      Effect.gen(function*() {
        const proxy = yield* TestNatsProxy.make({ port: yield* target() })
        const expected: ReadonlyArray<readonly [TestNatsProxy.CutPoint, string]> = [
          ["accept", ""],
          ["beforeInfo", ""],
          ["afterInfo", "INFO {}\r\n"],
          ["onConnect", "INFO {}\r\n"],
          [{ direction: "toClient", bytes: 4 }, "INFO"],
          [{ direction: "toClient", bytes: 12 }, "INFO {}\r\nCON"],
          [{ direction: "toServer", bytes: 3 }, "INFO {}\r\nCON"]
        ]
        for (const [point, text] of expected) {
          yield* proxy.cut(point, { how })
          const outcome = yield* exchange(proxy.port, point === "onConnect" || typeof point === "object" ? connect : "")
          assert.strictEqual(outcome.end, how, JSON.stringify(point))
          // A reset may overtake what was sent before it.
          if (how === "FIN" && typeof point !== "object") assert.strictEqual(outcome.text, text, JSON.stringify(point))
          assert.isTrue(text.startsWith(outcome.text), JSON.stringify(point))
        }
        yield* proxy.heal
        assert.strictEqual((yield* exchange(proxy.port, connect, "PING\r\n")).end, "open")
      }))
  }

  it.live("a cut can be for so many connections only", () =>
    Effect.gen(function*() {
      const proxy = yield* TestNatsProxy.make({ port: yield* target() })
      yield* proxy.cut("accept", { times: 2 })
      const ends: Array<string> = []
      for (let i = 0; i < 3; i++) ends.push((yield* exchange(proxy.port, connect, "PING\r\n")).end)
      assert.deepStrictEqual(ends, ["FIN", "FIN", "open"])
    }))

  it.live("a swallowed direction is silent and the connection stays open", () =>
    Effect.gen(function*() {
      const proxy = yield* TestNatsProxy.make({ port: yield* target() })
      yield* proxy.swallow("toClient")
      const exchanging = yield* Effect.forkChild(exchange(proxy.port, connect, "PING\r\n", "at once"), {
        startImmediately: true
      })
      while (!(yield* proxy.sent("toClient")).includes("PING")) yield* Effect.sleep("1 millis")
      assert.isUndefined(exchanging.pollUnsafe())
      assert.strictEqual(yield* proxy.connections, 1)
      yield* proxy.drop("RST")
      assert.deepStrictEqual(yield* Fiber.join(exchanging), { text: "", bytes: Buffer.alloc(0), end: "RST" })
      assert.strictEqual(yield* proxy.connections, 0)
    }))

  it.live("one byte is corrupted, at its position in the connection", () =>
    Effect.gen(function*() {
      const proxy = yield* TestNatsProxy.make({ port: yield* target() })
      yield* proxy.corrupt("toClient", 5)
      const { bytes } = yield* exchange(proxy.port, connect, "PING\r\n")
      const right = Buffer.from(`INFO {}\r\n${connect}`)
      assert.strictEqual(bytes.length, right.length)
      assert.deepStrictEqual([...bytes.keys()].filter((i) => bytes[i] !== right[i]), [5])
      assert.strictEqual(bytes[5]! ^ right[5]!, 0xff)
    }))

  it.live("a delay is kept, in order", () =>
    Effect.gen(function*() {
      const proxy = yield* TestNatsProxy.make({ port: yield* target() })
      yield* proxy.delay("60 millis")
      const before = performance.now()
      const { text } = yield* exchange(proxy.port, connect, "PING\r\n")
      assert.strictEqual(text, `INFO {}\r\n${connect}`)
      assert.isAtLeast(performance.now() - before, 118)
    }))

  it.live("refuses new connections until it is healed, on the same port", () =>
    Effect.gen(function*() {
      const proxy = yield* TestNatsProxy.make({ port: yield* target() })
      yield* proxy.refuse
      assert.strictEqual((yield* exchange(proxy.port, connect)).end, "refused")
      yield* proxy.heal
      assert.strictEqual((yield* exchange(proxy.port, connect, "PING\r\n")).end, "open")
    }))

  it.live("a target that is not there ends the client's connection", () =>
    Effect.gen(function*() {
      const port = yield* Effect.scoped(target())
      const proxy = yield* TestNatsProxy.make({ port })
      assert.notStrictEqual((yield* exchange(proxy.port, connect)).end, "open")
    }))

  it.live("a big transfer arrives whole", () =>
    Effect.gen(function*() {
      const proxy = yield* TestNatsProxy.make({ port: yield* target("") })
      const text = `${"x".repeat(20_000_000)}END`
      const outcome = yield* exchange(proxy.port, text, "END", "at once")
      assert.strictEqual(outcome.bytes.length, text.length)
    }))

  it.live("scope close ends connections and the listener", () =>
    Effect.gen(function*() {
      const port = yield* target()
      const [open, proxyPort] = yield* Effect.scoped(Effect.gen(function*() {
        const proxy = yield* TestNatsProxy.make({ port })
        const fiber = yield* Effect.forkDetach(exchange(proxy.port, "nothing ends this", undefined, "at once"), {
          startImmediately: true
        })
        while ((yield* proxy.connections) === 0) yield* Effect.sleep("1 millis")
        return [fiber, proxy.port] as const
      }))
      assert.strictEqual((yield* Fiber.join(open)).end, "RST")
      assert.strictEqual((yield* exchange(proxyPort, "")).end, "refused")
    }))
})
