/**
 * How RPC messages travel over NATS.
 *
 * | from   | to                                 | reply                     | payload                             |
 * | ------ | ---------------------------------- | ------------------------- | ----------------------------------- |
 * | client | `<subject>` (queue group)          | `<inbox>.<call>`          | a frame: Request                    |
 * | server | `<inbox>.<call>`                   | `<subject>.<server>.<id>` | a frame: Chunk, Exit, Defect        |
 * | server | `<inbox>.<call>`                   | `<subject>.<server>.<id>` | empty: "I have it"                  |
 * | client | `<subject>.<server>.<id>`          | `<inbox>.<call>`          | a frame: Ack, Interrupt, Eof        |
 * | client | `<subject>.<server>.<id>.p`        | `<inbox>.p<link>`         | a ping: the calls it waits for      |
 * | server | `<inbox>.p<link>`                  |                           | a pong: those of them that it has   |
 * | anyone | whatever the reply was             |                           | empty: nobody is there, or knows it |
 *
 * `<id>` is the number that a server gives to a client, so that a follow-up names its sender, and so does the server's
 * own "no responders" for an answer to a client that is gone. The last row is both that status and the word of a server
 * that has forgotten the client or the call: to the one who asked it means the same.
 *
 * A server that ends with calls in flight interrupts them. Such an Exit has the header `Rpc-Server-End` with the reason, so
 * that the caller is not interrupted, which who does not know the header is.
 *
 * NATS may lose messages. A ping carries how many acks the client has sent for each call, and a pong how many chunks the
 * server has; messages of one connection keep their order, so whoever has seen less has lost some.
 */
import * as Effect from "effect/Effect"
import { invalidSubject } from "../../internal/subject/invalid.ts"
import { subjectProblem } from "../../internal/subject/rules.ts"
import type { InvalidSubject } from "../../NatsError.ts"

export const pingToken = "p"

/** Both sides want a subject without wildcards. */
export const checkSubject = (subject: string): Effect.Effect<void, InvalidSubject> => {
  const problem = subjectProblem(subject)
  return problem === undefined ? Effect.void : Effect.fail(invalidSubject("subject", subject, problem))
}

/** A call, and how many acks (in a ping) or chunks (in a pong) were sent for it. */
export type Count = readonly [call: number, count: number]

export interface Beat {
  readonly sequence: number
  readonly calls: ReadonlyArray<Count>
}

/** The calls in one ping: it stays far below any `max_payload`. */
export const callsPerPing = 1_000

export const encodeBeat = (beat: Beat): string => JSON.stringify([beat.sequence, beat.calls])

const isNatural = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0

const isCount = (value: unknown): value is Count =>
  Array.isArray(value) && value.length === 2 && isNatural(value[0]) && isNatural(value[1])

/** `undefined` for what is no ping or pong. */
export const decodeBeat = (text: string): Beat | undefined => {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (!Array.isArray(value) || value.length !== 2) return undefined
  const [sequence, calls] = value as ReadonlyArray<unknown>
  return isNatural(sequence) && Array.isArray(calls) && calls.every(isCount) ? { sequence, calls } : undefined
}
