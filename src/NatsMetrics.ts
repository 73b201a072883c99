/**
 * What clients count, as Effect metrics: read by `Metric.snapshot`, by Effect's Prometheus and OTLP exporters, or one by
 * one with `Metric.value`.
 *
 * Nothing is updated per message. A client counts for itself what it needs anyway, and these metrics read its counters
 * when somebody asks for them; the metrics of several clients in one registry are sums. Label sets are fixed: no subject,
 * no server and no name but those of a service and its endpoints is a label. To tell clients apart, make each with attributes of its own:
 *
 * ```ts
 * import { Effect, Metric } from "effect"
 * import { NatsClient, NatsMetrics } from "effect-nats"
 *
 * const program = Effect.gen(function*() {
 *   const orders = yield* NatsClient.make().pipe(
 *     Effect.provideService(Metric.CurrentMetricAttributes, { client: "orders" }),
 *     Effect.provideService(NatsMetrics.Collect, "everything")
 *   )
 *   yield* orders.publish("orders.created")
 *   const snapshot = yield* Metric.snapshot
 *   return snapshot.filter(({ id }) => id === NatsMetrics.messagesOut.id)
 * })
 * ```
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Metric from "effect/Metric"

/**
 * What a client made here has in its metrics: `"nothing"`; `"counters"`, what it counts anyway, which costs nothing until
 * it is read; or `"everything"`: handler and request times as well, at two looks at the clock for each. Default
 * `"counters"`. It is read once, when the client is made.
 *
 * `metrics: true` in the configuration of a client is `"everything"` for that client and for what is made on it, whatever
 * stands here.
 *
 * @category references
 * @since 0.1.0
 */
export const Collect: Context.Reference<"nothing" | "counters" | "everything"> = Context.Reference<
  "nothing" | "counters" | "everything"
>("effect-nats/NatsMetrics/Collect", { defaultValue: () => "counters" })

/**
 * Clients by the state of their connection. Label `state`: `connecting`, `connected`, `disconnected`, `reconnecting`,
 * `draining`, `closed`. A client is counted from `make` until its scope has closed.
 *
 * @category metrics
 * @since 0.1.0
 */
export const connectionState: Metric.Gauge<number> = Metric.gauge("nats_client_connection_state", {
  description: "Clients by the state of their connection."
})

/**
 * Dials, successful or not.
 *
 * @category metrics
 * @since 0.1.0
 */
export const dials: Metric.Counter<number> = Metric.counter("nats_client_dials_total", {
  description: "Dials, successful or not.",
  incremental: true
})

/**
 * Sessions after the first, by why the one before ended. Label `cause`: the tag of a `ConnectError`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const reconnects: Metric.Counter<number> = Metric.counter("nats_client_reconnects_total", {
  description: "Sessions after the first, by why the one before ended.",
  incremental: true
})

/**
 * Credentials that could not be had or were refused, at a dial or later. Label `kind`: `AuthorizationViolation`,
 * `AuthenticationTimeout`, `AuthenticationExpired`, `AuthenticationRevoked`, `AccountAuthenticationExpired`,
 * `CredentialsInvalid`, `CredentialsExpired`, `CredentialsUnavailable`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const authFailures: Metric.Counter<number> = Metric.counter("nats_client_auth_failures_total", {
  description: "Credentials that could not be had or were refused.",
  incremental: true
})

/**
 * Messages received, replies included.
 *
 * @category metrics
 * @since 0.1.0
 */
export const messagesIn: Metric.Counter<number> = Metric.counter("nats_client_messages_in_total", {
  description: "Messages received, replies included.",
  incremental: true
})

/**
 * Messages handed to the connection, requests included.
 *
 * @category metrics
 * @since 0.1.0
 */
export const messagesOut: Metric.Counter<number> = Metric.counter("nats_client_messages_out_total", {
  description: "Messages handed to the connection, requests included.",
  incremental: true
})

/**
 * Bytes received, those of the protocol included.
 *
 * @category metrics
 * @since 0.1.0
 */
export const bytesIn: Metric.Counter<number> = Metric.counter("nats_client_bytes_in_total", {
  description: "Bytes received, those of the protocol included.",
  incremental: true
})

/**
 * Bytes handed to the connection, those of the protocol included.
 *
 * @category metrics
 * @since 0.1.0
 */
export const bytesOut: Metric.Counter<number> = Metric.counter("nats_client_bytes_out_total", {
  description: "Bytes handed to the connection, those of the protocol included.",
  incremental: true
})

