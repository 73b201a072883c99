/**
 * Puts a client together: connection, supervisor, operations, and its end with the scope.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as PubSub from "effect/PubSub"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { type ConnectError, ConnectTimedOut } from "../../ConnectError.ts"
import type { NatsClient, SubscribeOptions, Subscription as OpenSubscription } from "../../NatsClient.ts"
import { ConnectionClosed, type SubscribeError } from "../../NatsError.ts"
import type { StatusEvent } from "../../NatsStatus.ts"
import type { ClientConfig, SessionSettings } from "../config/settings.ts"
import { hintOf } from "../config/unread.ts"
import { authFailures } from "../connection/causes.ts"
import { Connection } from "../connection/connection.ts"
import { countedOf } from "../connection/counted.ts"
import { StatusLog } from "../connection/statusLog.ts"
import { Supervisor } from "../connection/supervisor.ts"
import { lend } from "../delivery/lending.ts"
import type { Subscription } from "../delivery/subscription.ts"
import { randomToken } from "../identity/randomToken.ts"
import { printable } from "../protocol/printable.ts"
import { formatServer } from "../protocol/serverAddress.ts"
import { collectingOf, collectorOf } from "../telemetry/collector.ts"
import { Meter } from "../telemetry/meter.ts"
import { monotonicMillis } from "../telemetry/monotonic.ts"
import { TracingEnabled } from "../telemetry/switches.ts"
import { Tracing } from "../telemetry/tracing.ts"
import { isStaticAuth, resolveAuthSource } from "../wire/credentials.ts"
import { resolveTls } from "../wire/tlsMaterial.ts"
import { Background, watchEnd } from "./background.ts"
import { showBanner } from "./banner.ts"
import { GivenName, joinChecked } from "./checked.ts"
import { close, drain, leave, unsubscribe } from "./closing.ts"
import { ConnectionKey, connectionOf } from "./connectionOf.ts"
import { consume } from "./consume.ts"
import * as Publish from "./publish.ts"
import * as PublishAll from "./publishAll.ts"
import * as Request from "./request.ts"
import { sleep } from "./sending.ts"
import * as Operations from "./subscribe.ts"

export const TypeId = "~effect-nats/NatsClient"

const eventsKept = 1_024

/** Of a client, where its end is told and its health. */
const longestName = 512

/**
 * With `isWatched` the log does not have an end that nobody asked for, as somebody else tells it, and what checks the program
 * asks the client from before its first dial.
 */
export const makeClient = <R>(
  config: ClientConfig<R>,
  isWatched = false
): Effect.Effect<NatsClient, ConnectError, R | Scope.Scope> =>
  Effect.gen(function*() {
    const { auth, tls, ...settings } = config
    const context = yield* Effect.context<R | Scope.Scope>()
    const clock = yield* Clock.Clock
    const random = yield* Random.Random
    const began = monotonicMillis(clock)
    const inBackground = settings.reconnect !== false && settings.reconnect.onFirstConnect === "background"
    const collecting = collectingOf(context, settings.metrics)
    const collector = collecting === "nothing" ? undefined : collectorOf(context, authFailures)
    const fork = Effect.runForkWith(context)
    // Fibers of the client live in a scope of their own: it is closed after the drain that still needs them.
    const fibers = yield* Scope.make()
    const events = yield* PubSub.sliding<StatusEvent>(eventsKept)
    const name = config.name ?? Context.get(context, GivenName) ?? config.servers.map(formatServer).join(", ")
    const connection: Connection = new Connection({
      name: printable(name, longestName),
      inbox: newInbox(settings.inboxPrefix),
      whileDisconnected: settings.whileDisconnected,
      inBackground,
      drainTimeout: settings.drainTimeout,
      requestTimeoutMillis: Duration.toMillis(settings.requestTimeout),
      clock,
      fork: (effect) => {
        fork(Effect.forkIn(Effect.raceFirst(effect, Effect.exit(connection.awaitClosed)), fibers))
      },
      events,
      notYet: () =>
        new ConnectTimedOut({
          server: formatServer(settings.servers[0]),
          stage: "tcp",
          timeoutMillis: monotonicMillis(clock) - began
        }),
      responder: { publish: (subject, payload, options) => Publish.respond(connection, subject, payload, options) },
      tracing: Context.get(context, TracingEnabled)
        ? new Tracing(settings.inboxPrefix, () => connection.session?.server)
        : undefined,
      metrics: settings.metrics,
      meter: collecting === "everything" && collector !== undefined ? new Meter(collector.timesOfAll, clock) : undefined
    })
    const log = new StatusLog(connection, settings, !isWatched)
    if (tls.dangerouslyDisableVerification && tls.mode !== "disable") yield* log.unverified()
    const supervisor = new Supervisor(
      connection,
      settings,
      {
        credentials: Effect.provideContext(
          resolveAuthSource(auth, settings.connectTimeout, (text) => connection.filter.repeats(text)),
          context
        ),
        credentialsVary: Effect.isEffect(auth) || !isStaticAuth(auth),
        tls: resolveTls(tls, settings.connectTimeout)
      },
      log,
      () => random.nextDoubleUnsafe(),
      hintOf(config)
    )
    if (collector !== undefined) {
      const counted = countedOf(connection, supervisor)
      yield* Effect.acquireRelease(
        Effect.sync(() => collector.join(counted)),
        () => Effect.sync(() => collector.leave(counted))
      )
    }
    const client = makeOperations(settings, connection, supervisor)
    // It leaves when it is closed.
    if (isWatched) yield* joinChecked(client)
    // Before the first dial, so that nothing that is opened can be missed.
    yield* Effect.addFinalizer((exit) => close(connection, Scope.close(fibers, exit)))
    connection.setState({ _tag: "Connecting" })
    const running = inBackground ? supervisor.run : supervisor.supervise(yield* supervisor.connect)
    yield* Effect.forkIn(Effect.raceFirst(running, Effect.exit(connection.awaitClosed)), fibers)
    if (settings.banner) {
      const showing = Effect.ignore(showBanner(client, settings, connection))
      yield* inBackground ? Effect.forkIn(showing, fibers) : showing
    }
    return client
  })

