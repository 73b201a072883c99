/**
 * Scripted: servers, proxies and echo ports that send back what they were sent, at each stage. A real server repeats subjects
 * alone; that is in `test/server/returned-secrets.test.ts`.
 */
import { assert, describe, it } from "@effect/vitest"
import { type ConnectError, NatsClient, NatsHealth } from "effect-nats"
import { TestFakeServer } from "effect-nats/testing"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import * as References from "effect/References"
import { inspect } from "node:util"
import { connectionIn } from "../../src/internal/operations/connectionOf.ts"
import { type DialTestOptions, dialTo, password, Recorder, refusal, token } from "../fixtures/dialling.ts"
import { follow, until } from "../fixtures/following.ts"
import { listenAt, names } from "../fixtures/names.ts"
import { rendered } from "../fixtures/rendered.ts"

const canary = "CANARY\"pass/word é7"
const seen = /CANARY|word[ +%\\]/
const withheld = "withheld: it repeats a secret"

/** How servers write what they repeat. */
const ways: ReadonlyArray<readonly [string, (text: string) => string]> = [
  ["as it is", (text) => text],
  ["in JSON", (text) => JSON.stringify({ pass: text })],
  ["percent-encoded", (text) => `/?pass=${encodeURIComponent(text)}`],
  ["in part", (text) => `…${text.slice(3, 11)}…`]
]

const john = password("john", canary)
const info = TestFakeServer.info()
const greeted: TestFakeServer.Script = [{ send: info }, { expect: "CONNECT" }]

const hides = (value: unknown): Effect.Effect<string> =>
  Effect.tap(rendered(value), (text) => Effect.sync(() => assert.notMatch(text, seen)))

describe("a dial tells the cause, and not the secret that was sent back", () => {
  const row = (script: TestFakeServer.Script, tag: ConnectError.ConnectError["_tag"], options?: DialTestOptions) =>
    Effect.gen(function*() {
      const server = yield* TestFakeServer.make(script)
      const error = yield* refusal(server.url, { credentials: john, ...options })
      assert.strictEqual(error._tag, tag)
      yield* hides(error)
      return error
    })

  for (const [name, way] of ways) {
    it.live(`${name}, in an -ERR to CONNECT`, () =>
      Effect.gen(function*() {
        const error = yield* row(
          [...greeted, { send: `-ERR 'no: ${way(canary)}'\r\n` }, { end: "FIN" }],
          "ServerRejected"
        )
        assert.propertyVal(error, "text", withheld)
        for (
          const [text, tag] of [
            ["Authorization Violation", "AuthorizationViolation"],
            ["maximum connections exceeded", "MaxConnectionsExceeded"],
            ["attempted to connect to route port", "WrongPort"]
          ] as const
        ) yield* row([...greeted, { send: `-ERR '${text} ${way(canary)}'\r\n` }, { end: "FIN" }], tag)
      }))

    it.live(`${name}, in place of INFO, in an -ERR and in what is no NATS`, () =>
      Effect.gen(function*() {
        const error = yield* row([{ send: `-ERR 'Permissions Violation ${way(canary)}'\r\n` }], "ServerRejected")
        assert.propertyVal(error, "text", withheld)
        const banner = yield* row([{ send: `echo: ${way(canary)}\r\n` }], "NotANatsServer")
        assert.propertyVal(banner, "banner", withheld)
      }))

    it.live(`${name}, in the first line of a proxy that was sent it in a header`, () =>
      Effect.gen(function*() {
        const options = { webSocket: { headers: { authorization: Redacted.make(`Bearer ${canary}`) } } }
        for (const line of [`HTTP/1.1 101 hello ${way(canary)}`, `GET / authorization: ${way(canary)}`]) {
          const server = yield* TestFakeServer.make([{ expect: /^GET / }, { send: `${line}\r\n\r\n` }, { end: "FIN" }])
          const error = yield* refusal(server.url.replace("nats:", "ws:"), options)
          assert.strictEqual(error._tag, "NotANatsServer")
          assert.propertyVal(error, "banner", withheld)
          yield* hides(error)
        }
      }))
  }

  it.live("between INFO and the handshake of TLS", () =>
    row([{ send: TestFakeServer.info({ tls_required: true }) + `-ERR 'oh ${canary}'\r\n` }], "ServerRejected"))

  it.live("and has an end, and no character that moves a cursor, where nothing is to be withheld", () =>
    Effect.gen(function*() {
      const long = `\x1b[31m\u202e${"x".repeat(900_000)}`
      for (const text of [`Permissions Violation ${long}`, `odd ${long}`, `maximum connections exceeded ${long}`]) {
        const scripts = text.startsWith("Permissions") ? [[]] : [[], greeted]
        for (const script of scripts) {
          const server = yield* TestFakeServer.make([...script, { send: `-ERR '${text}'\r\n` }, { end: "FIN" }])
          const error = yield* refusal(server.url)
          assert(error._tag === "ServerRejected" || error._tag === "MaxConnectionsExceeded", error._tag)
          assert.isAtMost(error.text.length, 256)
          assert.notMatch(error.message, /[\p{Cc}\p{Bidi_Control}]/u)
          assert.include(error.message, "\\u001b[31m\\u202ex")
        }
      }
    }))
})

