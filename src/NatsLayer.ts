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
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import type { ConnectError } from "./ConnectError.ts"
import { Background } from "./internal/operations/background.ts"
import { GivenName, Launched } from "./internal/operations/checked.ts"
import { makeWatched } from "./internal/operations/client.ts"
import * as NatsClient from "./NatsClient.ts"
import * as NatsConfig from "./NatsConfig.ts"
import { BackgroundEnded, type BackgroundReason } from "./NatsError.ts"

export { BackgroundEnded } from "./NatsError.ts"

const connect = <E>(
  decoded: Effect.Effect<NatsConfig.NatsConfig, E>
): Layer.Layer<NatsClient.NatsClient, E | ConnectError> =>
  Layer.effect(NatsClient.NatsClient, Effect.flatMap(decoded, (config) => makeWatched(config)))

/**
 * A client of a decoded configuration, which is taken as it is. It is closed with the layer's scope.
 *
 * @category layers
 * @since 0.1.0
 */
export const fromConfig = (config: NatsConfig.NatsConfig): Layer.Layer<NatsClient.NatsClient, ConnectError> =>
  connect(Effect.succeed(config))

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

/**
 * Builds a layer and keeps it, as `Layer.launch` does, and fails with the first end of what runs in the background: a
 * listener, a typed handler, a service or one of its endpoints, an rpc server, a recorder that a layer of it started, or
 * the client itself. So a program never lives on deaf. Without it each of these ends is one log at level Error.
 *
 * `BackgroundEnded` names the part and has the reason. A listener that has had its `max` messages has done its work and
 * ends nothing. What `make` and `respond` start tells its end with `ended` instead.
 *
 * Interruption, which is what `SIGTERM` does under `NodeRuntime.runMain`, and a failure close the layer: everything is
 * stopped as its own `stop` says.
 *
 * ```ts
 * import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
 * import { Effect, Layer } from "effect"
 * import { NatsLayer, NatsListener } from "effect-nats"
 *
 * const Orders = NatsListener.layer("orders.created", (message) => Effect.log(message.text))
 *
 * NatsLayer.launch(Layer.provide(Orders, NatsLayer.fromEnv())).pipe(NodeRuntime.runMain)
 * ```
 *
 * @category layers
 * @since 0.2.0
 */
export const launch = <ROut, E, RIn>(
  app: Layer.Layer<ROut, E, RIn>
): Effect.Effect<never, E | BackgroundEnded, RIn> =>
  Effect.scoped(Effect.gen(function*() {
    const ended = yield* Deferred.make<never, BackgroundEnded>()
    const built = Effect.provideService(Layer.build(app), Background, (part, cause) => {
      const error = Cause.findErrorOption(cause)
      Deferred.doneUnsafe(
        ended,
        error._tag === "Some"
          ? Exit.fail(new BackgroundEnded({ part, reason: error.value as BackgroundReason }))
          : Exit.failCause(cause as Cause.Cause<never>)
      )
    })
    const launched: Launched = { phase: "starting" }
    const enter = (phase: Launched["phase"]): Effect.Effect<void> =>
      Effect.sync(() => {
        launched.phase = phase
      })
    const running = Effect.provideService(built, Launched, launched).pipe(
      Effect.andThen(enter("running")),
      Effect.andThen(Effect.never)
    )
    // What is there first can end while the rest of the layer still waits for something.
    return yield* Effect.ensuring(Effect.raceFirst(running, Deferred.await(ended)), enter("stopping"))
  }))

/**
 * What a named client has besides its service.
 *
 * @category models
 * @since 0.2.0
 */
export interface NamedClient<Self> {
  /**
   * A layer of this client, from any layer that gives a `NatsClient`: those of this module, `NatsClient.layer`,
   * `layerConfig`. Fails as that one does, and its client drains and closes as that one's when the scope closes. Where the
   * configuration has no `name`, `NatsLayer.launch`, the log of its end and health call the client by the name of this service.
   */
  readonly layerFrom: <E, R>(client: Layer.Layer<NatsClient.NatsClient, E, R>) => Layer.Layer<Self, E, R>
  /**
   * Runs on this client what asks for a `NatsClient`: a layer, an effect or a stream, of any module of this package.
   *
   * A layer is built for this client, also where the same layer is built on another client already, and so is what was
   * provided inside of it. Provide what both are to share outside of it.
   */
  readonly on: {
    <A, E, R>(
      self: Layer.Layer<A, E, R>
    ): Layer.Layer<A, E, Exclude<R, NatsClient.NatsClient> | Self>
    <A, E, R>(
      self: Stream.Stream<A, E, R>
    ): Stream.Stream<A, E, Exclude<R, NatsClient.NatsClient> | Self>
    <A, E, R>(
      self: Effect.Effect<A, E, R>
    ): Effect.Effect<A, E, Exclude<R, NatsClient.NatsClient> | Self>
  }
}

/**
 * A client beside the one that `NatsClient.NatsClient` is: that of a second account. It is a service of its own, which gives
 * the client: `yield* Billing`.
 *
 * @category models
 * @since 0.2.0
 */
export type Named<Self, Id extends string> =
  & Context.ServiceClass<Self, Id, NatsClient.NatsClient>
  & NamedClient<Self>

/**
 * A name for one more client in the same program, as for a second account. The text is the key of the service, and is used
 * once in a program.
 *
 * ```ts
 * import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
 * import { Effect, Layer } from "effect"
 * import { NatsClient, NatsLayer, NatsListener } from "effect-nats"
 *
 * class Billing extends NatsLayer.Named<Billing>()("Billing") {}
 *
 * // From the account of the orders into that of the bills.
 * const Orders = NatsListener.layer("orders.created", (message) =>
 *   Effect.flatMap(Billing, (billing) => billing.publish("bills.due", message.data)))
 * const Bills = Billing.on(NatsListener.layer("bills.paid", (message) => Effect.log(message.text)))
 *
 * const App = Layer.mergeAll(Orders, Bills).pipe(
 *   Layer.provide(NatsLayer.fromEnv()),
 *   Layer.provide(Billing.layerFrom(NatsLayer.fromEnv({ prefix: "BILLING_NATS" })))
 * )
 *
 * NatsLayer.launch(App).pipe(NodeRuntime.runMain)
 * ```
 *
 * @category constructors
 * @since 0.2.0
 */
export const Named = <Self>() => <const Id extends string>(id: Id): Named<Self, Id> => {
  const service = Context.Service<Self, NatsClient.NatsClient>()(id)
  const client = Layer.effect(NatsClient.NatsClient, service)
  // Not memoized: the same layer can stand on another client.
  const on = (
    self:
      | Layer.Layer<unknown, unknown, unknown>
      | Stream.Stream<unknown, unknown, unknown>
      | Effect.Effect<unknown, unknown, unknown>
  ): unknown =>
    Layer.isLayer(self)
      ? Layer.provide(Layer.fresh(self), client)
      : Stream.isStream(self)
      ? Stream.provideServiceEffect(self, NatsClient.NatsClient, service)
      : Effect.provideServiceEffect(self, NatsClient.NatsClient, service)
  return Object.assign(service, {
    layerFrom: <E, R>(from: Layer.Layer<NatsClient.NatsClient, E, R>) =>
      Layer.effect(service, NatsClient.NatsClient).pipe(
        Layer.provide(from),
        Layer.provide(Layer.succeed(GivenName, id))
      ),
    on: on as NamedClient<Self>["on"]
  })
}
