/**
 * The metrics of all clients that share a registry and attributes: sums of what the clients count, made when they are
 * read.
 */
import * as Context from "effect/Context"
import * as Metric from "effect/Metric"
import { ConnectError } from "../../ConnectError.ts"
import type { RequestError } from "../../NatsError.ts"
import * as NatsMetrics from "../../NatsMetrics.ts"
import type { ConnectionState } from "../../NatsStatus.ts"
import { Durations } from "./durations.ts"
import { perRegistry } from "./perRegistry.ts"

/** The policies for a full buffer that drop messages. */
type Dropping = "dropNewest" | "dropOldest"

/** What is read of one client. */
export interface Counted {
  readonly state: ConnectionState
  readonly dials: number
  readonly messagesIn: number
  readonly messagesOut: number
  readonly bytesIn: number
  readonly bytesOut: number
  readonly handlerFailures: number
  readonly pendingMessages: number
  readonly pendingBytes: number
  readonly pendingRequests: number
  readonly openSubscriptions: number
  readonly reconnectsBy: ReadonlyMap<string, number>
  readonly authFailuresBy: ReadonlyMap<string, number>
  droppedBy(policy: Dropping): number
}

/** What a request came to, as a label. */
export type Outcome = "success" | "interrupted" | RequestError["_tag"]

// Records, so that the compiler asks for a name that is missing.
const outcomes: Record<Outcome, true> = {
  success: true,
  interrupted: true,
  InvalidSubject: true,
  InvalidPayload: true,
  InvalidHeader: true,
  HeadersNotSupported: true,
  MaxPayloadExceeded: true,
  ConnectionLost: true,
  ConnectionClosed: true,
  NoResponders: true,
  RequestTimedOut: true,
  PermissionsViolation: true,
  SubscriptionLimitExceeded: true
}

const states: Record<Lowercase<ConnectionState["_tag"]>, ConnectionState["_tag"]> = {
  connecting: "Connecting",
  connected: "Connected",
  disconnected: "Disconnected",
  reconnecting: "Reconnecting",
  draining: "Draining",
  closed: "Closed"
}

export const increment = (counts: Map<string, number>, key: string): void => {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}

type Read = (counted: Counted) => number

const causes = ConnectError.members.map((member) => member.fields._tag.schema.literal)

/** What only grows: it stays when a client has gone. */
const countersOf = (
  authFailures: ReadonlyArray<ConnectError["_tag"]>
): ReadonlyArray<readonly [Metric.Counter<number>, Read]> => [
  [NatsMetrics.dials, (client) => client.dials],
  [NatsMetrics.messagesIn, (client) => client.messagesIn],
  [NatsMetrics.messagesOut, (client) => client.messagesOut],
  [NatsMetrics.bytesIn, (client) => client.bytesIn],
  [NatsMetrics.bytesOut, (client) => client.bytesOut],
  [NatsMetrics.handlerFailures, (client) => client.handlerFailures],
  ...(["dropNewest", "dropOldest"] as const).map((policy) =>
    [Metric.withAttributes(NatsMetrics.dropped, { policy }), (client: Counted) => client.droppedBy(policy)] as const
  ),
  ...causes.map((cause) =>
    [
      Metric.withAttributes(NatsMetrics.reconnects, { cause }),
      (client: Counted) => client.reconnectsBy.get(cause) ?? 0
    ] as const
  ),
  ...authFailures.map((kind) =>
    [
      Metric.withAttributes(NatsMetrics.authFailures, { kind }),
      (client: Counted) => client.authFailuresBy.get(kind) ?? 0
    ] as const
  )
]

const gauges: ReadonlyArray<readonly [Metric.Gauge<number>, Read]> = [
  [NatsMetrics.pendingMessages, (client) => client.pendingMessages],
  [NatsMetrics.pendingBytes, (client) => client.pendingBytes],
  [NatsMetrics.pendingRequests, (client) => client.pendingRequests],
  [NatsMetrics.subscriptions, (client) => client.openSubscriptions],
  ...Object.entries(states).map(([state, tag]) =>
    [
      Metric.withAttributes(NatsMetrics.connectionState, { state }),
      (client: Counted) => client.state._tag === tag ? 1 : 0
    ] as const
  )
]

const ignored = (): void => {}

export class Collector {
  private readonly clients = new Set<Counted>()
  private readonly counters: ReadonlyArray<readonly [Metric.Counter<number>, Read]>
  /** What clients that have gone had counted, in the order of `counters`. */
  private readonly gone: Float64Array
  private times: Times | undefined
  private readonly context: Context.Context<never>

  constructor(context: Context.Context<never>, authFailures: ReadonlyArray<ConnectError["_tag"]>) {
    this.context = context
    this.counters = countersOf(authFailures)
    this.gone = new Float64Array(this.counters.length)
    this.counters.forEach(([metric, read], i) => {
      Metric.registerUnsafe(metric, context, {
        get: () => ({ count: this.gone[i] + this.sum(read), incremental: true }),
        update: ignored,
        modify: ignored
      })
    })
    for (const [metric, read] of gauges) {
      Metric.registerUnsafe(metric, context, {
        get: () => ({ value: this.sum(read) }),
        update: ignored,
        modify: ignored
      })
    }
  }

  join(client: Counted): void {
    this.clients.add(client)
  }

  /** The client has gone. What it had counted stays, and nothing of it is held. */
  leave(client: Counted): void {
    if (!this.clients.delete(client)) return
    this.counters.forEach(([, read], i) => {
      this.gone[i] += read(client)
    })
  }

  /** The histograms, which are there once somebody wants them. */
  get timesOfAll(): Times {
    return this.times ??= registerTimes(this.context)
  }

  private sum(read: Read): number {
    let sum = 0
    for (const client of this.clients) sum += read(client)
    return sum
  }
}

export interface Times {
  readonly handlers: Durations
  readonly requests: Readonly<Record<Outcome, Durations>>
}

const registerTimes = (context: Context.Context<never>): Times => {
  const register = (metric: Metric.Histogram<number>): Durations => {
    const durations = new Durations()
    Metric.registerUnsafe(metric, context, { get: () => durations.state, update: ignored, modify: ignored })
    return durations
  }
  const requests = Object.fromEntries(
    Object.keys(outcomes).map((outcome) => [
      outcome,
      register(Metric.withAttributes(NatsMetrics.requestTime, { outcome }))
    ])
  ) as Record<Outcome, Durations>
  return { handlers: register(NatsMetrics.handlerTime), requests }
}

const collectors = perRegistry<Collector>()

/** What is collected: by the reference where it is made, or everything of a client whose configuration has `metrics`. */
export const collectingOf = (
  context: Context.Context<never>,
  isAsked: boolean
): "nothing" | "counters" | "everything" => isAsked ? "everything" : Context.get(context, NatsMetrics.Collect)

/**
 * The collector of the registry and the attributes that are in force here. `authFailures` are the errors that are counted as
 * failures of authentication: what they mean is for those above to say.
 */
export const collectorOf = (
  context: Context.Context<never>,
  authFailures: ReadonlyArray<ConnectError["_tag"]>
): Collector => collectors(context, (needed) => new Collector(needed, authFailures))
