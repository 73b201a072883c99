/**
 * Publishing many messages, array by array: no Effect is made for a message that can be handed to the connection at once.
 */
import type * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Pull from "effect/Pull"
import * as Sink from "effect/Sink"
import * as Stream from "effect/Stream"
import type * as Tracer from "effect/Tracer"
import type { OutgoingMessage } from "../../NatsClient.ts"
import { InvalidHeader, PublishAllStopped, type RespondError } from "../../NatsError.ts"
import type { Connection } from "../connection/connection.ts"
import type { Outgoing } from "../connection/outgoing.ts"
import { invalidSubject } from "../subject/invalid.ts"
import { subjectProblem } from "../subject/rules.ts"
import { withTrace } from "../telemetry/traceContext.ts"
import { isTraced, withErrorType } from "../telemetry/tracing.ts"
import type { Session } from "../wire/session.ts"
import { whenPossible } from "./publish.ts"
import { bounded, checkSubject, empty, headerBlock, payloadProblem } from "./sending.ts"

type Messages = Arr.NonEmptyReadonlyArray<OutgoingMessage>

/** What was handed to the connection in one run. */
class HandingOver {
  published = 0
  /** The subject that was found right last: a run is often to one, or to few. */
  private checked: string | undefined = undefined
  private readonly connection: Connection
  private readonly span: Tracer.Span | undefined
  private readonly traced: Uint8Array | undefined

  constructor(connection: Connection, span: Tracer.Span | undefined) {
    this.connection = connection
    this.span = span
    this.traced = span === undefined ? undefined : withTrace(undefined, span)
  }

  /** Hands these over from one of them on. */
  write(messages: Messages, from: number): Effect.Effect<void, PublishAllStopped> {
    const { connection } = this
    for (let i = from; i < messages.length; i++) {
      const { session } = connection
      const message = messages[i]
      if (session === undefined || connection.isCongested(session)) {
        const outgoing = this.prepare(message)
        if (outgoing instanceof Error) return this.stopped(outgoing)
        return Effect.matchEffect(bounded(connection, whenPossible(connection, outgoing)), {
          // Without `confirm` a refusal has no operation to fail.
          onFailure: (reason) => this.stopped(reason as RespondError),
          onSuccess: () => {
            this.published++
            return this.write(messages, i + 1)
          }
        })
      }
      const problem = message.headers === undefined && message.reply === undefined
        ? this.handPlain(session, message)
        : this.handOver(session, message)
      if (problem !== undefined) return this.stopped(problem)
      this.published++
    }
    return Exit.void
  }

  /** Without headers and reply. */
  private handPlain(session: Session, { payload = empty, subject }: OutgoingMessage): RespondError | undefined {
    const { connection } = this
    checkSubject(subject)
    if (subject !== this.checked) {
      const problem = subjectProblem(subject)
      if (problem !== undefined) return invalidSubject("subject", subject, problem)
      this.checked = subject
    }
    const block = session.takesHeaders ? this.traced : undefined
    const unfit = payloadProblem(subject, payload) ?? connection.oversize(subject, block, payload)
    if (unfit !== undefined) return unfit
    session.writer.publish(subject, "", block, payload)
    connection.messagesOut++
    return undefined
  }

  private handOver(session: Session, message: OutgoingMessage): RespondError | undefined {
    const { connection } = this
    const outgoing = this.prepare(message)
    if (outgoing instanceof Error) return outgoing
    const problem = connection.problemOf(session, outgoing)
    if (problem === undefined) connection.send(session, outgoing)
    return problem
  }

  private prepare({ headers, payload = empty, reply = "", subject }: OutgoingMessage): Outgoing | RespondError {
    checkSubject(subject)
    const problem = subjectProblem(subject)
    if (problem !== undefined) return invalidSubject("subject", subject, problem)
    const replyProblem = reply === "" ? undefined : subjectProblem(reply)
    if (replyProblem !== undefined) return invalidSubject("reply", reply, replyProblem)
    const unfit = payloadProblem(subject, payload)
    if (unfit !== undefined) return unfit
    const block = headerBlock(headers)
    if (block instanceof InvalidHeader) return block
    return {
      subject,
      reply,
      headers: this.span === undefined ? block : withTrace(block, this.span),
      given: block === undefined ? undefined : headers,
      payload
    }
  }

  private stopped(reason: RespondError): Exit.Exit<never, PublishAllStopped> {
    return Exit.fail(new PublishAllStopped({ published: this.published, reason }))
  }
}

/** Runs inside the span of all messages, where there is a tracer. */
const handingOver = <A, E, R>(
  connection: Connection,
  run: (handing: HandingOver) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) => {
    const { tracing } = connection.settings
    if (tracing === undefined || !isTraced(fiber)) return run(new HandingOver(connection, undefined))
    let handing: HandingOver | undefined
    return Effect.scopedWith((scope) =>
      tracing.publishMany(fiber, scope, () => handing?.published ?? 0).pipe(
        Effect.flatMap(({ carried, span }) => {
          handing = new HandingOver(connection, carried)
          return withErrorType(span, run(handing))
        })
      )
    )
  })

export const publishAll = <E, R>(
  connection: Connection,
  messages: Stream.Stream<OutgoingMessage, E, R>
): Effect.Effect<number, PublishAllStopped | E, R> =>
  handingOver(connection, (handing) =>
    Effect.map(
      Stream.runForEachArray(messages, (some) => handing.write(some, 0)),
      () => handing.published
    ))

export const sink = (
  connection: Connection
): Sink.Sink<number, OutgoingMessage, never, PublishAllStopped> =>
  Sink.fromTransform((upstream) =>
    handingOver(connection, (handing) =>
      Effect.flatMap(upstream, (some) => handing.write(some, 0)).pipe(
        Effect.forever({ disableYield: true }),
        Pull.catchDone(() => Effect.succeed<Sink.End<number>>([handing.published]))
      ))
  )
