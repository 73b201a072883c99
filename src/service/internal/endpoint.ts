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
import type { PublishError } from "../../NatsError.ts"
import type { NatsMessage, RespondOptions } from "../../NatsMessage.ts"
import { type MessageSpanOptions, withMessageSpan } from "../../NatsTracing.ts"
import type { EndpointContract } from "./contract.ts"
import * as Failure from "./failure.ts"
import { RequestDetails } from "./requestDetails.ts"
import type { Slots } from "./slots.ts"
import { type Decode, type Encode, isExit, makeDecode, makeEncode } from "./text.ts"

type Run = Effect.Effect<unknown, unknown>
type Handle = (payload: unknown, details: RequestDetails) => Rpc.WrapperOr<Run>
type Middleware = (handler: Run, details: RequestDetails) => Run

// Answers are sent where nothing can interrupt them, and wait for a connection as long as it takes: the stop of a service
// does not wait for them, and the end of the client ends them.
const patient: RespondOptions = { timeout: Duration.infinity }

export interface EndpointSettings {
  readonly service: string
  readonly contract: EndpointContract
  readonly handler: Rpc.Handler<string>
  readonly middlewares: ReadonlyArray<RpcMiddleware.Any>
  /** What handlers run with, besides their own. */
  readonly context: Context.Context<never>
  readonly clock: Clock.Clock
  readonly slots: Slots | undefined
  /** Whether a tracer was installed when the service was made. Without one nothing is asked for each request. */
  readonly traced: boolean
}

export class Endpoint {
  requests = 0
  errors = 0
  lastError = ""
  /** Nanoseconds. */
  processingTime = 0
  readonly contract: EndpointContract
  private readonly service: string
  private readonly decode: Decode
  private readonly encode: Encode
  private readonly refuse: (cause: Cause.Cause<unknown>) => Effect.Effect<Failure.Refusal | undefined>
  private readonly handler: Handle
  private readonly middlewares: ReadonlyArray<Middleware>
  private readonly context: Context.Context<never>
  private readonly clock: Clock.Clock
  private readonly slots: Slots | undefined
  private readonly span: MessageSpanOptions | undefined
  private readonly fibers = new Set<Fiber.Fiber<unknown, unknown>>()
  private idlers: Array<() => void> = []
  /** New requests are turned away. */
  private giveUp = false

  constructor(settings: EndpointSettings) {
    const { rpc } = settings.contract
    this.contract = settings.contract
    this.service = settings.service
    this.decode = makeDecode(rpc.payloadSchema)
    this.encode = makeEncode(rpc.successSchema)
    this.refuse = Failure.makeRefuse(rpc)
    this.handler = settings.handler.handler as unknown as Handle
    this.middlewares = settings.middlewares as unknown as ReadonlyArray<Middleware>
    this.context = Context.merge(settings.handler.context, settings.context)
    this.clock = settings.clock
    this.slots = settings.slots
    const { queue, subject } = settings.contract
    this.span = settings.traced ? { subjectTemplate: subject, queue } : undefined
  }

  /** Succeeds when the request is answered, or when its handler has been started. Never fails. */
  handle(message: NatsMessage): Effect.Effect<void> {
    const started = this.clock.monotonicTimeNanosUnsafe()
    this.requests++
    if (this.giveUp) return this.turnDown(message, Failure.stopping, started)
    try {
      const decoded = this.decode(message.text)
      if (!isExit(decoded)) {
        const run = Effect.flatMap(
          Effect.mapError(decoded, (problem) => new Failure.BadPayload(problem)),
          (payload) => {
            const details = this.details(message, payload)
            return this.observed(Rpc.unwrap(this.handler(payload, details)), details, message)
          }
        )
        return this.start(message, run, started, false, false)
      }
      if (Exit.isFailure(decoded)) {
        return this.settle(
          message,
          Exit.failCause(Cause.map(decoded.cause, (problem) => new Failure.BadPayload(problem))),
          started
        )
      }
      const payload = decoded.value
      const details = this.details(message, payload)
      const result = this.handler(payload, details)
      if (Rpc.isWrapper(result)) {
        const run = this.observed(result.value, details, message)
        return this.start(message, run, started, result.fork, result.uninterruptible)
      }
      const run = this.observed(result, details, message)
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

  /** Interrupts what runs and turns away what comes. Both are answered. */
  abandon(): void {
    this.giveUp = true
    for (const fiber of this.fibers) fiber.interruptUnsafe()
  }

  reset(): void {
    this.requests = 0
    this.errors = 0
    this.lastError = ""
    this.processingTime = 0
  }

  private details(message: NatsMessage, payload: unknown): RequestDetails {
    return new RequestDetails(this.contract.rpc, message, payload)
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
    return Effect.flatMap(slots.wait, () => {
      if (!this.giveUp) return this.fork(message, run, started, slots, uninterruptible)
      slots.release()
      return this.turnDown(message, Failure.stopping, started)
    })
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
    const answered = Effect.onExitPrimitive(run, (exit) => {
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
    this.processingTime += Number(this.clock.monotonicTimeNanosUnsafe() - started)
    return Effect.catch(message.respond(text, patient), (error) => this.unsent(message, error))
  }

  private turnDown(message: NatsMessage, refusal: Failure.Refusal, started: bigint): Effect.Effect<void> {
    this.processingTime += Number(this.clock.monotonicTimeNanosUnsafe() - started)
    return this.sendRefusal(message, refusal)
  }

  private sendRefusal(message: NatsMessage, refusal: Failure.Refusal): Effect.Effect<void> {
    this.errors++
    this.lastError = `${refusal.code}:${refusal.description}`
    const options: RespondOptions = { ...patient, headers: Failure.headersOf(refusal) }
    return Effect.catch(
      message.respond(refusal.body, options),
      (error) =>
        error._tag === "MaxPayloadExceeded" && refusal.body !== ""
          ? Effect.catch(message.respond("", options), (error) => this.lost(error))
          : this.lost(error)
    )
  }

  /** A fault of the service itself: the caller learns that there was one, the log what it was. */
  private blame(message: NatsMessage, cause: Cause.Cause<unknown>, started: bigint): Effect.Effect<void> {
    return Effect.andThen(
      this.turnDown(message, Failure.internalError, started),
      Effect.andThen(ErrorReporter.report(cause), this.log(Effect.logError("A request died", cause)))
    )
  }

  private unsent(message: NatsMessage, error: PublishError): Effect.Effect<void> {
    return error._tag === "MaxPayloadExceeded"
      ? Effect.andThen(this.sendRefusal(message, Failure.tooLarge(error.size, error.limit)), this.lost(error))
      : this.lost(error)
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

const unfit = (it: { readonly path: string; readonly problem: string }): Error =>
  new Error(`The handler's result does not fit its schema${it.path === "" ? "" : ` at ${it.path}`}: ${it.problem}.`)