/**
 * Messages dropped by full buffers. Label `policy`: `dropNewest`, `dropOldest`. With `"fail"` nothing is dropped: the
 * stream fails.
 *
 * @category metrics
 * @since 0.1.0
 */
export const dropped: Metric.Counter<number> = Metric.counter("nats_client_dropped_total", {
  description: "Messages dropped by full buffers.",
  incremental: true
})

/**
 * Messages received and not yet read.
 *
 * @category metrics
 * @since 0.1.0
 */
export const pendingMessages: Metric.Gauge<number> = Metric.gauge("nats_client_pending_messages", {
  description: "Messages received and not yet read."
})

/**
 * Bytes of the messages received and not yet read.
 *
 * @category metrics
 * @since 0.1.0
 */
export const pendingBytes: Metric.Gauge<number> = Metric.gauge("nats_client_pending_bytes", {
  description: "Bytes of the messages received and not yet read."
})

/**
 * Requests that wait for a reply.
 *
 * @category metrics
 * @since 0.1.0
 */
export const pendingRequests: Metric.Gauge<number> = Metric.gauge("nats_client_pending_requests", {
  description: "Requests that wait for a reply."
})

/**
 * Open subscriptions, without the one for replies.
 *
 * @category metrics
 * @since 0.1.0
 */
export const subscriptions: Metric.Gauge<number> = Metric.gauge("nats_client_subscriptions", {
  description: "Open subscriptions, without the one for replies."
})

/**
 * Handlers of `consume`, listeners and typed handlers that failed or died. Those of services are `serviceErrors`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const handlerFailures: Metric.Counter<number> = Metric.counter("nats_client_handler_failures_total", {
  description: "Handlers that failed or died.",
  incremental: true
})

/**
 * The upper bounds of the buckets of `handlerTime` and `requestTime`, in seconds: 0.1 ms to 10 s.
 *
 * @category metrics
 * @since 0.1.0
 */
export const timeBoundaries: ReadonlyArray<number> = [
  0.0001,
  0.00025,
  0.0005,
  0.001,
  0.0025,
  0.005,
  0.01,
  0.025,
  0.05,
  0.1,
  0.25,
  0.5,
  1,
  2.5,
  5,
  10
]

/**
 * Time in handlers of `consume`, listeners and typed handlers, in seconds. Collected with `Collect` at `"everything"`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const handlerTime: Metric.Histogram<number> = Metric.histogram("nats_client_handler_duration_seconds", {
  description: "Time in handlers.",
  boundaries: timeBoundaries
})

/**
 * Time of requests, the wait for a connection included, in seconds. Label `outcome`: `success`, `interrupted`, or the tag
 * of the `RequestError`. Collected with `Collect` at `"everything"`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const requestTime: Metric.Histogram<number> = Metric.histogram("nats_client_request_duration_seconds", {
  description: "Time of requests by outcome.",
  boundaries: timeBoundaries
})

/**
 * Requests that services received. Labels `service` and `endpoint`: their names, which the program's own contracts give.
 * Unlike the statistics of a service, `reset` does not change it.
 *
 * @category metrics
 * @since 0.2.0
 */
export const serviceRequests: Metric.Counter<number> = Metric.counter("nats_service_requests_total", {
  description: "Requests that services received.",
  incremental: true
})

/**
 * Requests that services answered with an error. Labels `service` and `endpoint`.
 *
 * @category metrics
 * @since 0.2.0
 */
export const serviceErrors: Metric.Counter<number> = Metric.counter("nats_service_errors_total", {
  description: "Requests that services answered with an error.",
  incremental: true
})

/**
 * Time from the reading of a service's request to its answer, in seconds. Labels `service` and `endpoint`. Collected with
 * `Collect` at `"everything"`.
 *
 * @category metrics
 * @since 0.2.0
 */
export const serviceTime: Metric.Histogram<number> = Metric.histogram("nats_service_duration_seconds", {
  description: "Time from the reading of a service's request to its answer.",
  boundaries: timeBoundaries
})

/**
 * Messages published into streams, by what became of them. Label `outcome`: `success`, `duplicate`, `interrupted`, or the
 * tag of the error. Each message counts once, however often it was tried.
 *
 * @category metrics
 * @since 0.2.0
 */
export const jetStreamPublishes: Metric.Counter<number> = Metric.counter("nats_jetstream_publishes_total", {
  description: "Messages published into streams, by what became of them.",
  incremental: true
})

/**
 * Messages published into streams that wait for their acknowledgement, or for a connection.
 *
 * @category metrics
 * @since 0.2.0
 */
