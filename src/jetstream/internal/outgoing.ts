/**
 * A message on its way into a stream: its options become headers, and everything is checked before anything is sent.
 */
import * as Duration from "effect/Duration"
import type * as Tracer from "effect/Tracer"
import { checkSubject, headerBlock, payloadProblem } from "../../internal/operations/sending.ts"
import { joinHeaders } from "../../internal/protocol/headers.ts"
import { invalidSubject } from "../../internal/subject/invalid.ts"
import { patternProblem, subjectProblem } from "../../internal/subject/rules.ts"
import { withTrace } from "../../internal/telemetry/traceContext.ts"
import { InvalidHeader, type InvalidPayload, type InvalidSubject } from "../../NatsError.ts"
import type { Input } from "../../NatsHeaders.ts"
import type { Feature } from "./level.ts"
import { invalidName } from "./names.ts"
import type { Expectation, MessageOptions, OutgoingMessage } from "./publishTypes.ts"

export const msgIdHeader = "Nats-Msg-Id"
export const ttlHeader = "Nats-TTL"
const expectedStreamHeader = "Nats-Expected-Stream"
const expectedLastSequenceHeader = "Nats-Expected-Last-Sequence"
const expectedLastSubjectSequenceHeader = "Nats-Expected-Last-Subject-Sequence"
const expectedSubjectHeader = "Nats-Expected-Last-Subject-Sequence-Subject"
const expectedLastMsgIdHeader = "Nats-Expected-Last-Msg-Id"

/** A message whose parts have been checked, and what is asked of its stream. */
export interface Outgoing {
  readonly subject: string
  readonly reply: string
  readonly headers: Uint8Array | undefined
  readonly given: Input | undefined
  readonly payload: string | Uint8Array
  readonly msgId: string | undefined
  readonly expect: Expectation | undefined
  /** What the server must have for it. */
  readonly needs: Feature | undefined
}

/** What can be wrong with a message before anybody is asked. */
export type Unfit = InvalidSubject | InvalidPayload | InvalidHeader

/** A server takes an empty one for none, and one with blanks around it without them: it would not be what was meant. */
const idProblem = (id: string): string | undefined => {
  if (typeof id !== "string") return "it is no text"
  if (id === "") return "it is empty"
  return id.trim() === id ? undefined : "it has white space around it"
}

const sequenceProblem = (sequence: number): string | undefined =>
  Number.isSafeInteger(sequence) && sequence >= 0 ? undefined : "it is no whole number from 0 on"

const nanosPerSecond = 1_000_000_000n

/** The server counts whole seconds. What is over is made a whole one, so that nothing goes before its time. */
export const ttlText = (ttl: Duration.Input | "never"): string | InvalidHeader => {
  if (ttl === "never") return "never"
  const duration = Duration.fromInputUnsafe(ttl)
  if (!Duration.isFinite(duration)) return "never"
  const nanos = Duration.toNanosUnsafe(duration)
  return nanos < nanosPerSecond
    ? new InvalidHeader({ header: ttlHeader, problem: "a message lives for a second at least" })
    : `${(nanos + nanosPerSecond - 1n) / nanosPerSecond}s`
}

const forSubjectProblem = (pattern: string, sequence: number | undefined): string | undefined =>
  sequence === undefined ? "it says nothing without `lastSubjectSequence`" : patternProblem(pattern)?.problem

const expectationHeaders = (expect: Expectation, into: Record<string, string>): InvalidHeader | undefined => {
  const { forSubject, lastMsgId, lastSequence, lastSubjectSequence, stream } = expect
  const put = (header: string, value: string | number, problem: string | undefined): InvalidHeader | undefined => {
    if (problem !== undefined) return new InvalidHeader({ header, problem })
    into[header] = String(value)
    return undefined
  }
  return (stream === undefined
    ? undefined
    : put(expectedStreamHeader, stream, invalidName("stream", stream)?.problem)) ??
    (lastSequence === undefined
      ? undefined
      : put(expectedLastSequenceHeader, lastSequence, sequenceProblem(lastSequence))) ??
    (lastSubjectSequence === undefined
      ? undefined
      : put(expectedLastSubjectSequenceHeader, lastSubjectSequence, sequenceProblem(lastSubjectSequence))) ??
    (forSubject === undefined
      ? undefined
      : put(expectedSubjectHeader, forSubject, forSubjectProblem(forSubject, lastSubjectSequence))) ??
    (lastMsgId === undefined ? undefined : put(expectedLastMsgIdHeader, lastMsgId, idProblem(lastMsgId)))
}

/** The headers of the options on top of those of the caller. */
const headersOf = ({ expect, headers, msgId, ttl }: MessageOptions): Input | undefined | InvalidHeader => {
  if (msgId === undefined && expect === undefined && ttl === undefined) return headers
  const own: Record<string, string> = {}
  if (msgId !== undefined) {
    const problem = idProblem(msgId)
    if (problem !== undefined) return new InvalidHeader({ header: msgIdHeader, problem })
    own[msgIdHeader] = msgId
  }
  if (ttl !== undefined) {
    const text = ttlText(ttl)
    if (text instanceof InvalidHeader) return text
    own[ttlHeader] = text
  }
  const wrong = expect === undefined ? undefined : expectationHeaders(expect, own)
  if (wrong !== undefined) return wrong
  return headers === undefined ? own : joinHeaders(headers, (given) => ({ ...given, ...own }))
}

/** Throws for what is no message at all, as it can come without types. */
export const checkMessage = (message: OutgoingMessage): void => {
  if (typeof message !== "object" || message === null) {
    throw new TypeError("a message must be an object with a `subject`")
  }
  checkSubject(message.subject)
}

const noOptions: MessageOptions = {}

/** The message as it is sent, or what is wrong with it. */
export const prepare = (
  subject: string,
  payload: string | Uint8Array,
  options: MessageOptions = noOptions,
  span?: Tracer.Span | undefined
): Outgoing | Unfit => {
  const problem = subjectProblem(subject)
  if (problem !== undefined) return invalidSubject("subject", subject, problem)
  const unfit = payloadProblem(subject, payload)
  if (unfit !== undefined) return unfit
  const given = headersOf(options)
  if (given instanceof InvalidHeader) return given
  const block = headerBlock(given)
  if (block instanceof InvalidHeader) return block
  return {
    subject,
    reply: "",
    headers: span === undefined ? block : withTrace(block, span),
    given: block === undefined ? undefined : given,
    payload,
    msgId: options.msgId,
    expect: options.expect,
    needs: options.ttl !== undefined ? "ttl" : options.expect?.forSubject === undefined ? undefined : "expectedSubject"
  }
}
