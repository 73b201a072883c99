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
 * What services tell is text of others, as it came: what a program shows of it can have any characters. Answers are read
 * by what they can mean: see the fields. One that cannot be read, or that is an error, is left out with a warning in the
 * log, which names the service as far as the answer does; after ten of them one more warning has the number of the others.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import { atLeastOne } from "../internal/operations/ranges.ts"
import { NatsClient } from "../NatsClient.ts"
import type { RequestManyError } from "../NatsError.ts"
import type { NatsMessage } from "../NatsMessage.ts"
import { searchProblem } from "./internal/contract.ts"
import {
  type Read,
  readAnswer,
  readInfo,
  readPing,
  readStats,
  SkippedAnswers,
  Unreadable
} from "./internal/discovered.ts"
import type { InvalidService } from "./internal/invalidService.ts"

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
  /** Empty where it tells none. */
  readonly version: string
  /** Empty where it tells none. What is no text in it is the text of its JSON. */
  readonly metadata: Readonly<Record<string, string>>
}

/**
 * The answer to `$SRV.PING`. Answers without a `type`, or of another version of it, are read as this one.
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
  /** Empty where it tells none. */
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
  /** When the service was started, as an ISO date in UTC. Empty where it does not tell. */
  readonly started: string
  readonly endpoints: ReadonlyArray<EndpointStats>
}

/**
 * What an endpoint has done since the service was started, or since its counters were reset. A number that a service does
 * not tell is 0; digits in a text are a number.
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
  /**
   * Code and description of the last error, such as `404:gone`. Empty when there was none. Where a library writes no text,
   * it is the text of its JSON.
   */
  readonly last_error: string
  /**
   * The time of all answered requests together, from their reading to their answer, in nanoseconds. Where it is not told,
   * the average times `num_requests`.
   */
  readonly processing_time: number
  /** `processing_time` for each request, in whole nanoseconds. Where it is not told, it is worked out. */
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
  /** The services of this name only: letters, digits, `-` and `_`. */
  readonly name?: string | undefined
  /** This instance only. Without `name` all are asked, and the others' answers are left out. */
  readonly id?: string | undefined
  /** The whole time. Default 2 seconds. */
  readonly timeout?: Duration.Input | undefined
  /** So long without an answer, counted from the first one. Default 300 milliseconds. */
  readonly stall?: Duration.Input | undefined
  /** So many answers at most, of those that can be read. Default: one with an `id`, any number without. */
  readonly count?: number | undefined
  /** Instead of `$SRV`, where services of another account are imported under a subject of their own. */
  readonly prefix?: string | undefined
}

/**
 * What a search can fail with: `InvalidService` for a `name` or an `id` that no service can have, before anything is sent.
 *
 * @category errors
 * @since 0.1.0
 */
export type DiscoveryError = RequestManyError | InvalidService

/**
 * The instances that are there.
 *
 * @category discovery
 * @since 0.1.0
 */
export const ping = (options: Options = {}): Stream.Stream<PingResponse, DiscoveryError, NatsClient> =>
  ask("PING", readPing, options)

/**
 * What each instance offers: its endpoints, with subjects, metadata and schemas.
 *
 * @category discovery
 * @since 0.1.0
 */
export const info = (options: Options = {}): Stream.Stream<InfoResponse, DiscoveryError, NatsClient> =>
  ask("INFO", readInfo, options)

/**
 * What each instance has done: requests, errors and times of its endpoints.
 *
 * @category discovery
 * @since 0.1.0
 */
export const stats = (options: Options = {}): Stream.Stream<StatsResponse, DiscoveryError, NatsClient> =>
  ask("STATS", readStats, options)

// internal

const ask = <A extends Instance>(
  verb: string,
  read: Read<A>,
  { count = Infinity, id, name, prefix = "$SRV", stall = "300 millis", timeout = "2 seconds" }: Options
): Stream.Stream<A, DiscoveryError, NatsClient> =>
  Stream.unwrap(Effect.gen(function*() {
    const problem = searchProblem(name, id)
    if (problem !== undefined) return yield* problem
    atLeastOne("count", count)
    const nats = yield* NatsClient
    // Only a service of a name has a subject for its id.
    const subject = [prefix, verb, ...(name === undefined ? [] : id === undefined ? [name] : [name, id])].join(".")
    const skipped = new SkippedAnswers(subject)
    const isAsked = (answer: A): boolean => name !== undefined || id === undefined || answer.id === id
    return nats.requestMany(subject, "", { timeout, stall }).pipe(
      Stream.filterMapEffect((message: NatsMessage) => {
        const answer = readAnswer(verb, message, read)
        if (answer instanceof Unreadable) return Effect.as(skipped.add(answer), Result.failVoid)
        return Effect.succeed(isAsked(answer) ? Result.succeed(answer) : Result.failVoid)
      }),
      Stream.take(id === undefined ? count : Math.min(count, 1)),
      Stream.ensuring(skipped.end)
    )
  }))
