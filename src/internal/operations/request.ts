/**
 * Requests with one reply or many.
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import type * as Tracer from "effect/Tracer"
import {
  type ConnectionClosed,
  type ConnectionLost,
  type HeadersNotSupported,
  InvalidHeader,
  type InvalidPayload,
  type InvalidSubject,
  type MaxPayloadExceeded,
  type RequestError,
  type RequestManyError
} from "../../NatsError.ts"
import type { Input } from "../../NatsHeaders.ts"
import type { NatsMessage } from "../../NatsMessage.ts"
import type { Connection } from "../connection/connection.ts"
import type { Outgoing } from "../connection/outgoing.ts"
import { pullReplies, type RepliesLimit } from "../delivery/replies.ts"
import { awaitReply } from "../delivery/requests.ts"
import { outcomeOf } from "../payload/outcome.ts"
import { invalidSubject } from "../subject/invalid.ts"
import { patternProblem, subjectProblem } from "../subject/rules.ts"
import { monotonicMillis } from "../telemetry/monotonic.ts"
import { withTrace } from "../telemetry/traceContext.ts"
import { isTraced } from "../telemetry/tracing.ts"
import type { Session } from "../wire/session.ts"
import { atLeastOne } from "./ranges.ts"
import { available, checkSubject, drained, empty, headerBlock, payloadProblem, sizeable, within } from "./sending.ts"

export interface RequestOptions {
  readonly headers?: Input | undefined
  readonly subjectTemplate?: string | undefined
  /**
   * Whether the subject may have wildcards. No option of a client: JetStream has the filter of a consumer in the subject that
   * creates it, and libraries that speak to it ask so.
   */
  readonly wildcards?: boolean | undefined
}

/** A request as it is sent, or what is wrong with it. */
const prepare = (
  subject: string,
  payload: string | Uint8Array,
  options: RequestOptions | undefined,
  span: Tracer.Span | undefined
): Exit.Exit<Outgoing, InvalidSubject | InvalidPayload | InvalidHeader> => {
  const problem = options?.wildcards === true ? patternProblem(subject) : subjectProblem(subject)
  if (problem !== undefined) return Exit.fail(invalidSubject("subject", subject, problem))
  const unfit = payloadProblem(subject, payload)
  if (unfit !== undefined) return Exit.fail(unfit)
  const headers = options?.headers
  const own = headerBlock(headers)
  if (own instanceof InvalidHeader) return Exit.fail(own)
  const block = span === undefined ? own : withTrace(own, span)
  return Exit.succeed({
    subject,
    reply: "",
    headers: block,
    given: own === undefined ? undefined : headers,
    payload
  })
}

export const request = (
  connection: Connection,
  subject: string,
  payload: string | Uint8Array = empty,
  timeoutMillis: number,
  options: RequestOptions | undefined
): Effect.Effect<NatsMessage, RequestError> =>
  Effect.withFiber((fiber) => {
    checkSubject(subject)
    const { tracing } = connection.settings
    if (tracing === undefined || fiber.cache.tracer === undefined || !isTraced(fiber)) {
      return requestNow(connection, subject, payload, timeoutMillis, options, undefined)
    }
    let reply: NatsMessage | undefined
    // The span ends as the call does. The request itself has succeeded when it has its reply, whatever that says.
    return Effect.matchCauseEffect(
      tracing.send(
        fiber,
        "request",
        { subject, payload: sizeable(payload), template: options?.subjectTemplate },
        (span): Effect.Effect<unknown, unknown> =>
          Effect.flatMap(requestNow(connection, subject, payload, timeoutMillis, options, span), (received) => {
            reply = received
            return outcomeOf(fiber.context, subject, received)
          })
      ),
      {
        onSuccess: () => Effect.succeed(reply!),
        onFailure: (cause) =>
          reply === undefined ? Effect.failCause(cause as Cause.Cause<RequestError>) : Effect.succeed(reply)
      }
    )
  })

const requestNow = (
  connection: Connection,
  subject: string,
  payload: string | Uint8Array,
  timeoutMillis: number,
  options: RequestOptions | undefined,
  span: Tracer.Span | undefined
): Effect.Effect<NatsMessage, RequestError> => {
  const prepared = prepare(subject, payload, options, span)
  const outcome: Effect.Effect<NatsMessage, RequestError> = Exit.isSuccess(prepared)
    ? sendWhenPossible(
      connection,
      timeoutMillis,
      prepared.value,
      (session, left) => send(connection, session, prepared.value, left)
    )
    : Exit.failCause(prepared.cause)
  const { meter } = connection.settings
  return meter === undefined ? outcome : meter.timeRequest(outcome)
}

const send = (
  connection: Connection,
  session: Session,
  outgoing: Outgoing,
  timeoutMillis: number
): Effect.Effect<NatsMessage, RequestError> => {
  connection.ensureInbox(session)
  return awaitReply(
    connection.mux,
    outgoing.subject,
    timeoutMillis,
    (reply) => connection.send(session, { ...outgoing, reply })
  )
}

// The wait for a session is part of the request's time. A request that was never sent did not time out: the connection
// was away.
const sendWhenPossible = <A, E, R>(
  connection: Connection,
  timeoutMillis: number,
  outgoing: Outgoing,
  send: (session: Session, left: number) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | ConnectionLost | ConnectionClosed | HeadersNotSupported | MaxPayloadExceeded, R> => {
  const now = connection.session
  const problem = connection.problemOf(now, outgoing)
  if (problem !== undefined) return Effect.fail(problem)
  if (now !== undefined && !connection.isCongested(now)) return send(now, timeoutMillis)
  if (connection.ended !== undefined) return Effect.fail(connection.ended)
  const { clock } = connection.settings
  const started = monotonicMillis(clock)
  const ready = Effect.suspend(() => available(connection)).pipe(
    Effect.tap((session) => connection.isCongested(session) ? drained(session) : Effect.void)
  )
  return within(connection, timeoutMillis, ready).pipe(
    Effect.flatMap(() => {
      const left = Math.max(1, timeoutMillis - (monotonicMillis(clock) - started))
      return sendWhenPossible(connection, left, outgoing, send)
    })
  )
}

export const requestMany = (
  connection: Connection,
  subject: string,
  payload: string | Uint8Array = empty,
  timeoutMillis: number,
  options: RequestOptions | undefined,
  limit: RepliesLimit
): Stream.Stream<NatsMessage, RequestManyError> => {
  const replies = (span: Tracer.Span | undefined) =>
    Effect.flatMap(
      prepare(subject, payload, options, span),
      (outgoing) =>
        sendWhenPossible(connection, timeoutMillis, outgoing, (session, left) => {
          connection.ensureInbox(session)
          const send = (reply: string): void => connection.send(session, { ...outgoing, reply })
          return Effect.map(
            pullReplies(connection.mux, subject, left, limit, send),
            (pull) => Stream.fromPull(Effect.succeed(pull))
          )
        })
    )
  return Stream.unwrap(Effect.withFiber((fiber) => {
    checkSubject(subject)
    atLeastOne("count", limit.count)
    const { tracing } = connection.settings
    if (tracing === undefined || !isTraced(fiber)) return replies(undefined)
    return tracing.requestScoped(
      fiber,
      { subject, payload: sizeable(payload), template: options?.subjectTemplate },
      replies
    )
  }))
}
