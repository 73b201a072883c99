/**
 * Publish, request, subscribe, flush and drain on a connection.
 */
import * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as Tracer from "effect/Tracer"
import { ConnectionReset } from "../ConnectError.ts"
import {
  ConnectionClosed,
  ConnectionLost,
  type FlushError,
  InvalidHeader,
  InvalidSubject,
  MaxPayloadExceeded,
  type PublishError,
  type RequestError,
  type RequestManyError,
  type RespondError,
  type SubscribeError
} from "../NatsError.ts"
import type { Input } from "../NatsHeaders.ts"
import type { NatsMessage } from "../NatsMessage.ts"
import { afterReadLoop } from "./afterReadLoop.ts"
import type { ConfirmWatch, Connection, HeldPublish } from "./connection.ts"
import { pullReplies, type RepliesLimit } from "./delivery/replies.ts"
import { awaitReply } from "./delivery/requests.ts"
import type { Subscription, SubscriptionSettings } from "./delivery/subscription.ts"
import { encodeHeaders } from "./protocol/headers.ts"
import { patternProblem, queueProblem, type SubjectProblem, subjectProblem } from "./protocol/subject.ts"
import { payloadSize } from "./protocol/writer.ts"
import { atLeastOne, wholeNumber } from "./ranges.ts"
import type { Session } from "./session.ts"
import { withTrace } from "./telemetry/traceContext.ts"
import { isTraced } from "./telemetry/tracing.ts"

const empty = new Uint8Array(0)

const invalidSubject = (what: InvalidSubject["what"], subject: string, problem: SubjectProblem): InvalidSubject =>
  new InvalidSubject({
    what,
    subject: String(subject).slice(0, 128),
    problem: problem.problem,
    ...(problem.token === undefined ? {} : { token: problem.token })
  })

const invalidHeader = (found: { readonly header: string; readonly problem: string }): InvalidHeader =>
  new InvalidHeader({ header: found.header.slice(0, 128), problem: found.problem })

/** A header block ready for the wire, `undefined` without headers, or what is wrong with them. */
const headerBlock = (headers: Input | undefined): Uint8Array | undefined | InvalidHeader => {
  if (headers === undefined) return undefined
  const encoded = encodeHeaders(headers)
  return encoded instanceof Uint8Array ? encoded : invalidHeader(encoded)
}

/** The server's limit is kept here: over it the server would close the connection. */
const oversize = (
  connection: Connection,
  subject: string,
  headers: Uint8Array | undefined,
  payload: string | Uint8Array
): MaxPayloadExceeded | undefined => {
  const limit = connection.info!.max_payload
  const headerSize = headers === undefined ? 0 : headers.length
  // No UTF-16 unit needs more than three bytes.
  if (headerSize + (typeof payload === "string" ? payload.length * 3 : payload.length) <= limit) return undefined
  const size = headerSize + payloadSize(payload)
  return size > limit ? new MaxPayloadExceeded({ subject, size, limit }) : undefined
}

export interface PublishOptions {
  readonly headers?: Input | undefined
  readonly reply?: string | undefined
  readonly confirm?: boolean | undefined
  readonly timeout?: Duration.Input | undefined
  readonly subjectTemplate?: string | undefined
}

export interface RequestOptions {
  readonly headers?: Input | undefined
  readonly subjectTemplate?: string | undefined
}

