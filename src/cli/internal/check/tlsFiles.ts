/**
 * What TLS is configured with, before anything is dialled: the certificates that are trusted, and that of this client.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { parseCertificates } from "../../../internal/identity/pem.ts"
import { resolveTls, type TlsMaterial } from "../../../internal/wire/tlsMaterial.ts"
import type { NatsConfig } from "../../../NatsConfig.ts"
import { certificateText, factsOf, timesNotes } from "./certificates.ts"
import type { Local } from "./credentials.ts"
import { failedStage, type Stage } from "./stages.ts"

/** The TLS settings of a configuration, without a server. There is nothing to say of the defaults. */
export const checkTls = (config: NatsConfig): Effect.Effect<Local<TlsMaterial> & { readonly isDefault: boolean }> =>
  Effect.matchEffect(resolveTls(config.tls, config.connectTimeout), {
    onFailure: (error) => Effect.succeed({ stage: failedStage("tls", error), value: undefined, isDefault: false }),
    onSuccess: (material) =>
      Effect.map(Clock.currentTimeMillis, (now) => ({
        stage: stageOf(material, now),
        value: material,
        isDefault: material.ca === undefined && material.cert === undefined && material.modeIsDefault === true &&
          !material.dangerouslyDisableVerification
      }))
  })

// `resolveTls` has parsed them before.
const certificatesOf = (pem: string | undefined) => {
  const parsed = pem === undefined ? [] : parseCertificates(pem)
  return typeof parsed === "string" ? [] : parsed
}

const stageOf = (material: TlsMaterial, now: number): Stage => {
  const authorities = certificatesOf(material.ca)
  const [own] = certificatesOf(material.cert)
  const notes = [
    ...(material.dangerouslyDisableVerification ? ["the server's certificate is not verified: anybody can be it"] : []),
    ...authorities.flatMap((each) => timesNotes("a trusted certificate", each, now)),
    ...(own === undefined ? [] : timesNotes("the client's certificate", own, now))
  ]
  const count = authorities.length
  const trusted = count === 0
    ? "trusts the certificates of this runtime"
    : `trusts ${count} ${count === 1 ? "certificate" : "certificates"} of the configuration`
  return {
    stage: "tls",
    status: notes.length === 0 ? "ok" : "noted",
    text: [
      `mode ${material.mode}`,
      ...(material.handshakeFirst ? ["handshake first"] : []),
      ...(material.serverName === undefined ? [] : [`the server's name is ${material.serverName}`]),
      trusted
    ].join(", "),
    more: [...(own === undefined ? [] : [`client: ${certificateText(factsOf(own), now)}`]), ...notes],
    detail: {
      mode: material.mode,
      handshakeFirst: material.handshakeFirst,
      serverName: material.serverName,
      verified: !material.dangerouslyDisableVerification,
      trusted: authorities.map(factsOf),
      client: own === undefined ? undefined : factsOf(own)
    }
  }
}