describe("a session", () => {
  it.live("ends with its cause, and not with the secret", () =>
    Effect.gen(function*() {
      const ends: ReadonlyArray<readonly [string, string]> = [
        [`-ERR 'bye ${canary}'\r\n`, "ServerRejected"],
        [`-ERR 'User Authentication Expired ${canary}'\r\n`, "AuthenticationExpired"]
      ]
      for (const [send, tag] of ends) {
        const server = yield* TestFakeServer.make([...TestFakeServer.handshake(), { send }, { end: "FIN" }])
        const owner = new Recorder()
        yield* dialTo(server.url, { credentials: token(canary), owner })
        const end = yield* owner.end
        assert.strictEqual(end._tag, tag)
        yield* hides(end)
      }
    }))
})

/** Takes every line of the log, as an inspection shows it. */
const recorded = () => {
  const lines: Array<string> = []
  const logger = Logger.make<unknown, void>((options) => {
    const annotations = options.fiber.getRef(References.CurrentLogAnnotations)
    lines.push(inspect({ message: options.message, cause: Cause.pretty(options.cause), annotations }, { depth: 9 }))
  })
  const provide = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    effect.pipe(Effect.provide(Logger.layer([logger])), Effect.provideService(References.MinimumLogLevel, "All"))
  return { lines, provide }
}