export const publish = (
  connection: Connection,
  subject: string,
  payload: string | Uint8Array = empty,
  options?: PublishOptions | undefined
): Effect.Effect<void, PublishError> =>
  Effect.withFiber((fiber) => {
    const { tracing } = connection.settings
    if (tracing === undefined || fiber.cache.tracer === undefined || !isTraced(fiber)) {
      return publishNow(connection, subject, payload, options, undefined)
    }
    const sent = { subject, payload, template: options?.subjectTemplate }
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
  options?: { readonly headers?: Input | undefined } | undefined
): Effect.Effect<void, RespondError> =>
  // Without `confirm` a refusal has no operation to fail.
  Effect.suspend(() =>
    publishNow(connection, subject, payload, options, undefined) as Effect.Effect<void, RespondError>
  )

const publishNow = (
  connection: Connection,
  subject: string,
  payload: string | Uint8Array,
  options: PublishOptions | undefined,
  span: Tracer.Span | undefined
): Effect.Effect<void, PublishError> => {
  const problem = subjectProblem(subject)
  if (problem !== undefined) return Exit.fail(invalidSubject("subject", subject, problem))
  let reply = ""
  let headers: Uint8Array | undefined
  if (options !== undefined) {
    if (options.reply !== undefined) {
      reply = options.reply
      const replyProblem = subjectProblem(reply)
      if (replyProblem !== undefined) return Exit.fail(invalidSubject("reply", reply, replyProblem))
    }
    const block = headerBlock(options.headers)
    if (block instanceof InvalidHeader) return Exit.fail(block)
    headers = block
  }
  if (span !== undefined) headers = withTrace(headers, span, options?.headers)
  const tooLarge = oversize(connection, subject, headers, payload)
  if (tooLarge !== undefined) return Exit.fail(tooLarge)
  const session = connection.session
  if (options?.confirm === true) return confirmed(connection, { subject, reply, headers, payload }, options.timeout)
  if (session === undefined || connection.isCongested(session)) {
    return within(connection, options?.timeout, whenPossible(connection, { subject, reply, headers, payload }))
  }
  session.writer.publish(subject, reply, headers, payload)
  connection.messagesOut++
  return Exit.void
}

const write = (connection: Connection, session: Session, { headers, payload, reply, subject }: HeldPublish): void => {
  session.writer.publish(subject, reply, headers, payload)
  connection.messagesOut++
}

/** The wait before something is sent. What is not sent in its time never is. */
const within = <A, E>(
  connection: Connection,
  timeout: Duration.Input | undefined,
  wait: Effect.Effect<A, E>
): Effect.Effect<A, E | ConnectionLost | ConnectionClosed> =>
  timeout === undefined
    ? wait
    : Effect.timeoutOrElse(wait, { duration: timeout, orElse: () => Effect.fail(connection.unavailable) })

/** A publish that finds no session, or one that has too much to send. */
const whenPossible = (connection: Connection, held: HeldPublish): Effect.Effect<void, PublishError> => {
  const session = connection.session
  if (session !== undefined) {
    if (!connection.isCongested(session)) return Effect.sync(() => write(connection, session, held))
    return Effect.flatMap(drained(session), () => whenPossible(connection, held))
  }
  const policy = connection.settings.whileDisconnected
  if (connection.ended !== undefined || policy === "fail") return Effect.fail(connection.unavailable)
  if (policy === "wait") return Effect.flatMap(connection.awaitSession, () => whenPossible(connection, held))
  // Not `slice`, which shares the memory of a Buffer.
  const payload = typeof held.payload === "string" ? held.payload : new Uint8Array(held.payload)
  return connection.hold({ ...held, payload }, policy.buffer) ? Effect.void : Effect.fail(connection.unavailable)
}

const drained = (session: Session): Effect.Effect<void> =>
  Effect.callback((resume) => session.drained(() => afterReadLoop(resume)(Effect.void)))

/** The session to use now, by the policy for when there is none. */
const available = (connection: Connection): Effect.Effect<Session, FlushError> =>
  connection.session === undefined && connection.settings.whileDisconnected === "fail"
    ? Effect.fail(connection.unavailable)
    : connection.awaitSession

/** Waits until the server has handled everything written so far on this session. */
const roundTrip = (session: Session): Effect.Effect<void, ConnectionLost> =>
  Effect.callback((resume) => {
    session.ping((reason) =>
      afterReadLoop(resume)(reason === undefined ? Exit.void : Exit.fail(new ConnectionLost({ reason })))
    )
  })

const confirmed = (
  connection: Connection,
  held: HeldPublish,
  timeout: Duration.Input | undefined
): Effect.Effect<void, PublishError> =>
  Effect.flatMap(within(connection, timeout, available(connection)), (session) =>
    Effect.suspend(() => {
      const watch: ConfirmWatch = { subject: held.subject, denied: undefined }
      connection.watches.add(watch)
      write(connection, session, held)
      return roundTrip(session).pipe(
        Effect.flatMap((): Effect.Effect<void, PublishError> =>
          watch.denied === undefined ? Effect.void : Effect.fail(watch.denied)
        ),
        Effect.ensuring(Effect.sync(() => connection.watches.delete(watch)))
      )
    }))

export const flush = (connection: Connection): Effect.Effect<void, FlushError> =>
  Effect.suspend(() => Effect.flatMap(available(connection), roundTrip))

/** A request as it is sent, or what is wrong with it. */
const prepare = (
  connection: Connection,
  subject: string,
  payload: string | Uint8Array,
  headers: Input | undefined,
  span: Tracer.Span | undefined
): Exit.Exit<HeldPublish, InvalidSubject | InvalidHeader | MaxPayloadExceeded> => {
  const problem = subjectProblem(subject)
  if (problem !== undefined) return Exit.fail(invalidSubject("subject", subject, problem))
  const own = headerBlock(headers)
  if (own instanceof InvalidHeader) return Exit.fail(own)
  const block = span === undefined ? own : withTrace(own, span, headers)
  const tooLarge = oversize(connection, subject, block, payload)
  return tooLarge === undefined
    ? Exit.succeed({ subject, reply: "", headers: block, payload })
    : Exit.fail(tooLarge)
}

export const request = (
  connection: Connection,
  subject: string,
  payload: string | Uint8Array = empty,
  timeoutMillis: number,
  options: RequestOptions | undefined
): Effect.Effect<NatsMessage, RequestError> =>
  Effect.withFiber((fiber) => {
    const { tracing } = connection.settings
    const headers = options?.headers
    if (tracing === undefined || fiber.cache.tracer === undefined || !isTraced(fiber)) {
      return requestNow(connection, subject, payload, timeoutMillis, headers, undefined)
    }
    return tracing.send(
      fiber,
      "request",
      { subject, payload, template: options?.subjectTemplate },
      (span) => requestNow(connection, subject, payload, timeoutMillis, headers, span)
    )
  })

const requestNow = (
  connection: Connection,
  subject: string,
  payload: string | Uint8Array,
  timeoutMillis: number,
  headers: Input | undefined,
  span: Tracer.Span | undefined
): Effect.Effect<NatsMessage, RequestError> => {
  const prepared = prepare(connection, subject, payload, headers, span)
  const outcome: Effect.Effect<NatsMessage, RequestError> = Exit.isSuccess(prepared)
    ? sendWhenPossible(connection, timeoutMillis, (session, left) => send(connection, session, prepared.value, left))
    : Exit.failCause(prepared.cause)
  const { meter } = connection.settings
  return meter === undefined ? outcome : meter.timeRequest(outcome)
}

const send = (
  connection: Connection,
  session: Session,
  held: HeldPublish,
  timeoutMillis: number
): Effect.Effect<NatsMessage, RequestError> => {
  connection.ensureInbox(session)
  return awaitReply(
    connection.mux,
    held.subject,
    timeoutMillis,
    (reply) => write(connection, session, { ...held, reply })
  )
}

// The wait for a session is part of the request's time. A request that was never sent did not time out: the connection
// was away.
const sendWhenPossible = <A, E, R>(
  connection: Connection,
  timeoutMillis: number,
  send: (session: Session, left: number) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | ConnectionLost | ConnectionClosed, R> => {
  const now = connection.session
  if (now !== undefined && !connection.isCongested(now)) return send(now, timeoutMillis)
  if (connection.ended !== undefined) return Effect.fail(connection.ended)
  const { clock } = connection.settings
  const started = clock.currentTimeMillisUnsafe()
  const ready = Effect.suspend(() => available(connection)).pipe(
    Effect.tap((session) => connection.isCongested(session) ? drained(session) : Effect.void)
  )
  return within(connection, timeoutMillis, ready).pipe(
    Effect.flatMap(() =>
      sendWhenPossible(connection, Math.max(1, timeoutMillis - (clock.currentTimeMillisUnsafe() - started)), send)
    )
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
  const headers = options?.headers
  const replies = (span: Tracer.Span | undefined) =>
    Effect.flatMap(
      prepare(connection, subject, payload, headers, span),
      (held) =>
        sendWhenPossible(connection, timeoutMillis, (session, left) => {
          connection.ensureInbox(session)
          const send = (reply: string): void => write(connection, session, { ...held, reply })
          return Effect.map(
            pullReplies(connection.mux, subject, left, limit, send),
            (pull) => Stream.fromPull(Effect.succeed(pull))
          )
        })
    )
  return Stream.unwrap(Effect.withFiber((fiber) => {
    atLeastOne("count", limit.count)
    const { tracing } = connection.settings
    if (tracing === undefined || !isTraced(fiber)) return replies(undefined)
    return tracing.requestScoped(
      fiber,
      { subject, payload, template: options?.subjectTemplate },
      replies
    )
  }))
}

const checkSubscription = (settings: SubscriptionSettings): InvalidSubject | undefined => {
  atLeastOne("capacity", settings.capacity)
  atLeastOne("capacityBytes", settings.capacityBytes)
  if (settings.max !== undefined) wholeNumber("max", settings.max)
  const problem = patternProblem(settings.subject)
  if (problem !== undefined) return invalidSubject("pattern", settings.subject, problem)
  if (settings.queue === undefined) return undefined
  const inQueue = queueProblem(settings.queue)
  return inQueue === undefined ? undefined : invalidSubject("queue", settings.queue, inQueue)
}

/** Opens a subscription and waits until the server has it. The scope unsubscribes. */
export const subscribe = (
  connection: Connection,
  settings: SubscriptionSettings
): Effect.Effect<Subscription, SubscribeError, Scope.Scope> =>
  Effect.suspend((): Effect.Effect<Subscription, SubscribeError, Scope.Scope> => {
    const problem = checkSubscription(settings)
    if (problem !== undefined) return Effect.fail(problem)
    if (connection.ended !== undefined) return Effect.fail(connection.ended)
    if (connection.draining) return Effect.fail(new ConnectionClosed({}))
    if (connection.session === undefined && connection.settings.whileDisconnected === "fail") {
      return Effect.fail(connection.unavailable)
    }
    return Effect.tap(
      Effect.acquireRelease(
        Effect.sync(() => connection.subscribe(settings)),
        (subscription) => Effect.sync(() => close(connection, subscription))
      ),
      (subscription) =>
        Effect.callback<void, SubscribeError>((resume) => {
          subscription.onConfirmed((error) => {
            // A buffer that overflowed before anyone could read it is the stream's to report.
            afterReadLoop(resume)(error === undefined || error._tag === "SlowConsumer" ? Exit.void : Exit.fail(error))
          })
        })
    )
  })

/** Takes no more messages of a subscription. What was received can still be read. */
export const unsubscribe = (connection: Connection, subscription: Subscription): void => {
  connection.unsubscribe(subscription)
  subscription.end(Cause.Done())
}

/**
 * Takes no more from the server. What it sent before it handled that is still received and can be read; then the stream
 * ends.
 */
export const leave = (connection: Connection, subscription: Subscription): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (!connection.subscriptions.has(subscription.sid)) return Effect.void
    connection.session?.writer.unsubscribe(subscription.sid, undefined)
    return Effect.ensuring(
      roundTripOrEnd(connection),
      Effect.sync(() => {
        connection.completed(subscription)
        subscription.end(Cause.Done())
      })
    )
  })

const close = (connection: Connection, subscription: Subscription): void => {
  unsubscribe(connection, subscription)
  subscription.discard()
}

const finished = (subscription: Subscription): Effect.Effect<void> =>
  Effect.callback((resume) => subscription.onFinished(() => resume(Effect.void)))

const roundTripOrEnd = (connection: Connection): Effect.Effect<void> =>
  Effect.suspend(() => connection.session === undefined ? Effect.void : Effect.ignore(roundTrip(connection.session)))

/**
 * Ends the client on purpose: no more intake, what was received is handled, what handlers answer is sent. Whatever is
 * not done within `timeout` is given up. Never fails.
 */
export const drain = (connection: Connection, timeout: Duration.Input): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (connection.ended !== undefined) return Effect.void
    if (connection.draining) return Effect.ignore(connection.awaitClosed)
    connection.draining = true
    connection.setState({ _tag: "Draining" })
    const subscriptions = [...connection.subscriptions.values()]
    for (const { sid } of subscriptions) connection.session?.writer.unsubscribe(sid, undefined)
    return roundTripOrEnd(connection).pipe(
      Effect.andThen(Effect.sync(() => {
        for (const subscription of subscriptions) subscription.end(Cause.Done())
      })),
      Effect.andThen(
        Effect.suspend(() => Effect.forEach([...subscriptions, ...connection.unfinished], finished, { discard: true }))
      ),
      Effect.andThen(roundTripOrEnd(connection)),
      Effect.timeoutOption(timeout),
      Effect.ensuring(Effect.sync(() => connection.end(undefined))),
      Effect.asVoid
    )
  })

/**
 * Lets go of the current session, so that the supervisor dials another with fresh credentials. What was written before
 * is handled by the server first, if it answers within `patience`.
 */
export const reconnect = (connection: Connection, patience: Duration.Input): Effect.Effect<void, ConnectionClosed> =>
  Effect.suspend(() => {
    const session = connection.session
    if (session === undefined) return Effect.asVoid(connection.awaitSession)
    const { server } = session
    return Effect.ignore(roundTrip(session)).pipe(
      Effect.timeoutOption(patience),
      Effect.andThen(Effect.sync(() => session.fail(new ConnectionReset({ server, stage: "up", requested: true })))),
      Effect.andThen(connection.awaitSession),
      Effect.asVoid
    )
  })
