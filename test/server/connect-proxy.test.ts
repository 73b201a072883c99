/** WebSocket through what stands in front of a server: a real nats-server behind an HTTP server that answers as it is told. */
import { assert, describe, it } from "@effect/vitest"
import { NatsClient } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as http from "node:http"
import * as net from "node:net"
import { inspect } from "node:util"
import { follow, until } from "../fixtures/following.ts"

interface Proxy {
  readonly url: string
  /** The requests to open a WebSocket, each with its target. */
  readonly requests: ReadonlyArray<http.IncomingMessage>
  /** What a request is answered with: a status, or the server behind. */
  answer: number | "pass"
}

const proxyTo = (target: () => number) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<{ readonly server: http.Server; readonly sockets: Set<net.Socket>; readonly proxy: Proxy }>(
        (resume) => {
          const sockets = new Set<net.Socket>()
          const requests: Array<http.IncomingMessage> = []
          const server = http.createServer()
          server.on("upgrade", (request, socket: net.Socket, head) => {
            requests.push(request)
            sockets.add(socket)
            socket.on("error", () => {})
            if (proxy.answer !== "pass") {
              return void socket.end(`HTTP/1.1 ${proxy.answer} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`)
            }
            const behind = net.connect(target(), "127.0.0.1", () => {
              const lines = request.rawHeaders.map((text, i) => i % 2 === 0 ? `${text}: ` : `${text}\r\n`)
              behind.write(`GET / HTTP/1.1\r\n${lines.join("")}\r\n`)
              behind.write(head)
              behind.pipe(socket).pipe(behind)
            })
            sockets.add(behind)
            behind.on("error", () => socket.destroy()).on("close", () => socket.destroy())
            socket.on("close", () => behind.destroy())
          })
          let url = ""
          const proxy: Proxy = {
            get url() {
              return url
            },
            requests,
            answer: "pass"
          }
          server.listen(0, "127.0.0.1", () => {
            url = `ws://127.0.0.1:${(server.address() as net.AddressInfo).port}`
            resume(Effect.succeed({ server, sockets, proxy }))
          })
        }
      ),
      ({ server, sockets }) =>
        Effect.sync(() => {
          server.close()
          for (const socket of sockets) socket.destroy()
        })
    ),
    ({ proxy }) => proxy
  )

const setUp = Effect.gen(function*() {
  const server = yield* TestNatsServer.make({ websocket: true })
  const proxy = yield* proxyTo(() => Number(server.websocketUrl!.split(":")[2]))
  return { server, proxy }
})

describe("an HTTP status in place of a WebSocket", () => {
  it.live("is WebSocketRefused, says what to do, and is retryable where it may pass", () =>
    Effect.gen(function*() {
      const { proxy } = yield* setUp
      const expected: ReadonlyArray<readonly [status: number, isRetryable: boolean, message: RegExp]> = [
        [200, false, /WebSocket port/],
        [301, false, /redirects are not followed.*`servers`/],
        [308, false, /redirects are not followed/],
        [401, false, /`webSocket.headers`/],
        [403, false, /`webSocket.headers`.*allow/],
        [404, false, /path/],
        [400, false, /WebSocket port/],
        [408, true, /try again/],
        [425, true, /try again/],
        [429, true, /try again/],
        [500, true, /try again/],
        [503, true, /try again/]
      ]
      for (const [status, isRetryable, message] of expected) {
        proxy.answer = status
        const error = yield* Effect.flip(Effect.scoped(NatsClient.make({ servers: proxy.url })))
        assert(error._tag === "WebSocketRefused", `${status} ${error._tag}`)
        assert.deepInclude(error, { status, server: proxy.url })
        assert.strictEqual(error.isRetryable, isRetryable, `${status}`)
        assert.match(error.message, message)
      }
    }))

  it.live("is waited through by the first connect that waits, and by a client that was connected", () =>
    Effect.gen(function*() {
      const { proxy, server } = yield* setUp
      proxy.answer = 503
      const waiting = yield* Effect.forkChild(
        NatsClient.make({ servers: proxy.url, reconnect: { onFirstConnect: "wait", maxDelay: "50 millis" } }),
        { startImmediately: true }
      )
      yield* until(Effect.sync(() => proxy.requests.length > 3))
      assert.isUndefined(waiting.pollUnsafe())
      proxy.answer = "pass"
      const nats = yield* Fiber.join(waiting)
      const events = yield* follow(nats)
      proxy.answer = 502
      const before = proxy.requests.length
      yield* server.restart
      yield* until(Effect.sync(() => proxy.requests.length > before + 2))
      proxy.answer = "pass"
      yield* nats.flush
      assert.strictEqual((yield* nats.state)._tag, "Connected")
      assert.include(events.all("Reconnecting").map(({ reason }) => reason._tag), "WebSocketRefused")
    }))

  it.live("that comes in pieces, and is cut, is told all the same", () =>
    Effect.gen(function*() {
      const server = yield* Effect.acquireRelease(
        Effect.callback<net.Server>((resume) => {
          const made = net.createServer((socket) => {
            socket.on("error", () => {}).once("data", () => {
              socket.write("HTTP/1.")
              setImmediate(() => socket.end("1 503"))
            })
          })
          made.listen(0, "127.0.0.1", () => resume(Effect.succeed(made)))
        }),
        (made) => Effect.sync(() => made.close())
      )
      const { port } = server.address() as net.AddressInfo
      const error = yield* Effect.flip(Effect.scoped(NatsClient.make({ servers: `ws://127.0.0.1:${port}` })))
      assert(error._tag === "WebSocketRefused", error._tag)
      assert.strictEqual(error.status, 503)
    }))
})

describe("the request for a WebSocket", () => {
  it.live("has the path and the query as they are written, and the headers, which nothing shows", () =>
    Effect.gen(function*() {
      const { proxy } = yield* setUp
      const secret = "c4n4ry"
      const options = {
        servers: [`${proxy.url}/a%20b/nats?tenant=x%26y&token=${secret}`],
        webSocket: { headers: { cookie: `session=${secret}`, authorization: Redacted.make(`Bearer ${secret}`) } }
      }
      const nats = yield* NatsClient.make(options)
      const [request] = proxy.requests
      assert.strictEqual(request.url, `/a%20b/nats?tenant=x%26y&token=${secret}`)
      assert.deepInclude(request.headers, { cookie: `session=${secret}`, authorization: `Bearer ${secret}` })
      assert.strictEqual(request.headers.host, proxy.url.slice(5))
      assert.strictEqual(request.headers["sec-websocket-version"], "13")
      const info = yield* nats.serverInfo
      proxy.answer = 403
      const error = yield* Effect.flip(Effect.scoped(NatsClient.make(options)))
      assert.strictEqual(error._tag, "WebSocketRefused")
      for (const seen of [error, yield* nats.state, info, nats]) {
        assert.notInclude(inspect(seen, { depth: 10, showHidden: true }), secret)
        assert.notInclude(JSON.stringify(seen) ?? "", secret)
      }
      assert.notInclude(error.message, secret)
    }))
})
