/**
 * Mutual TLS: client and server show certificates of an authority that both trust.
 *
 *   node examples/mtls.ts
 *
 * Prints:
 *   with a client certificate: connected over TLS
 *   without a client certificate: TlsHandshakeRejected: tls://localhost:… rejected the TLS handshake (…): set `tls.cert` and `tls.key` to a client certificate that it trusts.
 *   without the authority: TlsCertificateInvalid: The certificate of tls://localhost:… was not accepted (…): set `tls.ca` or `tls.caFile` to the authority that issued it.
 *   by a name the certificate lacks: TlsCertificateInvalid: … (ERR_TLS_CERT_ALTNAME_INVALID): it is for another name; …
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Redacted } from "effect"
import { NatsClient, type NatsTls } from "effect-nats"
import { TestCertificates, TestNatsServer } from "effect-nats/testing"

const program = Effect.gen(function*() {
  const authority = yield* TestCertificates.authority()
  const certificate = yield* authority.issue({ names: ["localhost"] })
  const server = yield* TestNatsServer.make({ tls: { ...certificate, ca: authority.cert, verify: true } })

  // `caFile`, `certFile` and `keyFile` take paths instead; files are read again before every dial.
  const client = yield* authority.issue({ commonName: "orders", names: [] })
  const tls = { ca: authority.cert, cert: client.cert, key: Redacted.make(client.key) }

  const attempt = (title: string, tls: NatsTls.Input) =>
    Effect.gen(function*() {
      const nats = yield* NatsClient.make({ servers: `tls://localhost:${server.port}`, tls })
      yield* nats.flush
      yield* Console.log(`${title}: connected over TLS`)
    }).pipe(
      Effect.scoped,
      Effect.catchTag(
        ["TlsHandshakeRejected", "TlsCertificateInvalid"],
        (error) => Console.log(`${title}: ${error._tag}: ${error.message}`)
      )
    )

  yield* attempt("with a client certificate", tls)
  yield* attempt("without a client certificate", { ca: authority.cert })
  yield* attempt("without the authority", {})
  yield* attempt("by a name the certificate lacks", { ...tls, serverName: "nats.example.com" })
}).pipe(Effect.scoped)

NodeRuntime.runMain(program)
