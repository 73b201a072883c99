/**
 * What a JWT of NATS says, of version 1 or 2 and of any kind, and whether it is whole.
 *
 * Everything in it is read as what it is where it is that, and left out where it is not: a server reads it again.
 */
import { decodePublicKey } from "../../../internal/identity/nkey.ts"
import type { Rights } from "../account.ts"

/** What the JWT of a user allows. */
export interface UserClaims {
  readonly publish: Rights
  readonly subscribe: Rights
  /** How many answers it may give to a request, and for how long. Negative numbers have no limit. */
  readonly responses: { readonly max: number; readonly ttlMillis: number } | undefined
  /** `undefined` where there is no limit. */
  readonly subscriptions: number | undefined
  readonly payload: number | undefined
  readonly data: number | undefined
  readonly connectionTypes: ReadonlyArray<string>
  readonly networks: ReadonlyArray<string>
  readonly times: ReadonlyArray<{ readonly start: string; readonly end: string }>
  readonly timesLocation: string | undefined
  readonly bearer: boolean
  readonly proxyRequired: boolean
}

export interface Claims {
  /** Such as `user` or `account`, and `other` for what NATS did not define. */
  readonly kind: string
  /** 1 or 2; 0 for a token that NATS did not define. */
  readonly version: number
  readonly name: string | undefined
  readonly subject: string | undefined
  readonly issuer: string | undefined
  /** The account, where a signing key of it has signed. */
  readonly issuerAccount: string | undefined
  /** Milliseconds since the epoch. */
  readonly issuedAt: number | undefined
  readonly expiresAt: number | undefined
  readonly notBefore: number | undefined
  readonly tags: ReadonlyArray<string>
  readonly user: UserClaims | undefined
  /** Whether the issuer has signed this text; `undefined` where it is not known how. */
  readonly intact: boolean | undefined
}

type Fields = Readonly<Record<string, unknown>>

const fieldsOf = (value: unknown): Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? value as Fields : {}

const textOf = (value: unknown): string | undefined => typeof value === "string" && value !== "" ? value : undefined

const numberOf = (value: unknown): number | undefined =>
  typeof value === "number" && Number.isFinite(value) ? value : undefined

const textsOf = (value: unknown): ReadonlyArray<string> =>
  Array.isArray(value) ? value.filter((each): each is string => typeof each === "string") : []

/** The latest moment that a JavaScript date has, in seconds. */
const latest = 8_640_000_000_000

const momentOf = (value: unknown): number | undefined => {
  const seconds = numberOf(value)
  return seconds === undefined || seconds <= 0 || seconds > latest ? undefined : Math.floor(seconds * 1000)
}

const limitOf = (value: unknown): number | undefined => {
  const limit = numberOf(value)
  return limit === undefined || limit < 0 ? undefined : limit
}

const rightsOf = (value: unknown): Rights => {
  const { allow, deny } = fieldsOf(value)
  return { allow: textsOf(allow), deny: textsOf(deny) }
}

const userOf = (nats: Fields): UserClaims => {
  const responses = fieldsOf(nats["resp"])
  const max = numberOf(responses["max"])
  const source = nats["src"]
  return {
    publish: rightsOf(nats["pub"]),
    subscribe: rightsOf(nats["sub"]),
    responses: max === undefined ? undefined : { max, ttlMillis: (numberOf(responses["ttl"]) ?? 0) / 1e6 },
    subscriptions: limitOf(nats["subs"]),
    payload: limitOf(nats["payload"]),
    data: limitOf(nats["data"]),
    connectionTypes: textsOf(nats["allowed_connection_types"]),
    // Version 1 has them in one text.
    networks: typeof source === "string"
      ? source.split(",").map((each) => each.trim()).filter((each) => each !== "")
      : textsOf(source),
    times: (Array.isArray(nats["times"]) ? nats["times"] : []).map((each) => {
      const { end, start } = fieldsOf(each)
      return { start: textOf(start) ?? "?", end: textOf(end) ?? "?" }
    }),
    timesLocation: textOf(nats["times_location"]),
    bearer: nats["bearer_token"] === true,
    proxyRequired: nats["proxy_required"] === true
  }
}

const parse = (segment: string): unknown => {
  try {
    return JSON.parse(Buffer.from(segment, "base64url").toString("utf8"))
  } catch {
    return undefined
  }
}

/** The claims of a text of three segments, or `undefined` where it has none. */
export const decodeClaims = (jwt: string): Claims | undefined => {
  const [header, payload, signature] = jwt.split(".")
  if (payload === undefined || signature === undefined) return undefined
  const algorithm = fieldsOf(parse(header))["alg"]
  const parsed = parse(payload)
  if (typeof parsed !== "object" || parsed === null) return undefined
  const claims = fieldsOf(parsed)
  const isOurs = typeof claims["nats"] === "object" && claims["nats"] !== null
  const nats = fieldsOf(claims["nats"])
  const kind = isOurs ? textOf(nats["type"]) ?? textOf(claims["type"]) ?? "user" : "other"
  const issuer = textOf(claims["iss"])
  const key = issuer === undefined ? undefined : decodePublicKey(issuer)
  // Version 1 signs the claims alone.
  const signed = algorithm === "ed25519-nkey" ? `${header}.${payload}` : algorithm === "ed25519" ? payload : undefined
  return {
    kind,
    version: isOurs ? numberOf(nats["version"]) ?? 1 : 0,
    name: textOf(claims["name"]),
    subject: textOf(claims["sub"]),
    issuer,
    issuerAccount: textOf(nats["issuer_account"]),
    issuedAt: momentOf(claims["iat"]),
    expiresAt: momentOf(claims["exp"]),
    notBefore: momentOf(claims["nbf"]),
    tags: textsOf(nats["tags"] ?? claims["tags"]),
    user: kind === "user" ? userOf(nats) : undefined,
    intact: key === undefined || signed === undefined
      ? isOurs ? false : undefined
      : key.verify(Buffer.from(signed), Buffer.from(signature, "base64url"))
  }
}
