/**
 * Messages that are stored together or not at all (ADR-50). The server holds them back until the last one commits them; a
 * batch that is not committed is stored nowhere.
 */
import type * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import type * as Tracer from "effect/Tracer"
import { randomToken } from "../../internal/identity/randomToken.ts"
import { available, empty, within } from "../../internal/operations/sending.ts"
import { joinHeaders } from "../../internal/protocol/headers.ts"
import { isTraced, withErrorType } from "../../internal/telemetry/tracing.ts"
import type { BatchAck, BatchOptions, OutgoingMessage, PubAck } from "../JetStream.ts"
import {
  type BatchError,
  BatchNotAllowed,
  BatchRefused,
  type ExpectationError,
  MessageRefused,
  NotPublished
} from "../JetStreamError.ts"
import type { AckWindow } from "./ackWindow.ts"
import type { Api } from "./api.ts"
import { unsupported, unsupportedFeature } from "./level.ts"
import { type AnyPublishError, unmet } from "./outcome.ts"
import { checkMessage, prepare } from "./outgoing.ts"
import { isOfBatch, Refusal } from "./pubAck.ts"
import { neverWritten } from "./publish.ts"
import { openWindow } from "./publishAll.ts"

type Batch = Arr.NonEmptyReadonlyArray<OutgoingMessage>

const inFlight = 1_024
const inFlightBytes = 8 * 1024 * 1024

const disabled = 10174
/** What a server says of batches only. */
const ofBatch = new Set([10175, 10176, 10177, 10179, 10199, 10200, 10201])

/** An answer that says nothing but that the message is held. */
const held: PubAck = { stream: "", sequence: 0, duplicate: false, domain: undefined, value: undefined }

/** The messages with what makes them a batch. */
const joined = (messages: Batch, id: string): ReadonlyArray<OutgoingMessage> =>
  messages.map((message, i) => {
    const own: Record<string, string> = { "Nats-Batch-Id": id, "Nats-Batch-Sequence": String(i + 1) }
    if (i === messages.length - 1) own["Nats-Batch-Commit"] = "1"
    const { headers } = message
    return {
      ...message,
      headers: headers === undefined ? own : joinHeaders(headers, (given) => ({ ...given, ...own }))
    }
  })

/** The first message that no server would take, before one is written. */
const firstUnfit = (api: Api, messages: ReadonlyArray<OutgoingMessage>): AnyPublishError | undefined => {
  for (const message of messages) {
    const outgoing = prepare(message.subject, message.payload ?? empty, message)
    if (outgoing instanceof Error) return outgoing
    const problem = api.connection.problemOf(api.connection.session, outgoing)
    if (problem !== undefined) return problem
  }
  return undefined
}

/** Throws for what is no batch, as it can come without types. */
const checkMessages = (messages: Batch): void => {
  if (!Array.isArray(messages) || messages.length === 0) {
    throw new TypeError("a batch is an array of at least one message")
  }
  for (const message of messages as Batch) checkMessage(message)
}

/** One batch on its way. */
class Sending {
  /** Of the last answer that was not empty. */
  private stream = ""
  private last = held
  /** A server that knows of no batches has stored a message by itself. */
  private alone = false
  private readonly api: Api
  private readonly messages: Batch

  constructor(api: Api, messages: Batch) {
    this.api = api
    this.messages = messages
  }

  readonly read = (chunk: Buffer, start: number, end: number) => {
    if (start === end) return held
    const answer = this.api.acks.read(chunk, start, end)
    if (typeof answer === "string") return answer
    this.stream = this.api.shown(answer.stream)
    if (answer instanceof Refusal) return answer
    this.alone ||= !isOfBatch(chunk.toString("utf8", start, end))
    return this.last = answer
  }

