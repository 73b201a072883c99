/**
 * Publishing: at once where there is a connection, else by the policy for when there is none.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Tracer from "effect/Tracer"
import { HeadersNotSupported, InvalidHeader, type PublishError, type RespondError } from "../../NatsError.ts"
import type { Input } from "../../NatsHeaders.ts"
import type { RespondOptions } from "../../NatsMessage.ts"
import type { Connection } from "../connection/connection.ts"
import type { ConfirmWatch, Outgoing } from "../connection/outgoing.ts"
import { isDispensable } from "../protocol/headers.ts"
import { invalidSubject } from "../subject/invalid.ts"
import { subjectProblem } from "../subject/rules.ts"
import { withTrace } from "../telemetry/traceContext.ts"
import { isTraced } from "../telemetry/tracing.ts"
import {
  available,
  checkSubject,
  drained,
  empty,
  headerBlock,
  payloadProblem,
  roundTrip,
  sizeable,
  within
} from "./sending.ts"

export interface PublishOptions {
  readonly headers?: Input | undefined
  readonly reply?: string | undefined
  readonly confirm?: boolean | undefined
  readonly timeout?: Duration.Input | undefined
  readonly subjectTemplate?: string | undefined
}

export const publish = (
  connection: Connection,
  subject: string,
  payload: string | Uint8Array = empty,
  options?: PublishOptions | undefined
): Effect.Effect<void, PublishError> =>
  Effect.withFiber((fiber) => {
    checkSubject(subject)
    const { tracing } = connection.settings
    if (tracing === undefined || fiber.cache.tracer === undefined || !isTraced(fiber)) {
      return publishNow(connection, subject, payload, options, undefined)
    }
    const sent = { subject, payload: sizeable(payload), template: options?.subjectTemplate }
    return tracing.send(
      fiber,
      "publish",
      sent,
      (span) => publishNow(connection, subject, payload, options, span)
    )
  })

/** Publishes an answer. It belongs to the span of what is answered and has none of its own. */
export const respond = (
  connection: Connection,
  subject: string,
  payload: string | Uint8Array = empty,
  options?: RespondOptions | undefined
): Effect.Effect<void, RespondError> =>
  // Without `confirm` a refusal has no operation to fail.
  Effect.suspend(() => {
    checkSubject(subject)
    return publishNow(connection, subject, payload, options, undefined) as Effect.Effect<void, RespondError>
  })

/** The publish itself: an exit where nothing has to wait, so that who is no Effect needs no fiber. */
export const publishNow = (
  connection: Connection,
  subject: string,
  payload: string | Uint8Array,
  options: PublishOptions | undefined,
  span: Tracer.Span | undefined
): Effect.Effect<void, PublishError> => {
  const problem = subjectProblem(subject)
  if (problem !== undefined) return Exit.fail(invalidSubject("subject", subject, problem))
  const unfit = payloadProblem(subject, payload)
  if (unfit !== undefined) return Exit.fail(unfit)
  let reply = ""
  let headers: Uint8Array | undefined
  let given: Input | undefined
  if (options !== undefined) {
    if (options.reply !== undefined) {
      reply = options.reply
      const replyProblem = subjectProblem(reply)
      if (replyProblem !== undefined) return Exit.fail(invalidSubject("reply", reply, replyProblem))
    }
    const own = options.headers
    const block = headerBlock(own)
    if (block instanceof InvalidHeader) return Exit.fail(block)
    headers = block
    if (block !== undefined) given = own
  }
  if (span !== undefined) headers = withTrace(headers, span)
  const session = connection.session
  if (headers !== undefined && session !== undefined && !session.takesHeaders) {
    if (!isDispensable(given)) return Exit.fail(new HeadersNotSupported({ server: session.server }))
    headers = undefined
  }
  const tooLarge = connection.oversize(subject, headers, payload)
  if (tooLarge !== undefined) return Exit.fail(tooLarge)
  if (options?.confirm === true) {
    return confirmed(connection, { subject, reply, headers, given, payload }, options.timeout)
  }
  if (session === undefined || connection.isCongested(session)) {
    const outgoing: Outgoing = { subject, reply, headers, given, payload }
    return within(connection, options?.timeout, whenPossible(connection, outgoing))
  }
  session.writer.publish(subject, reply, headers, payload)
  connection.messagesOut++
  return Exit.void
}

/** A publish that finds no session, or one that has too much to send. */
export const whenPossible = (connection: Connection, outgoing: Outgoing): Effect.Effect<void, PublishError> => {
  const session = connection.session
  if (session !== undefined) {
    if (!connection.isCongested(session)) {
      const problem = connection.problemOf(session, outgoing)
      return problem === undefined ? Effect.sync(() => connection.send(session, outgoing)) : Effect.fail(problem)
    }
    return Effect.flatMap(drained(session), () => whenPossible(connection, outgoing))
  }
  const policy = connection.settings.whileDisconnected
  if (connection.ended !== undefined || policy === "fail") return Effect.fail(connection.unavailable)
  if (policy === "wait") return Effect.flatMap(connection.awaitSession, () => whenPossible(connection, outgoing))
  // Not `slice`, which shares the memory of a Buffer.
  const payload = typeof outgoing.payload === "string" ? outgoing.payload : new Uint8Array(outgoing.payload)
  return connection.hold({ ...outgoing, payload }, policy.buffer) ? Effect.void : Effect.fail(connection.unavailable)
}

const confirmed = (
  connection: Connection,
  outgoing: Outgoing,
  timeout: Duration.Input | undefined
): Effect.Effect<void, PublishError> =>
  Effect.flatMap(
    within(connection, timeout, available(connection)),
    (session) => {
      const problem = connection.problemOf(session, outgoing)
      if (problem !== undefined) return Effect.fail(problem)
      const { watches } = connection.refusals
      const watch: ConfirmWatch = { subject: outgoing.subject, reply: outgoing.reply, denied: undefined }
      watches.add(watch)
      connection.send(session, outgoing)
      return roundTrip(connection, session).pipe(
        Effect.flatMap((): Effect.Effect<void, PublishError> =>
          watch.denied === undefined ? Effect.void : Effect.fail(watch.denied)
        ),
        Effect.ensuring(Effect.sync(() => watches.delete(watch)))
      )
    }
  )
