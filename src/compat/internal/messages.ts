/**
 * Messages of the wire and of replies as nats-core's, and its headers as those of this package.
 */
import { errors, type Msg, type MsgHdrs, type PublishOptions } from "@nats-io/nats-core"
import { type MsgArg, MsgHdrsImpl, MsgImpl, type Publisher } from "@nats-io/nats-core/internal"
import { Message } from "../../internal/delivery/message.ts"
import type { Input } from "../../NatsHeaders.ts"
import type { NatsMessage } from "../../NatsMessage.ts"

/** Where a message lies in the chunk that it came in. Its subject and reply are cut out when they are read. */
class Frame implements MsgArg {
  readonly sid: number
  readonly hdr: number
  readonly size: number
  private readonly chunk: Buffer
  private readonly subjectStart: number
  private readonly subjectEnd: number
  private readonly replyStart: number
  private readonly replyEnd: number

  constructor(
    sid: number,
    hdr: number,
    size: number,
    chunk: Buffer,
    subjectStart: number,
    subjectEnd: number,
    replyStart: number,
    replyEnd: number
  ) {
    this.sid = sid
    this.hdr = hdr
    this.size = size
    this.chunk = chunk
    this.subjectStart = subjectStart
    this.subjectEnd = subjectEnd
    this.replyStart = replyStart
    this.replyEnd = replyEnd
  }

  get subject(): Uint8Array {
    return this.chunk.subarray(this.subjectStart, this.subjectEnd)
  }

  // Of a message without one nats-core reads an empty text.
  get reply(): Uint8Array {
    return this.chunk.subarray(this.replyStart, this.replyEnd)
  }
}

/** A message where the parser found it. */
export const received = (
  sid: number,
  publisher: Publisher,
  chunk: Buffer,
  subjectStart: number,
  subjectEnd: number,
  replyStart: number,
  replyEnd: number,
  headerStart: number,
  payloadStart: number,
  payloadEnd: number
): Msg => {
  const size = payloadEnd - headerStart
  const hdr = headerStart === payloadStart ? -1 : payloadStart - headerStart
  return new MsgImpl(
    new Frame(sid, hdr, size, chunk, subjectStart, subjectEnd, replyStart, replyEnd),
    // A plain view: `slice` of it copies, as libraries expect.
    new Uint8Array(chunk.buffer, chunk.byteOffset + headerStart, size),
    publisher
  ) as Msg
}

const encode = (text: string): Uint8Array => Buffer.from(text, "utf8")

const joined = (first: Uint8Array, second: Uint8Array): Uint8Array => {
  const both = new Uint8Array(first.length + second.length)
  both.set(first)
  both.set(second, first.length)
  return both
}

/** A reply of the client. One that a client in between has made has its headers by name. */
export const replied = (message: NatsMessage, publisher: Publisher): Msg => {
  const { reply, subject } = message
  const addresses = { subject: encode(subject), ...(reply === undefined ? {} : { reply: encode(reply) }) }
  if (message instanceof Message) {
    const { chunk, headerStart, payloadEnd, payloadStart } = message
    const size = payloadEnd - headerStart
    return new MsgImpl(
      { ...addresses, sid: 0, hdr: headerStart === payloadStart ? -1 : payloadStart - headerStart, size },
      new Uint8Array(chunk.buffer, chunk.byteOffset + headerStart, size),
      publisher
    ) as Msg
  }
  const { data, headers } = message
  const names = Object.keys(headers)
  if (names.length === 0) {
    return new MsgImpl({ ...addresses, sid: 0, hdr: -1, size: data.length }, data, publisher) as Msg
  }
  const record: Record<string, Array<string>> = {}
  for (const name of names) record[name] = [...headers[name]]
  const block = encode(String(MsgHdrsImpl.fromRecord(record)))
  const whole = joined(block, data)
  return new MsgImpl({ ...addresses, sid: 0, hdr: block.length, size: whole.length }, whole, publisher) as Msg
}

/**
 * Headers by name, with those that ask the server for a trace. They can be of any copy of nats-core, and are read by what
 * each of them has; what the program gave stays as it is.
 */
export const headersOf = (
  headers: MsgHdrs | undefined,
  trace: Pick<PublishOptions, "traceDestination" | "traceOnly"> | undefined
): { readonly headers?: Input } => {
  const { traceDestination, traceOnly } = trace ?? {}
  // nats-core takes `false` for `true`, and the message is not delivered.
  const isTraceOnly = traceOnly === true
  const hasTrace = typeof traceDestination === "string" || isTraceOnly
  if (headers === undefined && !hasTrace) return {}
  const record: Record<string, string | ReadonlyArray<string>> = {}
  if (headers !== undefined) {
    if (headers.code > 0) {
      throw errors.InvalidArgumentError.format("headers", "have a status, which only a server sends")
    }
    for (const [name, values] of headers) record[name] = values
  }
  if (isTraceOnly) record["Nats-Trace-Only"] = "true"
  if (typeof traceDestination === "string") record["Nats-Trace-Dest"] = traceDestination
  return { headers: record }
}
