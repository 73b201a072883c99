/** Credentials as a dial gets them. */
import { assert, describe, it } from "@effect/vitest"
import type { NatsAuth } from "effect-nats"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Ref from "effect/Ref"
import type * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import {
  type Credentials,
  type CredentialsError,
  resolveAuthSource,
  resolveCredentials
} from "../src/internal/wire/credentials.ts"
import { credsText, identity } from "./fixtures/identity.ts"

const john = identity(1)
const jane = identity(2)

const directory: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "effect-nats-"))),
  (directory) => Effect.sync(() => fs.rmSync(directory, { recursive: true }))
)

const write = (file: string, text: string, mode = 0o600): void => {
  fs.writeFileSync(file, text)
  fs.chmodSync(file, mode)
}

const values = (credentials: Credentials): unknown => ({
  method: credentials.method,
  jwt: credentials.jwt && Redacted.value(credentials.jwt),
  seed: credentials.seed && Redacted.value(credentials.seed)
})

const failure = <A>(effect: Effect.Effect<A, CredentialsError>): Effect.Effect<CredentialsError, A> =>
  Effect.flip(effect)

const inSeconds = (seconds: number): number => seconds * 1000

describe("a creds file", () => {
  it.effect("gives its JWT, its seed and its times", () =>
    Effect.gen(function*() {
      const file = path.join(yield* directory, "john.creds")
      const jwt = john.jwt({ exp: 60, nbf: 0 })
      write(file, credsText(jwt, john.seed))
      const credentials = yield* resolveCredentials({ _tag: "CredsFile", path: file })
      assert.deepStrictEqual(values(credentials), { method: "CredsFile", jwt, seed: john.seed })
      assert.strictEqual(credentials.expiresAt, inSeconds(60))
      assert.strictEqual(credentials.source, file)
    }))

  it.effect("is read again every time, so that a rotated one counts", () =>
    Effect.gen(function*() {
      const file = path.join(yield* directory, "rotated.creds")
      const resolve = Effect.map(resolveCredentials({ _tag: "CredsFile", path: file }), values)
      write(file, credsText(john.jwt(), john.seed))
      const before = yield* resolve
      write(file, credsText(jane.jwt(), jane.seed))
      assert.deepStrictEqual(yield* resolve, { method: "CredsFile", jwt: jane.jwt(), seed: jane.seed })
      assert.notDeepEqual(before, yield* resolve)
    }))

  it.effect("with a seed and nothing else is an NKey", () =>
    Effect.gen(function*() {
      const file = path.join(yield* directory, "john.nk")
      write(file, `${john.seed}\n`)
      assert.deepStrictEqual(values(yield* resolveCredentials({ _tag: "CredsFile", path: file })), {
        method: "NKey",
        jwt: undefined,
        seed: john.seed
      })
    }))

  it.effect("that is missing, a directory, too large or without a block is named in the failure", () =>
    Effect.gen(function*() {
      const folder = yield* directory
      const file = path.join(folder, "john.creds")
      const fail = failure(resolveCredentials({ _tag: "CredsFile", path: file }))
      const missing = yield* fail
      assert.strictEqual(missing._tag, "CredentialsUnavailable")
      assert.strictEqual(missing.message, `The credentials could not be had from ${file}: there is no such file.`)
      const isDirectory = yield* failure(resolveCredentials({ _tag: "CredsFile", path: folder }))
      assert.include(isDirectory.message, "it is a directory")
      write(file, "x".repeat(1_048_577))
      const large = yield* fail
      assert.strictEqual(large._tag, "CredentialsUnavailable")
      assert.include(large.message, "larger than 1 MiB")
      write(file, "no blocks")
      const empty = yield* fail
      assert.strictEqual(empty._tag, "CredentialsInvalid")
      assert.include(empty.message, file)
    }))

  it.effect("with the seed of another user is refused at the seed's line", () =>
    Effect.gen(function*() {
      const file = path.join(yield* directory, "mixed.creds")
      write(file, credsText(john.jwt(), jane.seed))
      const error = yield* failure(resolveCredentials({ _tag: "CredsFile", path: file }))
      assert.strictEqual(error._tag, "CredentialsInvalid")
      assert.strictEqual(
        error.message,
        `The credentials from ${file}, line 10 are unusable: the seed is of another user than the JWT.`
      )
    }))
})

describe("a JWT", () => {
  const auth = (claims: Readonly<Record<string, unknown>>): NatsAuth.NatsAuth => ({
    _tag: "Jwt",
    jwt: Redacted.make(john.jwt(claims)),
    seed: Redacted.make(john.seed)
  })

  it.effect("is refused a minute after its exp, and not before: this clock and the server's may differ", () =>
    Effect.gen(function*() {
      const resolve = resolveCredentials(auth({ exp: 60 }))
      yield* TestClock.adjust("119999 millis")
      assert.strictEqual((yield* resolve).expiresAt, inSeconds(60))
      yield* TestClock.adjust("1 millis")
      const error = yield* failure(resolve)
      assert.strictEqual(error._tag, "CredentialsExpired")
      assert.strictEqual(
        error.message,
        "The JWT from auth.jwt expired at 1970-01-01T00:01:00.000Z: issue a new one."
      )
      assert.isFalse(error.isRetryable)
    }))

  it.effect("is refused up to a minute before its nbf, and accepted from then on", () =>
    Effect.gen(function*() {
      const creds = Redacted.make(credsText(john.jwt({ nbf: 120 }), john.seed))
      const forms = [resolveCredentials(auth({ nbf: 120 })), resolveCredentials({ _tag: "Creds", creds })]
      yield* TestClock.adjust("59999 millis")
      for (const resolve of forms) {
        const error = yield* failure(resolve)
        assert.deepInclude(error, { _tag: "CredentialsExpired", notYetValid: true, at: inSeconds(120) })
      }
      yield* TestClock.adjust("1 millis")
      for (const resolve of forms) assert.strictEqual((yield* resolve).notBefore, inSeconds(120))
    }))
})

