/**
 * Serves endpoints and discovery over a client, and stops without losing a request.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Rpc from "effect/rpc/Rpc"
import type * as RpcGroup from "effect/rpc/RpcGroup"
import type * as RpcMiddleware from "effect/rpc/RpcMiddleware"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { randomToken } from "../../internal/identity/randomToken.ts"
import { asPart, describePart, logEnd, noteEnd, noteStopping, Within } from "../../internal/operations/background.ts"
import { allOrNothing, handOver, stopOnce } from "../../internal/operations/closing.ts"
import { connectionOf } from "../../internal/operations/connectionOf.ts"
import { highestCode, impossibleCodes } from "../../internal/payload/serviceReply.ts"
import { quoted } from "../../internal/protocol/shown.ts"
import { meterEndpoint } from "../../internal/telemetry/serviceMetrics.ts"
import { isTraced } from "../../internal/telemetry/tracing.ts"
import { NatsClient, type Subscription } from "../../NatsClient.ts"
import type { SubscribeError, SubscriptionError } from "../../NatsError.ts"
import type { NatsMessage } from "../../NatsMessage.ts"
import type { NatsService, Options, Requirements } from "../NatsService.ts"
import * as Contract from "./contract.ts"
import { Endpoint } from "./endpoint.ts"
import { InvalidService } from "./invalidService.ts"
import * as Monitoring from "./monitoring.ts"
import { Slots } from "./slots.ts"

// A buffer that is full ends nothing: the caller of a request that is dropped sees its timeout, the status an `Overflow`.
const overflow = "dropNewest"

export const TypeId = "~effect-nats/NatsService"

/** An end that nobody asked for: of one endpoint, or of all. */
export interface Loss {
  readonly service: string
  readonly endpoint: string | undefined
  readonly error: SubscriptionError
}

/** Makes one for each that is given. The handlers of a group have the same context. */
const sharedBy = <A extends object, B>(make: (of: A) => B): (of: A) => B => {
  const made = new Map<A, B>()
  return (of) => {
    let one = made.get(of)
    if (one === undefined) made.set(of, one = make(of))
    return one
  }
}

/** What the log has of a loss that nobody else hears of. */
export const logLoss = ({ endpoint, error, service }: Loss): Effect.Effect<void> =>
  endpoint === undefined
    ? logEnd({ kind: "service", name: service }, Cause.fail(error))
    : Effect.annotateLogs(
      Effect.logError("An endpoint of a service has ended; the service goes on with the others", Cause.fail(error)),
      { service, endpoint }
    )

const warnOfCodes = (service: string, { name, rpc }: Contract.EndpointContract): Effect.Effect<void> => {
  const codes = impossibleCodes(Contract.failureSchema(rpc)).map((code) =>
    typeof code === "number"
      ? String(code)
      : typeof code === "string"
      ? quoted(code, 32)
      : `of type ${typeof code}`
  )
  return codes.length === 0 ? Effect.void : Effect.annotateLogs(
    Effect.logWarning(
      `Failures are answered without the code ${codes.join(", ")}: a code is a whole number from 1 to ${highestCode}`
    ),
    { service, endpoint: name }
  )
}

const logStuck = (service: string, endpoints: ReadonlyArray<Endpoint>): Effect.Effect<void> =>
  Effect.annotateLogs(
    Effect.logWarning("A request handler does not let itself be interrupted and is left behind"),
    { service, endpoint: endpoints.map(({ contract }) => contract.name).join(", ") }
  )

/** `tell` hears of every loss, and whether somebody waits for the end of the service. */
export const serve = <Rpcs extends Rpc.Any>(
  group: RpcGroup.RpcGroup<Rpcs>,
  options: Options,
  tell: (loss: Loss, isWaitedFor: boolean) => Effect.Effect<void>
): Effect.Effect<
  NatsService,
  InvalidService | SubscribeError,
  Requirements<Rpcs> | Scope.Scope
> =>
  allOrNothing(Effect.gen(function*() {
    const problem = Contract.versionProblem(options.name, options.version) ??
      Contract.checkConcurrency(options.name, options.concurrency ?? "unbounded")
    if (problem !== undefined) return yield* problem
    const contracts = Contract.endpointsOf(group, options.name, options.queue)
    if (contracts instanceof InvalidService) return yield* contracts
    const given = (yield* Effect.context<Requirements<Rpcs>>()) as Context.Context<never>
    const handled: Array<Handled> = []
    for (const contract of contracts) {
      const handler = Contract.handlerOf(given, options.name, contract)
      if (handler instanceof InvalidService) return yield* handler
      handled.push({ contract, handler })
    }
    for (const contract of contracts) yield* warnOfCodes(options.name, contract)
    return yield* Effect.updateContext(
      open(handled, given, options, tell),
      (context: Context.Context<NatsClient | Scope.Scope>) => Contract.withoutHandlers(context, contracts)
    )
  }))

