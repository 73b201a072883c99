/** Secrets that go in clear to another machine, and certificates that nobody checks, are warned of. */
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Logger } from "effect"
import { NatsClient, NatsConfig, NatsLayer } from "effect-nats"
import { TestCertificates, TestNatsServer, TestOperator } from "effect-nats/testing"
import * as net from "node:net"
import * as os from "node:os"
import { isOtherMachine } from "../../src/internal/wire/inClear.ts"
import type { DialProgress } from "../../src/internal/wire/session.ts"
import { dialTo, password, pinged } from "../fixtures/dialling.ts"
import { elsewhere, elsewhereIsHere } from "../fixtures/elsewhere.ts"
import { follow } from "../fixtures/following.ts"
import { names } from "../fixtures/names.ts"

const canary = "canary-b20d"
const john = { user: "john", password: canary }

/** The warnings of an effect, and their annotations. */
const warnings = () => {
  const lines: Array<string> = []
  const fields: Array<Record<string, unknown>> = []
  const logger = Logger.map(Logger.formatStructured, ({ annotations, level, message }) => {
    if (level !== "WARN") return
    lines.push(String(message))
    fields.push(annotations)
  })
  return { lines, fields, provide: Effect.provide(Logger.layer([logger])) }
}

const away = (url: string | undefined): string => String(url).replace("127.0.0.1", elsewhere)

const sent = (what: string, url: string): string =>
  `${what} went in clear to another machine (${url}), and can be read on the way there: use tls:// or wss:// and a server ` +
  "with TLS, or, where this is meant, write `tls.mode` (NATS_TLS_MODE): \"prefer\" or \"disable\"."

describe("an address is one of", () => {
  const table: ReadonlyArray<readonly [address: string, local: string | undefined, other: boolean]> = [
    ["127.0.0.1", "127.0.0.1", false],
    ["127.0.0.1", undefined, false],
    ["127.8.9.10", "127.0.0.1", false],
    ["::1", "::1", false],
    ["::1", undefined, false],
    ["::ffff:127.0.0.1", "::ffff:127.0.0.1", false],
    ["::ffff:7f00:1", undefined, false],
    ["0.0.0.0", "127.0.0.1", false],
    ["::", "::1", false],
    ["10.1.2.3", "10.1.2.3", false],
    ["::ffff:a01:203", "10.1.2.3", false],
    ["fe80::1%eth0", "fe80::1", false],
    ["fe80::1%eth0", "fe80::1%eth0", false],
    ["2001:db8:0::7", "2001:db8::7", false],
    ["10.1.2.3", "10.1.2.4", true],
    ["10.1.2.3", undefined, true],
    ["172.17.0.1", "172.17.0.2", true],
    ["192.168.0.1", "192.168.0.2", true],
    ["100.64.0.1", "100.64.0.2", true],
    ["169.254.169.254", "10.0.0.1", true],
    ["128.0.0.1", "10.0.0.1", true],
    ["::ffff:10.1.2.3", "10.1.2.4", true],
    ["::2", "::1", true],
    ["fe80::1%eth0", "fe80::2", true],
    ["fd00::1", "fd00::2", true],
    ["2001:db8::7", "2001:db8::8", true]
  ]
  for (const [address, local, other] of table) {
    it(`${other ? "another" : "this"} machine: ${address} dialled from ${local}`, () => {
      assert.strictEqual(isOtherMachine(address, local), other)
    })
  }

  it.live("this machine where it is one of its own, as the system dials it from the same one", () =>
    Effect.gen(function*() {
      const own = Object.values(os.networkInterfaces()).flatMap((each) => each ?? []).filter(({ scopeid }) => !scopeid)
      assert.isAtLeast(own.length, 1)
      for (const { address } of own) {
        const local = yield* Effect.callback<string | undefined>((resume) => {
          const server = net.createServer().listen(0, address, () => {
            const { port } = server.address() as net.AddressInfo
            const socket = net.connect(port, address, () => {
              const { localAddress } = socket
              socket.destroy()
              server.close(() => resume(Effect.succeed(localAddress)))
            })
          })
        })
        assert.isFalse(isOtherMachine(address, local), address)
      }
    }))
})

