/**
 * Probes over HTTP: whether a program lives, whether it is ready, and why not. `NatsHealth` on Effect's own HTTP server.
 *
 * ```ts
 * import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
 * import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
 * import { Effect, Layer } from "effect"
 * import { NatsLayer, NatsListener } from "effect-nats"
 * import * as NatsHealthHttp from "effect-nats/NatsHealthHttp"
 * import { createServer } from "node:http"
 *
 * const Orders = NatsListener.layer("orders.created", (message) => Effect.log(message.text))
 *
 * // Each stands on what follows it.
 * const App = Orders.pipe(
 *   Layer.provide(NatsLayer.fromEnv()),
 *   Layer.provide(NatsHealthHttp.layerServer()),
 *   Layer.provide(NodeHttpServer.layer(createServer, { port: 8080 }))
 * )
 *
 * NatsLayer.launch(App).pipe(NodeRuntime.runMain)
 * ```
 *
 * | path      | 200                                                                                       | else 503 |
 * | --------- | ----------------------------------------------------------------------------------------- | -------- |
 * | `/livez`  | no client has ended for good. Asks no server, so that none that is slow fails it            |          |
 * | `/readyz` | every client is connected, its server has just answered, and all that runs on it is there |          |
 *
 * The answer is JSON: `live`, `state`, for `/readyz` `ready`, and the `reason` where there is one, for people: printable,
 * with an end, and never a secret of a client. Of several clients `clients` has each by its name, and `reason` begins with the
 * name of the first in trouble. `HEAD` is answered, too; other methods are 404, as the router has it.
 *
 * What is asked is every client that a layer makes which stands on this one, as above, from before its first dial: the
 * probes are there while it is dialled, and stay until it has drained, not ready from the first moment. A program has such
 * probes on a port of their own. Where this layer itself stands on a client, as routes beside others do, that client is
 * asked; more of them are named by `clients`.
 *
 * In a program of `NatsLayer.launch` `/readyz` waits for the whole program, too: it is not ready until all of it is built, nor
 * from the first moment of its end.
 *
 * It is not in the root of the package, which loads nothing of HTTP.
 *
 * @since 0.2.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpMiddleware from "effect/http/HttpMiddleware"
import * as HttpRouter from "effect/http/HttpRouter"
import type { HttpServer } from "effect/http/HttpServer"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { Checked, CheckedClients, Launched, named } from "./internal/operations/checked.ts"
import { quoted } from "./internal/protocol/shown.ts"
import { NatsClient } from "./NatsClient.ts"
import * as NatsHealth from "./NatsHealth.ts"

/**
 * What `layer` and `layerServer` take: where the probes are, how long one waits, and whom it asks besides.
 *
 * @category options
 * @since 0.2.0
 */
export interface Options<Client extends Effect.Effect<NatsClient, never, unknown> = never> {
  /** Where to ask whether the program lives. Default `/livez`. */
  readonly livePath?: `/${string}` | undefined
  /** Where to ask whether it is ready. Default `/readyz`. */
  readonly readyPath?: `/${string}` | undefined
  /**
   * How long the servers may take to answer `/readyz`: after it the answer is 503. Default 800 milliseconds, as a probe of
   * Kubernetes waits for a second.
   */
  readonly timeout?: Duration.Input | undefined
  /** Clients that are asked besides those that are found: services that give one, as `NatsLayer.Named` makes them. */
  readonly clients?: ReadonlyArray<Client> | undefined
}

/**
 * Adds the routes to a router: of the program, where it has one.
 *
 * Probes that come while the servers are asked wait for that answer: there is one round trip to each server at a time,
 * however many ask. Their requests are not logged.
 *
 * Nothing of it fails: what is wrong with a client is an answer. At the end of the scope a check that still runs is
 * interrupted; the routes are there for as long as their router is.
 *
 * @category layers
 * @since 0.2.0
 */
export const layer = <Client extends Effect.Effect<NatsClient, never, unknown> = never>(
  options: Options<Client> = {}
): Layer.Layer<never, never, HttpRouter.HttpRouter | Effect.Services<Client>> =>
  routes(options as Options<Asked<Effect.Services<Client>>>)

/**
 * A server that has these routes alone, for a port of its own: see the example of the module. It stops with the scope,
 * which is after all that stands on it has ended.
 *
 * @category layers
 * @since 0.2.0
 */
export const layerServer = <Client extends Effect.Effect<NatsClient, never, unknown> = never>(
  options?: Options<Client>
): Layer.Layer<never, never, HttpServer | Effect.Services<Client>> =>
  // What a client asks for is nothing of a single request.
  HttpRouter.serve(layer(options), { disableLogger: true }) as Layer.Layer<
    never,
    never,
    HttpServer | Effect.Services<Client>
  >

// internal

type Asked<R> = Effect.Effect<NatsClient, never, R>