interface Handled {
  readonly contract: Contract.EndpointContract
  readonly handler: Rpc.Handler<string>
}

const open = (
  handled: ReadonlyArray<Handled>,
  given: Context.Context<never>,
  options: Options,
  tell: (loss: Loss, isWaitedFor: boolean) => Effect.Effect<void>
): Effect.Effect<NatsService, SubscribeError, NatsClient | Scope.Scope> =>
  Effect.gen(function*() {
    const nats = yield* NatsClient
    const connection = connectionOf(nats)
    const clock = yield* Clock.Clock
    const scope = yield* Scope.Scope
    const self = {}
    const own = yield* Effect.context<never>()
    const context = Context.add(own, Within, [...Context.get(own, Within), self])
    const contextOf = sharedBy((ofHandler: Context.Context<never>) => Context.merge(ofHandler, context))
    const traced = yield* Effect.withFiber((fiber) => Effect.succeed(isTraced(fiber)))
    const slots = options.concurrency === undefined || options.concurrency === "unbounded"
      ? undefined
      : new Slots(options.concurrency)
    const endpoints = handled.map(({ contract, handler }) =>
      new Endpoint({
        service: options.name,
        contract,
        handler,
        middlewares: Array.from(
          contract.rpc.middlewares,
          (middleware) => Context.getUnsafe(context, middleware as Context.Key<unknown, RpcMiddleware.Any>)
        ),
        context: contextOf(handler.context),
        clock,
        slots,
        meter: (endpoint) => meterEndpoint(given, options.name, contract.name, endpoint, connection.settings.metrics),
        traced
      })
    )
    const identity: Monitoring.Identity = {
      name: options.name,
      id: randomToken(11),
      version: options.version,
      metadata: { ...options.metadata }
    }
    const started = new Date(clock.currentTimeMillisUnsafe()).toISOString()
    const infoWith = (schemas: boolean) =>
      Monitoring.infoOf(
        identity,
        options.description ?? "",
        endpoints.flatMap(({ contract, ended }) => ended === undefined ? [contract] : []),
        schemas
      )
    let hasSchemas = options.schemas ?? true
    let info = infoWith(hasSchemas)
    const fitIn = Effect.suspend(() => {
      const { maxPayload: limit } = connection
      if (Buffer.byteLength(JSON.stringify(info)) <= limit) return Effect.void
      hasSchemas = false
      info = infoWith(false)
      return Effect.annotateLogs(
        Effect.logWarning(
          `Without schemas: with them the answer to $SRV.INFO is over the server's limit of ${limit} bytes`
        ),
        { service: options.name }
      )
    })
    yield* connection.isComing
      ? Effect.forkIn(Effect.ignore(Effect.andThen(connection.awaitSession, fitIn)), scope, { startImmediately: true })
      : Effect.andThen(nats.serverInfo, fitIn)
    const stats = (): ReturnType<typeof Monitoring.statsOf> => Monitoring.statsOf(identity, started, endpoints)

    const { parts } = connection
    const part = parts.join({ kind: "service", name: options.name })
    const leaveAll = Effect.sync(() => {
      parts.leave(part)
      for (const endpoint of endpoints) endpoint.leaveMetrics()
    })
    yield* Scope.addFinalizer(scope, leaveAll)
    let isWaitedFor = false
    const ended = yield* Deferred.make<void, SubscriptionError>()
    const lost = (endpoint: Endpoint, error: SubscriptionError): Effect.Effect<void> =>
      Effect.suspend(() => {
        const isWhole = error._tag === "ConnectionClosed"
        if (!isWhole) {
          endpoint.ended = error
          info = infoWith(hasSchemas)
        }
        noteEnd(
          part,
          Cause.fail(error),
          isWhole ? undefined : `the endpoint ${JSON.stringify(endpoint.contract.name)} of ${describePart(part)}`
        )
        // Who waits for it runs at once, and sees the service as it is now.
        const isFirst = Deferred.doneUnsafe(ended, Exit.fail(error))
        // The end of the client is the end of all of them: it is told once.
        if (isWhole && !isFirst) return Effect.void
        return tell(
          { service: options.name, endpoint: isWhole ? undefined : endpoint.contract.name, error },
          isWaitedFor
        )
      })
    const subscriptions = yield* Effect.forEach(
      endpoints,
      ({ contract: { queue, subject } }) =>
        asPart(nats.subscription(subject, { overflow, ...(queue === undefined ? {} : { queue }) })),
      { concurrency: "unbounded" }
    )
    const readers = yield* Effect.forEach(subscriptions, (subscription, i) =>
      Effect.forkIn(
        read(subscription, endpoints[i], (error) => lost(endpoints[i], error)),
        scope
      ))
    const done = Effect.forEach(readers, Fiber.await, { discard: true })
    yield* Effect.forkIn(Effect.andThen(done, Deferred.succeed(ended, undefined)), scope)
    // After the endpoints: what is found answers.
    const monitors = options.discovery === false ? [] : yield* Effect.forEach(
      Monitoring.answersOf(identity, () => info, stats),
      ({ answer, subject }) =>
        Effect.tap(asPart(nats.subscription(subject, { overflow })), (subscription) =>
          Effect.forkIn(discover(subscription, subject, answer, options.name), scope)),
      { concurrency: "unbounded" }
    )
    const { finalizer, stop } = stopOnce(
      connection,
      self,
      options.drainTimeout,
      Effect.fnUntraced(function*(patience) {
        noteStopping(part)
        const left = Effect.forEach([...subscriptions, ...monitors], (subscription) =>
          subscription.drain, {
          concurrency: "unbounded",
          discard: true
        })
        if (!(yield* patience.wait(Effect.andThen(left, done)))) {
          for (const endpoint of endpoints) endpoint.turnAway()
          // Who waits for a slot is turned away now, before one that is freed begins another handler. One that does not let
          // itself be interrupted would keep its slot, and who waits for it would never be answered.
          slots?.open()
          for (const endpoint of endpoints) endpoint.interrupt()
          if (!(yield* patience.linger(done))) {
            const stuck = endpoints.filter((endpoint) => endpoint.isHandling)
            if (stuck.length > 0) yield* logStuck(options.name, stuck)
            // The close of the client would wait for them once more.
            yield* Fiber.interruptAll(readers)
          }
        }
        yield* handOver(connection, patience)
        yield* Deferred.succeed(ended, undefined)
        yield* leaveAll
      })
    )
    // The last finalizer of the scope runs first: the subscriptions and their readers are still there.
    yield* Scope.addFinalizer(scope, finalizer)
    return {
      [TypeId]: TypeId,
      name: identity.name,
      id: identity.id,
      info: Effect.sync(() => info),
      stats: Effect.sync(stats),
      reset: Effect.sync(() => {
        for (const endpoint of endpoints) endpoint.reset()
      }),
      stop,
      ended: Effect.suspend(() => {
        isWaitedFor = true
        return Deferred.await(ended)
      })
    }
  })

