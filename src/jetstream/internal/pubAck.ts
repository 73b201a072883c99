/**
 * The answer to a publish: `{"stream":"ORDERS","seq":7}`, with `duplicate`, `domain`, `val`, `batch` and `count` where they
 * apply, or an `error` and perhaps the stream.
 */
import { hasProperty } from "effect/Predicate"
import type { PubAck } from "./publishTypes.ts"

/** The server refused the message. */
export class Refusal {
  readonly error: unknown
  /** Empty where the answer does not say it. */
  readonly stream: string

  constructor(error: unknown, stream: string) {
    this.error = error
    this.stream = stream
  }
}

/** What an answer says, or why it is none of JetStream's. */
export type ReadAck = PubAck | Refusal | string

const opening = "{\"stream\":\""
const middle = "\",\"seq\":"
const ZERO = 0x30
const BRACE = 0x7d

/** More digits than a number holds are read by nobody. */
const mostDigits = 15

const ackOf = (stream: string, sequence: number, duplicate: boolean, domain?: string, value?: bigint): PubAck => ({
  stream,
  sequence,
  duplicate,
  domain,
  value
})

/**
 * Reads answers. Nearly all of them differ from the one before by their sequence only, and of those nothing is decoded but
 * that.
 */
export class AckReader {
  /** The answer before, up to its sequence. */
  private head: Buffer = Buffer.alloc(0)
  private stream = ""

  read(chunk: Buffer, start: number, end: number): ReadAck {
    const { head } = this
    const digits = start + head.length
    if (head.length > 0 && chunk[end - 1] === BRACE && digits < end - 1 && end - 1 - digits <= mostDigits) {
      let at = 0
      while (at < head.length && chunk[start + at] === head[at]) at++
      if (at === head.length) {
        let sequence = 0
        let i = digits
        for (; i < end - 1; i++) {
          const digit = chunk[i] - ZERO
          if (digit < 0 || digit > 9) break
          sequence = sequence * 10 + digit
        }
        if (i === end - 1) return ackOf(this.stream, sequence, false)
      }
    }
    return this.readJson(chunk.toString("utf8", start, end))
  }

  private readJson(text: string): ReadAck {
    const parsed = parse(text)
    if (typeof parsed === "string") return parsed
    const { domain, duplicate, error, seq, stream, val } = parsed
    if (error !== undefined) return new Refusal(error, typeof stream === "string" ? stream : "")
    if (typeof stream !== "string" || typeof seq !== "number") return "it has no stream and sequence"
    const head = `${opening}${stream}${middle}`
    if (text.startsWith(head)) {
      this.head = Buffer.from(head)
      this.stream = stream
    }
    return ackOf(
      stream,
      seq,
      duplicate === true,
      typeof domain === "string" ? domain : undefined,
      typeof val === "string" && /^-?\d+$/.test(val) ? BigInt(val) : undefined
    )
  }
}

/** Whether an acknowledgement is that of a whole batch. */
export const isOfBatch = (text: string): boolean => {
  const parsed = parse(text)
  return hasProperty(parsed, "batch") && typeof parsed.batch === "string"
}

const parse = (text: string): Readonly<Record<string, unknown>> | string => {
  if (text === "") return "it is empty"
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    return "it is not JSON"
  }
  return typeof parsed === "object" && parsed !== null && !Array.isArray(parsed)
    ? parsed as Readonly<Record<string, unknown>>
    : "it is JSON, and no object"
}
