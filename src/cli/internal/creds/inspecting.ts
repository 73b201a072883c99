/**
 * What a creds file is, without a server. The seed and the JWT are looked at and not kept.
 */
import { CredentialsExpired, CredentialsInvalid } from "../../../ConnectError.ts"
import { parseCreds } from "../../../internal/identity/creds.ts"
import { decodeJwt } from "../../../internal/identity/jwt.ts"
import { decodePublicKey, decodeUserSeed, userKey } from "../../../internal/identity/nkey.ts"
import { type Claims, decodeClaims } from "./claims.ts"

export interface Inspection {
  readonly _tag: "Inspection"
  /** In a few words. */
  readonly what: string
  readonly claims: Claims | undefined
  /** The public key that the seed is of. */
  readonly seedKey: string | undefined
  readonly seed: "fits" | "does not fit" | "unusable" | "alone" | "missing" | "not needed"
  /** What no server would take. */
  readonly problems: ReadonlyArray<CredentialsInvalid | CredentialsExpired>
  readonly notes: ReadonlyArray<string>
  /** Whether it lets in whoever has it. */
  readonly secret: boolean
}

const an = (word: string): string => (/^[aeio]/.test(word) ? `an ${word}` : `a ${word}`)

/** What a text without a seed or a JWT is. */
const otherContent = (text: string): string | undefined => {
  const word = text.trim()
  const key = decodePublicKey(word)
  if (key !== undefined) return `it is the public key of ${an(key.role)}: a client needs the seed of a user`
  if (/-----BEGIN (?:\w+ )*(?:CERTIFICATE|PRIVATE KEY)-----/.test(word)) {
    return "it is PEM, a certificate or a key of TLS: give it by --tls-ca, --tls-cert or --tls-key"
  }
  return word.startsWith("{")
    ? "it is JSON, as a configuration or a context is: give it by --config or --context"
    : undefined
}

const ofKind: Readonly<Record<string, string>> = {
  user: "the JWT of a user",
  account: "the JWT of an account",
  operator: "the JWT of an operator",
  activation: "the JWT of an activation, which an account imports by",
  other: "a token that NATS did not define"
}

const kindText = ({ kind }: Claims): string =>
  Object.hasOwn(ofKind, kind) ? ofKind[kind] : "a JWT of NATS that is of no user"

/** What is wrong with the JWT, whoever its seed belongs to. */
const jwtProblems = (jwt: string, claims: Claims): ReadonlyArray<string> => {
  if (claims.intact === false) {
    return [
      "the signature of the JWT is not that of its issuer, so a character of it was changed or lost: issue a new one"
    ]
  }
  if (claims.kind !== "user" && claims.kind !== "other") {
    return [`it is ${kindText(claims)} and not of a user: a client connects with the creds of a user`]
  }
  const told = decodeJwt(jwt)
  if (typeof told === "string") return [told]
  const issuer = claims.issuer === undefined ? undefined : decodePublicKey(claims.issuer)?.role
  return claims.kind === "user" && issuer !== "account"
    ? [`the issuer of the JWT is ${issuer === undefined ? "no key" : an(issuer)}, and an account issues users`]
    : []
}

/** `source` is what errors call it. `now` is in milliseconds since the epoch. Fails for a text that is nothing of NATS. */
export const inspect = (text: string, source: string, now: number): Inspection | CredentialsInvalid => {
  const invalid = (problem: string, line?: number): CredentialsInvalid =>
    new CredentialsInvalid({ method: "CredsFile", source, problem, ...(line === undefined ? {} : { line }) })
  const parsed = parseCreds(text)
  if ("problem" in parsed) return invalid(otherContent(text) ?? parsed.problem, parsed.line)
  const { jwt, jwtLine, seed, seedLine } = parsed
  const claims = jwt === undefined ? undefined : decodeClaims(jwt)
  if (jwt !== undefined && claims === undefined) {
    const told = decodeJwt(jwt)
    return invalid(typeof told === "string" ? told : "the claims of the JWT are not JSON", jwtLine)
  }
  const problems: Array<CredentialsInvalid | CredentialsExpired> = []
  const raw = seed === undefined ? undefined : decodeUserSeed(seed)
  const seedKey = raw === undefined || typeof raw === "string" ? undefined : userKey(raw).publicKey
  if (claims !== undefined && jwt !== undefined) {
    problems.push(...jwtProblems(jwt, claims).map((problem) => invalid(problem, jwtLine)))
  }
  if (typeof raw === "string") problems.push(invalid(`the seed is no user seed: ${raw}`, seedLine))
  const fits = claims?.subject === undefined || claims.kind === "other" || claims.subject === seedKey
  if (seedKey !== undefined && !fits) {
    problems.push(invalid("the seed is of another user than the JWT: take both from the same file", seedLine))
  }
  const { expiresAt, notBefore } = claims ?? {}
  if (expiresAt !== undefined && expiresAt <= now) {
    problems.push(new CredentialsExpired({ method: "CredsFile", source, notYetValid: false, at: expiresAt }))
  } else if (notBefore !== undefined && notBefore > now) {
    problems.push(new CredentialsExpired({ method: "CredsFile", source, notYetValid: true, at: notBefore }))
  }
  const bearer = claims !== undefined && (claims.kind === "other" || claims.user?.bearer === true)
  return {
    _tag: "Inspection",
    what: claims === undefined
      ? seedKey === undefined ? "a seed, and of no user" : "the NKey seed of a user, without a JWT"
      : claims.kind === "user" && seed !== undefined
      ? "the credentials of a user"
      : kindText(claims),
    claims,
    seedKey,
    seed: raw === undefined
      ? bearer ? "not needed" : "missing"
      : seedKey === undefined
      ? "unusable"
      : claims === undefined
      ? "alone"
      : fits
      ? "fits"
      : "does not fit",
    problems,
    notes: typeof raw === "string" ? [] : notesOf(claims, seed !== undefined, bearer),
    secret: seed !== undefined || bearer
  }
}

const notesOf = (claims: Claims | undefined, hasSeed: boolean, bearer: boolean): ReadonlyArray<string> => {
  if (claims === undefined) {
    return ["a server without accounts of an operator takes it, where the key is among its users (`nkey`)"]
  }
  if (claims.kind === "other") return ["a server takes it where an auth callout does; nothing of it is verified here"]
  if (claims.kind !== "user") return []
  return [
    ...(hasSeed || bearer
      ? []
      : ["there is no seed in it, which a client needs besides: in the same file, or as NATS_NKEY_SEED"]),
    ...(hasSeed && bearer ? ["it is a bearer JWT, so that the JWT alone lets in: keep it as secret as the seed"] : []),
    ...(claims.issuerAccount === undefined || claims.issuerAccount === claims.issuer
      ? []
      : ["a signing key has issued it: where that has a scope, its permissions and limits count and not these"])
  ]
}
