/**
 * The view of a message: offsets into the chunk it came in, decoded on access.
 */
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type * as Tracer from "effect/Tracer"
import { InvalidSubject, MessageDecodeError, type RespondError } from "../../NatsError.ts"
import type { NatsHeaders } from "../../NatsHeaders.ts"
import type { NatsMessage, RespondOptions } from "../../NatsMessage.ts"
import { jsonTextDecoder } from "../payload/jsonText.ts"
import { decodeHeaders, getHeader, statusOf } from "../protocol/headers.ts"
import { printable } from "../protocol/printable.ts"
import { shownName } from "../protocol/shown.ts"
import { remoteSpan } from "../telemetry/traceContext.ts"
import type { Tracing } from "../telemetry/tracing.ts"

/** Who sends the answers of a subscription's messages. */
export interface Responder {
  /** Makes the spans of the client that received them. */
  readonly tracing: Tracing | undefined
  publish(
    subject: string,
    payload: string | Uint8Array | undefined,
    options: RespondOptions | undefined
  ): Effect.Effect<void, RespondError>
}

const noHeaders: NatsHeaders = Object.freeze(Object.create(null))

const mostNames = 16

/** Of the headers, which can be many. */
const shownNames = (names: ReadonlyArray<string>): ReadonlyArray<string> => {
  const shown = names.slice(0, mostNames).map((name) => printable(name, 64))
  return names.length > mostNames ? [...shown, "…"] : shown
}

const inspect = Symbol.for("nodejs.util.inspect.custom")

export class Message implements NatsMessage {
  chunk: Buffer
  protected readonly responder: Responder
  private subjectStart: number
  private subjectEnd: number
  protected replyStart: number
  protected replyEnd: number
  headerStart: number
  payloadStart: number
  payloadEnd: number

  constructor(
    responder: Responder,
    chunk: Buffer,
    subjectStart: number,
    subjectEnd: number,
    replyStart: number,
    replyEnd: number,
    headerStart: number,
    payloadStart: number,
    payloadEnd: number
  ) {
    this.responder = responder
    this.chunk = chunk
    this.subjectStart = subjectStart
    this.subjectEnd = subjectEnd
    this.replyStart = replyStart
    this.replyEnd = replyEnd
    this.headerStart = headerStart
    this.payloadStart = payloadStart
    this.payloadEnd = payloadEnd
  }

  /** The bytes that the message keeps: subject, headers and payload. */
  get size(): number {
    return this.payloadEnd - this.subjectStart
  }

  /** Copies its bytes to `start` of another buffer and lets go of the chunk. */
  moveTo(buffer: Buffer, start: number): void {
    this.chunk.copy(buffer, start, this.subjectStart, this.payloadEnd)
    const by = start - this.subjectStart
    this.chunk = buffer
    this.subjectStart += by
    this.subjectEnd += by
    this.replyStart += by
    this.replyEnd += by
    this.headerStart += by
    this.payloadStart += by
    this.payloadEnd += by
  }

  get payloadSize(): number {
    return this.payloadEnd - this.payloadStart
  }

  get tracing(): Tracing | undefined {
    return this.responder.tracing
  }

  /** The span that its headers name. */
  get remote(): Tracer.ExternalSpan | undefined {
    return this.headerStart === this.payloadStart
      ? undefined
      : remoteSpan(this.chunk, this.headerStart, this.payloadStart)
  }

  get subject(): string {
    return this.chunk.toString("utf8", this.subjectStart, this.subjectEnd)
  }

  get data(): Uint8Array {
    // A plain view: cheaper to make than a Buffer, and `slice` of it copies, which that of a Buffer does not.
    const { chunk, payloadEnd, payloadStart } = this
    return new Uint8Array(chunk.buffer, chunk.byteOffset + payloadStart, payloadEnd - payloadStart)
  }

  get text(): string {
    return this.chunk.toString("utf8", this.payloadStart, this.payloadEnd)
  }

  get reply(): string | undefined {
    return this.replyStart === this.replyEnd ? undefined : this.chunk.toString("utf8", this.replyStart, this.replyEnd)
  }

  get status(): number | undefined {
    return this.headerStart === this.payloadStart
      ? undefined
      : statusOf(this.chunk, this.headerStart, this.payloadStart) || undefined
  }

  get description(): string | undefined {
    return this.headerStart === this.payloadStart ? undefined : decodeHeaders(this.headerBytes).description
  }

  get headerBytes(): Buffer {
    return this.chunk.subarray(this.headerStart, this.payloadStart)
  }

  /** Whether these bytes end the headers: a look at a usual last line, where reading the headers would cost more. */
  headersEndWith(bytes: Uint8Array): boolean {
    const start = this.payloadStart - bytes.length
    if (start < this.headerStart) return false
    for (let i = bytes.length - 1; i >= 0; i--) {
      if (this.chunk[start + i] !== bytes[i]) return false
    }
    return true
  }

  get headers(): NatsHeaders {
    return this.headerStart === this.payloadStart ? noHeaders : decodeHeaders(this.headerBytes).headers
  }

  header(name: string): string | undefined {
    return this.headerStart === this.payloadStart ? undefined : getHeader(this.headers, name)
  }

  respond(payload?: string | Uint8Array, options?: RespondOptions): Effect.Effect<void, RespondError> {
    const reply = this.reply
    return reply === undefined
      ? Effect.fail(new InvalidSubject({ what: "reply", subject: "", problem: "the message asks for no reply" }))
      : this.responder.publish(reply, payload, options)
  }

  decode<S extends Schema.Top>(schema: S): Effect.Effect<S["Type"], MessageDecodeError, S["DecodingServices"]> {
    return Effect.suspend(() =>
      Effect.mapErrorEager(
        jsonTextDecoder(schema)(this.text),
        (problem) => new MessageDecodeError({ subject: this.subject, ...problem })
      )
    )
  }

  toJSON(): unknown {
    return {
      _id: "NatsMessage",
      subject: shownName(this.subject),
      reply: this.reply === undefined ? undefined : shownName(this.reply),
      headers: shownNames(Object.keys(this.headers)),
      size: this.payloadEnd - this.payloadStart
    }
  }

  [inspect](): unknown {
    return this.toJSON()
  }
}
