/**
 * The transport between the runners of a cluster, over `NatsRpc`: a subject for each runner, named by its address. A runner
 * needs no open port and no address that others can reach: host and port of its `RunnerAddress` are a name.
 *
 * It is core NATS and stands without JetStream, so that it can go with any `MessageStorage` and `RunnerStorage`, those of
 * `effect/cluster` over SQL as well. `NatsCluster.layer` has it all in one.
 *
 * ```ts
 * import { Layer } from "effect"
 * import { MessageStorage, RunnerHealth, RunnerServer, RunnerStorage, ShardingConfig } from "effect/cluster"
 * import { RpcSerialization } from "effect/rpc"
 * import { NatsClient } from "effect-nats"
 * import { NatsRunners } from "effect-nats/cluster"
 *
 * const Runner = RunnerServer.layerWithClients.pipe(
 *   Layer.provide([
 *     NatsRunners.layerClientProtocol({ prefix: "shop" }),
 *     NatsRunners.layerServerProtocol({ prefix: "shop" })
 *   ]),
 *   Layer.provide([MessageStorage.layerNoop, RunnerStorage.layerMemory, RunnerHealth.layerNoop]),
 *   Layer.provide([
 *     ShardingConfig.layer(),
 *     RpcSerialization.layerSchemaBinary(),
 *     NatsClient.layer({ servers: "nats://127.0.0.1:4222" })
 *   ])
 * )
 * ```
 *
 * Users' permissions: a runner subscribes to `<prefix>.x.r.<runner>`, to `<prefix>.x.r.<runner>.>` and to
 * `<prefix>.x.h.<runner>`, and publishes to `<prefix>.x.>` and to inboxes; who only calls needs the same without the
 * subscriptions.
 *
 * @since 0.2.0
 */
import type { RunnerAddress } from "effect/cluster/RunnerAddress"
import * as Runners from "effect/cluster/Runners"
import { ShardingConfig } from "effect/cluster/ShardingConfig"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as RpcSerialization from "effect/rpc/RpcSerialization"
import * as RpcServer from "effect/rpc/RpcServer"
import type * as Scope from "effect/Scope"
import type { NatsClient } from "../NatsClient.ts"
import type { SubscribeError } from "../NatsError.ts"
import * as NatsListener from "../NatsListener.ts"
import { makeServerProtocol as makeRpcServerProtocol, serverDefaults } from "../service/internal/rpcServer.ts"
import * as NatsRpc from "../service/NatsRpc.ts"
import { clusterStream, runnerToken } from "./internal/clusterStream.ts"

/**
 * @category options
 * @since 0.2.0
 */
export interface Options {
  /** Names the cluster: its runners call each other. Any text. */
  readonly prefix: string
}

/**
 * A call that a runner was killed with before it said a word is given up after four seconds, and its answer is looked for at the
 * shard's next owner, which has taken over by then.
 */
const pings = { pingInterval: "1 second", maxPingOut: 3 } as const

/** Where a runner is called. */
const callSubject = (prefix: string, address: RunnerAddress): string =>
  clusterStream({ prefix }).live("r", runnerToken(address))

/**
 * The protocol of `layerClientProtocol`.
 *
 * @category constructors
 * @since 0.2.0
 */
export const makeClientProtocol: (options: Options) => Effect.Effect<
  Runners.RpcClientProtocol["Service"],
  never,
  NatsClient | RpcSerialization.RpcSerialization
> = Effect.fnUntraced(function*({ prefix }) {
  const context = yield* Effect.context<NatsClient | RpcSerialization.RpcSerialization>()
  const { codecFor } = Context.get(context, RpcSerialization.RpcSerialization)
  return {
    codecFor,
    make: (address) =>
      NatsRpc.makeClientProtocol({ subject: callSubject(prefix, address), ...pings }).pipe(
        Effect.provideContext(context),
        // Its subject is made of checked tokens; what is wrong with an inbox is told to each call.
        Effect.orDie
      )
  }
})

/**
 * Calls other runners. A runner that has gone is noticed at once, by NATS or by its silence (see
 * `NatsRpc.layerClientProtocol`), and its calls fail with `RunnerUnavailable`, which `Sharding` tries again at the shard's
 * owner. So do those that a runner interrupts because it stops: a caller is interrupted by nobody but itself.
 *
 * @category layers
 * @since 0.2.0
 */
export const layerClientProtocol = (
  options: Options
): Layer.Layer<Runners.RpcClientProtocol, never, NatsClient | RpcSerialization.RpcSerialization> =>
  Layer.effect(Runners.RpcClientProtocol, makeClientProtocol(options))

/**
 * The protocol of `layerServerProtocol`, for as long as the scope.
 *
 * @category constructors
 * @since 0.2.0
 */
export const makeServerProtocol: (options: Options) => Effect.Effect<
  RpcServer.Protocol["Service"],
  SubscribeError,
  NatsClient | RpcSerialization.RpcSerialization | ShardingConfig | Scope.Scope
> = Effect.fnUntraced(function*({ prefix }) {
  const { runnerAddress } = yield* ShardingConfig
  if (Option.isNone(runnerAddress)) {
    return yield* Effect.die(new TypeError("a runner needs a `runnerAddress` in its ShardingConfig"))
  }
  const address = runnerAddress.value
  const protocol = yield* makeRpcServerProtocol({
    subject: callSubject(prefix, address),
    ...serverDefaults,
    drainTimeout: undefined,
    // Sharding interrupts those who wait for a reply when its runner stops: the shard's next owner has it for them.
    interruption: "end"
  })
  yield* NatsListener.make(
    clusterStream({ prefix }).live("h", runnerToken(address)),
    NatsListener.replying(() => Effect.succeed(""))
    // It has none.
  ).pipe(Effect.catchTag("InvalidOption", Effect.die))
  return protocol
})

/**
 * Hears the calls for the runner of `ShardingConfig.runnerAddress`, and answers `NatsRunnerHealth`. Built when the server has
 * the subscriptions; it ends as `NatsRpc.layerServerProtocol` does. Dies where the config has no `runnerAddress`.
 *
 * Two processes with one address would take each other's calls: `NatsRunnerStorage` sees to it that there is one.
 *
 * @category layers
 * @since 0.2.0
 */
export const layerServerProtocol = (
  options: Options
): Layer.Layer<
  RpcServer.Protocol,
  SubscribeError,
  NatsClient | RpcSerialization.RpcSerialization | ShardingConfig
> => Layer.effect(RpcServer.Protocol, makeServerProtocol(options))
