/**
 * What a server says of a pull in place of a message (ADR-13, ADR-42), and what follows from it. Told by number, and by words
 * where the number has several meanings and nothing else tells them apart. Pure.
 */

export type Meaning =
  /** A sign of life. */
  | "alive"
  /** The pull has had its time, or what it asked for: the next one may follow. */
  | "over"
  /** The next message is larger than the bytes that the pull asked for. */
  | "tooLarge"
  /** Nobody has it any more, and another pull may succeed: no leader, another one, a server that stops. */
  | "lost"
  /** The consumer, or its stream, was deleted. */
  | "deleted"
  /** It asked for more than the consumer allows for one pull. */
  | "overLimit"
  /** Too many others wait. */
  | "busy"
  /** Another client of the group is the pinned one now. */
  | "unpinned"
  | "refused"

/** Of 409. What is not here is a refusal. */
const conflicts: ReadonlyArray<readonly [string, Meaning]> = [
  ["batch completed", "over"],
  ["message size exceeds maxbytes", "tooLarge"],
  ["leadership change", "lost"],
  ["server shutdown", "lost"],
  ["consumer deleted", "deleted"],
  ["exceeded maxrequest", "overLimit"],
  ["exceeded maxwaiting", "busy"]
]

export const meaningOf = (status: number, description: string): Meaning => {
  switch (status) {
    // Flow control is of push consumers.
    case 100:
      return "alive"
    case 404:
    case 408:
      return "over"
    case 423:
      return "unpinned"
    case 503:
      return "lost"
    case 409: {
      const words = description.toLowerCase()
      return conflicts.find(([start]) => words.startsWith(start))?.[1] ?? "refused"
    }
    default:
      return "refused"
  }
}

/** What a pull asks for, as the wire has it. */
export interface PullRequest {
  readonly batch: number
  readonly expiresMillis?: number | undefined
  readonly heartbeatMillis?: number | undefined
  readonly maxBytes?: number | undefined
  readonly noWait?: boolean | undefined
  readonly group?: string | undefined
  readonly pinId?: string | undefined
  readonly minPending?: number | undefined
  readonly minAckPending?: number | undefined
  readonly priority?: number | undefined
}

const nanos = (millis: number | undefined): number | undefined =>
  millis === undefined ? undefined : Math.round(millis) * 1e6

export const encodePull = (request: PullRequest): string =>
  JSON.stringify({
    batch: request.batch,
    expires: nanos(request.expiresMillis),
    idle_heartbeat: nanos(request.heartbeatMillis),
    max_bytes: request.maxBytes,
    no_wait: request.noWait,
    group: request.group,
    id: request.pinId,
    min_pending: request.minPending,
    min_ack_pending: request.minAckPending,
    priority: request.priority
  })