/** A client whose end is one of the background: for layers. */
export const makeWatched = <R>(config: ClientConfig<R>): Effect.Effect<NatsClient, ConnectError, R | Scope.Scope> =>
  Effect.tap(makeClient(config, true), (client) =>
    Effect.flatMap(Background, (report) =>
      watchEnd(
        { kind: "client", name: connectionOf(client).settings.name },
        // One that is closed on purpose is an end for who counts on it, and nothing to log.
        report === undefined ? client.closed : Effect.andThen(client.closed, Effect.fail(new ConnectionClosed({})))
      )))

const newInbox = (prefix: string): string => `${prefix}.${randomToken(12)}`

const makeOperations = (
  settings: SessionSettings,
  connection: Connection,
  supervisor: Supervisor
): NatsClient & { readonly [ConnectionKey]: () => Connection } => {
  const requestTimeout = Duration.toMillis(settings.requestTimeout)
  const subscription = (
    subject: string,
    options?: SubscribeOptions
  ): Effect.Effect<OpenSubscription, SubscribeError, Scope.Scope> =>
    Effect.map(
      Operations.subscribe(connection, Operations.settingsOf(subject, options)),
      (subscription) => ({
        stream: streamOf(subscription),
        unsubscribe: Effect.sync(() => unsubscribe(connection, subscription)),
        drain: leave(connection, subscription),
        dropped: Effect.sync(() => subscription.dropped)
      })
    )
  return {
    [TypeId]: TypeId,
    [ConnectionKey]: () => connection,
    publish: (subject: string, payload?: string | Uint8Array, options?: Publish.PublishOptions) =>
      // The overloads tell `confirm` apart; without it the server's refusal has no operation to fail.
      Publish.publish(connection, subject, payload, options) as Effect.Effect<void, never>,
    publishAll: (messages) => PublishAll.publishAll(connection, messages),
    sink: PublishAll.sink(connection),
    request: (subject, payload, options) =>
      Request.request(
        connection,
        subject,
        payload,
        options?.timeout === undefined ? requestTimeout : Duration.toMillis(options.timeout),
        options
      ),
    requestMany: (subject, payload, options) =>
      Request.requestMany(
        connection,
        subject,
        payload,
        options?.timeout === undefined ? requestTimeout : Duration.toMillis(options.timeout),
        options,
        {
          count: options?.count ?? Infinity,
          stall: options?.stall === undefined ? undefined : sleep(connection, options.stall),
          sentinel: options?.sentinel ?? false,
          capacity: Operations.defaultCapacity,
          capacityBytes: Operations.defaultCapacityBytes
        }
      ),
    consume: (subject, handler, options) =>
      consume(connection, Operations.settingsOf(subject, options), options, handler),
    subscription,
    subscribe: (subject, options) =>
      Stream.unwrap(Effect.map(subscription(subject, options), (subscription) => subscription.stream)),
    inbox: Effect.sync(() => newInbox(settings.inboxPrefix)),
    flush: Operations.flush(connection),
    rtt: Effect.map(Effect.timed(Operations.flush(connection)), ([duration]) => duration),
    status: Stream.unwrap(Effect.gen(function*() {
      // All in one turn, so that no event falls between them.
      connection.tell()
      const events = yield* PubSub.subscribe(connection.settings.events)
      return Stream.concat(Stream.succeed<StatusEvent>(connection.state), Stream.fromSubscription(events)).pipe(
        Stream.takeUntil((event) => event._tag === "Closed")
      )
    })),
    state: Effect.sync(() => connection.state),
    serverInfo: Operations.serverInfo(connection),
    stats: Effect.sync(() => ({
      messagesIn: connection.messagesIn,
      messagesOut: connection.messagesOut,
      bytesIn: connection.bytesIn,
      bytesOut: connection.bytesOut,
      dials: supervisor.dials,
      reconnects: Math.max(0, connection.sessions - 1),
      handlerFailures: connection.handlerFailures,
      subscriptions: connection.subscriptions.size,
      pendingRequests: connection.mux.size
    })),
    closed: connection.awaitClosed,
    drain: drain(connection),
    reconnect: Operations.reconnect(connection, settings.connectTimeout)
  }
}

const streamOf = (subscription: Subscription): OpenSubscription["stream"] =>
  Stream.unwrap(Effect.map(lend(subscription), (pull) => Stream.fromPull(Effect.succeed(pull))))