describe("one warning says that it went in clear to another machine:", () => {
  it.live("a password, a token and a bearer JWT, also of the URL, and also when they were refused", () =>
    Effect.gen(function*() {
      yield* elsewhereIsHere
      const operator = yield* TestOperator.make()
      const account = yield* operator.account("A")
      const bearer = yield* account.user("bearer", { bearer: true })
      const open = yield* TestNatsServer.make()
      const closed = yield* TestNatsServer.make({ operator: operator.setup(account) })
      const cases: ReadonlyArray<readonly [NatsClient.Options, string]> = [
        [{ servers: away(open.url), auth: john }, "The password"],
        [{ servers: away(open.url).replace("//", `//john:${canary}@`) }, "The password"],
        [{ servers: away(closed.url), auth: john }, "The password"],
        [{ servers: away(open.url), auth: { token: canary } }, "The token"],
        [{ servers: away(closed.url), auth: { _tag: "Jwt", jwt: bearer.jwt } }, "The bearer JWT"],
        [{ servers: away(open.url), auth: Effect.succeed(john), logStatus: false }, "The password"]
      ]
      for (const [options, what] of cases) {
        const { fields, lines, provide } = warnings()
        const result = yield* Effect.result(provide(Effect.scoped(NatsClient.make({ ...options, name: "orders" }))))
        assert.strictEqual(
          result._tag,
          options.servers === away(closed.url) && options.auth === john ? "Failure" : "Success"
        )
        const url = options.servers === away(closed.url) ? away(closed.url) : away(open.url)
        assert.deepStrictEqual(lines, [sent(what, url)])
        assert.deepStrictEqual(fields, [{ client: "orders", server: url, address: elsewhere }])
      }
    }))

  it.live("the headers of a WebSocket, and with them the password", () =>
    Effect.gen(function*() {
      yield* elsewhereIsHere
      const server = yield* TestNatsServer.make({ websocket: true })
      const url = away(server.websocketUrl)
      const headers = { webSocket: { headers: { authorization: canary } } }
      const cases = [
        [{ auth: john }, "The password"],
        [headers, "The headers of `webSocket`"],
        [{ ...headers, auth: john }, "The headers of `webSocket` and the password"]
      ] as const
      for (const [options, what] of cases) {
        const { lines, provide } = warnings()
        yield* provide(Effect.scoped(NatsClient.make({ servers: url, ...options })))
        assert.deepStrictEqual(lines, [sent(what, url)])
      }
    }))

  it.live("for a client, and not for each of its dials", () =>
    Effect.gen(function*() {
      yield* elsewhereIsHere
      const server = yield* TestNatsServer.make()
      const { lines, provide } = warnings()
      const nats = yield* provide(NatsClient.make({ servers: away(server.url), auth: john }))
      yield* nats.reconnect
      yield* nats.reconnect
      assert.isAtLeast((yield* nats.stats).dials, 3)
      assert.deepStrictEqual(lines, [sent("The password", away(server.url))])
      yield* provide(NatsClient.make({ servers: away(server.url), auth: john }))
      assert.lengthOf(lines, 2)
    }))

  it.live("by the address that a name leads to, and not by the name", () =>
    Effect.gen(function*() {
      yield* elsewhereIsHere
      yield* names({ "nats.localhost": [elsewhere], "nats.example.com": ["127.0.0.1"] })
      const server = yield* TestNatsServer.make()
      const { fields, lines, provide } = warnings()
      for (const name of ["nats.example.com", "nats.localhost"]) {
        yield* provide(NatsClient.make({ servers: server.url.replace("127.0.0.1", name), auth: john }))
      }
      assert.deepStrictEqual(lines, [sent("The password", server.url.replace("127.0.0.1", "nats.localhost"))])
      assert.strictEqual(fields[0]["address"], elsewhere)
    }))
})

