/** A client from each source, with each method, on a real server. */
import { assert, describe, it } from "@effect/vitest"
import { NatsClient, NatsConfig, NatsLayer } from "effect-nats"
import { TestNatsServer, TestOperator } from "effect-nats/testing"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { encodeUserSeed, userKey } from "../../src/internal/identity/nkey.ts"

interface Method {
  readonly name: string
  readonly server: TestNatsServer.Options
  readonly auth: Readonly<Record<string, string>>
  readonly variables: Readonly<Record<string, string>>
}

const key = new Uint8Array(32).fill(42)

const methods = (directory: string): Effect.Effect<ReadonlyArray<Method>, TestNatsServer.PackageMissing> =>
  Effect.gen(function*() {
    const operator = yield* TestOperator.make()
    const account = yield* operator.account("orders")
    const alice = yield* account.user("alice")
    const bearer = yield* account.user("bob", { bearer: true })
    const file = path.join(directory, "alice.creds")
    fs.writeFileSync(file, alice.creds, { mode: 0o600 })
    const jwtServer: TestNatsServer.Options = { operator: operator.setup(account) }
    return [
      { name: "no credentials", server: {}, auth: { _tag: "Anonymous" }, variables: {} },
      {
        name: "a user and a password",
        server: { users: [{ user: "john", password: "p@ss, word" }] },
        auth: { user: "john", password: "p@ss, word" },
        variables: { USER: "john", PASSWORD: "p@ss, word" }
      },
      { name: "a token", server: { token: "t0k3n" }, auth: { token: "t0k3n" }, variables: { TOKEN: "t0k3n" } },
      {
        name: "an NKey",
        server: { users: [{ nkey: userKey(key).publicKey }] },
        auth: { _tag: "NKey", seed: encodeUserSeed(key) },
        variables: { NKEY_SEED: encodeUserSeed(key) }
      },
      {
        name: "a JWT",
        server: jwtServer,
        auth: { _tag: "Jwt", jwt: alice.jwt, seed: alice.seed },
        variables: { JWT: alice.jwt, NKEY_SEED: alice.seed }
      },
      {
        name: "a bearer JWT",
        server: jwtServer,
        auth: { _tag: "Jwt", jwt: bearer.jwt },
        variables: { JWT: bearer.jwt }
      },
      {
        name: "creds",
        server: jwtServer,
        auth: { _tag: "Creds", creds: alice.creds },
        variables: { CREDS: alice.creds }
      },
      { name: "a creds file", server: jwtServer, auth: { user_credentials: file }, variables: { CREDS_FILE: file } }
    ]
  })

const directory = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "effect-nats-"))),
  (directory) => Effect.sync(() => fs.rmSync(directory, { recursive: true }))
)

const connects = <E>(layer: Layer.Layer<NatsClient.NatsClient, E>): Effect.Effect<void, E> =>
  Effect.gen(function*() {
    const nats = yield* NatsClient.NatsClient
    yield* Effect.orDie(nats.flush)
  }).pipe(Effect.provide(layer))

describe("a layer from outside input", () => {
  it.live(
    "connects with every method from a value, a file and the environment, and not without it",
    () =>
      Effect.gen(function*() {
        const folder = yield* directory
        for (const method of yield* methods(folder)) {
          yield* Effect.scoped(Effect.gen(function*() {
            const { url } = yield* TestNatsServer.make(method.server)
            const input = { servers: url, auth: method.auth }
            const file = path.join(folder, "nats.json")
            fs.writeFileSync(file, JSON.stringify(input))
            const env: Record<string, string> = { APP_URL: url }
            for (const [name, value] of Object.entries(method.variables)) {
              env[`APP_${name}`] = value
            }
            yield* connects(NatsLayer.fromUnknown(input))
            yield* connects(NatsLayer.fromFile(file))
            yield* connects(NatsLayer.fromEnv({ prefix: "APP" })).pipe(
              Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env }))
            )
            if (method.name !== "no credentials") {
              const error = yield* Effect.flip(connects(NatsLayer.fromUnknown({ servers: url })))
              assert.strictEqual(error._tag, "AuthorizationViolation", method.name)
            }
          }))
        }
      }),
    60_000
  )

  it.live("connects with user info of a URL", () =>
    Effect.gen(function*() {
      const { port } = yield* TestNatsServer.make({ users: [{ user: "john", password: "p@ss" }] })
      yield* connects(NatsLayer.fromUnknown({ servers: `nats://john:p%40ss@127.0.0.1:${port}` }))
    }))

  it.live("connects with options of which each is a Config", () =>
    Effect.gen(function*() {
      const { url } = yield* TestNatsServer.make({ users: [{ user: "john", password: "p@ss" }] })
      const layer = NatsClient.layerConfig({
        servers: Config.String("BROKER"),
        name: Config.withDefault(Config.String("CLIENT"), undefined),
        auth: Config.all({ user: Config.String("BROKER_USER"), password: Config.Redacted("BROKER_PASSWORD") }),
        reconnect: Config.all({ initialDelay: Config.Duration("DELAY") })
      })
      const env = { BROKER: url, BROKER_USER: "john", BROKER_PASSWORD: "p@ss", DELAY: "1 second" }
      yield* connects(layer).pipe(
        Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env }))
      )
    }))

  it.live("fails with NatsConfigError before anything is dialled", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(
        connects(NatsLayer.fromUnknown({ servers: "nats://127.0.0.1:1", auth: {} }, "here"))
      )
      assert.deepInclude(error, { _tag: "NatsConfigError", source: "here" })
    }))

  it.live("takes a decoded configuration as it is, without decoding it again", () =>
    Effect.gen(function*() {
      const { url } = yield* TestNatsServer.make()
      const config = yield* NatsConfig.decode({ servers: url })
      // More than can be written.
      yield* connects(NatsLayer.fromConfig({ ...config, maxPingOut: 1_000_000 }))
    }))
})
