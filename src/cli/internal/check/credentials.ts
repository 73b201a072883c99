/**
 * What the credentials are, before anything is dialled: their method, whom they are of, and how long they are valid.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { decodeJwt } from "../../../internal/identity/jwt.ts"
import { decodeUserSeed, userKey } from "../../../internal/identity/nkey.ts"
import { type Credentials, resolveCredentials } from "../../../internal/wire/credentials.ts"
import type { NatsConfig } from "../../../NatsConfig.ts"
import * as Output from "../output.ts"
import type { Stage } from "./stages.ts"
import { untilText } from "./times.ts"

/** The public key that they prove. */
const keyOf = ({ jwt, seed }: Credentials): string | undefined => {
  if (jwt !== undefined) {
    const claims = decodeJwt(Redacted.value(jwt))
    return typeof claims === "string" ? undefined : claims.subject
  }
  const raw = seed === undefined ? undefined : decodeUserSeed(Redacted.value(seed))
  return raw === undefined || typeof raw === "string" ? undefined : userKey(raw).publicKey
}

/** The credentials of a configuration, without a server. */
export const checkCredentials = (config: NatsConfig): Effect.Effect<Stage> =>
  Effect.matchEffect(resolveCredentials(config.auth, config.connectTimeout), {
    onFailure: (error) =>
      Effect.succeed<Stage>({ stage: "credentials", status: "failed", text: `${error._tag}: ${error.message}`, error }),
    onSuccess: (credentials) =>
      Effect.map(Clock.currentTimeMillis, (now): Stage => {
        const { expiresAt, method, notBefore, user } = credentials
        const key = keyOf(credentials)
        const text = [
          config.auth._tag === "CredsFile" ? `CredsFile ${Output.shown(config.auth.path, 256)}` : method,
          ...(user === undefined ? [] : [`user ${Output.shown(user, 256)}`]),
          ...(key === undefined ? [] : [`key ${key}`]),
          // What does not fit is refused before.
          ...(credentials.jwt !== undefined && credentials.seed !== undefined ? ["the seed fits"] : []),
          ...(credentials.jwt === undefined
            ? []
            : [expiresAt === undefined ? "never expires" : `expires ${untilText(expiresAt, now)}`]),
          ...(notBefore !== undefined && notBefore > now ? [`valid from ${untilText(notBefore, now)}`] : [])
        ].join(", ")
        return {
          stage: "credentials",
          status: "ok",
          text,
          detail: { method, user, key, expiresAt: isoOf(expiresAt), notBefore: isoOf(notBefore) }
        }
      })
  })

const isoOf = (millis: number | undefined): string | undefined =>
  millis === undefined ? undefined : new Date(millis).toISOString()