describe("a client", () => {
  it.live("shows no secret in its status, health, log and end, with credentials of this dial and of one before", () =>
    Effect.gen(function*() {
      yield* names({ "CANARY-first-1": [] })
      const secrets = ["CANARY-first-1", "CANARY-second-2", "CANARY-third-3"]
      let dials = 0
      const auth = Effect.sync(() => ({ user: "john", password: secrets[Math.min(dials++, 2)] }))
      const server = yield* TestFakeServer.make((number) =>
        number === 0
          ? [
            ...TestFakeServer.handshake({
              connect_urls: [`${secrets[0]}:4222`, "\x1bevil:4222", `${"evil".repeat(64)}:4222`]
            }),
            { expect: "PUB go" },
            { send: `-ERR 'Invalid Subject ${secrets[0]}'\r\n-ERR 'odd ${secrets[0]}'\r\n` },
            { send: `-ERR 'Permissions Violation for Publish to "a.${secrets[0]}"'\r\nPING\r\n` },
            { expect: "SUB" },
            { send: `-ERR 'bye ${secrets[0]}'\r\n` },
            { end: "FIN" }
          ]
          : number === 1
          ? [{ send: `-ERR 'you were ${secrets[0]}'\r\n` }, { end: "FIN" }]
          : [...greeted, { send: `-ERR 'Authorization Violation for ${secrets[1]} and ${secrets[2]}'\r\n` }, {
            end: "FIN"
          }]
      )
      const { lines, provide } = recorded()
      const shown: Array<unknown> = []
      const nats = yield* provide(NatsClient.make({
        servers: server.url,
        auth,
        reconnect: { initialDelay: 1, maxDelay: 2, refusalTimeout: "30 millis" }
      }))
      const status = yield* follow(nats)
      yield* nats.publish("go")
      yield* status.seen("PermissionDenied")
      yield* status.seen("ServerComplaint", 2)
      yield* nats.subscription("x")
      yield* status.seen("Reconnecting", 1)
      shown.push(yield* NatsHealth.check(nats))
      const end = yield* Effect.flip(nats.closed)
      shown.push(yield* NatsHealth.check(nats), end, status.events)
      yield* until(Effect.sync(() => lines.length > 0))
      const all = `${yield* Effect.map(Effect.forEach(shown, rendered), String)}\n${lines.join("\n")}`
      assert.notInclude(all, "CANARY")
      assert.include(all, withheld)
      // Its host is dialled all the same, under another name, and the one that is none is not.
      assert.include(all, "nats://withheld:4222")
      assert.notInclude(all, "evil")
      assert.isTrue(status.all("ServerComplaint").every(({ text }) => text === withheld))
      assert.strictEqual(end.reason?._tag, "AuthorizationViolation")
    }))

  it.live("hears of the denial of its own subject, whatever stands in it", () =>
    Effect.gen(function*() {
      const { provide } = recorded()
      const own = "tenant.CANARY-token-9.x"
      const server = yield* TestFakeServer.make([
        ...greeted,
        { expect: "PING" },
        { send: "PONG\r\n" },
        { expect: "PUB tenant" },
        { expect: "PING" },
        { send: `-ERR 'Permissions Violation for Publish to "${own}"'\r\nPONG\r\n` },
        { expect: "SUB tenant" },
        { expect: "PING" },
        { send: `-ERR 'Permissions Violation for Subscription to "${own}"'\r\nPONG\r\n` },
        { answerPings: true }
      ])
      const nats = yield* provide(NatsClient.make({ servers: server.url, auth: { token: "CANARY-token-9" } }))
      const denied = yield* Effect.flip(nats.publish(own, "", { confirm: true }))
      assert.deepInclude(denied, { _tag: "PermissionsViolation", operation: "publish", subject: withheld })
      const refused = yield* Effect.flip(nats.subscription(own))
      assert.deepInclude(refused, { _tag: "PermissionsViolation", operation: "subscribe", subject: withheld })
      yield* hides([denied, refused])
    }))

  it.live("has an end, and no character that moves a cursor, in the fields of its log and in its health", () =>
    Effect.gen(function*() {
      const { lines, provide } = recorded()
      const server = yield* TestFakeServer.make([...TestFakeServer.handshake(), { expect: "PUB go" }, { end: "FIN" }])
      const nats = yield* provide(NatsClient.make({
        servers: server.url,
        name: `orders\u202e${"x".repeat(900)}`,
        auth: { token: "CANARY-token-9" },
        reconnect: { initialDelay: "1 minute" }
      }))
      // What ends a part of the program can have anything in it.
      const part = connectionIn(nats)!.parts.join({ kind: "listener", name: "orders" })
      part.trouble = `it has ended: \x1b[2J${"x".repeat(5_000)}`
      const { reason = "" } = yield* NatsHealth.check(nats)
      assert.include(reason, "it has ended: \\u001b[2Jx")
      assert.isAtMost(reason.length, 1_025)
      part.trouble = "it has ended: CANARY-token-9"
      assert.propertyVal(yield* NatsHealth.check(nats), "reason", withheld)
      yield* nats.publish("go")
      yield* until(Effect.sync(() => lines.some((line) => line.includes("was lost"))))
      const line = lines.find((each) => each.includes("was lost"))!
      assert.include(line, "orders\\\\u202ex")
      assert.isAtMost(line.length, 900)
    }))

  for (const isTerminal of [true, false]) {
    it.live(`has a banner with an end and without a secret, ${isTerminal ? "on a terminal" : "in the log"}`, () =>
      Effect.gen(function*() {
        const serverNames = ["n\x1b]0;PWNED\x07".repeat(4_000), "CANARY-name-8 of a server"]
        const printed: Array<string> = []
        yield* Effect.acquireRelease(
          Effect.sync(() => {
            const before = [process.stdout.isTTY, console.log] as const
            process.stdout.isTTY = isTerminal
            console.log = (...all: ReadonlyArray<unknown>) => void printed.push(all.join(" "))
            return before
          }),
          (before) =>
            Effect.sync(() => {
              ;[process.stdout.isTTY, console.log] = before
            })
        )
        const { lines, provide } = recorded()
        for (const server_name of serverNames) {
          const server = yield* TestFakeServer.make(TestFakeServer.handshake({ server_name, version: server_name }))
          yield* provide(Effect.scoped(NatsClient.make({
            servers: [
              server.url,
              ...Array.from({ length: 39 }, (_, n) => `nats://server-${n}.of-the-cluster.example.test:4222`)
            ],
            randomizeServers: false,
            name: "orders ".repeat(146),
            auth: { user: "john", password: "CANARY-name-8" },
            banner: true
          })))
        }
        const texts = isTerminal ? printed : lines.filter((line) => line.includes("Connected to NATS"))
        assert.strictEqual(texts.length, 2)
        for (const text of texts) {
          assert.isAtMost(text.length, 2_000)
          for (const hidden of ["\x1b", "\x07", "CANARY"]) assert.notInclude(text, hidden)
        }
        assert.include(texts[0], "n\\")
        assert.include(texts[1], withheld)
      }))
  }
})

