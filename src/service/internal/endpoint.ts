/**
 * One endpoint: from a request to its answer.
 *
 * Everything that finishes at once is done by the fiber that reads the subscription: payload, handler and answer are
 * plain calls then. Any other handler runs in a fiber of its own, which answers itself.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as ErrorReporter from "effect/ErrorReporter"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Rpc from "effect/rpc/Rpc"
import type * as RpcMiddleware from "effect/rpc/RpcMiddleware"
import * as Scope from "effect/Scope"
import { type ReplyHeaders, sendRefusal, sendResult } from "../../internal/payload/answering.ts"
import type { Problem } from "../../internal/payload/decodeProblem.ts"
import { isExit, jsonTextDecoder, jsonTextEncoder } from "../../internal/payload/jsonText.ts"
import {
  BadPayload,
  internalError,
  makeRefuse,
  type Refusal,
  type Refuse,
  stopping,
  tooLarge
} from "../../internal/payload/serviceReply.ts"
import type { CountedEndpoint, EndpointMeter } from "../../internal/telemetry/serviceMetrics.ts"
import type { PublishError, SubscriptionError } from "../../NatsError.ts"
import type { NatsMessage, RespondOptions } from "../../NatsMessage.ts"
import { type MessageSpanOptions, withMessageSpan } from "../../NatsTracing.ts"
import { type EndpointContract, failureSchema } from "./contract.ts"
import { RequestDetails } from "./requestDetails.ts"
import type { Slots } from "./slots.ts"

/** The services of the schemas are in the context that the results run with. */
type Decode = (text: string) => Effect.Effect<unknown, Problem>
type Encode = (value: unknown) => Effect.Effect<string, Problem>

type Run = Effect.Effect<unknown, unknown>
type Handle = (payload: unknown, details: RequestDetails) => Rpc.WrapperOr<Run>
type Middleware = (handler: Run, details: RequestDetails) => Run

const nanosPerSecond = 1_000_000_000

// Answers are sent where nothing can interrupt them, and wait for a connection as long as it takes: the stop of a service
// does not wait for them, and the end of the client ends them.
const patient: RespondOptions = { timeout: Duration.infinity }

export interface EndpointSettings {
  readonly service: string
  readonly contract: EndpointContract
  readonly handler: Rpc.Handler<string>
  readonly middlewares: ReadonlyArray<RpcMiddleware.Any>
  /** What the handler runs with. */
  readonly context: Context.Context<never>
  readonly clock: Clock.Clock
  readonly slots: Slots | undefined
  /** Counts it in the metrics. */
  readonly meter: (endpoint: CountedEndpoint) => EndpointMeter
  /** Whether a tracer was installed when the service was made. Without one nothing is asked for each request. */
  readonly traced: boolean
}

export class Endpoint implements CountedEndpoint {
  /** Why it has ended while the service goes on. */
  ended: SubscriptionError | undefined
  requests = 0
  errors = 0
  lastError = ""
  /** Nanoseconds. */
  processingTime = 0
  readonly contract: EndpointContract
  private readonly service: string
  private readonly decode: Decode
  private readonly encode: Encode
  private readonly refuse: Refuse<never>
  private readonly handler: Handle
  private readonly middlewares: ReadonlyArray<Middleware>
  private readonly context: Context.Context<never>
  private readonly clock: Clock.Clock
  private readonly slots: Slots | undefined
  private readonly span: MessageSpanOptions | undefined
  private readonly fibers = new Set<Fiber.Fiber<unknown, unknown>>()
  /** Of the requests whose handlers set some. */
  private readonly replyHeaders = new WeakMap<NatsMessage, ReplyHeaders>()
  private readonly meter: EndpointMeter
  // Before the last reset of the statistics, which the metrics do not know.
  private pastRequests = 0
  private pastErrors = 0
  private idlers: Array<() => void> = []
  private handling = 0
  /** New requests are turned away. */
  private giveUp = false

  constructor(settings: EndpointSettings) {
    const { rpc } = settings.contract
    this.contract = settings.contract
    this.service = settings.service
    this.decode = jsonTextDecoder(rpc.payloadSchema) as Decode
    this.encode = jsonTextEncoder(rpc.successSchema) as Encode
    this.refuse = makeRefuse(failureSchema(rpc)) as Refuse<never>
    this.handler = settings.handler.handler as unknown as Handle
    this.middlewares = settings.middlewares as unknown as ReadonlyArray<Middleware>
    this.context = settings.context
    this.clock = settings.clock
    this.slots = settings.slots
    const { queue, subject } = settings.contract
    this.meter = settings.meter(this)
    this.span = settings.traced ? { subjectTemplate: subject, queue } : undefined
  }

