/**
 * Operator mode for tests: mints operator, accounts and users, and changes, revokes and expires them.
 *
 * Keys, JWTs and creds are for a test and nothing else, so they are plain strings. Times are those of the machine's
 * clock, which the server judges by, not of a `TestClock`. It takes the package `@nats-io/jwt`, without which `make` and
 * `nkey` fail with `PackageMissing`.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { TestNatsServer, TestOperator } from "effect-nats/testing"
 *
 * const program = Effect.gen(function*() {
 *   const operator = yield* TestOperator.make()
 *   const orders = yield* operator.account("orders")
 *   const alice = yield* orders.user("alice", { expiresIn: "1 hour" })
 *   const server = yield* TestNatsServer.make({ operator: operator.setup(orders) })
 *   yield* Effect.log(`connect to ${server.url} with`, alice.creds)
 *   // The same account, without alice.
 *   const without = yield* orders.revoke(alice)
 *   yield* server.reload({ operator: operator.setup(without) })
 * }).pipe(Effect.scoped)
 * ```
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { JwtLibrary } from "./internal/mint.ts"
import { accountJwt, encodeText, loadJwtLibrary, newKey, nowInSeconds, userCreds, userJwt } from "./internal/mint.ts"
import type { PackageMissing } from "./TestNatsServerError.ts"
import type { ConnectionType, Operator, Permissions } from "./TestNatsServerOptions.ts"

/**
 * An nkey: `publicKey` for the server, `seed` for the one who signs.
 *
 * @category models
 * @since 0.1.0
 */
export interface NKey {
  readonly publicKey: string
  readonly seed: string
}

/**
 * When a JWT is valid.
 *
 * @category models
 * @since 0.1.0
 */
export interface Validity {
  /** Rounded up to whole seconds. Default: never expires. */
  readonly expiresIn?: Duration.Input | undefined
  /** It expired an hour ago: a client that checks it itself bears with a minute. Default `false`. */
  readonly expired?: boolean | undefined
  /** It is valid from an hour from now on. Default `false`. */
  readonly notYetValid?: boolean | undefined
}

/**
 * What a user's JWT says.
 *
 * @category models
 * @since 0.1.0
 */
export interface UserOptions extends Validity {
  /** Another JWT for the same key, as a refreshed credential is. Default: a new key. */
  readonly nkey?: NKey | undefined
  readonly permissions?: Permissions | undefined
  /** The JWT alone lets in, without a signature. Default `false`. */
  readonly bearer?: boolean | undefined
  /** Default: every kind. */
  readonly allowedConnectionTypes?: ReadonlyArray<ConnectionType> | undefined
  /** Networks the user may come from, such as `"10.0.0.0/8"`. Default: all. */
  readonly networks?: ReadonlyArray<string> | undefined
  /** Default: no limit. */
  readonly maxSubscriptions?: number | undefined
  /** Bytes. Default: no limit. */
  readonly maxPayload?: number | undefined
  /** Sign with this account key, which must be among the account's `signingKeys`. Default: the account's own. */
  readonly signingKey?: NKey | undefined
  /** More claims, in the words of the JWT. */
  readonly claims?: Readonly<Record<string, unknown>> | undefined
}

/**
 * A user of an account.
 *
 * @category models
 * @since 0.1.0
 */
export interface TestUser extends NKey {
  readonly name: string
  readonly jwt: string
  /** The text of a `.creds` file. */
  readonly creds: string
}

/**
 * What an account's JWT says.
 *
 * @category models
 * @since 0.1.0
 */
export interface AccountOptions extends Validity {
  /** Connections at the same time. Default: no limit. */
  readonly maxConnections?: number | undefined
  /** Default: no limit. */
  readonly maxSubscriptions?: number | undefined
  /** Bytes. Default: no limit. */
  readonly maxPayload?: number | undefined
  /** Whether bearer JWTs are refused. Default `false`. */
  readonly disallowBearer?: boolean | undefined
  /** Whether the account may use JetStream, without limits. Default `false`. */
  readonly jetstream?: boolean | undefined
  readonly defaultPermissions?: Permissions | undefined
  readonly signingKeys?: ReadonlyArray<NKey> | undefined
  /** Users' public keys (`*` for all): JWTs made until then, in seconds since the epoch, are void. */
  readonly revocations?: Readonly<Record<string, number>> | undefined
  /** More claims, in the words of the JWT. */
  readonly claims?: Readonly<Record<string, unknown>> | undefined
}

