/**
 * Where messages and replies stand in the stream of a cluster.
 *
 * - `i.<type>.<entity>.<key>.<request>.<shard>.<kind>`: what is not processed yet; kind `r` is a request, `a` the latest
 *   acknowledgement of a chunk, `n-<id>` an interrupt. `<key>` is that of the primary key, and only of requests.
 * - `q.<type>.<entity>.<key>.<request>.<shard>.r`: requests that are processed.
 * - `r.<request>.x`, `r.<request>.<sequence>`: the exit of a request, and its chunks.
 * - `a.<request>`: the last chunk that was acknowledged.
 *
 * Type and entity come first, so that all of an entity is found without a look at the others. The primary key counts within
 * them: `type/entity/tag/id`, as effect writes it, is one text for different keys once a slash is in them.
 */
import type * as Envelope from "effect/cluster/Envelope"
import * as ShardId from "effect/cluster/ShardId"
import { tokenOf } from "../../persistence/internal/textToken.ts"
import type { ClusterStream } from "./clusterStream.ts"
import { typeToken } from "./workflowSubjects.ts"

/** An entity, encoded or not. */
export interface Address {
  readonly shardId: { readonly group: string; readonly id: number }
  readonly entityType: string
  readonly entityId: string
}

/** What the subject of an entry says. The tokens are not decoded. */
export interface EntrySubject {
  readonly subject: string
  /** The tokens of type and id. */
  readonly entity: string
  readonly request: string
  /** The token of the shard. */
  readonly shard: string
  readonly kind: string
}

/** The key of a request that has no primary key. */
const noKey = tokenOf("")

export const shardText = (address: Address): string => ShardId.toString(address.shardId)

/** What of a primary key is not its entity. */
export const keyWithin = (address: Address, primaryKey: string): string => {
  const entity = `${address.entityType}/${address.entityId}/`
  return primaryKey.startsWith(entity) ? primaryKey.slice(entity.length) : primaryKey
}

export interface MessageSubjects {
  readonly entityOf: (address: Address) => string
  /** The entry of an envelope. */
  readonly entry: (envelope: Envelope.Encoded, primaryKey: string | null) => string
  /** The same request, processed. */
  readonly processed: (entry: string) => string
  /** All requests that a new one must not meet. */
  readonly same: (envelope: Envelope.PartialRequestEncoded, primaryKey: string | null) => string
  /** The request of a key, processed or not. */
  readonly ofKey: (address: Address, key: string) => string
  /** The entry of a request, if it is not processed, and of whatever entity it is. */
  readonly ofRequest: (request: string, address?: Address) => string
  /** Acknowledgements and interrupts of a request, and the request itself where it has no key. */
  readonly interrupts: (entry: string) => string
  readonly allEntries: string
  readonly ofEntity: (address: Address) => readonly [entries: string, processed: string]
  readonly exit: (request: string) => string
  readonly chunk: (request: string, sequence: number) => string
  readonly replies: (request: string) => string
  readonly acknowledged: (request: string) => string
  /** What an entry's subject says, or `undefined` of another one. */
  readonly read: (subject: string) => EntrySubject | undefined
  /** The request of a subject of replies or of an acknowledgement. */
  readonly requestOf: (subject: string) => string
}

export const messageSubjects = ({ stored }: ClusterStream): MessageSubjects => {
  const inbox = stored("i")
  const done = stored("q")
  const either = `${inbox.slice(0, -1)}*`
  const depth = inbox.split(".").length
  const entityOf = (address: Address) => `${typeToken(address.entityType)}.${tokenOf(address.entityId)}`
  const keyOf = (address: Address, primaryKey: string | null) =>
    primaryKey === null ? noKey : tokenOf(keyWithin(address, primaryKey))
  return {
    entityOf,
    entry: (envelope, primaryKey) => {
      const { address, requestId } = envelope
      const kind = envelope._tag === "Request" ? "r" : envelope._tag === "AckChunk" ? "a" : `n-${envelope.id}`
      const key = keyOf(address, primaryKey)
      return `${inbox}.${entityOf(address)}.${key}.${requestId}.${tokenOf(shardText(address))}.${kind}`
    },
    processed: (entry) => `${done}${entry.slice(inbox.length)}`,
    same: ({ address, requestId }, primaryKey) =>
      primaryKey === null
        ? `${either}.${entityOf(address)}.${noKey}.${requestId}.*.r`
        : `${either}.${entityOf(address)}.${keyOf(address, primaryKey)}.*.*.r`,
    ofKey: (address, key) => `${either}.${entityOf(address)}.${tokenOf(key)}.*.*.r`,
    ofRequest: (request, address) => `${inbox}.${address === undefined ? "*.*" : entityOf(address)}.*.${request}.*.r`,
    interrupts: (entry) => {
      const [type, id, , request] = entry.split(".").slice(depth)
      return `${inbox}.${type}.${id}.${noKey}.${request}.>`
    },
    allEntries: `${inbox}.>`,
    ofEntity: (address) => [`${inbox}.${entityOf(address)}.>`, `${done}.${entityOf(address)}.>`],
    exit: (request) => stored("r", request, "x"),
    chunk: (request, sequence) => stored("r", request, String(sequence)),
    replies: (request) => stored("r", request, "*"),
    acknowledged: (request) => stored("a", request),
    read: (subject) => {
      const tokens = subject.split(".").slice(depth)
      if (tokens.length !== 6) return undefined
      const [type, id, , request, shard, kind] = tokens as [string, string, string, string, string, string]
      return { subject, entity: `${type}.${id}`, request, shard, kind }
    },
    requestOf: (subject) => subject.split(".")[depth] ?? ""
  }
}