export const jetStreamPublishesInFlight: Metric.Gauge<number> = Metric.gauge("nats_jetstream_publishes_in_flight", {
  description: "Messages published into streams that wait for their acknowledgement."
})

/**
 * Time from a publish into a stream to its end, in seconds: the acknowledgement, or the failure. Label `outcome`. Collected
 * with `Collect` at `"everything"`.
 *
 * @category metrics
 * @since 0.2.0
 */
export const jetStreamPublishTime: Metric.Histogram<number> = Metric.histogram(
  "nats_jetstream_publish_duration_seconds",
  {
    description: "Time of publishes into streams by outcome.",
    boundaries: timeBoundaries
  }
)

/**
 * Results of elements of persisted queues and replies of entities that were refused: they came when another process had taken
 * the work over, or had done it. What `effect/cluster` holds back by itself, since the lock of the shard is not confirmed, does
 * not come so far. Label `store`: `queue`, `cluster`.
 *
 * @category metrics
 * @since 0.2.0
 */
export const lateResults: Metric.Counter<number> = Metric.counter("nats_late_results_total", {
  description: "Results of queue elements and replies of entities that came too late and were refused.",
  incremental: true
})

/**
 * Messages that `process` of JetStream has given to handlers, and those that readers of `messages` are done with. Labels
 * `stream` and `consumer`: the names that the program works on. What `fetch`, `next` and `ordered` give is not counted.
 *
 * @category metrics
 * @since 0.2.0
 */
export const consumerMessages: Metric.Counter<number> = Metric.counter("nats_consumer_messages_total", {
  description: "Messages of consumers given to handlers and readers.",
  incremental: true
})

/**
 * Those of them that were delivered before. Labels `stream` and `consumer`.
 *
 * @category metrics
 * @since 0.2.0
 */
export const consumerRedelivered: Metric.Counter<number> = Metric.counter("nats_consumer_redelivered_total", {
  description: "Messages of consumers given to handlers and readers that were delivered before.",
  incremental: true
})

/**
 * What `process` and readers of `messages` have answered to the server, as far as it was sent: no answer of it is confirmed.
 * What is given back at an end is a `nak`; what a reader acknowledges after the end of its stream counts, too. Labels
 * `stream`, `consumer`, and `kind`: `ack`, `nak`, `term`, `in_progress`.
 *
 * @category metrics
 * @since 0.2.0
 */
export const consumerAcks: Metric.Counter<number> = Metric.counter("nats_consumer_acks_total", {
  description: "Acknowledgements sent, by kind. They are not confirmed.",
  incremental: true
})

/**
 * Messages that `process` has given up, and that the dead letter has. Labels `stream` and `consumer`.
 *
 * @category metrics
 * @since 0.2.0
 */
export const consumerDeadLetters: Metric.Counter<number> = Metric.counter("nats_consumer_dead_letters_total", {
  description: "Messages of consumers that were given up, and that the dead letter has.",
  incremental: true
})

/**
 * Messages that are here and not handled: those that handlers or readers are busy with, and those that wait behind them.
 * Labels `stream` and `consumer`.
 *
 * @category metrics
 * @since 0.2.0
 */
export const consumerHeld: Metric.Gauge<number> = Metric.gauge("nats_consumer_held_messages", {
  description: "Messages of consumers that are here and not handled."
})

/**
 * Messages that the consumer had not delivered to anybody when it delivered the latest one here. Labels `stream` and
 * `consumer`.
 *
 * @category metrics
 * @since 0.2.0
 */
export const consumerPending: Metric.Gauge<number> = Metric.gauge("nats_consumer_pending_messages", {
  description: "Messages that the consumer had not delivered when it delivered last."
})

/**
 * How old the message was that a handler or a reader was given last, in seconds by the clocks of server and client. Labels
 * `stream` and `consumer`.
 *
 * @category metrics
 * @since 0.2.0
 */
export const consumerLag: Metric.Gauge<number> = Metric.gauge("nats_consumer_lag_seconds", {
  description: "Age of the message of a consumer that a handler or reader was given last."
})

/**
 * Time in the handlers of `process`, in seconds. Labels `stream` and `consumer`. Collected with `Collect` at `"everything"`.
 *
 * @category metrics
 * @since 0.2.0
 */
export const consumerTime: Metric.Histogram<number> = Metric.histogram("nats_consumer_duration_seconds", {
  description: "Time in the handlers of consumers.",
  boundaries: timeBoundaries
})
