/**
 * The fields of CONNECT that prove who the client is.
 */
import * as Redacted from "effect/Redacted"
import { decodeUserSeed, userKey } from "../identity/nkey.ts"
import type { ConnectAuth } from "../protocol/connectLine.ts"
import type { Credentials } from "./credentials.ts"

/**
 * Whether the credentials are an NKey, and the server sent nothing to sign: then it knows no NKeys, and a signature over
 * nothing would prove nothing.
 */
export const lacksNonce = ({ jwt, seed }: Credentials, nonce: string | undefined): boolean =>
  seed !== undefined && jwt === undefined && !nonce

/**
 * `nonce` is the one of the server's INFO. Pure and synchronous: credentials are resolved before the dial. One that were
 * still awaited here would leave CONNECT without them, one that failed here would end the client (as in nats.js).
 * Without a nonce nothing is signed; a JWT goes alone then, to a server that asks for none, as in nats.go.
 */
export const connectAuth = (credentials: Credentials, nonce: string | undefined): ConnectAuth => {
  if (credentials.user !== undefined) {
    return {
      user: credentials.user,
      ...(credentials.password === undefined ? {} : { pass: Redacted.value(credentials.password) })
    }
  }
  if (credentials.token !== undefined) return { auth_token: Redacted.value(credentials.token) }
  const jwt = credentials.jwt === undefined ? {} : { jwt: Redacted.value(credentials.jwt) }
  if (credentials.seed === undefined || !nonce) return jwt
  const raw = decodeUserSeed(Redacted.value(credentials.seed))
  if (typeof raw === "string") {
    // `resolveCredentials` has checked the seed, so that only a hand-made value comes here.
    return jwt
  }
  const key = userKey(raw)
  const sig = Buffer.from(key.sign(Buffer.from(nonce, "utf8"))).toString("base64url")
  return credentials.jwt === undefined ? { nkey: key.publicKey, sig } : { ...jwt, sig }
}
