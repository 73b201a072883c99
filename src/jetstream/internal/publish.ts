/**
 * One message into a stream, and its acknowledgement. What was never written, what is not known and what was refused are
 * told apart: nobody else knows later.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Pull from "effect/Pull"
import * as Schedule from "effect/Schedule"
import type * as Tracer from "effect/Tracer"
import type { DeadlineList, Expiring } from "../../internal/delivery/deadlines.ts"
import type { Message } from "../../internal/delivery/message.ts"
import { type Pending, type PendingError, type RequestMux, saysNoResponders } from "../../internal/delivery/requests.ts"
import { available, checkSubject, drained, empty, sizeable, within } from "../../internal/operations/sending.ts"
import { monotonicMillis } from "../../internal/telemetry/monotonic.ts"
import { isTraced } from "../../internal/telemetry/tracing.ts"
import { type ConnectionClosed, type ConnectionLost, RequestTimedOut } from "../../NatsError.ts"
import type { PubAck, PublishOptions } from "../JetStream.ts"
import { NoStreamForSubject, NotPublished } from "../JetStreamError.ts"
import type { Api } from "./api.ts"
import { unsupported } from "./level.ts"
import { type AnyPublishError, refused, strange, unanswered, unknown } from "./outcome.ts"
import { type Outgoing, prepare } from "./outgoing.ts"
import { Refusal } from "./pubAck.ts"

type Outcome = Exit.Exit<PubAck, AnyPublishError>

/** One message that waits for its acknowledgement. */
class PendingPublish implements Pending {
  deadline = 0
  list: DeadlineList | undefined = undefined
  previous: Expiring | undefined = undefined
  next: Expiring | undefined = undefined
  private outcome: Outcome | undefined = undefined
  /** What is wrong with an answer that was none of JetStream's. The true one can still come. */
  private problem: string | undefined = undefined
  private readonly heard: number

  readonly token: number
  private readonly api: Api
  private readonly mux: RequestMux
  private readonly outgoing: Outgoing
  private readonly timeoutMillis: number
  private readonly resume: (outcome: Outcome) => void

  constructor(api: Api, outgoing: Outgoing, timeoutMillis: number, resume: (outcome: Outcome) => void) {
    const { mux } = api.connection
    this.api = api
    this.mux = mux
    this.heard = mux.owner.heard
    this.token = mux.token()
    this.outgoing = outgoing
    this.timeoutMillis = timeoutMillis
    this.resume = resume
  }

  get subject(): string {
    return this.outgoing.subject
  }

  get isAnswered(): boolean {
    return this.outcome !== undefined
  }

  take(reply: Message): boolean {
    if (this.outcome !== undefined) return false
    if (saysNoResponders(reply)) {
      this.outcome = Exit.fail(new NoStreamForSubject({ subject: this.subject }))
      return true
    }
    const answer = this.api.acks.read(reply.chunk, reply.payloadStart, reply.payloadEnd)
    if (typeof answer === "string") {
      this.problem ??= answer
      return false
    }
    this.outcome = answer instanceof Refusal
      ? Exit.fail(refused(this.api, this.outgoing, answer))
      : Exit.succeed(answer)
    return true
  }

  answer(): void {
    this.settle(this.outcome!)
  }

  expire(): void {
    const { problem, subject, timeoutMillis } = this
    if (problem !== undefined) return this.settle(Exit.fail(strange(subject, problem)))
    this.mux.unanswered(this.heard)
    this.settle(Exit.fail(unknown(this.outgoing, new RequestTimedOut({ subject, timeoutMillis }))))
  }

  fail(error: PendingError): void {
    this.settle(Exit.fail(unanswered(this.outgoing, error)))
  }

  private settle(outcome: Outcome): void {
    if (this.mux.forget(this)) this.resume(outcome)
  }
}

/** Writes it, and waits for the answer. */
const send = (
  api: Api,
  session: NonNullable<Api["connection"]["session"]>,
  outgoing: Outgoing,
  timeoutMillis: number
): Effect.Effect<PubAck, AnyPublishError> => {
  const { connection } = api
  const { mux } = connection
  return Effect.callback((resume) => {
    connection.ensureInbox(session)
    const pending = new PendingPublish(api, outgoing, timeoutMillis, resume)
    mux.add(pending, timeoutMillis)
    connection.send(session, { ...outgoing, reply: `${mux.prefix}${pending.token}` })
    return Effect.sync(() => mux.forget(pending))
  })
}

/** A wait that ends without a connection has written nothing. */
export const neverWritten =
  (subject: string) => (error: ConnectionLost | ConnectionClosed): NotPublished | ConnectionClosed =>
    error._tag === "ConnectionLost" ? new NotPublished({ subject, reason: error.reason }) : error

/** Why it cannot be sent to the server at hand. */
export const problemNow = (api: Api, outgoing: Outgoing): AnyPublishError | undefined => {
  const { connection } = api
  if (outgoing.needs !== undefined && connection.info !== undefined) {
    const problem = unsupported(api, outgoing.needs)
    if (problem !== undefined) return problem
  }
  return connection.problemOf(connection.session, outgoing)
}