describe("nothing is said", () => {
  it.live("where no secret goes: without credentials, of an NKey and of a JWT with its seed", () =>
    Effect.gen(function*() {
      yield* elsewhereIsHere
      const operator = yield* TestOperator.make()
      const account = yield* operator.account("A")
      const user = yield* account.user("john")
      const nkey = yield* TestOperator.nkey()
      const jwtServer = yield* TestNatsServer.make({ operator: operator.setup(account) })
      const nkeyServer = yield* TestNatsServer.make({ users: [{ nkey: nkey.publicKey }] })
      const open = yield* TestNatsServer.make()
      const { lines, provide } = warnings()
      const seed = (key: { readonly seed: unknown }) => key.seed as string
      const all: ReadonlyArray<NatsClient.Options> = [
        { servers: away(open.url) },
        { servers: away(nkeyServer.url), auth: { _tag: "NKey", seed: seed(nkey) } },
        { servers: away(jwtServer.url), auth: { _tag: "Jwt", jwt: user.jwt, seed: seed(user) } }
      ]
      for (const options of all) yield* provide(NatsClient.make(options))
      assert.deepStrictEqual(lines, [])
    }))

  it.live("where a mode is written, whatever it is and wherever", () =>
    Effect.gen(function*() {
      yield* elsewhereIsHere
      const server = yield* TestNatsServer.make()
      const { lines, provide } = warnings()
      const servers = away(server.url)
      for (const mode of ["prefer", "disable"] as const) {
        yield* provide(NatsClient.make({ servers, auth: john, tls: { mode } }))
        const env = { NATS_URL: servers, NATS_USER: "john", NATS_PASSWORD: canary, NATS_TLS_MODE: mode }
        const layers = [
          NatsLayer.fromEnv(),
          NatsLayer.fromUnknown({ servers, auth: john, tls: { mode } }),
          NatsLayer.fromConfig(yield* NatsConfig.decode({ servers, auth: john, tls: { mode } }))
        ]
        for (const layer of layers) {
          yield* provide(NatsClient.NatsClient.pipe(Effect.provide(layer), Effect.scoped)).pipe(
            Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env }))
          )
        }
      }
      assert.deepStrictEqual(lines, [])
      // The same without it.
      yield* provide(
        NatsClient.NatsClient.pipe(
          Effect.provide(NatsLayer.fromConfig(yield* NatsConfig.decode({ servers, auth: john, tls: {} }))),
          Effect.scoped
        )
      )
      assert.lengthOf(lines, 1)
    }))

  it.live("on this machine", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ config: "host: 0.0.0.0" })
      const { lines, provide } = warnings()
      for (const host of ["127.0.0.1", "localhost", "127.0.0.2", "0.0.0.0"]) {
        yield* provide(NatsClient.make({ servers: `nats://${host}:${server.port}`, auth: john }))
      }
      assert.deepStrictEqual(lines, [])
    }))

  it.live("of what goes inside TLS", () =>
    Effect.gen(function*() {
      yield* elsewhereIsHere
      const authority = yield* TestCertificates.authority()
      const tls = yield* authority.issue({ commonName: "server", names: [elsewhere] })
      const secure = yield* TestNatsServer.make({ tls })
      const open = yield* TestNatsServer.make()
      for (const [server, sends] of [[secure, false], [open, true]] as const) {
        const progress: DialProgress = { stage: "lookup" }
        const credentials = password("john", canary)
        yield* pinged(yield* dialTo(away(server.url), { credentials, tls: { ca: authority.cert }, progress }))
        assert.deepStrictEqual(
          progress.inClear,
          sends ? { address: elsewhere, secrets: new Set(["the password"]) } : undefined
        )
      }
    }))
})

describe("a certificate that is not checked", () => {
  it.live("is warned of once by each client, unless there is no TLS by its mode", () =>
    Effect.gen(function*() {
      const authority = yield* TestCertificates.authority()
      const tls = yield* authority.issue({ commonName: "server", names: ["other.example.com"] })
      const server = yield* TestNatsServer.make({ tls })
      const open = yield* TestNatsServer.make()
      const { fields, lines, provide } = warnings()
      const unchecked = { dangerouslyDisableVerification: true }
      const nats = yield* provide(NatsClient.make({ servers: server.url, name: "orders", tls: unchecked }))
      const status = yield* follow(nats)
      yield* nats.reconnect
      yield* status.connected(2)
      assert.deepStrictEqual(lines, [
        "The server's certificate is not checked (`tls.dangerouslyDisableVerification`): who is in between can be the " +
        "server, and read and change everything, credentials included. Give the authority that issued it as `tls.ca` or " +
        "`tls.caFile` instead."
      ])
      assert.deepStrictEqual(fields, [{ client: "orders" }])
      yield* provide(NatsClient.make({ servers: open.url, tls: { ...unchecked, mode: "disable" } }))
      yield* provide(
        NatsClient.make({ servers: server.url, tls: { ca: authority.cert, serverName: "other.example.com" } })
      )
      assert.lengthOf(lines, 1)
      yield* provide(NatsClient.make({ servers: server.url, tls: unchecked, logStatus: false }))
      assert.lengthOf(lines, 2)
    }))
})
