/**
 * Who a client is: what the server says of it, and what its own credentials say.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { AuthMethod } from "../../../ConnectError.ts"
import type { ServerInfo } from "../../../internal/protocol/info.ts"
import { type CredentialsError, resolveCredentials } from "../../../internal/wire/credentials.ts"
import type { NatsClient } from "../../../NatsClient.ts"
import type { NatsConfig } from "../../../NatsConfig.ts"
import type { FlushError } from "../../../NatsError.ts"
import { type UserInfo, userInfo } from "../account.ts"
import { keyOf } from "../check/credentials.ts"
import { decodeClaims } from "../creds/claims.ts"
import type { Failure } from "../failure.ts"

/** What is known without a server. */
export interface Local {
  readonly method: AuthMethod
  readonly user: string | undefined
  /** The public key that the credentials prove. */
  readonly key: string | undefined
  /** Of a JWT. */
  readonly name: string | undefined
  readonly account: string | undefined
  readonly expiresAt: number | undefined
}

export interface Identity {
  readonly local: Local
  readonly server: ServerInfo
  /** What the server says, or why it says nothing. */
  readonly told: UserInfo | Failure
  /** When the server ends the session, or the credentials do. */
  readonly expiresAt: number | undefined
  readonly now: number
}

/** The credentials of a configuration, as far as they tell whom they are of. */
export const localIdentity = (config: NatsConfig): Effect.Effect<Local, CredentialsError> =>
  Effect.map(resolveCredentials(config.auth, config.connectTimeout), (credentials) => {
    const claims = credentials.jwt === undefined ? undefined : decodeClaims(Redacted.value(credentials.jwt))
    return {
      method: credentials.method,
      user: credentials.user,
      key: keyOf(credentials),
      name: claims?.name,
      account: claims?.kind === "user" ? claims.issuerAccount ?? claims.issuer : undefined,
      expiresAt: credentials.expiresAt
    }
  })

/** Asks the server. What it does not say, as one before 2.10 or one that the client may not ask, is no failure. */
export const identify = (client: NatsClient, local: Local): Effect.Effect<Identity, FlushError | Failure> =>
  Effect.gen(function*() {
    const server = yield* client.serverInfo
    const told = yield* Effect.catch(
      userInfo(client),
      (error): Effect.Effect<UserInfo | Failure, Failure> =>
        error._tag === "ConnectionLost" || error._tag === "ConnectionClosed"
          ? Effect.fail(error)
          : Effect.succeed(error)
    )
    const now = yield* Clock.currentTimeMillis
    const expiresAt = "_tag" in told || told.expiresInMillis === undefined
      ? local.expiresAt
      : now + told.expiresInMillis
    return { local, server, told, expiresAt, now }
  })