/** Answers discovery. That it ends while the service goes on is told: nobody finds the service any more. */
const discover = (
  subscription: Subscription,
  subject: string,
  answer: () => string,
  service: string
): Effect.Effect<void> =>
  Stream.runForEach(subscription.stream, (message) => inform(message, answer(), service)).pipe(
    Effect.catch((error) =>
      error._tag === "ConnectionClosed"
        ? Effect.void
        : Effect.annotateLogs(Effect.logError("The discovery of a service has ended", error), { service, subject })
    )
  )

const inform = (message: NatsMessage, answer: string, service: string): Effect.Effect<void> =>
  Effect.catch(message.respond(answer), (error) =>
    // Without a reply subject nobody asked.
    error._tag === "InvalidSubject"
      ? Effect.void
      : Effect.annotateLogs(Effect.logWarning("A discovery could not be answered", error), { service }))

/** Handles every request. The scope of the reading stays open until the last handler is done, which a drain waits for. */
const read = (
  subscription: Subscription,
  endpoint: Endpoint,
  lost: (error: SubscriptionError) => Effect.Effect<void>
): Effect.Effect<void> =>
  Effect.scoped(Effect.gen(function*() {
    const pull = yield* Stream.toPull(subscription.stream)
    while (true) {
      const batch = yield* Effect.exit(pull)
      if (Exit.isFailure(batch)) {
        const end = Cause.findErrorOption(batch.cause)
        if (end._tag === "Some" && !Cause.isDone(end.value)) yield* lost(end.value)
        return yield* endpoint.idle
      }
      const messages = batch.value
      let index = 0
      yield* Effect.whileLoop({
        while: () => index < messages.length,
        body: () => endpoint.handle(messages[index++]),
        step: () => {}
      })
    }
  }))
