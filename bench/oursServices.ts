/**
 * The services of this package, called by the load generator where a responder is measured, and by their own clients
 * where both sides are.
 */
import { NatsClient } from "effect-nats"
import { NatsRpc, NatsService } from "effect-nats/service"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Rpc from "effect/rpc/Rpc"
import * as RpcClient from "effect/rpc/RpcClient"
import * as RpcGroup from "effect/rpc/RpcGroup"
import * as RpcSerialization from "effect/rpc/RpcSerialization"
import * as RpcServer from "effect/rpc/RpcServer"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { type Calls, callsOf, order, quoteOf, rpcCallsOf } from "./quotes.ts"
import type { Job, Prepared } from "./workload.ts"

const price = Rpc.make("price", {
  payload: {
    id: Schema.String,
    customer: Schema.String,
    sku: Schema.String,
    quantity: Schema.Number,
    price: Schema.Number,
    express: Schema.Boolean
  },
  success: Schema.Struct({ id: Schema.String, total: Schema.Number, accepted: Schema.Boolean, note: Schema.String })
})

const Quotes = RpcGroup.make(price)

const Streams = RpcGroup.make(
  price,
  Rpc.make("count", { payload: { to: Schema.Number }, success: Schema.Number, stream: true }),
  Rpc.make("one", { payload: { number: Schema.Number }, success: Schema.Number })
)

const quotes = { price: (payload: typeof order) => Effect.succeed(quoteOf(payload)) }

const streams = {
  ...quotes,
  count: ({ to }: { readonly to: number }) => Stream.range(1, to),
  one: ({ number }: { readonly number: number }) => Effect.succeed(number)
}

type Work = (count: number) => Effect.Effect<ReadonlyArray<number> | void, unknown>
type Prepare = (nats: Nats, job: Job) => Effect.Effect<Work, unknown, Scope.Scope>
type Nats = Layer.Layer<NatsClient.NatsClient, unknown>

/** Asks the load generator to call this process. */
const called = (nats: NatsClient.NatsClient, callsFor: (count: number) => Calls): Work => (count) =>
  nats.request("calls", JSON.stringify(callsFor(count)), { timeout: "1 minute" }).pipe(
    Effect.map((answer) => JSON.parse(answer.text) as ReadonlyArray<number>)
  )

const quotesLayer = NatsService.layer(Quotes, { name: "quotes", version: "1.0.0" }).pipe(
  Layer.provide(Quotes.toLayer(quotes))
)

const service: Prepare = (nats, { inFlight = 50 }) =>
  Effect.map(
    Layer.build(Layer.provideMerge(quotesLayer, nats)),
    (context) =>
      called(Context.get(context, NatsClient.NatsClient), (count) => callsOf("quotes.price", inFlight, count))
  )

const rpcServer = RpcServer.layer(Streams).pipe(
  Layer.provide(Streams.toLayer(streams)),
  Layer.provide(NatsRpc.layerServerProtocol({ subject: "quotes" })),
  Layer.provide(RpcSerialization.layerJson)
)

const rpc: Prepare = (nats, { inFlight = 50 }) =>
  Effect.map(
    Layer.build(Layer.provideMerge(rpcServer, nats)),
    (context) => called(Context.get(context, NatsClient.NatsClient), (count) => rpcCallsOf("quotes", inFlight, count))
  )

const inParallel = (count: number, inFlight: number, call: Effect.Effect<unknown, unknown>) => {
  const worker = Effect.fnUntraced(function*(calls: number) {
    for (let i = 0; i < calls; i++) yield* call
  })
  return Effect.forEach(Array.from({ length: inFlight }), () => worker(count / inFlight), {
    concurrency: "unbounded",
    discard: true
  })
}

const rpcProtocol = Layer.provide(NatsRpc.layerClientProtocol({ subject: "quotes" }), RpcSerialization.layerJson)

/** A client and a server, each with a connection of its own, in one process. */
const rpcPair = (nats: Nats) =>
  Effect.gen(function*() {
    yield* Layer.build(Layer.provide(rpcServer, Layer.fresh(nats)))
    const protocol = yield* Layer.build(Layer.provide(rpcProtocol, Layer.fresh(nats)))
    return yield* Effect.provideContext(RpcClient.make(Streams), protocol)
  })

const rpcStream: Prepare = (nats) =>
  Effect.map(rpcPair(nats), (client) => (count) => Stream.runDrain(client.count({ to: count })))

const rpcUnary: Prepare = (nats, { inFlight = 50 }) =>
  Effect.map(rpcPair(nats), (client) => (count) => inParallel(count, inFlight, client.one({ number: 1 })))

/** Three instances, of which the oldest is replaced all the time, called by a client of another connection. */
const rolling = (nats: Nats, { inFlight = 50 }: Job, failed: () => void) =>
  Effect.gen(function*() {
    const instance = Layer.provide(quotesLayer, Layer.fresh(nats))
    const start = Effect.gen(function*() {
      const scope = yield* Scope.make()
      yield* Layer.buildWithScope(instance, scope)
      return scope
    })
    const context = yield* Layer.build(nats)
    const client = yield* Effect.provideContext(NatsService.client(Quotes, { name: "quotes" }), context)
    const instances = [yield* start, yield* start, yield* start]
    let restarts = 0
    const restart = Effect.uninterruptible(Effect.gen(function*() {
      instances.push(yield* start)
      yield* Scope.close(instances.shift()!, Exit.void)
      restarts++
    }))
    const call = Effect.catchCause(client.price(order), () => Effect.sync(failed))
    const work: Work = Effect.fnUntraced(function*(count: number) {
      const before = restarts
      const restarting = yield* Effect.forkChild(Effect.forever(restart))
      yield* inParallel(count, inFlight, call)
      yield* Fiber.interrupt(restarting)
      if (count > 10_000 && restarts - before < 10) return yield* Effect.die("Hardly any instance was replaced.")
    })
    return work
  })

const works: Record<string, Prepare> = {
  "service": service,
  "service-rpc": rpc,
  "service-rpc-stream": rpcStream,
  "service-rpc-unary": rpcUnary
}

export const prepare = async (servers: string, job: Job): Promise<Prepared> => {
  const nats: Nats = NatsClient.layer({ servers })
  const scope = Scope.makeUnsafe()
  let failures = 0
  const work = job.work === "service-rolling" ? rolling(nats, job, () => failures++) : works[job.work](nats, job)
  const run = await Effect.runPromise(Scope.provide(work, scope))
  return {
    run: (count) => Effect.runPromise(run(count)),
    close: () => Effect.runPromise(Scope.close(scope, Exit.void)),
    ...(job.work === "service-rolling" ? { failed: () => failures } : {})
  }
}
