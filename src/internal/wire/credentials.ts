/**
 * Credentials as one dial uses them: files read, creds text parsed, JWT times known.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { type AuthMethod, CredentialsExpired, CredentialsInvalid, CredentialsUnavailable } from "../../ConnectError.ts"
import type { AuthSource, NatsAuth } from "../../NatsAuth.ts"
import { checkCreds, decodeAuth } from "../config/auth.ts"
import { decodePlain } from "../config/codec.ts"
import * as defaults from "../config/defaults.ts"
import { inVariables } from "../config/environment.ts"
import { prefixOf } from "../config/origin.ts"
import { decodeJwt } from "../identity/jwt.ts"
import { formatPath } from "../payload/formatPath.ts"
import { readSecretFile } from "./secretFile.ts"

export interface Credentials {
  readonly method: AuthMethod
  readonly user?: string | undefined
  readonly password?: Redacted.Redacted | undefined
  readonly token?: Redacted.Redacted | undefined
  /** NKey seed, of an NKey user or of the user that `jwt` is for. Absent for a bearer JWT. */
  readonly seed?: Redacted.Redacted | undefined
  readonly jwt?: Redacted.Redacted | undefined
  /** The JWT's `exp`, in milliseconds since the epoch. */
  readonly expiresAt?: number | undefined
  /** The JWT's `nbf`, in milliseconds since the epoch. */
  readonly notBefore?: number | undefined
  /** Where they came from, for messages. Never the content. */
  readonly source: string
}

export type CredentialsError = CredentialsInvalid | CredentialsExpired | CredentialsUnavailable

/**
 * The server judges a JWT by its own clock. Ours may be off by so many milliseconds, either way, before we take our word
 * for the server's.
 */
const leeway = 60_000

/** What a server would surely say of the times of a JWT. `now` is in milliseconds since the epoch. */
export const timesProblem = (
  { expiresAt, method, notBefore, source }: Credentials,
  now: number
): CredentialsExpired | undefined =>
  expiresAt !== undefined && expiresAt + leeway <= now
    ? new CredentialsExpired({ method, source, notYetValid: false, at: expiresAt })
    : notBefore !== undefined && notBefore - leeway > now
    ? new CredentialsExpired({ method, source, notYetValid: true, at: notBefore })
    : undefined

/** Refuses a JWT that the server would refuse for its times. */
export const checkTimes = (credentials: Credentials): Effect.Effect<Credentials, CredentialsExpired> =>
  Effect.flatMap(Clock.currentTimeMillis, (now) => {
    const problem = timesProblem(credentials, now)
    return problem === undefined ? Effect.succeed(credentials) : Effect.fail(problem)
  })

const fromCreds = (
  method: "Creds" | "CredsFile",
  text: string,
  source: string
): Effect.Effect<Credentials, CredentialsError> => {
  const checked = checkCreds(text)
  if ("problem" in checked) {
    const { line, problem } = checked
    return Effect.fail(new CredentialsInvalid({ method, source, problem, ...(line === undefined ? {} : { line }) }))
  }
  const { claims, jwt, seed } = checked
  return checkTimes({
    method: jwt === undefined ? "NKey" : method,
    source,
    expiresAt: claims.expiresAt,
    notBefore: claims.notBefore,
    ...(jwt === undefined ? {} : { jwt: Redacted.make(jwt, { label: "jwt" }) }),
    ...(seed === undefined ? {} : { seed: Redacted.make(seed, { label: "seed" }) })
  })
}

/**
 * What a dial sends. Reads a creds file once, so that a rotation cannot mix two files, for at most `timeout`. `source` is
 * what errors call the place of an inline value; those of variables are called by them.
 */
export const resolveCredentials = (
  auth: NatsAuth,
  timeout: Duration.Duration = defaults.config.connectTimeout,
  source = "auth"
): Effect.Effect<Credentials, CredentialsError> => {
  const prefix = prefixOf(auth)
  const named = (key: string): string =>
    prefix === undefined ? `${source}.${key}` : inVariables(prefix, "auth", `\`${key}\``)
  switch (auth._tag) {
    case "Anonymous":
      return Effect.succeed({ method: "Anonymous", source })
    case "UserPassword":
      return Effect.succeed({ method: "UserPassword", user: auth.user, password: auth.password, source })
    case "Token":
      return Effect.succeed({ method: "Token", token: auth.token, source })
    case "NKey":
      return Effect.succeed({ method: "NKey", seed: auth.seed, source: named("seed") })
    case "Jwt": {
      const claims = decodeJwt(Redacted.value(auth.jwt))
      return typeof claims === "string"
        ? Effect.fail(new CredentialsInvalid({ method: "Jwt", source: named("jwt"), problem: claims }))
        : checkTimes({
          method: "Jwt",
          jwt: auth.jwt,
          seed: auth.seed,
          expiresAt: claims.expiresAt,
          notBefore: claims.notBefore,
          source: named("jwt")
        })
    }
    case "Creds":
      return Effect.suspend(() => fromCreds("Creds", Redacted.value(auth.creds), named("creds")))
    case "CredsFile":
      return readSecretFile(auth.path, { secret: true, option: named("path"), timeout }).pipe(
        Effect.mapError(({ cause, problem }) =>
          new CredentialsUnavailable({ source: auth.path, problem, ...(cause === undefined ? {} : { cause }) })
        ),
        Effect.flatMap((text) => fromCreds("CredsFile", text, auth.path))
      )
  }
}