describe("what a server says of itself", () => {
  it.live("has what it says, but for texts that repeat the secret, wherever in them", () =>
    Effect.gen(function*() {
      const said = TestFakeServer.info({
        server_name: `${"x".repeat(5000)}${canary}`,
        version: "2.15.1",
        cluster: encodeURIComponent(canary),
        connect_urls: ["10.0.0.7:4222", `${encodeURIComponent(canary)}:4222`]
      })
      const server = yield* TestFakeServer.make([{ send: said }, { expect: "PING" }, { send: "PONG\r\n" }, {
        answerPings: true
      }])
      const nats = yield* NatsClient.make({ servers: server.url, auth: { user: "john", password: canary } })
      const told = yield* nats.serverInfo
      yield* hides(told)
      assert.deepInclude(told, {
        server_name: withheld,
        version: "2.15.1",
        cluster: withheld,
        connect_urls: ["10.0.0.7:4222", withheld]
      })
    }))
})

describe("a close frame", () => {
  it.live("is told with its status, and without the secret in its reason", () =>
    Effect.gen(function*() {
      const { createHash } = process.getBuiltinModule("node:crypto")
      const reason = Buffer.from(`no ${canary}`)
      const port = yield* Effect.callback<number>((resume) => {
        const made = process.getBuiltinModule("node:net").createServer().listen(0, "127.0.0.1", () => {
          const place = made.address()
          made.close(() => resume(Effect.succeed(typeof place === "object" && place !== null ? place.port : 0)))
        })
      })
      yield* listenAt("127.0.0.1", port, (socket) =>
        socket.on("data", (chunk: Buffer) => {
          const key = /Sec-WebSocket-Key: (\S+)/.exec(chunk.toString("latin1"))?.[1]
          if (key === undefined) return
          const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64")
          socket.write(`HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`)
          socket.write(Buffer.concat([Buffer.from([0x88, reason.length + 2, 1008 >> 8, 1008 & 0xff]), reason]))
        }))
      const error = yield* refusal(`ws://127.0.0.1:${port}`, { credentials: john })
      assert(error._tag === "ServerRejected", error._tag)
      assert.strictEqual(error.text, `closed the WebSocket with status 1008 (policy violation): ${withheld}`)
      yield* hides(error)
    }))
})
