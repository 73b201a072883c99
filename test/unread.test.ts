/** Variables that other clients and tools read, and this one does not. */
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Equal, Logger, Result } from "effect"
import { type ConnectError, NatsClient, NatsConfig, NatsLayer } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"

const canary = "canary-51c7"

/** The lines of the log at Warn, and what came of it. */
const told = <A, E, R>(provider: ConfigProvider.ConfigProvider, effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const lines: Array<string> = []
    const logger = Logger.make(({ logLevel, message }) => {
      if (logLevel === "Warn") lines.push(String(message))
    })
    return Effect.map(Effect.result(effect), (result) => ({ lines, result })).pipe(
      Effect.provide(Logger.layer([logger])),
      Effect.provideService(ConfigProvider.ConfigProvider, provider)
    )
  })

const env = (variables: Record<string, string>) => ConfigProvider.fromEnv({ env: variables })

const build = NatsClient.NatsClient.pipe(Effect.provide(NatsLayer.fromEnv()), Effect.scoped)

/** What is read in place of each. */
const inPlaceOf: Readonly<Record<string, string>> = {
  SERVERS: "URL",
  SERVER: "URL",
  USERNAME: "USER",
  PASS: "PASSWORD",
  CREDENTIALS: "CREDS_FILE",
  TLS: "TLS_MODE",
  CA: "TLS_CA_FILE",
  CERT: "TLS_CERT_FILE",
  KEY: "TLS_KEY_FILE",
  NKEY: "NKEY_SEED, or NATS_CREDS_FILE for a path"
}

