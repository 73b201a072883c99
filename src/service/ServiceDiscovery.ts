/**
 * Finds services: who is there, what they offer, how they do. Any service of the NATS micro protocol answers, whatever
 * language it is written in.
 *
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { ServiceDiscovery } from "effect-nats/service"
 *
 * const names = ServiceDiscovery.ping().pipe(
 *   Stream.map((service) => `${service.name} ${service.version}`),
 *   Stream.runCollect
 * )
 *
 * const ofOrders = ServiceDiscovery.stats({ name: "orders" }).pipe(
 *   Stream.runForEach((instance) => Effect.log(instance.id, instance.endpoints))
 * )
 * ```
 *
 * Each gives one element for each instance that answers, as it comes, and ends when no more answers come for `stall`, or
 * after `timeout`. With an `id` it ends with its answer. Where there is no service at all, it fails with `NoResponders`.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { NatsClient } from "../NatsClient.ts"
import type { MessageDecodeError, RequestManyError } from "../NatsError.ts"

/**
 * One instance of a service.
 *
 * @category models
 * @since 0.1.0
 */
export interface Instance {
  /** The kind of service: all instances of it share the name. */
  readonly name: string
  /** Of this instance alone. */
  readonly id: string
  readonly version: string
  readonly metadata: Readonly<Record<string, string>>
}

/**
 * The answer to `$SRV.PING`.
 *
 * @category models
 * @since 0.1.0
 */
export interface PingResponse extends Instance {
  readonly type: "io.nats.micro.v1.ping_response"
}

/**
 * The answer to `$SRV.INFO`.
 *
 * @category models
 * @since 0.1.0
 */
export interface InfoResponse extends Instance {
  readonly type: "io.nats.micro.v1.info_response"
  readonly description: string
  /** Services of `NatsService` leave out those that have ended while the service goes on. */
  readonly endpoints: ReadonlyArray<EndpointInfo>
}

/**
 * One endpoint, as a service describes it.
 *
 * @category models
 * @since 0.1.0
 */
export interface EndpointInfo {
  readonly name: string
  readonly subject: string
  /** Empty when every instance gets every request. */
  readonly queue_group: string
  /** Services of `NatsService` have the JSON Schemas of an endpoint here: `request_schema`, `response_schema`, `error_schema`. */
  readonly metadata: Readonly<Record<string, string>>
}

/**
 * The answer to `$SRV.STATS`.
 *
 * @category models
 * @since 0.1.0
 */
export interface StatsResponse extends Instance {
  readonly type: "io.nats.micro.v1.stats_response"
  /** When the service was started, as an ISO date in UTC. */
  readonly started: string
  readonly endpoints: ReadonlyArray<EndpointStats>
}

/**
 * What an endpoint has done since the service was started, or since its counters were reset.
 *
 * @category models
 * @since 0.1.0
 */
export interface EndpointStats {
  readonly name: string
  readonly subject: string
  /** Empty when every instance gets every request. */
  readonly queue_group: string
  /** Requests received, those in flight included. */
  readonly num_requests: number
  /** Requests that were answered with an error. */
  readonly num_errors: number
  /** Code and description of the last error. Empty when there was none. */
  readonly last_error: string
  /** The time of all answered requests together, from their reading to their answer, in nanoseconds. */
  readonly processing_time: number
  /** `processing_time` for each request, in whole nanoseconds. */
  readonly average_processing_time: number
  /** Whatever the service adds. Services of `NatsService` add nothing. */
  readonly data?: unknown
}

/**
 * Whom to ask, and how long to listen.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  /** The services of this name only. */
  readonly name?: string | undefined
  /** This instance only. Needs `name`. */
  readonly id?: string | undefined
  /** The whole time. Default 2 seconds. */
  readonly timeout?: Duration.Input | undefined
  /** So long without an answer, counted from the first one. Default 300 milliseconds. */
  readonly stall?: Duration.Input | undefined
  /** So many answers at most. Default: one with an `id`, any number without. */
  readonly count?: number | undefined
  /** Instead of `$SRV`, where services of another account are imported under a subject of their own. */
  readonly prefix?: string | undefined
}

