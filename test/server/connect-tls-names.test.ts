/** The dot that ends a name which is told in full, as resolvers take it, and TLS, which does not know it. */
import { assert, describe, it } from "@effect/vitest"
import { TestCertificates, TestNatsServer } from "effect-nats/testing"
import * as Effect from "effect/Effect"
import * as tls from "node:tls"
import { tlsOptions } from "../../src/internal/wire/tlsOptions.ts"
import { dialTo, pinged, refusal } from "../fixtures/dialling.ts"
import { names } from "../fixtures/names.ts"

const localhost = { "localhost.": ["127.0.0.1"] }

const setUp = Effect.gen(function*() {
  const authority = yield* TestCertificates.authority()
  const certificate = yield* authority.issue({ names: ["localhost"] })
  return { ca: authority.cert, certificate }
})

describe("a host with a dot at its end", () => {
  it.live("is verified without the dot: by tls://, by TLS that INFO asks for, and by wss://", () =>
    Effect.gen(function*() {
      yield* names(localhost)
      const { ca, certificate } = yield* setUp
      const server = yield* TestNatsServer.make({ tls: certificate, websocket: { tls: certificate } })
      const port = server.websocketUrl!.split(":")[2]
      for (
        const url of [
          `tls://localhost.:${server.port}`,
          `nats://localhost.:${server.port}`,
          `wss://localhost.:${port}`
        ]
      ) {
        const session = yield* dialTo(url, { tls: { ca } })
        yield* pinged(session)
        assert.isTrue(session.encrypted)
        assert.include(session.server, "localhost.:", "it is shown as it was written")
      }
      const foreign = yield* refusal(`tls://localhost.:${server.port}`, { tls: { ca, serverName: "other." } })
      assert.strictEqual(foreign._tag, "TlsCertificateInvalid")
    }))

  it.live("given as `serverName` is verified, and asked for, without the dot", () =>
    Effect.gen(function*() {
      const { ca, certificate } = yield* setUp
      const server = yield* TestNatsServer.make({ tls: certificate })
      yield* dialTo(server.url, { tls: { ca, serverName: "localhost." } })
      // A real server does not tell which name the handshake asked for.
      const asked: Array<string> = []
      const listener = yield* Effect.acquireRelease(
        Effect.callback<tls.Server>((resume) => {
          const made = tls.createServer({
            cert: certificate.cert,
            key: certificate.key,
            SNICallback: (name, answer) => {
              asked.push(name)
              answer(null)
            }
          }, (socket) => socket.destroy())
          made.listen(0, "127.0.0.1", () => resume(Effect.succeed(made)))
        }),
        (made) => Effect.sync(() => made.close())
      )
      const place = listener.address()
      const port = typeof place === "object" && place !== null ? place.port : 0
      yield* refusal(`tls://127.0.0.1:${port}`, { tls: { ca, serverName: "localhost.", handshakeFirst: true } })
      assert.deepStrictEqual(asked, ["localhost"])
    }))

  it("is asked for without it, the first of several that is a name; an address is asked for by no name", () => {
    const material = { mode: "require", handshakeFirst: false, dangerouslyDisableVerification: false } as const
    for (
      const [hosts, servername] of [
        [["localhost."], "localhost"],
        [["127.0.0.1", "a.test."], "a.test"],
        [["127.0.0.1", "::1"], ""]
      ] as const
    ) {
      assert.propertyVal(tlsOptions(hosts, material), "servername", servername)
    }
  })
})