describe("a variable that is set and not read", () => {
  for (const [other, name] of Object.entries(inPlaceOf)) {
    it.effect(`is told when it is NATS_${other}, with the prefix that is asked for`, () =>
      Effect.gen(function*() {
        for (const prefix of ["NATS", "ORDERS_NATS"]) {
          const provider = env({ [`${prefix}_${other}`]: canary, [`${prefix}_NAME`]: "orders" })
          const configs: ReadonlyArray<Effect.Effect<NatsConfig.NatsConfig, unknown>> = [
            NatsConfig.fromEnv({ prefix }),
            NatsConfig.config({ prefix })
          ]
          for (const config of configs) {
            const { lines, result } = yield* told(provider, config)
            assert.isTrue(Equal.equals(Result.getOrThrow(result), yield* NatsConfig.decode({ name: "orders" })))
            assert.deepStrictEqual(lines, [
              `Set, and not read: ${prefix}_${other} (use ${prefix}_${name.replace("NATS", prefix)}).`
            ])
          }
        }
        const { lines } = yield* told(env({ [`NATS_${other}`]: canary }), NatsConfig.fromEnv({ prefix: "ORDERS" }))
        assert.deepStrictEqual(lines, [])
      }))
  }

  const silent: ReadonlyArray<readonly [string, Record<string, string>]> = [
    ["empty", { NATS_SERVERS: "", NATS_PASS: " " }],
    ["what Kubernetes sets for a service named nats", {
      NATS_PORT: "tcp://10.0.0.1:4222",
      NATS_SERVICE_HOST: "10.0.0.1",
      NATS_SERVICE_PORT: "4222",
      NATS_PORT_4222_TCP: "tcp://10.0.0.1:4222",
      NATS_PORT_4222_TCP_ADDR: "10.0.0.1",
      NATS_TLS_SERVICE_HOST: "10.0.0.2",
      NATS_SERVER_SERVICE_HOST: "10.0.0.3",
      NATS_SERVER_PORT_4222_TCP_ADDR: "10.0.0.3"
    }],
    ["only like them", { NATS_SERVERLIST: "a", NATS_PASSWD: "a", nats_servers: "a", SERVERS: "a", NATS_URLS: "a" }],
    ["the program of a test", { NATS_SERVER: "/usr/sbin/nats-server" }]
  ]
  for (const [what, variables] of silent) {
    it.effect(`is not told when it is ${what}`, () =>
      Effect.gen(function*() {
        const { lines, result } = yield* told(env(variables), NatsConfig.fromEnv())
        assert.isTrue(Result.isSuccess(result))
        assert.deepStrictEqual(lines, [])
      }))
  }

  it.effect("is found through whatever lists its keys, and leaves a provider that lists none alone", () =>
    Effect.gen(function*() {
      const { fromUnknown, make, makeValue, nested, orElse } = ConfigProvider
      const asked: Array<string> = []
      const listsNone = make((path) => {
        asked.push(path.join("."))
        return path.join(".") === "NATS_SERVERS" ? Effect.succeed(makeValue("a")) : Effect.succeed(undefined)
      })
      const fails = make((path) =>
        path.length === 0 || path[0] === "NATS_SERVERS"
          ? Effect.fail(new ConfigProvider.SourceError({ message: "not here" }))
          : Effect.succeed(undefined)
      )
      const object = fromUnknown({ NATS_SERVERS: "a", NATS_TLS: { mode: "a" } })
      const found: ReadonlyArray<readonly [ConfigProvider.ConfigProvider, number]> = [
        [object, 1],
        [nested(fromUnknown({ app: { NATS_SERVERS: "a" } }), "app"), 1],
        [ConfigProvider.constantCase(env({ NATS_SERVERS: "a" })), 1],
        [orElse(fromUnknown({ other: 1 }), env({ NATS_SERVERS: "a" })), 1],
        [listsNone, 0],
        [fails, 0]
      ]
      for (const [provider, count] of found) {
        const { lines, result } = yield* told(provider, NatsConfig.fromEnv())
        assert.isTrue(Result.isSuccess(result))
        assert.lengthOf(lines, count)
      }
      assert.include(asked, "NATS_URL")
      assert.notInclude(asked, "NATS_SERVERS")
    }))

  it.effect("is told in a NatsConfigError and a ConfigError, too", () =>
    Effect.gen(function*() {
      const provider = env({ NATS_USER: "john", NATS_PASS: canary })
      const { lines, result } = yield* told(provider, NatsConfig.fromEnv())
      assert.lengthOf(lines, 1)
      assert.strictEqual(
        Result.isFailure(result) ? result.failure.message : "",
        "The NATS configuration (environment NATS_*) is invalid: NATS_PASSWORD: is missing; NATS_PASS: is set, and not " +
          "read: use NATS_PASSWORD."
      )
      const error = yield* Effect.flip(NatsConfig.config().parse(provider))
      assert.include(error.message, "use NATS_PASSWORD")
      assert.notInclude(`${error.message}${lines.join()}`, canary)
    }))

  it.live("is told by the failure of the first connect, and changes nothing else of it", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ users: [{ user: "john", password: canary }] })
      const failure = (variables: Record<string, string>) =>
        Effect.map(told(env({ NATS_URL: server.url, ...variables }), build), ({ lines, result }) => {
          assert.lengthOf(lines, Object.keys(variables).length > 0 ? 1 : 0)
          return (result as Result.Failure<never, ConnectError.ConnectError>).failure
        })
      const without = yield* failure({})
      const refused = yield* failure({ NATS_USERNAME: "john", NATS_PASS: canary })
      assert.strictEqual(refused._tag, "AuthorizationViolation")
      assert.strictEqual(
        refused.message,
        `${without.message} Set, and not read: NATS_USERNAME (use NATS_USER), NATS_PASS (use NATS_PASSWORD).`
      )
      assert.isTrue(Equal.equals(refused, yield* failure({ NATS_USERNAME: "j", NATS_PASS: "p" })))
      const json = (error: unknown) => JSON.parse(JSON.stringify(error))
      assert.deepStrictEqual(json(refused), { ...json(without), message: refused.message })
      yield* server.kill
      // A configuration that is decoded can be given as options.
      for (const layer of [NatsLayer.fromEnv(), NatsClient.layerConfig(NatsConfig.config())]) {
        const asked = Effect.scoped(Effect.provide(NatsClient.NatsClient, layer))
        const { lines, result } = yield* told(env({ NATS_URL: server.url, NATS_CA: "/ca.pem" }), asked)
        assert.lengthOf(lines, 1)
        const error = Result.isFailure(result) ? (result.failure as { readonly message: string }).message : ""
        assert.match(error, / Set, and not read: NATS_CA \(use NATS_TLS_CA_FILE\)\.$/)
      }
      const nobody = yield* failure({ NATS_SERVERS: server.url })
      assert.strictEqual(nobody._tag, "ConnectionRefused")
      assert.include(nobody.message, "Set, and not read: NATS_SERVERS (use NATS_URL).")
      const several = yield* failure({ NATS_URL: `${server.url},nats://127.0.0.2:${server.port}`, NATS_CA: "/ca.pem" })
      assert.lengthOf(several.attempts ?? [], 2)
      assert.include(several.message, "NATS_CA (use NATS_TLS_CA_FILE).")
    }))

  it.live("is told where the client waits for its first session, once in each error, and not after that", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ users: [{ user: "john", password: canary }] })
      const variables = {
        NATS_URL: server.url,
        NATS_PASS: canary,
        NATS_RECONNECT_ON_FIRST_CONNECT: "wait",
        NATS_RECONNECT_INITIAL_DELAY: "5 millis",
        NATS_RECONNECT_MAX_ATTEMPTS: "4"
      }
      const { lines, result } = yield* told(env(variables), build)
      const { failure } = result as Result.Failure<never, ConnectError.ConnectError>
      for (const text of [failure.message, lines[1]]) assert.lengthOf(text.split("NATS_PASS "), 2)
      assert.match(lines[1], /^Waiting for NATS: .*NATS_PASS /)

      const good = { ...variables, NATS_USER: "john", NATS_PASSWORD: canary, NATS_USERNAME: "john" }
      const later = yield* told(
        env(good),
        Effect.scoped(
          Effect.gen(function*() {
            const nats = yield* NatsClient.NatsClient
            yield* server.kill
            return yield* Effect.flip(nats.closed)
          }).pipe(Effect.provide(NatsLayer.fromEnv()))
        )
      )
      const end = Result.getOrThrow(later.result)
      assert.strictEqual(end.reason?._tag, "ConnectionRefused")
      assert.notInclude(end.reason?.message, "NATS_PASS")
    }))
})