/**
 * An account: a key, which stays, and a JWT, which changes.
 *
 * @category models
 * @since 0.1.0
 */
export interface TestAccount extends NKey {
  readonly name: string
  readonly jwt: string
  readonly options: AccountOptions
  readonly user: (name: string, options?: UserOptions) => Effect.Effect<TestUser>
  /** The same account with a JWT that differs in the given options. Give it to the server by `reload`. */
  readonly change: (options: AccountOptions) => Effect.Effect<TestAccount>
  /** The same account, with all JWTs void that the user, or everybody (`"*"`), was given until now. */
  readonly revoke: (user: TestUser | "*") => Effect.Effect<TestAccount>
}

/**
 * An operator, with its system account.
 *
 * @category models
 * @since 0.1.0
 */
export interface TestOperator extends NKey {
  readonly jwt: string
  readonly systemAccount: TestAccount
  readonly account: (name: string, options?: AccountOptions) => Effect.Effect<TestAccount>
  /** The `operator` option of a test server that knows these accounts and the system account. */
  readonly setup: (...accounts: ReadonlyArray<TestAccount>) => Operator
}

/**
 * Makes an operator.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: (
  options?: { readonly name?: string | undefined }
) => Effect.Effect<TestOperator, PackageMissing> = Effect.fnUntraced(function*(options) {
  const library = yield* loadJwtLibrary
  const key = newKey(library, "operator")
  const systemAccount = yield* makeAccount(library, key, newKey(library, "account"), "SYS", {})
  const jwt = yield* Effect.promise(() =>
    library.encodeOperator(options?.name ?? "test", encodeText(key.seed), { system_account: systemAccount.publicKey })
  )
  return {
    ...key,
    jwt,
    systemAccount,
    account: (name, accountOptions) =>
      Effect.suspend(() => makeAccount(library, key, newKey(library, "account"), name, accountOptions ?? {})),
    setup: (...accounts) => ({
      jwt,
      systemAccount: systemAccount.publicKey,
      accounts: [systemAccount, ...accounts].map((account) => ({ id: account.publicKey, jwt: account.jwt }))
    })
  }
})

/**
 * Makes an nkey, of a user by default: the server takes its public key as `users: [{ nkey }]`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const nkey = (
  kind: "user" | "account" | "operator" | "server" | "curve" = "user"
): Effect.Effect<NKey, PackageMissing> => Effect.map(loadJwtLibrary, (library) => newKey(library, kind))

// internal

const makeAccount = Effect.fnUntraced(function*(
  library: JwtLibrary,
  operator: NKey,
  key: NKey,
  name: string,
  options: AccountOptions
): Effect.fn.Return<TestAccount> {
  const change = (changes: AccountOptions): Effect.Effect<TestAccount> =>
    makeAccount(library, operator, key, name, { ...options, ...changes })
  return {
    ...key,
    name,
    jwt: yield* accountJwt(library, operator, key, name, options),
    options,
    user: (userName, userOptions) => makeUser(library, key, userName, userOptions ?? {}),
    change,
    revoke: (user) =>
      Effect.suspend(() =>
        change({ revocations: { ...options.revocations, [user === "*" ? "*" : user.publicKey]: nowInSeconds() } })
      )
  }
})

const makeUser = Effect.fnUntraced(function*(
  library: JwtLibrary,
  account: NKey,
  name: string,
  options: UserOptions
): Effect.fn.Return<TestUser> {
  const key = options.nkey ?? newKey(library, "user")
  const jwt = yield* userJwt(library, account, key.publicKey, name, options)
  return { publicKey: key.publicKey, seed: key.seed, name, jwt, creds: userCreds(library, jwt, key.seed) }
})
