/**
 * Writes JWTs of accounts and users.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { PackageMissing } from "../TestNatsServerError.ts"
import type { Permissions, SubjectRule } from "../TestNatsServerOptions.ts"
import type { AccountOptions, NKey, UserOptions, Validity } from "../TestOperator.ts"
import { loadPackage } from "./packages.ts"

type Claims = Readonly<Record<string, unknown>>

interface Encoding {
  readonly exp?: number
  readonly nbf?: number
  readonly aud?: string
  readonly signer?: Uint8Array
}

interface KeyPair {
  getPublicKey(): string
  getSeed(): Uint8Array
  open(message: Uint8Array, sender: string): Uint8Array | null
  seal(message: Uint8Array, recipient: string): Uint8Array
}

/**
 * What is used of `@nats-io/jwt`. Its own types in our declarations would be unknown to those who have not installed it.
 */
export interface JwtLibrary {
  createUser(): KeyPair
  createAccount(): KeyPair
  createOperator(): KeyPair
  createServer(): KeyPair
  createCurve(): KeyPair
  fromSeed(seed: Uint8Array): KeyPair
  decode<A>(jwt: string): { readonly nats: Partial<A> }
  encodeOperator(name: string, operator: Uint8Array, claims: Claims): Promise<string>
  encodeAccount(name: string, account: string, claims: Claims, encoding: Encoding): Promise<string>
  encodeUser(
    name: string,
    user: string,
    issuer: string | Uint8Array,
    claims: Claims,
    encoding: Encoding
  ): Promise<string>
  encodeAuthorizationResponse(
    user: string,
    server: string,
    issuer: Uint8Array,
    data: Claims,
    encoding: Encoding
  ): Promise<string>
  fmtCreds(jwt: string, key: KeyPair): Uint8Array
}

/** Loaded only where nkeys and JWTs are used. */
export const loadJwtLibrary: Effect.Effect<JwtLibrary, PackageMissing> = loadPackage(
  "@nats-io/jwt",
  () => import("@nats-io/jwt")
)

/** A new key of a kind. */
export const newKey = (library: JwtLibrary, kind: "user" | "account" | "operator" | "server" | "curve"): NKey => {
  const create = {
    user: library.createUser,
    account: library.createAccount,
    operator: library.createOperator,
    server: library.createServer,
    curve: library.createCurve
  }
  const pair = create[kind]()
  return { publicKey: pair.getPublicKey(), seed: new TextDecoder().decode(pair.getSeed()) }
}

export const encodeText = (text: string): Uint8Array => new TextEncoder().encode(text)

/** The machine's time: the server judges by it. */
export const nowInSeconds = (): number => Math.floor(new Date().getTime() / 1000)

const validity = (options: Validity): { readonly exp?: number; readonly nbf?: number } => ({
  ...(options.expired === true ? { exp: nowInSeconds() - 3600 } : {}),
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

const permissions = (given: Permissions | undefined): Claims => {
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
  const claims = {
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
