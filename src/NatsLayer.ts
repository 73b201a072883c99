/**
 * The front door: a `NatsClient` from outside input. What comes in is decoded first, then connected.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { NatsClient, NatsLayer } from "effect-nats"
 *
 * // NATS_URL, NATS_USER, NATS_PASSWORD and so on:
 * const program = Effect.gen(function*() {
 *   const nats = yield* NatsClient.NatsClient
 *   yield* nats.publish("greet", "hello")
 * }).pipe(Effect.provide(NatsLayer.fromEnv()))
 * ```
 *
 * For options that are written in code, `NatsClient.layer` does the same and type-checks them.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { ConnectError } from "./ConnectError.ts"
import * as NatsClient from "./NatsClient.ts"
import * as NatsConfig from "./NatsConfig.ts"

const connect = <E>(
  decoded: Effect.Effect<NatsConfig.NatsConfig, E>
): Layer.Layer<NatsClient.NatsClient, E | ConnectError | NatsConfig.NatsConfigError> =>
  Layer.effect(NatsClient.NatsClient, Effect.flatMap(decoded, (config) => NatsClient.make(config)))

/**
 * A client of a decoded configuration. It is closed with the layer's scope.
 *
 * @category layers
 * @since 0.1.0
 */
export const fromConfig = (
  config: NatsConfig.NatsConfig
): Layer.Layer<NatsClient.NatsClient, ConnectError | NatsConfig.NatsConfigError> => connect(Effect.succeed(config))

/**
 * A client of a value of which nothing is known, such as parsed JSON. `NatsConfigError` names every problem of it at its
 * path; nothing is dialled then. `source` is what that error calls the value, by default `options`.
 *
 * @category layers
 * @since 0.1.0
 */
export const fromUnknown = (
  input: unknown,
  source?: string
): Layer.Layer<NatsClient.NatsClient, ConnectError | NatsConfig.NatsConfigError> =>
  connect(NatsConfig.decode(input, source))

/**
 * A client of the environment variables that `NatsConfig.config` describes, read through the `ConfigProvider` in use when
 * the layer is built. `NatsConfigError` names variables.
 *
 * @category layers
 * @since 0.1.0
 */
export const fromEnv = (
  options?: NatsConfig.EnvironmentOptions
): Layer.Layer<NatsClient.NatsClient, ConnectError | NatsConfig.NatsConfigError> => connect(NatsConfig.fromEnv(options))

/**
 * A client of a JSON file, which is read once, when the layer is built. `NatsConfigError` names the file and the place in
 * it, also when it cannot be read.
 *
 * @category layers
 * @since 0.1.0
 */
export const fromFile = (
  path: string
): Layer.Layer<NatsClient.NatsClient, ConnectError | NatsConfig.NatsConfigError> => connect(NatsConfig.fromFile(path))
