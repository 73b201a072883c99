/**
 * A page that shows what is there and what it does, live: services with their instances, requests and errors per second;
 * the states of connections; streams, and consumers with their lag; and whatever else the program adds to it.
 *
 * ```ts
 * import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
 * import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
 * import { Layer } from "effect"
 * import { NatsLayer } from "effect-nats"
 * import { NatsDashboard } from "effect-nats/dashboard"
 * import { HttpRouter } from "effect/http"
 * import { createServer } from "node:http"
 *
 * // http://127.0.0.1:8080/dashboard
 * const Dashboard = HttpRouter.serve(NatsDashboard.layerHttp()).pipe(
 *   Layer.provide(NodeHttpServer.layer(createServer, { host: "127.0.0.1", port: 8080 })),
 *   Layer.provide(NatsLayer.fromEnv())
 * )
 *
 * NatsLayer.launch(Dashboard).pipe(NodeRuntime.runMain)
 * ```
 *
 * It is for a private port: whoever reaches it reads the names and numbers of all services and streams of the account, and
 * addresses of servers. There are no payloads on it, no subjects of messages, and no secrets; nothing can be changed.
 *
 * It keeps nothing: what was before it was opened is for metrics, see `NatsMetrics`.
 *
 * @since 0.2.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Sse from "effect/encoding/Sse"
import * as HttpMiddleware from "effect/http/HttpMiddleware"
import * as HttpRouter from "effect/http/HttpRouter"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import { hasProperty } from "effect/Predicate"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { Checked } from "../internal/operations/checked.ts"
import type { Options as JetStreamOptions } from "../jetstream/JetStream.ts"
import { NatsClient } from "../NatsClient.ts"
import { makeLook } from "./internal/looking.ts"
import { makePage } from "./internal/page.ts"
import type { Section } from "./internal/table.ts"

export type { Section } from "./internal/table.ts"

/**
 * @category options
 * @since 0.2.0
 */
export interface Options<Client extends Effect.Effect<NatsClient, never, unknown> = never, E = never, R = never> {
  /** Where the page is. Its events are at `events` below it. Default `/dashboard`. */
  readonly path?: `/${string}` | undefined
  /** What the page is called. Default `NATS`. */
  readonly title?: string | undefined
  /** How often everything is asked while somebody watches. Default 1 second, at least 100 milliseconds. */
  readonly every?: Duration.Input | undefined
  /** The JetStream of another domain or account. Default: that of the client. */
  readonly jetstream?: JetStreamOptions | undefined
  /** Clients whose states are shown besides: services that give one, as `NatsLayer.Named` makes them. */
  readonly clients?: ReadonlyArray<Client> | undefined
  /**
   * Tables of the program's own, asked as often as the rest, within 2 seconds. A failure is shown by its `message`, which has
   * to be without secrets; a defect is in the log alone.
   */
  readonly sections?: Effect.Effect<ReadonlyArray<Section>, E, R> | undefined
}

/**
 * Adds the page and its events to a router.
 *
 * While somebody watches, one round of questions in each period is for all who do, and a browser that reads slowly gets the
 * latest answers only; while nobody does, nothing is asked. A round asks all services for their statistics, JetStream for its
 * streams and, of the first 100 that have any, for their consumers, and makes a round trip for each client. They are those that are
 * found and named as `NatsHealthHttp` does, and the one that the layer stands on.
 *
 * Nothing of it fails: what is refused, absent or does not answer within 2 seconds is told in its place. What a server has
 * refused for its permissions is asked again after 30 seconds. See `docs/dashboard.md` for the permissions.
 *
 * The events end with the scope, and when the HTTP server stops, which would wait for them. The page connects again by itself
 * and says since when it is not connected.
 *
 * @category layers
 * @since 0.2.0
 */