/**
 * What a search can fail with.
 *
 * @category errors
 * @since 0.1.0
 */
export type DiscoveryError = RequestManyError | MessageDecodeError

/**
 * The instances that are there.
 *
 * @category discovery
 * @since 0.1.0
 */
export const ping = (options: Options = {}): Stream.Stream<PingResponse, DiscoveryError, NatsClient> =>
  ask("PING", Ping, options, (it) => ({ ...it, metadata: it.metadata ?? {} }))

/**
 * What each instance offers: its endpoints, with subjects, metadata and schemas.
 *
 * @category discovery
 * @since 0.1.0
 */
export const info = (options: Options = {}): Stream.Stream<InfoResponse, DiscoveryError, NatsClient> =>
  ask("INFO", Info, options, (it) => ({
    ...it,
    metadata: it.metadata ?? {},
    description: it.description ?? "",
    endpoints: (it.endpoints ?? []).map(completeInfo)
  }))

/**
 * What each instance has done: requests, errors and times of its endpoints.
 *
 * @category discovery
 * @since 0.1.0
 */
export const stats = (options: Options = {}): Stream.Stream<StatsResponse, DiscoveryError, NatsClient> =>
  ask("STATS", Stats, options, (it) => ({
    ...it,
    metadata: it.metadata ?? {},
    endpoints: (it.endpoints ?? []).map(completeStats)
  }))

// internal

// What is empty, other libraries leave out or write as null.
const absent = <S extends Schema.Constraint>(schema: S): Schema.optionalKey<Schema.NullOr<S>> =>
  Schema.optionalKey(Schema.NullOr(schema))

const metadata = absent(Schema.Record(Schema.String, Schema.String))

const instance = { name: Schema.String, id: Schema.String, version: Schema.String, metadata }

const Ping = Schema.Struct({ type: Schema.Literal("io.nats.micro.v1.ping_response"), ...instance })

const InfoOfEndpoint = Schema.Struct({
  name: Schema.String,
  subject: Schema.String,
  queue_group: absent(Schema.String),
  metadata
})

const Info = Schema.Struct({
  type: Schema.Literal("io.nats.micro.v1.info_response"),
  ...instance,
  description: absent(Schema.String),
  endpoints: absent(Schema.Array(InfoOfEndpoint))
})

const completeInfo = (endpoint: typeof InfoOfEndpoint.Type): EndpointInfo => ({
  ...endpoint,
  queue_group: endpoint.queue_group ?? "",
  metadata: endpoint.metadata ?? {}
})

const StatsOfEndpoint = Schema.Struct({
  name: Schema.String,
  subject: Schema.String,
  queue_group: absent(Schema.String),
  num_requests: Schema.Finite,
  num_errors: Schema.Finite,
  last_error: absent(Schema.String),
  processing_time: Schema.Finite,
  average_processing_time: Schema.Finite,
  data: Schema.optionalKey(Schema.Unknown)
})

const Stats = Schema.Struct({
  type: Schema.Literal("io.nats.micro.v1.stats_response"),
  ...instance,
  started: Schema.String,
  endpoints: absent(Schema.Array(StatsOfEndpoint))
})

const completeStats = (endpoint: typeof StatsOfEndpoint.Type): EndpointStats => ({
  ...endpoint,
  queue_group: endpoint.queue_group ?? "",
  last_error: endpoint.last_error ?? ""
})

const ask = <S extends Schema.Top & { readonly DecodingServices: never }, A>(
  verb: string,
  schema: S,
  options: Options,
  complete: (response: S["Type"]) => A
): Stream.Stream<A, DiscoveryError, NatsClient> =>
  Stream.unwrap(Effect.map(NatsClient, (nats) => {
    const subject = [options.prefix ?? "$SRV", verb, options.name, options.id].filter((it) => it !== undefined)
    const count = options.count ?? (options.id === undefined ? undefined : 1)
    return nats.requestMany(subject.join("."), "", {
      timeout: options.timeout ?? "2 seconds",
      stall: options.stall ?? "300 millis",
      ...(count === undefined ? {} : { count })
    }).pipe(
      Stream.mapEffect((message) => Effect.map(message.decode(schema), complete))
    )
  }))