describe("an Effect given as auth", () => {
  it.effect("is run every time, and yields any form", () =>
    Effect.gen(function*() {
      const runs = yield* Ref.make(0)
      const source = Effect.map(Ref.updateAndGet(runs, (n) => n + 1), (n): NatsAuth.Input =>
        n === 1 ? { user: "john", password: "pw" } : { _tag: "NKey", seed: Redacted.make(john.seed) })
      assert.strictEqual((yield* resolveAuthSource(source)).method, "UserPassword")
      assert.strictEqual((yield* resolveAuthSource(source)).method, "NKey")
    }))

  class VaultDown extends Error {
    readonly _tag = "VaultDown"
  }
  const down = new VaultDown("no route to the vault")
  const failing: ReadonlyArray<readonly [string, NatsAuth.AuthSource, RegExp]> = [
    ["fails", Effect.fail(down), /failed with VaultDown/],
    ["dies", Effect.die(down), /died with VaultDown/],
    [
      "throws",
      Effect.sync(() => {
        throw down
      }),
      /died with VaultDown/
    ]
  ]
  for (const [name, source, expected] of failing) {
    it.effect(`that ${name} is CredentialsUnavailable with the error behind cause`, () =>
      Effect.gen(function*() {
        const error = yield* failure(resolveAuthSource(source))
        assert.strictEqual(error._tag, "CredentialsUnavailable")
        assert.match(error.message, expected)
        assert.strictEqual(Redacted.value(error.cause as Redacted.Redacted<unknown>), down)
        assert.isTrue(error.isRetryable)
      }))
  }

  it.effect("is told by what a class or a tag is named, and by nothing else that stands there", () =>
    Effect.gen(function*() {
      const isSecret = (text: string): boolean => text.includes("Canary")
      const told = (error: unknown) =>
        Effect.map(
          failure(resolveAuthSource(Effect.fail(error), Duration.seconds(5), isSecret)),
          ({ message }) => message
        )
      const withName = (name: string): Error => Object.assign(new Error("no"), { name })
      assert.include(yield* told({ _tag: "@vault/Http.Error_503" }), "failed with @vault/Http.Error_503.")
      for (
        const text of ["no route", "Key4711", `${"a/".repeat(40)}b`, "CanaryPassword", "x".repeat(41), "", "a\u001bb"]
      ) {
        assert.include(yield* told({ _tag: text }), "failed with a value of type object.", text)
        assert.include(yield* told(withName(text)), "failed with an error without a name.", text)
      }
      assert.include(yield* told(Object.assign(withName("VaultError"), { _tag: "CanaryPassword" })), "with VaultError.")
    }))

  it.effect("is named as the source of what it yields", () =>
    Effect.gen(function*() {
      const { source } = yield* resolveAuthSource(Effect.succeed({ _tag: "NKey", seed: Redacted.make(john.seed) }))
      assert.strictEqual(source, "the Effect given as auth.seed")
    }))

  it.effect("that yields a form with a fault is CredentialsInvalid, and what is no form is CredentialsUnavailable", () =>
    Effect.gen(function*() {
      const invalid = yield* failure(resolveAuthSource(Effect.succeed({ _tag: "NKey", seed: "SUX" })))
      assert.deepInclude(invalid, { _tag: "CredentialsInvalid", method: "NKey" })
      assert.include(invalid.message, "seed is no user seed")
      // As code without types yields it.
      const yields = Effect.succeed("a token" as unknown as NatsAuth.Input)
      const nothing = yield* failure(resolveAuthSource(yields))
      assert.strictEqual(nothing._tag, "CredentialsUnavailable")
      assert.notInclude(nothing.message, "a token")
    }))

  it.effect("is interrupted with the dial, and its own interruption is CredentialsUnavailable", () =>
    Effect.gen(function*() {
      const started = yield* Deferred.make<void>()
      const interrupted = yield* Ref.make(false)
      const source = Deferred.succeed(started, undefined).pipe(
        Effect.andThen(Effect.never),
        Effect.onInterrupt(() => Ref.set(interrupted, true))
      )
      const fiber = yield* Effect.forkChild(resolveAuthSource(source))
      yield* Deferred.await(started)
      yield* Fiber.interrupt(fiber)
      assert.isTrue(yield* Ref.get(interrupted))
      const exit = yield* Fiber.await(fiber)
      assert.isTrue(Exit.isFailure(exit) && Exit.hasInterrupts(exit))
      const other = yield* Effect.forkChild(Effect.never)
      yield* Fiber.interrupt(other)
      for (const own of [Effect.interrupt, Fiber.join(other)]) {
        assert.deepInclude(yield* failure(resolveAuthSource(own)), {
          _tag: "CredentialsUnavailable",
          problem: "it was interrupted"
        })
      }
    }))
})