const effectSource = "the Effect given as auth"

// As programs name classes and tags. What is written into one at run time mostly looks otherwise: a key, a token, a sentence.
const isName = (value: unknown): value is string =>
  typeof value === "string" && value.length <= 64 && value.replace(/\D/g, "").length <= 3 &&
  /^([\w@~-]{1,32}[/.:])*[\w$]{1,40}$/.test(value)

/** Whether a text repeats a secret of the client that is known already. */
type IsSecret = (text: string) => boolean

const noneKnown: IsSecret = () => false

/** The name of a failure, and nothing of what it holds: anything can stand in it, such as the answer of a vault. */
const nameOf = (error: unknown, isSecret: IsSecret): string => {
  try {
    const { _tag, name } = Object(error) as { readonly _tag?: unknown; readonly name?: unknown }
    if (isName(_tag) && !isSecret(_tag)) return _tag
    if (error instanceof Error) return isName(name) && !isSecret(name) ? name : "an error without a name"
  } catch {
    // A getter of it throws.
  }
  return `a value of type ${typeof error}`
}

const unavailable = (cause: Cause.Cause<unknown>, isSecret: IsSecret): CredentialsUnavailable => {
  const failed = Cause.hasFails(cause)
  const error = Cause.squash(cause)
  const name = nameOf(error, isSecret)
  return new CredentialsUnavailable({
    source: effectSource,
    problem: `it ${failed ? "failed" : "died"} with ${name}`,
    cause: Redacted.make(error, { label: name })
  })
}

/**
 * The form that an Effect given as `auth` yields. Any failure and any defect is `CredentialsUnavailable`, and so is an
 * interruption of its own, as of one that joins a fiber: with it would end who dials, and the client without a word.
 */
export const runAuthSource = <R>(
  auth: AuthSource<R>,
  isSecret: IsSecret = noneKnown
): Effect.Effect<NatsAuth, CredentialsInvalid | CredentialsUnavailable, R> =>
  auth.pipe(
    // Of a dial that is interrupted this is not asked any more.
    Effect.catchCause((cause) =>
      Effect.fail(
        Cause.hasInterruptsOnly(cause)
          ? new CredentialsUnavailable({ source: effectSource, problem: "it was interrupted" })
          : unavailable(cause, isSecret)
      )
    ),
    Effect.flatMap((input): Effect.Effect<NatsAuth, CredentialsInvalid | CredentialsUnavailable> => {
      const decoded = decodePlain(input, decodeAuth)
      if (decoded._tag === "Success") return Effect.succeed(decoded.success)
      const problem = decoded.failure.map(({ path, problem }) => [formatPath(path), problem].join(" ").trim()).join(
        "; "
      )
      const method = methodOf(input)
      return Effect.fail(
        method === undefined
          ? new CredentialsUnavailable({ source: effectSource, problem: `it yielded no form of auth: ${problem}` })
          : new CredentialsInvalid({ method, source: effectSource, problem })
      )
    })
  )

const tagged: ReadonlySet<unknown> = new Set<AuthMethod>([
  "Anonymous",
  "UserPassword",
  "Token",
  "NKey",
  "Jwt",
  "Creds",
  "CredsFile"
])

const methodOf = (input: unknown): AuthMethod | undefined =>
  typeof input === "object" && input !== null && "_tag" in input && tagged.has(input._tag)
    ? input._tag as AuthMethod
    : undefined

/** Whether every dial sends the same: a file may be another one the next time. */
export const isStaticAuth = (auth: NatsAuth): boolean => auth._tag !== "CredsFile"

const late = (timeout: Duration.Duration): CredentialsUnavailable =>
  new CredentialsUnavailable({
    source: "auth",
    problem: `they did not come within ${Duration.toMillis(timeout)} ms, which is \`connectTimeout\``
  })

/** What a dial sends, from a form of `auth` or from an Effect of one. The Effect and a file that it names have `timeout` each. */
export const resolveAuthSource = <R = never>(
  auth: NatsAuth | AuthSource<R>,
  timeout: Duration.Duration = defaults.config.connectTimeout,
  isSecret: IsSecret = noneKnown
): Effect.Effect<Credentials, CredentialsError, R> =>
  Effect.isEffect(auth)
    ? Effect.flatMap(
      Effect.timeoutOrElse(runAuthSource(auth, isSecret), {
        duration: timeout,
        orElse: () => Effect.fail(late(timeout))
      }),
      (form) => resolveCredentials(form, timeout, effectSource)
    )
    : resolveCredentials(auth, timeout)
