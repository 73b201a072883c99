/**
 * Writes JWTs of accounts and users.
 */
import type * as Jwt from "@nats-io/jwt"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Permissions, SubjectRule } from "../TestNatsServerOptions.ts"
import type { AccountOptions, NKey, UserOptions, Validity } from "../TestOperator.ts"

export type JwtLibrary = typeof Jwt

/** Loaded only where nkeys and JWTs are used. */
export const loadJwtLibrary: Effect.Effect<JwtLibrary> = Effect.promise(() => import("@nats-io/jwt"))

export const encodeText = (text: string): Uint8Array => new TextEncoder().encode(text)

/** The machine's time: the server judges by it. */
export const nowInSeconds = (): number => Math.floor(new Date().getTime() / 1000)

const validity = (options: Validity): { readonly exp?: number; readonly nbf?: number } => ({
  ...(options.expired === true ? { exp: nowInSeconds() - 60 } : {}),
  ...(options.expiresIn === undefined
    ? {}
    : { exp: Math.ceil((new Date().getTime() + Duration.toMillis(options.expiresIn)) / 1000) }),
  ...(options.notYetValid === true ? { nbf: nowInSeconds() + 3600 } : {})
})

const list = (given: string | ReadonlyArray<string> | undefined): Array<string> =>
  given === undefined ? [] : typeof given === "string" ? [given] : [...given]

const rule = (given: SubjectRule | undefined): { allow?: Array<string>; deny?: Array<string> } | undefined => {
  if (given === undefined) return undefined
  return typeof given === "object" && !isList(given)
    ? { allow: list(given.allow), deny: list(given.deny) }
    : { allow: list(given) }
}

const isList = (given: SubjectRule): given is ReadonlyArray<string> => Array.isArray(given)

const permissions = (given: Permissions | undefined): Jwt.Permissions => {
  const pub = rule(given?.publish)
  const sub = rule(given?.subscribe)
  const responses = given?.allowResponses
  return {
    ...(pub === undefined ? {} : { pub }),
    ...(sub === undefined ? {} : { sub }),
    ...(responses === undefined || responses === false
      ? {}
      : {
        resp: responses === true
          ? { max: 1, ttl: 120_000_000_000 }
          : { max: responses.max, ttl: Duration.toMillis(responses.expires) * 1_000_000 }
      })
  }
}

export const accountJwt = (
  library: JwtLibrary,
  operator: NKey,
  account: NKey,
  name: string,
  options: AccountOptions
): Effect.Effect<string> => {
  const unlimited = options.jetstream === true ? -1 : 0
  const claims: Partial<Jwt.Account> = {
    limits: {
      conn: options.maxConnections ?? -1,
      subs: options.maxSubscriptions ?? -1,
      payload: options.maxPayload ?? -1,
      disallow_bearer: options.disallowBearer ?? false,
      leaf: -1,
      imports: -1,
      exports: -1,
      data: -1,
      wildcards: true,
      mem_storage: unlimited,
      disk_storage: unlimited,
      ...(options.jetstream === true ? { streams: -1, consumer: -1 } : {})
    },
    default_permissions: permissions(options.defaultPermissions),
    ...(options.signingKeys === undefined ? {} : { signing_keys: options.signingKeys.map((each) => each.publicKey) }),
    ...(options.revocations === undefined ? {} : { revocations: options.revocations }),
    ...options.claims
  }
  return Effect.promise(() =>
    library.encodeAccount(name, account.publicKey, claims, {
      ...validity(options),
      signer: encodeText(operator.seed)
    })
  )
}

export const userJwt = (
  library: JwtLibrary,
  account: NKey,
  user: string,
  name: string,
  options: UserOptions,
  audience?: string
): Effect.Effect<string> => {
  const claims = {
    ...permissions(options.permissions),
    ...(options.bearer === true ? { bearer_token: true } : {}),
    ...(options.allowedConnectionTypes === undefined
      ? {}
      : { allowed_connection_types: [...options.allowedConnectionTypes] }),
    ...(options.networks === undefined ? {} : { src: [...options.networks] }),
    ...(options.maxSubscriptions === undefined ? {} : { subs: options.maxSubscriptions }),
    ...(options.maxPayload === undefined ? {} : { payload: options.maxPayload }),
    ...options.claims
  }
  const times = { ...validity(options), ...(audience === undefined ? {} : { aud: audience }) }
  const signing = options.signingKey
  return Effect.promise(() =>
    signing === undefined
      ? library.encodeUser(name, user, encodeText(account.seed), claims, times)
      : library.encodeUser(name, user, account.publicKey, claims, { ...times, signer: encodeText(signing.seed) })
  )
}

export const userCreds = (library: JwtLibrary, jwt: string, seed: string): string =>
  new TextDecoder().decode(library.fmtCreds(jwt, library.fromSeed(encodeText(seed))))