  /** Succeeds when the request is answered, or when its handler has been started. Never fails. */
  handle(message: NatsMessage): Effect.Effect<void> {
    const started = this.clock.monotonicTimeNanosUnsafe()
    this.requests++
    if (this.giveUp) return this.turnDown(message, stopping, started)
    try {
      const decoded = this.decode(message.text)
      if (!isExit(decoded)) {
        const run = Effect.flatMap(
          Effect.mapError(decoded, (problem) => new BadPayload(problem)),
          (payload) => {
            const details = this.details(message, payload)
            const result = this.handler(payload, details)
            return this.observed(this.effectOf(isWrapper(result) ? result.value : result), details, message)
          }
        )
        return this.start(message, run, started, false, false)
      }
      if (Exit.isFailure(decoded)) {
        return this.settle(
          message,
          Exit.failCause(Cause.map(decoded.cause, (problem) => new BadPayload(problem))),
          started
        )
      }
      const payload = decoded.value
      const details = this.details(message, payload)
      const result = this.handler(payload, details)
      if (isWrapper(result)) {
        const run = this.observed(this.effectOf(result.value), details, message)
        return this.start(message, run, started, result.fork, result.uninterruptible)
      }
      const run = this.observed(this.effectOf(result), details, message)
      return isExit(run) && !(Exit.isSuccess(run) && Deferred.isDeferred(run.value))
        ? this.settle(message, run, started)
        : this.start(message, run, started, false, false)
    } catch (defect) {
      return this.settle(message, Exit.die(defect), started)
    }
  }

  /** Waits until no handler runs. */
  readonly idle: Effect.Effect<void> = Effect.suspend(() =>
    this.fibers.size === 0
      ? Effect.void
      : Effect.callback<void>((resume) => {
        this.idlers.push(() => resume(Effect.void))
      })
  )

  /** Begins no other handler: what is here and what comes is turned away. Who waits for a slot is to be let on then. */
  turnAway(): void {
    this.giveUp = true
  }

  /** Interrupts what runs. It is answered. */
  interrupt(): void {
    for (const fiber of this.fibers) fiber.interruptUnsafe()
  }

  /** Whether a handler runs: what still waits otherwise is an answer. */
  get isHandling(): boolean {
    return this.handling > 0
  }

  get totalRequests(): number {
    return this.pastRequests + this.requests
  }

  get totalErrors(): number {
    return this.pastErrors + this.errors
  }

  /** It is not counted any more. What it had counted stays. */
  leaveMetrics(): void {
    this.meter.leave()
  }

  reset(): void {
    this.pastRequests += this.requests
    this.pastErrors += this.errors
    this.requests = 0
    this.errors = 0
    this.lastError = ""
    this.processingTime = 0
  }

  private details(message: NatsMessage, payload: unknown): RequestDetails {
    return new RequestDetails(this.contract.rpc, message, payload, this.replyHeaders)
  }

  /** A function that is not typed can give anything, and a promise would be waited for by nobody. */
  private effectOf(result: Run): Run {
    if (Effect.isEffect(result)) return result
    throw new TypeError(`The handler of ${JSON.stringify(this.contract.rpc._tag)} returned no Effect`)
  }

  /** The handler inside of its middleware, inside of its span. */
  private observed(handler: Run, details: RequestDetails, message: NatsMessage): Run {
    let run = handler
    for (const middleware of this.middlewares) run = middleware(run, details)
    return this.span === undefined ? run : withMessageSpan(run, message, this.span)
  }

  private start(
    message: NatsMessage,
    run: Run,
    started: bigint,
    isFork: boolean,
    uninterruptible: boolean
  ): Effect.Effect<void> {
    const slots = isFork ? undefined : this.slots
    if (slots === undefined || slots.take()) return this.fork(message, run, started, slots, uninterruptible)
    return Effect.flatMap(slots.wait, () =>
      this.giveUp
        ? this.turnDown(message, stopping, started)
        : this.fork(message, run, started, slots, uninterruptible))
  }

  private fork(
    message: NatsMessage,
    run: Run,
    started: bigint,
    slots: Slots | undefined,
    uninterruptible: boolean
  ): Effect.Effect<void> {
    const scope = Scope.makeUnsafe()
    const context = Context.add(this.context, Scope.Scope, scope)
    let deferred: Deferred.Deferred<unknown, unknown> | undefined
    this.handling++
    const answered = Effect.onExitPrimitive(run, (exit) => {
      this.handling--
      let answer: Effect.Effect<void> | undefined
      if (Exit.isSuccess(exit) && Deferred.isDeferred<unknown, unknown>(exit.value)) deferred = exit.value
      else answer = this.settle(message, exit, started)
      const close = Scope.closeUnsafe(scope, exit)
      return answer === undefined ? close : close === undefined ? answer : Effect.ensuring(answer, close)
    })
    const runFork = Effect.runForkWith(context)
    this.track(runFork(answered, uninterruptible ? { uninterruptible } : undefined), () => {
      slots?.release()
      if (deferred === undefined) return
      // The handler is done: its answer comes from elsewhere, and neither a slot nor its scope waits for it.
      const later = Effect.onExitPrimitive(Deferred.await(deferred), (exit) => this.settle(message, exit, started))
      this.track(runFork(later), () => {})
    })
    return Exit.void
  }