/** One try. The wait for a connection is part of its time, and no longer than the other bound. */
const attempt = (
  api: Api,
  outgoing: Outgoing,
  timeoutMillis: number,
  mostWaitMillis: number = Infinity
): Effect.Effect<PubAck, AnyPublishError> => {
  const { connection } = api
  const { session } = connection
  const problem = problemNow(api, outgoing)
  if (problem !== undefined) return Effect.fail(problem)
  if (session !== undefined && !connection.isCongested(session)) return send(api, session, outgoing, timeoutMillis)
  if (connection.ended !== undefined) return Effect.fail(connection.ended)
  const { clock } = connection.settings
  const started = monotonicMillis(clock)
  const ready = Effect.suspend(() => available(connection)).pipe(
    Effect.tap((ready) => connection.isCongested(ready) ? drained(ready) : Effect.void)
  )
  return within(connection, Math.min(timeoutMillis, mostWaitMillis), ready).pipe(
    Effect.mapError(neverWritten(outgoing.subject)),
    Effect.flatMap(() => {
      const waited = monotonicMillis(clock) - started
      return attempt(api, outgoing, Math.max(1, timeoutMillis - waited), Math.max(1, mostWaitMillis - waited))
    })
  )
}

/** What may have been stored, and what may be tried again under a message id although it was. */
const mayBeStored = (error: AnyPublishError): boolean =>
  error._tag === "PublishOutcomeUnknown" || error._tag === "InvalidAnswer"

const mayRunAgain = (error: AnyPublishError): boolean =>
  mayBeStored(error) || error._tag === "NotPublished" || error._tag === "NoStreamForSubject" ||
  error._tag === "JetStreamUnavailable"

const defaultRetryWithin = Duration.minutes(1)

/**
 * Tries under one message id, so that it is stored once. None is written when the whole time is over, which could be behind
 * the stream's window for duplicates. Once it may have been stored, a failure that only says that this try did not
 * store it is not the truth.
 */
const repeated = (
  api: Api,
  outgoing: Outgoing,
  timeoutMillis: number,
  schedule: Schedule.Schedule<unknown, AnyPublishError>,
  retryWithin: Duration.Input | undefined
): Effect.Effect<PubAck, AnyPublishError> =>
  Effect.gen(function*() {
    const clock = yield* Clock.Clock
    const step = yield* Schedule.toStep(schedule)
    const end = monotonicMillis(clock) + Duration.toMillis(retryWithin ?? defaultRetryWithin)
    let unclear: AnyPublishError | undefined
    while (true) {
      const left = end - monotonicMillis(clock)
      const exit = yield* Effect.exit(attempt(api, outgoing, timeoutMillis, Math.max(1, left)))
      if (Exit.isSuccess(exit)) return exit.value
      const error = Cause.findErrorOption(exit.cause)
      if (error._tag === "None") return yield* Effect.failCause(exit.cause)
      const failure = error.value
      if (!mayRunAgain(failure)) {
        return yield* (unclear !== undefined && failure._tag === "ConnectionClosed"
          ? unknown(outgoing, failure)
          : failure)
      }
      if (mayBeStored(failure)) unclear = failure
      const next = yield* Effect.exit(step(yield* Clock.currentTimeMillis, failure))
      const isOver = Exit.isFailure(next)
      if (isOver && !Pull.isDoneCause(next.cause)) return yield* Effect.failCause(next.cause as Cause.Cause<never>)
      const delay = isOver ? Duration.zero : next.value[1]
      if (isOver || monotonicMillis(clock) + Duration.toMillis(delay) >= end) return yield* (unclear ?? failure)
      yield* Effect.sleep(delay)
    }
  })

const publishNow = (
  api: Api,
  subject: string,
  payload: string | Uint8Array,
  options: PublishOptions | undefined,
  span: Tracer.Span | undefined
): Effect.Effect<PubAck, AnyPublishError> => {
  const outgoing = prepare(subject, payload, options, span)
  if (outgoing instanceof Error) return Effect.fail(outgoing)
  const timeout = options?.timeout
  const timeoutMillis = timeout === undefined ? api.timeoutMillis : Duration.toMillis(timeout)
  return options?.retry === undefined || outgoing.msgId === undefined
    ? attempt(api, outgoing, timeoutMillis)
    : repeated(api, outgoing, timeoutMillis, options.retry, options.retryWithin)
}

/** The label of an end in the metrics. */
const labelOf = (exit: Outcome): string => {
  if (Exit.isSuccess(exit)) return exit.value.duplicate ? "duplicate" : "success"
  const error = Cause.findErrorOption(exit.cause)
  return error._tag === "Some" ? error.value._tag : "interrupted"
}

const metered = (api: Api, publishing: Effect.Effect<PubAck, AnyPublishError>) => {
  const { meter } = api
  if (meter === undefined) return publishing
  const since = meter.now()
  meter.flying(1)
  return Effect.onExit(publishing, (exit) => {
    meter.flying(-1)
    meter.done(labelOf(exit), since)
    return Effect.void
  })
}

export const publish = (
  api: Api,
  subject: string,
  payload: string | Uint8Array = empty,
  options?: PublishOptions | undefined
): Effect.Effect<PubAck, AnyPublishError> =>
  Effect.withFiber((fiber) => {
    checkSubject(subject)
    const { tracing } = api.connection.settings
    if (tracing === undefined || fiber.cache.tracer === undefined || !isTraced(fiber)) {
      return metered(api, publishNow(api, subject, payload, options, undefined))
    }
    const sent = { subject, payload: sizeable(payload), template: options?.subjectTemplate }
    return tracing.send(
      fiber,
      "publish",
      sent,
      (span) => metered(api, publishNow(api, subject, payload, options, span))
    )
  })
