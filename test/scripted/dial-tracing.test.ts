/**
 * What a dial tells who looks into it, and that nothing else changes. Scripted servers stand where the order of what is
 * seen must not be chance; a real one does TLS.
 */
import { assert, describe, it } from "@effect/vitest"
import { TestCertificates, TestFakeServer, TestNatsServer } from "effect-nats/testing"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { type DialTrace, DialTracing, type TlsPeers } from "../../src/internal/wire/dialTracing.ts"
import { type DialTestOptions, dialTo, pinged, refusal } from "../fixtures/dialling.ts"
import { names } from "../fixtures/names.ts"

/** Events in one line each, and the handshakes. */
const tracing = () => {
  const events: Array<string> = []
  const peers: Array<TlsPeers> = []
  const trace: DialTrace = {
    lookedUp: (addresses) => void events.push(`lookedUp ${addresses.join(" ")}`),
    reached: (address, stage) => void events.push(`${address} ${stage}`),
    greeted: (address, { server_id }) => void events.push(`${address} greeted by ${server_id.slice(0, 4)}`),
    shookHands: (address, told) => {
      events.push(`${address} shook hands`)
      peers.push(told)
    },
    failed: (address, { _tag }) => void events.push(`${address} failed ${_tag}`)
  }
  return { events, peers, provide: Effect.provideService(DialTracing, trace) }
}

const local = "127.0.0.1"

const info = TestFakeServer.info({ server_id: "FAKE" })

describe("who looks into a dial sees", () => {
  it.live("each stage that an address comes to, and its INFO", () =>
    Effect.gen(function*() {
      const server = yield* TestFakeServer.make([{ send: info }, { expect: "CONNECT" }, { send: "PONG\r\n" }])
      const { events, provide } = tracing()
      yield* provide(Effect.scoped(dialTo(server.url)))
      assert.deepStrictEqual(events, [`${local} tcp`, `${local} info`, `${local} greeted by FAKE`, `${local} connect`])
    }))

  it.live("how far it came where it fails, and with what", () =>
    Effect.gen(function*() {
      const server = yield* TestFakeServer.make([
        { send: info },
        { expect: "CONNECT" },
        { send: "-ERR 'Authorization Violation'\r\n" },
        { end: "FIN" }
      ])
      const { events, provide } = tracing()
      const error = yield* provide(refusal(server.url))
      assert.strictEqual(error._tag, "AuthorizationViolation")
      assert.deepStrictEqual(events.slice(-2), [`${local} connect`, `${local} failed AuthorizationViolation`])
    }))

  it.live("the addresses of a name, and what becomes of each", () =>
    Effect.gen(function*() {
      yield* names({ "nats.test": ["127.0.0.2", local] })
      const { port } = yield* TestFakeServer.make([{ send: info }, { expect: "CONNECT" }, { send: "PONG\r\n" }])
      const { events, provide } = tracing()
      yield* provide(Effect.scoped(dialTo(`nats://nats.test:${port}`)))
      assert.deepStrictEqual(events, [
        `lookedUp 127.0.0.2 ${local}`,
        "127.0.0.2 tcp",
        "127.0.0.2 failed ConnectionRefused",
        `${local} tcp`,
        `${local} info`,
        `${local} greeted by FAKE`,
        `${local} connect`
      ])
    }))

  it.live("nothing of an address when the name has none", () =>
    Effect.gen(function*() {
      const { events, provide } = tracing()
      yield* provide(refusal(`nats://${"x".repeat(64)}.invalid:4222`))
      assert.deepStrictEqual(events, [])
    }))
})

describe("who looks into a TLS handshake", () => {
  const setUp = (certificate: TestCertificates.CertificateOptions = {}, verify = false) =>
    Effect.gen(function*() {
      const authority = yield* TestCertificates.authority({ name: "An authority" })
      const own = yield* authority.issue({ commonName: "client", names: ["svc@lab.test"] })
      const { cert, key } = yield* authority.issue(certificate)
      const server = yield* TestNatsServer.make({ tls: { cert, key, ca: authority.cert, verify } })
      const material: DialTestOptions = {
        tls: { ca: authority.cert, cert: own.cert, key: Redacted.make(own.key) }
      }
      return { authority, server, material, url: `nats://localhost:${server.port}` }
    })

  const seen = [`${local} tcp`, `${local} info`, "greeted", `${local} tls`, `${local} shook hands`]

  const withoutId = (events: ReadonlyArray<string>): ReadonlyArray<string> =>
    events.filter((event) => !event.startsWith("lookedUp")).map((event) => /greeted/.exec(event)?.[0] ?? event)

  it.live("sees both certificates and what the server's is signed with, and the dial goes on as it does without", () =>
    Effect.gen(function*() {
      const { material, url } = yield* setUp({ commonName: "server", names: ["localhost"] }, true)
      const { events, peers, provide } = tracing()
      const session = yield* provide(dialTo(url, material))
      yield* pinged(session)
      assert.isTrue(session.encrypted)
      assert.deepStrictEqual(withoutId(events), [...seen, `${local} connect`])
      const [{ chain, cipher, own, protocol }] = peers
      assert.deepStrictEqual(chain.map(({ subject }) => subject), ["CN=server", "CN=An authority"])
      assert.include(chain[0].subjectAltName, "DNS:localhost")
      assert.strictEqual(own?.subject, "CN=client")
      assert.match(String(protocol), /^TLSv1\.\d$/)
      assert.match(String(cipher), /^\w+/)
    }))

  it.live.each(
    [
      ["an expired one", { expired: true }, {}, "CERT_HAS_EXPIRED"],
      ["one for another name", { commonName: "s", names: ["other.example"] }, {}, "ERR_TLS_CERT_ALTNAME_INVALID"],
      ["one of an authority that is not trusted", {}, { ca: undefined }, "UNABLE_TO_VERIFY_LEAF_SIGNATURE"]
    ] as const
  )("sees a certificate that is not accepted: %s", ([, certificate, more, code]) =>
    Effect.gen(function*() {
      const { material, url } = yield* setUp(certificate)
      const options = { ...material, tls: { ...material.tls, ...more } }
      const { events, peers, provide } = tracing()
      const error = yield* provide(refusal(url, options))
      assert(error._tag === "TlsCertificateInvalid", error._tag)
      assert.strictEqual(error.code, code)
      assert.deepStrictEqual(withoutId(events), [...seen, `${local} failed TlsCertificateInvalid`])
      assert.isAtLeast(peers[0].chain.length, 1)
      // The same without a look.
      assert.deepInclude(yield* refusal(url, options), { _tag: error._tag, code: error.code })
    }))
})