  private track(fiber: Fiber.Fiber<unknown, unknown>, done: () => void): void {
    if (fiber.pollUnsafe() !== undefined) return done()
    this.fibers.add(fiber)
    fiber.addObserver(() => {
      done()
      this.fibers.delete(fiber)
      if (this.fibers.size > 0) return
      const idlers = this.idlers
      this.idlers = []
      for (const resume of idlers) resume()
    })
  }

  private settle(message: NatsMessage, exit: Exit.Exit<unknown, unknown>, started: bigint): Effect.Effect<void> {
    try {
      if (Exit.isFailure(exit)) return this.settleFailure(message, exit.cause, started)
      const encoded = this.encode(exit.value)
      if (isExit(encoded) && Exit.isSuccess(encoded)) return this.answer(message, encoded.value, started)
      return Effect.matchCauseEffectEager(encoded, {
        onSuccess: (text) => this.answer(message, text, started),
        onFailure: (cause) => this.blame(message, Cause.map(cause, unfit), started)
      })
    } catch (defect) {
      return this.blame(message, Cause.die(defect), started)
    }
  }

  private settleFailure(message: NatsMessage, cause: Cause.Cause<unknown>, started: bigint): Effect.Effect<void> {
    return Effect.matchCauseEffectEager(this.refuse(cause), {
      onSuccess: (refusal) =>
        refusal === undefined ? this.blame(message, cause, started) : this.turnDown(message, refusal, started),
      onFailure: (cause) => this.blame(message, cause, started)
    })
  }

  private answer(message: NatsMessage, text: string, started: bigint): Effect.Effect<void> {
    this.time(started)
    const own = this.replyHeaders.get(message)
    const options: RespondOptions = own === undefined ? patient : { ...patient, headers: own.value }
    return Effect.catch(sendResult(message, text, options), (error) => this.unsent(message, error))
  }

  private turnDown(message: NatsMessage, refusal: Refusal, started: bigint): Effect.Effect<void> {
    this.time(started)
    return this.sendRefusal(message, refusal)
  }

  private time(started: bigint): void {
    const nanos = Number(this.clock.monotonicTimeNanosUnsafe() - started)
    this.processingTime += nanos
    this.meter.durations?.add(nanos / nanosPerSecond)
  }

  private sendRefusal(message: NatsMessage, refusal: Refusal): Effect.Effect<void> {
    this.errors++
    this.lastError = `${refusal.code}:${refusal.description}`
    const own = this.replyHeaders.get(message)?.value
    return Effect.catch(sendRefusal(message, refusal, own, patient.timeout), (error) => this.lost(error))
  }

  /** A fault of the service itself: the caller learns that there was one, the log what it was. */
  private blame(message: NatsMessage, cause: Cause.Cause<unknown>, started: bigint): Effect.Effect<void> {
    return Effect.andThen(
      this.turnDown(message, internalError, started),
      Effect.andThen(ErrorReporter.report(cause), this.log(Effect.logError("A request died", cause)))
    )
  }

  private unsent(message: NatsMessage, error: PublishError): Effect.Effect<void> {
    if (error._tag !== "MaxPayloadExceeded" && error._tag !== "InvalidHeader") return this.lost(error)
    const refusal = error._tag === "MaxPayloadExceeded" ? tooLarge(error.size, error.limit) : internalError
    return Effect.andThen(this.sendRefusal(message, refusal), this.lost(error))
  }

  private lost(error: PublishError): Effect.Effect<void> {
    // Without a reply subject nobody waits for an answer.
    return error._tag === "InvalidSubject"
      ? Effect.void
      : this.log(Effect.logWarning("An answer could not be sent", error))
  }

  private log(effect: Effect.Effect<void>): Effect.Effect<void> {
    return Effect.annotateLogs(effect, { service: this.service, endpoint: this.contract.name })
  }
}

const isWrapper = (result: Rpc.WrapperOr<Run>): result is Rpc.Wrapper<Run> =>
  typeof result === "object" && result !== null && Rpc.isWrapper(result)

const unfit = (it: { readonly path: string; readonly problem: string }): Error =>
  new Error(`The handler's result does not fit its schema${it.path === "" ? "" : ` at ${it.path}`}: ${it.problem}.`)
