/**
 * AsyncAPI 3 documents of services: what to publish for those who call a service without its source.
 *
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { AsyncApi } from "effect-nats/service"
 * import { Rpc, RpcGroup } from "effect/rpc"
 *
 * const Orders = RpcGroup.make(
 *   Rpc.make("total", { payload: { prices: Schema.Array(Schema.Finite) }, success: Schema.Finite })
 * )
 *
 * const text = AsyncApi.make(Orders, { name: "orders", version: "1.0.0" }).pipe(
 *   Effect.map((document) => JSON.stringify(document, undefined, 2))
 * )
 * ```
 *
 * @since 0.2.0
 */
import * as Effect from "effect/Effect"
import type * as Rpc from "effect/rpc/Rpc"
import type * as RpcGroup from "effect/rpc/RpcGroup"
import type * as Schema from "effect/Schema"
import { documentOf } from "./internal/asyncApi.ts"
import * as Contract from "./internal/contract.ts"
import { InvalidService } from "./internal/invalidService.ts"
import type { Unary } from "./NatsService.ts"

/**
 * What a document tells besides the contract.
 *
 * @category options
 * @since 0.2.0
 */
export interface Info {
  /** The service's name, which gives the subjects, and the document's title. */
  readonly name: string
  /** The semantic version of the service. */
  readonly version: string
  /** Default: the name. */
  readonly title?: string | undefined
  /** Default: none. */
  readonly description?: string | undefined
  /** Where the service is found: a name for each, and `host:port`. Default: none. */
  readonly servers?: Readonly<Record<string, string>> | undefined
  /** The queue group of the service, as it is served with. Default `"q"`. */
  readonly queue?: string | false | undefined
}

/**
 * Plain data: JSON as an object.
 *
 * @category models
 * @since 0.2.0
 */
export type Document = { readonly [key: string]: Schema.Json }

/**
 * The document of a service: plain data, ready for `JSON.stringify`.
 *
 * Each endpoint is a channel with its request and an operation that receives it and replies; payloads are JSON Schemas
 * of the group. Fails with `InvalidService` for what `NatsService.layer` refuses.
 *
 * @category constructors
 * @since 0.2.0
 */
export const make = <Rpcs extends Rpc.Any>(
  group: RpcGroup.RpcGroup<Rpcs> & Unary<Rpcs>,
  info: Info
): Effect.Effect<Document, InvalidService> =>
  Effect.suspend(() => {
    const problem = Contract.versionProblem(info.name, info.version)
    const endpoints = problem ?? Contract.endpointsOf<Rpcs>(group, info.name, info.queue)
    return endpoints instanceof InvalidService
      ? Effect.fail(endpoints)
      : Effect.sync(() => documentOf(endpoints, info))
  })
