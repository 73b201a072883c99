/**
 * Faults of nats.js that lose a secret, or that let other words onto the wire than were meant.
 */
import { assert, describe, it } from "@effect/vitest"
import { NatsClient } from "effect-nats"
import { TestCertificates, TestNatsProxy, TestNatsServer, TestOperator } from "effect-nats/testing"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import { inspect } from "node:util"
import { recordStatus } from "../fixtures/clients.ts"
import { keepSpans } from "../fixtures/keptSpans.ts"

const canary = "canary-7c1f"

const everything = (value: unknown): string =>
  inspect(value, {
    depth: Infinity,
    showHidden: true,
    getters: true,
    maxStringLength: Infinity,
    maxArrayLength: Infinity
  })

const behindProxy = (options: TestNatsServer.Options) =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make(options)
    const proxy = yield* TestNatsProxy.make({ port: server.port })
    return { server, proxy }
  })

const wire = (proxy: TestNatsProxy.TestNatsProxy): Effect.Effect<string> =>
  Effect.map(proxy.sent("toServer"), (bytes) => bytes.toString("latin1"))

/** A user with the canary as password, and a client as that user. */
const known: TestNatsServer.Options = { users: [{ user: "alice", password: canary }] }

describe("secrets", () => {
  it.live("tls:// to a server without TLS sends nothing in clear, at the first dial and at every other", () =>
    Effect.gen(function*() {
      const authority = yield* TestCertificates.authority()
      const { proxy, server } = yield* behindProxy(known)
      const options: NatsClient.Options = {
        servers: `tls://127.0.0.1:${proxy.port}`,
        auth: { user: "alice", password: canary },
        tls: { ca: authority.cert },
        reconnect: { initialDelay: "10 millis" }
      }
      const refused = yield* Effect.flip(NatsClient.make(options))
      assert.strictEqual(refused._tag, "TlsUnavailable")
      assert.strictEqual(yield* wire(proxy), "")

      // The same server with TLS, then without it again.
      yield* server.reload({ tls: yield* authority.issue() })
      const nats = yield* NatsClient.make(options)
      const status = yield* recordStatus(nats)
      yield* server.reload({ tls: undefined })
      yield* proxy.drop("RST")
      assert.strictEqual((yield* status.nth("Reconnecting")).reason._tag, "TlsUnavailable")
      assert.notInclude(yield* wire(proxy), "CONNECT")
      assert.notInclude(yield* wire(proxy), canary)
    }))

  it.live("user and password in the URL log in, and appear nowhere but on the wire", () =>
    Effect.gen(function*() {
      const password = `p@ss:${canary}/é`
      const { proxy } = yield* behindProxy({ users: [{ user: "alice@home", password }] })
      const servers = `nats://${encodeURIComponent("alice@home")}:${
        encodeURIComponent(password)
      }@127.0.0.1:${proxy.port}`
      const nats = yield* NatsClient.make({ servers })
      yield* nats.flush
      const shown = everything([nats, yield* nats.state, yield* nats.serverInfo, yield* nats.stats])
      assert.notInclude(shown, canary)
      assert.deepStrictEqual(yield* nats.state, {
        _tag: "Connected",
        server: `nats://127.0.0.1:${proxy.port}`,
        session: 1
      })
      const wrong = yield* Effect.flip(NatsClient.make({ servers: servers.replace("alice", "bob") }))
      assert.strictEqual(wrong._tag, "AuthorizationViolation")
      assert.notInclude(everything(wrong), canary)
    }))

  it.live("no queue group, subject, reply, inbox prefix or header carries a second command", () =>
    Effect.gen(function*() {
      const { proxy, server } = yield* behindProxy({})
      const evil = "x\r\nPUB stolen 4\r\nevil\r\n"
      const nats = yield* NatsClient.make({ servers: proxy.url })
      const witness = yield* NatsClient.make({ servers: server.url })
      const stolen = yield* witness.subscription("stolen")
      const attempts: ReadonlyArray<Effect.Effect<unknown, { readonly _tag: string }>> = [
        nats.publish(evil),
        nats.publish("x", "", { reply: evil }),
        nats.publish("x", "", { headers: { [evil]: "1" } }),
        nats.publish("x", "", { headers: { a: evil } }),
        nats.publish("x", "", { headers: { a: ["1", evil] } }),
        nats.request(evil),
        nats.request("x", "", { headers: { a: evil } }),
        Effect.scoped(nats.subscription(evil)),
        Effect.scoped(nats.subscription("x", { queue: evil })),
        Stream.runDrain(nats.subscribe("x", { queue: evil })),
        Effect.scoped(NatsClient.make({ servers: proxy.url, inboxPrefix: evil }))
      ]
      const tags = yield* Effect.forEach(attempts, (attempt) => Effect.map(Effect.flip(attempt), (error) => error._tag))
      assert.deepStrictEqual(tags, [
        "InvalidSubject",
        "InvalidSubject",
        "InvalidHeader",
        "InvalidHeader",
        "InvalidHeader",
        "InvalidSubject",
        "InvalidHeader",
        "InvalidSubject",
        "InvalidSubject",
        "InvalidSubject",
        "NatsConfigError"
      ])
      yield* nats.flush
      assert.notInclude(yield* wire(proxy), "stolen")
      yield* witness.publish("stolen", "the first")
      assert.strictEqual((yield* Stream.runCollect(Stream.take(stolen.stream, 1)))[0].text, "the first")
    }))

  it.live("subjects with empty tokens or any kind of space or control character are refused, and never sent", () =>
    Effect.gen(function*() {
      const { proxy } = yield* behindProxy({})
      const nats = yield* NatsClient.make({ servers: proxy.url })
      yield* nats.flush
      const before = yield* wire(proxy)
      const characters = ["\0", "\u00a0", "\v", "\f", "\t", "\r", "\n", " ", "\u2028", "\u0085", "\u001b", "\u007f"]
      const subjects = [
        "",
        ".",
        "a..b",
        ".a",
        "a.",
        "..",
        ...characters.map((character) => `a.b${character}c`),
        ...characters
      ]
      for (const subject of subjects) {
        for (
          const operation of [
            nats.publish(subject),
            nats.publish(subject, "", { confirm: true }),
            nats.publish("a", "", { reply: subject }),
            nats.request(subject),
            Effect.scoped(nats.subscription(subject))
          ]
        ) {
          const error = yield* Effect.flip(Effect.asVoid(operation) as Effect.Effect<void, { readonly _tag: string }>)
          assert.strictEqual(error._tag, "InvalidSubject", JSON.stringify(subject))
        }
      }
      assert.strictEqual(yield* wire(proxy), before)
    }))

  it.live("there is no debug option, and nothing that is logged, printed or traced has the password", () =>
    Effect.gen(function*() {
      const { proxy, server } = yield* behindProxy(known)
      const auth = { user: "alice", password: canary }
      const unknownOption = { servers: proxy.url, auth, debug: true }
      const refused = yield* Effect.flip(NatsClient.make(unknownOption))
      assert.strictEqual(refused._tag, "NatsConfigError")
      assert.include(refused.message, "debug")

      const printed: Array<string> = []
      const logger = Logger.make<unknown, void>((options) => {
        const annotations = options.fiber.getRef(References.CurrentLogAnnotations)
        printed.push(everything({ message: options.message, cause: Cause.pretty(options.cause), annotations }))
      })
      const { spans, tracer } = keepSpans()
      // The test runner has its own console, which does not write to these streams.
      const replace = <T extends object, K extends keyof T>(owner: T, name: K, by: T[K]) => {
        const before = owner[name]
        owner[name] = by
        return () => {
          owner[name] = before
        }
      }
      const print = (...args: ReadonlyArray<unknown>): void => {
        printed.push(everything(args))
      }
      const write = (chunk: unknown): boolean => {
        print(String(chunk))
        return true
      }
      const capture = Effect.acquireRelease(
        Effect.sync(() => [
          replace(process.stdout, "write", write),
          replace(process.stderr, "write", write),
          ...(["log", "info", "warn", "error", "debug", "trace", "dir"] as const).map((name) =>
            replace(console, name, print)
          )
        ]),
        (restores) =>
          Effect.sync(() => {
            for (const restore of restores) restore()
          })
      )
      yield* Effect.scoped(Effect.gen(function*() {
        yield* capture
        const nats = yield* NatsClient.make({
          servers: proxy.url,
          name: "orders",
          auth,
          banner: true,
          reconnect: { initialDelay: 1, refusalTimeout: "300 millis" }
        })
        const status = yield* recordStatus(nats)
        yield* Effect.ignore(nats.request("nobody"))
        yield* proxy.drop("RST")
        yield* status.connected(2)
        yield* server.reload({ users: [{ user: "alice", password: "another" }] })
        const end = yield* Effect.flip(nats.closed)
        yield* Effect.logError("it ended", end, Cause.fail(end))
      })).pipe(
        Effect.withSpan("program"),
        Effect.provideService(Tracer.Tracer, tracer),
        Effect.provide(Logger.layer([logger])),
        Effect.provideService(References.MinimumLogLevel, "All")
      )
      const log = printed.join("\n")
      assert.include(log, "orders", "the banner was captured")
      assert.include(log, "it ended", "the log was captured")
      assert.isNotEmpty(spans)
      assert.notInclude(log, canary)
      assert.notInclude(everything(spans), canary)
    }))

  it.live("inspecting a client, its states and its errors shows no password, token, seed or JWT", () =>
    Effect.gen(function*() {
      const operator = yield* TestOperator.make()
      const account = yield* operator.account("orders")
      const user = yield* account.user("alice")
      const nkey = yield* TestOperator.nkey()
      const operatorMode = yield* TestNatsServer.make({ operator: operator.setup(account) })
      const withNkey = yield* TestNatsServer.make({ users: [{ nkey: nkey.publicKey }] })
      const withPassword = yield* TestNatsServer.make(known)
      const withToken = yield* TestNatsServer.make({ token: canary })
      const cases: ReadonlyArray<
        readonly [TestNatsServer.TestNatsServer, NatsClient.Options["auth"], ReadonlyArray<string>]
      > = [
        [withPassword, { user: "alice", password: canary }, [canary]],
        [withToken, { token: canary }, [canary]],
        [withNkey, { nkeys_seed_str: nkey.seed }, [nkey.seed]],
        [operatorMode, { _tag: "Creds", creds: user.creds }, [user.seed, user.jwt]],
        [operatorMode, { _tag: "Jwt", jwt: user.jwt, seed: user.seed }, [user.seed, user.jwt]]
      ]
      for (const [server, auth, secrets] of cases) {
        const nats = yield* NatsClient.make({ servers: server.url, auth, reconnect: false })
        const status = yield* recordStatus(nats)
        yield* nats.flush
        const connected = [nats, yield* nats.state, yield* nats.stats, yield* nats.serverInfo]
        const wrongServer = server === withToken ? withPassword : withToken
        const refused = yield* Effect.exit(Effect.scoped(NatsClient.make({ servers: wrongServer.url, auth })))
        assert.isTrue(Exit.isFailure(refused))
        yield* nats.reconnect.pipe(Effect.ignore)
        const shown = [
          everything(connected),
          everything(refused),
          everything(status),
          JSON.stringify([connected, refused])
        ]
        for (const secret of secrets) {
          for (const text of shown) assert.isFalse(text.includes(secret), "a secret is shown")
        }
      }
    }))
})
