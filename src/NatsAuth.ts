/**
 * How a client proves who it is.
 *
 * `NatsAuth` is a value with a tag for each method. It decodes from that form with plain strings, and from the dict that
 * Panini and nats.py take: `{ user, password }`, `{ token }`, `{ user_credentials }` (the path of a creds file),
 * `{ nkeys_seed }` (the path of a seed file), `{ nkeys_seed_str }`. Secrets are `Redacted` from there on. Seeds, JWTs and
 * creds are checked locally when they are decoded.
 *
 * ```ts
 * import { Effect, Redacted } from "effect"
 * import { NatsClient } from "effect-nats"
 *
 * // Any method, as part of the options:
 * const layer = NatsClient.layer({
 *   servers: "nats://127.0.0.1:4222",
 *   auth: { user: "john", password: Redacted.make("johnpassword") }
 * })
 *
 * // An Effect is run before every dial, so a rotated secret is picked up:
 * const rotating = NatsClient.layer({
 *   auth: Effect.sync(() => ({ _tag: "Token" as const, token: process.env["CURRENT_TOKEN"] ?? "none" }))
 * })
 * ```
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import type * as Schema from "effect/Schema"
import { generatedAuth } from "./internal/config/arbitraryAuth.ts"
import { decodeAuth, encodeAuth } from "./internal/config/auth.ts"
import { codec } from "./internal/config/codec.ts"
import * as Defaults from "./internal/config/defaults.ts"

/**
 * No credentials: for a server without authentication, with `no_auth_user`, or with `verify_and_map`, where the client
 * certificate is the identity.
 *
 * @category models
 * @since 0.1.0
 */
export interface Anonymous {
  readonly _tag: "Anonymous"
}

/**
 * A user and a password. The server may keep the password as a bcrypt hash; the client sends it as it is, so use TLS.
 *
 * @category models
 * @since 0.1.0
 */
export interface UserPassword {
  readonly _tag: "UserPassword"
  readonly user: string
  readonly password: Redacted.Redacted
}

/**
 * A token that all clients share.
 *
 * @category models
 * @since 0.1.0
 */
export interface Token {
  readonly _tag: "Token"
  readonly token: Redacted.Redacted
}

/**
 * An NKey user: the server knows the public key, and the client signs its nonce. The seed never leaves the process.
 *
 * @category models
 * @since 0.1.0
 */
export interface NKey {
  readonly _tag: "NKey"
  /** The seed, which begins with SU. */
  readonly seed: Redacted.Redacted
}

/**
 * A user JWT and the seed it was issued for. A bearer JWT goes without the seed.
 *
 * @category models
 * @since 0.1.0
 */
export interface Jwt {
  readonly _tag: "Jwt"
  readonly jwt: Redacted.Redacted
  /** The seed of the user that the JWT names. Left out for a bearer JWT only. */
  readonly seed?: Redacted.Redacted | undefined
}

/**
 * The text of a credentials file (`nsc generate creds`): a JWT and a seed.
 *
 * @category models
 * @since 0.1.0
 */
export interface Creds {
  readonly _tag: "Creds"
  readonly creds: Redacted.Redacted
}

/**
 * The path of a credentials file, read again before every dial, so that a rotated file is picked up. A file with nothing
 * but an NKey seed is taken as `NKey`. The path is relative to the working directory. A file that others can read gives
 * one warning.
 *
 * @category models
 * @since 0.1.0
 */
export interface CredsFile {
  readonly _tag: "CredsFile"
  readonly path: string
}

/**
 * One way to prove who a client is.
 *
 * @category models
 * @since 0.1.0
 */
export type NatsAuth = Anonymous | UserPassword | Token | NKey | Jwt | Creds | CredsFile

/**
 * A secret as it may be written: plain, or redacted already.
 *
 * @category models
 * @since 0.1.0
 */
export type Secret = string | Redacted.Redacted

/**
 * What can be written as `auth`: a tagged form, or the dict of Panini and nats.py.
 *
 * @category models
 * @since 0.1.0
 */
export type Input =
  | Anonymous
  | { readonly _tag: "UserPassword"; readonly user: string; readonly password: Secret }
  | { readonly _tag: "Token"; readonly token: Secret }
  | { readonly _tag: "NKey"; readonly seed: Secret }
  | { readonly _tag: "Jwt"; readonly jwt: Secret; readonly seed?: Secret | undefined }
  | { readonly _tag: "Creds"; readonly creds: Secret }
  | CredsFile
  | { readonly user: string; readonly password: Secret }
  | { readonly token: Secret }
  | { readonly user_credentials: string }
  | { readonly nkeys_seed: string }
  | { readonly nkeys_seed_str: Secret }

/**
 * An Effect that yields a form of `auth`. It is run before every dial. When it fails or dies, the dial fails with
 * `CredentialsUnavailable`, which has its error as `cause`; so it does when the Effect takes longer than `connectTimeout`.
 * When the dial is interrupted, so is the Effect. One that ends by an interruption of its own has failed.
 *
 * @category models
 * @since 0.1.0
 */
export type AuthSource<R = never> = Effect.Effect<Input, unknown, R>

/**
 * The JSON form. It has the secrets in plain text.
 *
 * @category models
 * @since 0.1.0
 */
export type Encoded =
  | Anonymous
  | { readonly _tag: "UserPassword"; readonly user: string; readonly password: string }
  | { readonly _tag: "Token"; readonly token: string }
  | { readonly _tag: "NKey"; readonly seed: string }
  | { readonly _tag: "Jwt"; readonly jwt: string; readonly seed?: string | undefined }
  | { readonly _tag: "Creds"; readonly creds: string }
  | CredsFile

/**
 * No credentials. The default.
 *
 * @category constructors
 * @since 0.1.0
 */
export const anonymous: Anonymous = Defaults.anonymous

/**
 * Decodes what is written as `auth`. Its errors name every problem at its path and hold no value. Encoding gives the
 * tagged form with the secrets in plain text.
 *
 * @category schemas
 * @since 0.1.0
 */
export const NatsAuth: Schema.Codec<NatsAuth, Encoded> = codec("NatsAuth", decodeAuth, encodeAuth, generatedAuth)
