/**
 * What a client can learn from a user JWT without the issuer's key.
 */
export interface JwtClaims {
  /** The user's public key. Absent for a token that NATS did not define (one for an auth callout, say). */
  readonly subject?: string | undefined
  /** The server takes it without a signed nonce. */
  readonly bearer: boolean
  /** `exp`, in milliseconds since the epoch. */
  readonly expiresAt?: number | undefined
  /** `nbf`, in milliseconds since the epoch. */
  readonly notBefore?: number | undefined
}

const isRecord = (u: unknown): u is Record<string, unknown> => typeof u === "object" && u !== null && !Array.isArray(u)

const segment = /^[A-Za-z0-9_-]+$/

const parseSegment = (text: string): unknown => {
  try {
    return JSON.parse(Buffer.from(text, "base64url").toString("utf8"))
  } catch {
    return undefined
  }
}

/** The latest moment that a JavaScript date has, in seconds. */
const latest = 8_640_000_000_000

/** The claims, or what is wrong with the text, without showing any of it. */
export const decodeJwt = (text: string): JwtClaims | string => {
  const parts = text.split(".", 4)
  if (parts.length !== 3) return "it is not a JWT, which is three parts joined by dots"
  for (let i = 0; i < 3; i++) {
    if (!segment.test(parts[i])) return `part ${i + 1} of the JWT is not base64url`
  }
  if (!isRecord(parseSegment(parts[0]))) return "the header of the JWT is not JSON"
  const payload = parseSegment(parts[1])
  if (!isRecord(payload)) return "the claims of the JWT are not JSON"
  for (const claim of ["exp", "nbf"]) {
    const value = payload[claim]
    if (value !== undefined && !(typeof value === "number" && value >= 0 && value <= latest)) {
      return `the claim "${claim}" of the JWT is not a time in seconds`
    }
  }
  const seconds = (value: unknown): number | undefined =>
    typeof value === "number" && value > 0 ? Math.floor(value * 1000) : undefined
  const times = { expiresAt: seconds(payload["exp"]), notBefore: seconds(payload["nbf"]) }
  const nats = payload["nats"]
  if (!isRecord(nats)) return { bearer: true, ...times }
  const type = nats["type"] ?? payload["type"]
  if (type !== undefined && type !== "user") {
    return type === "account" || type === "operator"
      ? `it is the JWT of an ${type} and not of a user`
      : "it is not the JWT of a user"
  }
  const subject = payload["sub"]
  if (typeof subject !== "string" || !/^U[A-Z2-7]{55}$/.test(subject)) {
    return "the claim \"sub\" of the JWT is not a user's public key"
  }
  return { subject, bearer: nats["bearer_token"] === true, ...times }
}