export const layerHttp = <Client extends Effect.Effect<NatsClient, never, unknown> = never, E = never, R = never>(
  options: Options<Client, E, R> = {}
): Layer.Layer<never, never, HttpRouter.HttpRouter | NatsClient | Effect.Services<Client> | R> =>
  routes(options as Options<Effect.Effect<NatsClient, never, Effect.Services<Client>>, E, R>)

// internal

const leastMillis = 100

/** How soon a browser connects again. */
const retry = Sse.encoder.write(new Sse.Retry({ duration: Duration.seconds(1), lastEventId: undefined }))

const routes = <C, E, R>(
  options: Options<Effect.Effect<NatsClient, never, C>, E, R>
): Layer.Layer<never, never, HttpRouter.HttpRouter | NatsClient | C | R> =>
  Layer.effectDiscard(Effect.gen(function*() {
    const { clients = [], every = "1 second", jetstream, path = "/dashboard", title = "NATS" } = options
    const everyMillis = Duration.toMillis(every)
    if (!(everyMillis >= leastMillis && Number.isFinite(everyMillis))) {
      throw new RangeError(`\`every\` must be at least ${leastMillis} milliseconds, and have an end`)
    }
    const router = yield* HttpRouter.HttpRouter
    const client = yield* NatsClient
    const own = [client, ...yield* Effect.all(clients)]
    const checked = yield* Checked
    const context = yield* Effect.context<R>()
    const look = makeLook({
      everyMillis,
      client,
      clients: () => [...own, ...checked?.all ?? []],
      jetstream,
      sections: options.sections ?? Effect.succeed([])
    }).pipe(Effect.provideContext(context), Effect.withTracerEnabled(false))
    const snapshots = yield* Stream.fromEffectSchedule(look, Schedule.fixed(everyMillis)).pipe(
      Stream.map((snapshot) =>
        Sse.encoder.write({ _tag: "Event", event: "message", id: undefined, data: JSON.stringify(snapshot) })
      ),
      Stream.encodeText,
      Stream.share({ capacity: 1, strategy: "sliding", replay: 1 })
    )
    const events = `${path.replace(/\/$/, "")}/events` as `/${string}`
    const page = yield* makePage(title)
    yield* router.add("GET", path, HttpMiddleware.withLoggerDisabled(Effect.succeed(page)))
    yield* router.add(
      "GET",
      events,
      HttpMiddleware.withLoggerDisabled(Effect.map(HttpServerRequest, ({ source }) =>
        HttpServerResponse.stream(
          Stream.make(new TextEncoder().encode(retry)).pipe(
            Stream.concat(Stream.interruptWhen(snapshots, stopOf(source)))
          ),
          {
            contentType: "text/event-stream",
            headers: {
              "cache-control": "no-store",
              // Or its connection would be kept for more, and a server that stops would wait for that.
              connection: "close",
              // A proxy may keep answers back until they end.
              "x-accel-buffering": "no",
              "x-content-type-options": "nosniff"
            }
          }
        )))
    )
  }))

/** How often a server is looked at for whether it stops, which it tells nobody. */
const stopEvery = Duration.millis(250)

/** What a request to a server of Node has. */
interface NodeSocket {
  readonly server: { readonly listening: boolean }
  readonly writableNeedDrain: boolean
  destroy(): void
}

const isOfNode = (request: object): request is { readonly socket: NodeSocket } =>
  hasProperty(request, "socket") && hasProperty(request.socket, "server") &&
  hasProperty(request.socket.server, "listening") && hasProperty(request.socket, "destroy")

/**
 * Waits until the server of Node that a request came to stops: it waits for its answers, and events have no end. Who has not
 * read what was sent would not read an end either.
 */
const stopOf = (request: object): Effect.Effect<void> => {
  if (!isOfNode(request)) return Effect.never
  const { socket } = request
  const { server } = socket
  return Effect.sleep(stopEvery).pipe(
    Effect.repeat({ while: () => server.listening }),
    Effect.andThen(Effect.sync(() => {
      if (socket.writableNeedDrain) socket.destroy()
    }))
  )
}
