/**
 * What TLS is configured with, before anything is dialled: the certificates that are trusted, and that of this client.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { parseCertificates } from "../../../internal/identity/pem.ts"
import { resolveTls, type TlsMaterial } from "../../../internal/wire/tlsMaterial.ts"
import type { NatsConfig } from "../../../NatsConfig.ts"
import { certificateText, factsOf, timesNotes } from "./certificates.ts"
import { failedStage, type Stage } from "./stages.ts"

/** The TLS settings of a configuration, without a server; `undefined` for the defaults, of which there is nothing to say. */
export const checkTls = (config: NatsConfig): Effect.Effect<Stage | undefined> =>
  Effect.matchEffect(resolveTls(config.tls, config.connectTimeout), {
    onFailure: (error) => Effect.succeed(failedStage("tls", error)),
    onSuccess: (material) =>
      isDefault(material)
        ? Effect.undefined
        : Effect.map(Clock.currentTimeMillis, (now) => stageOf(material, now))
  })

const isDefault = ({ ca, cert, dangerouslyDisableVerification, modeIsDefault }: TlsMaterial): boolean =>
  ca === undefined && cert === undefined && modeIsDefault === true && !dangerouslyDisableVerification

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