  run(
    timeoutMillis: number,
    span: Tracer.Span | undefined
  ): Effect.Effect<BatchAck, BatchError, Scope.Scope> {
    const { api, messages } = this
    return Effect.gen({ self: this }, function*() {
      yield* Effect.mapError(
        within(api.connection, timeoutMillis, Effect.suspend(() => available(api.connection))),
        neverWritten(messages[0].subject)
      )
      const old = unsupported(api, "batch")
      if (old !== undefined) return yield* old
      const all = joined(messages, randomToken(12))
      const unfit = firstUnfit(api, all)
      if (unfit !== undefined) return yield* unfit
      const window = yield* openWindow(api, {
        inFlight,
        inFlightBytes,
        timeoutMillis,
        span,
        read: this.read,
        meter: undefined
      })
      // The first one tells whether the stream takes batches at all: of the others nothing is written before.
      yield* this.send(window, all.slice(0, 1), 1)
      if (this.alone) return yield* unsupportedFeature("batch")
      if (all.length > 1) yield* this.send(window, all.slice(1), all.length)
      const { domain, sequence, stream } = this.last
      return { stream, sequence, domain, count: all.length }
    })
  }

  /** Writes these, and takes the answers of all up to a number. */
  private send(
    window: AckWindow,
    messages: ReadonlyArray<OutgoingMessage>,
    until: number
  ): Effect.Effect<void, BatchError> {
    const taking: Effect.Effect<void, AnyPublishError> = Effect.suspend(() =>
      window.taken >= until ? Exit.void : Effect.flatMap(
        window.acks,
        (acks) => acks === undefined ? Effect.flatMap(window.changed, () => taking) : taking
      )
    )
    return Effect.raceFirst(
      taking,
      Effect.andThen(window.writeAll(messages), Effect.never)
    ).pipe(Effect.mapError((error) => this.failure(window, error)))
  }

  /** The last message is answered with what is not as any of them expects it. */
  private unmet(errCode: number, description: string): ExpectationError | undefined {
    const expecting = this.messages.find(({ expect }) => expect !== undefined)
    if (expecting === undefined) return undefined
    const { expect, msgId, subject } = expecting
    return unmet({ expect, msgId, subject }, this.stream, errCode, description)
  }

  private failure(window: AckWindow, error: AnyPublishError): BatchError {
    const { messages, stream } = this
    if (error instanceof MessageRefused) {
      const { description, errCode } = error
      if (errCode === disabled) return new BatchNotAllowed({ stream })
      if (ofBatch.has(errCode)) return new BatchRefused({ stream, index: window.taken, errCode, description })
      return this.unmet(errCode, description) ?? error
    }
    // Whatever was written is held, and the message that would commit it never will be.
    return error._tag === "PublishOutcomeUnknown" && window.count < messages.length &&
        error.reason._tag === "ConnectionLost"
      ? new NotPublished({ subject: error.subject, reason: error.reason.reason })
      : error
  }
}

/** All of them count as what became of the batch. */
const metered = (
  api: Api,
  messages: number,
  sending: Effect.Effect<BatchAck, BatchError>
): Effect.Effect<BatchAck, BatchError> => {
  const { meter } = api
  if (meter === undefined) return sending
  const since = meter.now()
  meter.flying(messages)
  return Effect.onExit(sending, (exit) => {
    const error = Exit.isSuccess(exit) ? undefined : Cause.findErrorOption(exit.cause)
    const outcome = error === undefined ? "success" : error._tag === "Some" ? error.value._tag : "interrupted"
    meter.flying(-messages)
    for (let i = 0; i < messages; i++) meter.done(outcome, since)
    return Effect.void
  })
}

export const batch = (
  api: Api,
  messages: Batch,
  options?: BatchOptions | undefined
): Effect.Effect<BatchAck, BatchError> =>
  Effect.withFiber((fiber) => {
    checkMessages(messages)
    const timeoutMillis = options?.timeout === undefined ? api.timeoutMillis : Duration.toMillis(options.timeout)
    const { tracing } = api.connection.settings
    const run = (span?: Tracer.Span | undefined) =>
      metered(api, messages.length, Effect.scoped(new Sending(api, messages).run(timeoutMillis, span)))
    if (tracing === undefined || !isTraced(fiber)) return run()
    return Effect.scopedWith((scope) =>
      Effect.flatMap(
        tracing.publishMany(fiber, scope, () => messages.length),
        ({ carried, span }) => withErrorType(span, run(carried))
      )
    )
  })