const routes = <R>(options: Options<Asked<R>>): Layer.Layer<never, never, HttpRouter.HttpRouter | R> =>
  Layer.effect(
    Checked,
    Effect.gen(function*() {
      const router = yield* HttpRouter.HttpRouter
      const context = yield* Effect.context<never>()
      const scope = yield* Effect.scope
      // Where one stands on another, both ask the same.
      const checked = Context.get(context, Checked) ?? new CheckedClients()
      const own = yield* Effect.all(options.clients ?? [])
      const launched = Context.get(context, Launched)
      const below = Context.getOption(context, NatsClient)
      const known = below._tag === "Some" ? [below.value, ...own] : own
      const clients = () => [...known, ...checked.all]
      const answerOf = (all: ReadonlyArray<Checking>): Answer =>
        all.length === 0 ? none(checked.hadSome) : summaryOf(all)
      const timeout = Duration.fromInputUnsafe(options.timeout ?? "800 millis")
      const asking = shared(checkAll(clients, (client) => NatsHealth.check(client, { timeout })), scope)
      const looking = checkAll(clients, NatsHealth.look)
      const live = Effect.map(looking, (all) => {
        const { clients, ...found } = answerOf(all)
        return withoutReady(clients === undefined ? found : { ...found, clients: clients.map(withoutReady) })
      })
      const ready = Effect.flatMap(asking, (asked) => {
        // While others were asked, or another probe, a stop can have begun.
        const troubled = new Map(asked.filter(({ health }) => !health.ready).map((each) => [each.client, each.health]))
        return Effect.map(looking, (now) => {
          const found = answerOf(now.map((each) => ({ ...each, health: troubled.get(each.client) ?? each.health })))
          return found.ready !== true || launched === undefined || launched.phase === "running"
            ? found
            : { ...found, ready: false, reason: `the program is ${launched.phase}` }
        })
      })
      yield* router.add("GET", options.livePath ?? "/livez", answer(live, ({ live }) => live))
      yield* router.add("GET", options.readyPath ?? "/readyz", answer(ready, ({ ready }) => ready === true))
      return checked
    })
  )

type Found = Omit<NatsHealth.Health, "ready"> & { readonly ready?: boolean | undefined }

interface Answer extends Found {
  readonly clients?: ReadonlyArray<Found & { readonly name: string }>
}

/** Of one client at a time. */
interface Checking {
  readonly client: NatsClient
  readonly name: string
  readonly health: NatsHealth.Health
}

const answer = (
  asked: Effect.Effect<Answer>,
  isGood: (answer: Answer) => boolean
): Effect.Effect<HttpServerResponse.HttpServerResponse, never, HttpServerRequest> =>
  HttpMiddleware.withLoggerDisabled(
    Effect.map(asked, (found) =>
      HttpServerResponse.jsonUnsafe(found, {
        status: isGood(found) ? 200 : 503,
        headers: { "cache-control": "no-store" }
      }))
  )

/** Whether a server answers is not known: no JSON has it then. */
const withoutReady = <A extends Found>(found: A): A => ({ ...found, ready: undefined })

const none = (hadSome: boolean): Answer => ({
  live: true,
  ready: false,
  ...(hadSome
    ? { state: "Closed", reason: "the client was closed" }
    : {
      state: "Connecting",
      reason: "there is no client yet: clients are to stand on the layer of NatsHealthHttp, or to be named in `clients`"
    })
})

const summaryOf = (all: ReadonlyArray<Checking>): Answer => {
  const [{ health }] = all
  if (all.length === 1) return health
  const worst = all.find(({ health }) => !health.live) ?? all.find(({ health }) => !health.ready)
  return {
    live: all.every(({ health }) => health.live),
    ready: worst === undefined,
    state: worst?.health.state ?? "Connected",
    ...(worst === undefined ? {} : { reason: `the client ${quoted(worst.name)}: ${worst.health.reason}` }),
    clients: all.map(({ health, name }) => ({ name, ...health }))
  }
}

const checkAll = (
  clients: () => ReadonlyArray<NatsClient>,
  check: (client: NatsClient) => Effect.Effect<NatsHealth.Health>
): Effect.Effect<ReadonlyArray<Checking>> =>
  Effect.suspend(() =>
    Effect.forEach(
      named(clients()),
      ([client, name]) => Effect.map(check(client), (health): Checking => ({ client, name, health })),
      { concurrency: "unbounded" }
    )
  )

/** Runs once for all that ask while it runs, whoever of them goes away. */
const shared = <A>(effect: Effect.Effect<A>, scope: Scope.Scope): Effect.Effect<A> => {
  let running: Fiber.Fiber<A> | undefined
  const once = Effect.ensuring(
    effect,
    Effect.sync(() => {
      running = undefined
    })
  )
  return Effect.suspend(() => {
    if (running !== undefined) return Fiber.join(running)
    return Effect.flatMap(Effect.forkIn(once, scope), (fiber) => {
      if (fiber.pollUnsafe() === undefined) running = fiber
      return Fiber.join(fiber)
    })
  })
}
