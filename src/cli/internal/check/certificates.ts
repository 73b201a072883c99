/**
 * Certificates of a TLS handshake: who, for which names, until when.
 */
import type { X509Certificate } from "node:crypto"
import type { TlsPeers } from "../../../internal/wire/dialTracing.ts"
import * as Output from "../output.ts"
import { untilText } from "../times.ts"

export interface CertificateFacts {
  readonly subject: string
  readonly issuer: string
  /** As certificates have them, such as `DNS:nats.example.com`. */
  readonly names: ReadonlyArray<string>
  readonly validFrom: string
  readonly validTo: string
  readonly fingerprint256: string
}

const oneLine = (name: string): string => Output.shown(name.split("\n").join(", "), 256)

const longestNames = 16

export const factsOf = (certificate: X509Certificate): CertificateFacts => ({
  subject: oneLine(certificate.subject ?? ""),
  issuer: oneLine(certificate.issuer ?? ""),
  names: (certificate.subjectAltName ?? "").split(", ").filter((name) => name !== "").slice(0, longestNames)
    .map((name) => Output.shown(name, 256)),
  validFrom: certificate.validFromDate.toISOString(),
  validTo: certificate.validToDate.toISOString(),
  fingerprint256: certificate.fingerprint256
})

export const certificateText = (facts: CertificateFacts, now: number): string => {
  const from = Date.parse(facts.validFrom)
  const until = Date.parse(facts.validTo)
  const validity = from > now ? `valid from ${untilText(from, now)}` : `valid until ${untilText(until, now)}`
  return `${facts.subject === "" ? "(no subject)" : facts.subject}, for ${
    facts.names.length === 0 ? "no name" : facts.names.join(", ")
  }, ${validity}`
}

/** A certificate that ends so soon is worth a word. */
export const soonMillis = 14 * 86_400_000

/** Both ends of a handshake, in lines for people and as values for programs. */
export const peersText = (
  peers: TlsPeers,
  now: number
): { readonly lines: ReadonlyArray<string>; readonly detail: object } => {
  const chain = peers.chain.map(factsOf)
  const own = peers.own === undefined ? undefined : factsOf(peers.own)
  const lines = chain.map((facts, index) =>
    index === 0
      ? `server: ${certificateText(facts, now)}`
      : `signed by: ${facts.subject}, valid until ${untilText(Date.parse(facts.validTo), now)}`
  )
  const last = chain.at(-1)
  if (last !== undefined && last.subject !== last.issuer) {
    lines.push(`signed by: ${last.issuer} (which is not known here)`)
  }
  if (own !== undefined) lines.push(`client: ${certificateText(own, now)}`)
  return { lines, detail: { protocol: peers.protocol, cipher: peers.cipher, chain, client: own } }
}

/** What ends soon, has ended, or has not begun, of `whose`. */
export const timesNotes = (whose: string, certificate: X509Certificate, now: number): ReadonlyArray<string> => {
  const [from, until] = [certificate.validFromDate.getTime(), certificate.validToDate.getTime()]
  return [
    ...(from > now ? [`${whose} is valid only from ${untilText(from, now)}`] : []),
    ...(until - now >= soonMillis ? [] : [`${whose} ${until > now ? "ends" : "has ended"} ${untilText(until, now)}`])
  ]
}

/** What ends soon, or has ended, of either end. */
export const endingSoon = (peers: TlsPeers, now: number): ReadonlyArray<string> => [
  ...peers.chain.flatMap((each, index) =>
    timesNotes(index === 0 ? "the server's certificate" : "a certificate that it is signed with", each, now)
  ),
  ...(peers.own === undefined ? [] : timesNotes("the client's certificate", peers.own, now))
]
