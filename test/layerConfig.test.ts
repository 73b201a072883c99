/** What a layer of variables says when they are missing or wrong. Nothing is dialled here. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Config, ConfigProvider, Effect, Exit, Layer, Schema } from "effect"
import { NatsClient, NatsConfig } from "effect-nats"
import { rendered } from "./fixtures/rendered.ts"

/** The failure of a layer with these variables. */
const failure = <E>(layer: Layer.Layer<NatsClient.NatsClient, E>, env: Readonly<Record<string, string>>) =>
  Effect.scoped(Effect.flip(Layer.build(layer))).pipe(
    Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env }))
  )

const problems = <E>(layer: Layer.Layer<NatsClient.NatsClient, E>, env: Readonly<Record<string, string>>) =>
  Effect.map(failure(layer, env), (error) => {
    assert(error instanceof NatsConfig.NatsConfigError)
    return error.problems.map(({ path, problem }) => `${path} ${problem}`)
  })

const setIt = "set it, or give a default with Config.withDefault"

const layer = NatsClient.layerConfig({
  servers: Config.String("BROKER"),
  auth: Config.all({ user: Config.String("BROKER_USER"), password: Config.Redacted("BROKER_PASSWORD") }),
  connectTimeout: Config.withDefault(Config.Duration("PATIENCE"), undefined),
  tls: { caFile: Config.String("BROKER_CA") }
})

describe("NatsClient.layerConfig", () => {
  it.effect("names every variable that is not set, the option it is for, and what to do", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* problems(layer, { BROKER_USER: "john", BROKER_CA: "" }), [
        `BROKER is not set, and is needed for \`servers\`: ${setIt}`,
        `BROKER_PASSWORD is not set, and is needed for \`auth\`: ${setIt}`,
        `BROKER_CA is not set, and is needed for \`tls.caFile\`: ${setIt}`
      ])
      const error = yield* failure(NatsClient.layerConfig({ servers: Config.String("BROKER") }), {})
      assert.strictEqual(
        error.message,
        "The NATS configuration (options) is invalid: BROKER: is not set, and is needed for `servers`: set it, or give a default with Config.withDefault."
      )
    }))

  it.effect("names the variables that do not fit, and shows no value", () =>
    Effect.gen(function*() {
      const env = {
        BROKER: "tls://127.0.0.1:1",
        BROKER_USER: "john",
        BROKER_PASSWORD: "canary-1",
        BROKER_CA: "ca.pem",
        PATIENCE: "canary-2"
      }
      const error = yield* failure(layer, env)
      assert(error._tag === "NatsConfigError")
      assert.deepStrictEqual(error.problems.map(({ path }) => path), ["PATIENCE"])
      assert.include(error.message, "PATIENCE: is wrong for `connectTimeout`: expected a valid Duration string")
      assert.notInclude(yield* rendered(error), "canary")
      assert.isFalse(error.isRetryable)
    }))

  it.effect("names the option where the variable is read and its value is no option", () =>
    Effect.gen(function*() {
      const layer = NatsClient.layerConfig({ servers: Config.Redacted("BROKER") })
      assert.deepStrictEqual(yield* problems(layer, { BROKER: "http://john:canary@x" }), [
        "servers has the scheme http://: use ws:// or wss:// for a WebSocket, nats:// or tls:// for all else"
      ])
    }))

  it.effect("takes a Config of everything, with all that is wrong with it", () =>
    Effect.gen(function*() {
      const env = { NATS_NO_ECHO: "perhaps", NATS_CONNECT_TIMEOUT: "soon" }
      assert.deepStrictEqual(yield* problems(NatsClient.layerConfig(NatsConfig.config()), env), [
        "NATS_CONNECT_TIMEOUT must be a duration, such as \"5 seconds\" or a number of milliseconds",
        "NATS_NO_ECHO must be true or false, and is text"
      ])
      const whole = NatsClient.layerConfig(Config.schema(Schema.Struct({ name: Schema.String })))
      assert.deepStrictEqual(yield* problems(whole, {}), [" is wrong: expected object"])
      assert.deepStrictEqual(yield* problems(whole, { OTHER: "1" }), [`name is not set, and is needed: ${setIt}`])
    }))

  it.effect("is a ConfigError where the variables cannot be read at all", () =>
    Effect.gen(function*() {
      const broken = ConfigProvider.make(() =>
        Effect.fail(new ConfigProvider.SourceError({ message: "the vault is sealed" }))
      )
      const error = yield* Effect.scoped(Effect.flip(Layer.build(layer))).pipe(
        Effect.provideService(ConfigProvider.ConfigProvider, broken)
      )
      assert.strictEqual(error._tag, "ConfigError")
      assert.include(error.message, "the vault is sealed")
    }))

  it.effect("judges values that came without types as `layer` does, and needs none", () =>
    Effect.gen(function*() {
      const untyped = NatsClient.layerConfig as (options?: unknown) => ReturnType<typeof NatsClient.layer<never>>
      for (
        const options of [
          null,
          "nats://127.0.0.1:1",
          [],
          { servers: ["http://127.0.0.1:1"] },
          { servers: "nats://127.0.0.1:1", connectTimeout: "soon" },
          { tls: "require" },
          { auth: new Map([["user", "john"]]) }
        ]
      ) {
        const error = yield* failure(untyped(options), {})
        assert(error._tag === "NatsConfigError")
        assert.strictEqual(error.message, (yield* failure(NatsClient.layer(options as never), {})).message)
      }
      // A port that no server has: what was given is taken.
      assert.strictEqual((yield* failure(untyped({ servers: "nats://127.0.0.1:1" }), {}))._tag, "ConnectionRefused")
      // The default address, where somebody may listen or not.
      const exit = yield* Effect.exit(Effect.scoped(Layer.build(untyped())))
      assert(Exit.isSuccess(exit) || !Cause.hasDies(exit.cause))
    }))
})
