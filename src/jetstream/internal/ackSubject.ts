/**
 * The subject that a message of a consumer is acknowledged on, which tells where it comes from (ADR-15): nine tokens,
 * `$JS.ACK.<stream>.<consumer>.<deliveries>.<stream sequence>.<consumer sequence>.<nanoseconds>.<pending>`, or at least
 * eleven with domain and account hash behind `$JS.ACK`, and one of chance at the end.
 */

/** What the subject tells. */
export interface Delivered {
  readonly stream: string
  readonly consumer: string
  /** `undefined` where there is none. */
  readonly domain: string | undefined
  readonly deliveries: number
  readonly sequence: number
  readonly consumerSequence: number
  /** Since 1970. They do not fit a number. */
  readonly nanoseconds: bigint
  /** Messages that the consumer has not delivered yet, at that time. */
  readonly pending: number
}

const short = 9
const long = 11

/** Reads such a subject. `undefined` if it is none. */
export const parseAckSubject = (subject: string): Delivered | undefined => {
  const tokens = subject.split(".")
  if (tokens[0] !== "$JS" || tokens[1] !== "ACK") return undefined
  const isShort = tokens.length === short
  if (!isShort && tokens.length < long) return undefined
  const [stream, consumer, deliveries, sequence, consumerSequence, nanoseconds, pending] = tokens.slice(isShort ? 2 : 4)
  const numbers = [deliveries, sequence, consumerSequence, nanoseconds, pending]
  if (!numbers.every((token) => token !== undefined && /^\d+$/.test(token))) return undefined
  const domain = isShort || tokens[2] === "_" ? undefined : tokens[2]
  return {
    stream,
    consumer,
    domain,
    deliveries: Number(deliveries),
    sequence: Number(sequence),
    consumerSequence: Number(consumerSequence),
    nanoseconds: BigInt(nanoseconds),
    pending: Number(pending)
  }
}

const DOT = 0x2e
const ZERO = 0x30

/** Of such a subject in bytes, only the number of deliveries, without a string of it. 1 if it is none. */
export const deliveriesIn = (bytes: Uint8Array, start: number, end: number): number => {
  let tokens = 1
  let shortAt = end
  let longAt = end
  for (let at = start; at < end; at++) {
    if (bytes[at] !== DOT) continue
    tokens++
    if (tokens === 5) shortAt = at + 1
    else if (tokens === 7) longAt = at + 1
  }
  if (tokens !== short && tokens < long) return 1
  let deliveries = 0
  for (let at = tokens === short ? shortAt : longAt; at < end && bytes[at] !== DOT; at++) {
    const digit = bytes[at] - ZERO
    if (digit < 0 || digit > 9) return 1
    deliveries = deliveries * 10 + digit
  }
  return deliveries
}
