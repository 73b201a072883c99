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
import { isoText, untilText } from "../times.ts"
import { failedStage, type Stage } from "./stages.ts"

/** The public key that they prove. */
export const keyOf = ({ jwt, seed }: Credentials): string | undefined => {
  if (jwt !== undefined) {
    const claims = decodeJwt(Redacted.value(jwt))
    return typeof claims === "string" ? undefined : claims.subject
  }
  const raw = seed === undefined ? undefined : decodeUserSeed(Redacted.value(seed))
  return raw === undefined || typeof raw === "string" ? undefined : userKey(raw).publicKey
}

/** A JWT that ends so soon is worth a word. */
const soonMillis = 86_400_000

/** The credentials of a configuration, without a server. */
export const checkCredentials = (config: NatsConfig): Effect.Effect<Stage> =>
  Effect.matchEffect(resolveCredentials(config.auth, config.connectTimeout), {
    onFailure: (error) => Effect.succeed(failedStage("credentials", error)),
    onSuccess: (credentials) => Effect.map(Clock.currentTimeMillis, (now) => stageOf(credentials, config, now))
  })

const stageOf = (credentials: Credentials, config: NatsConfig, now: number): Stage => {
  const { expiresAt, jwt, method, notBefore, seed, user } = credentials
  const key = keyOf(credentials)
  const isFile = config.auth._tag === "CredsFile"
  const text = [
    isFile ? `CredsFile ${Output.shown(config.auth.path, 256)}` : method,
    ...(user === undefined ? [] : [`user ${Output.shown(user, 256)}`]),
    ...(key === undefined ? [] : [`key ${Output.shown(key, 128)}`]),
    // What does not fit is refused before.
    ...(jwt === undefined ? [] : [seed === undefined ? "a bearer, without a seed" : "the seed fits"]),
    ...(jwt === undefined ? [] : [expiresAt === undefined ? "never expires" : `expires ${untilText(expiresAt, now)}`])
  ].join(", ")
  const notes = [
    ...(expiresAt === undefined || expiresAt - now >= soonMillis
      ? []
      : [expiresAt > now ? "the JWT expires soon" : "the JWT has expired by the clock of this machine"]),
    ...(notBefore === undefined || notBefore <= now ? [] : [`the JWT is valid only from ${untilText(notBefore, now)}`])
  ]
  return {
    stage: "credentials",
    status: notes.length === 0 ? "ok" : "noted",
    text,
    more: notes,
    detail: {
      method,
      file: isFile ? Output.shown(config.auth.path, 1024) : undefined,
      user: user === undefined ? undefined : Output.shown(user, 1024),
      key,
      seedFits: jwt !== undefined && seed !== undefined ? true : undefined,
      expiresAt: isoText(expiresAt),
      notBefore: isoText(notBefore)
    }
  }
}
