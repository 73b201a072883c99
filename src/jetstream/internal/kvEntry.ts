/**
 * What a message of a bucket says: a value, or that there is none any more, and why.
 */
import type { Deletion } from "./kvEntryTypes.ts"

export const operationHeader = "KV-Operation"
export const markerReasonHeader = "Nats-Marker-Reason"
export const rollupHeader = "Nats-Rollup"
export const ttlHeader = "Nats-TTL"
export const expectedRevisionHeader = "Nats-Expected-Last-Subject-Sequence"
export const sequenceHeader = "Nats-Sequence"
export const timeHeader = "Nats-Time-Stamp"
export const subjectHeader = "Nats-Subject"
/** With `headers_only`: the size of the payload that was left out. */
export const sizeHeader = "Nats-Msg-Size"

export type Reason = Deletion["reason"]

/** A header of a message, `undefined` where it is not there. */
export type HeaderOf = (name: string) => string | undefined

/** Why there is no value; `undefined` where there is one. */
export const reasonOf = (header: HeaderOf): Reason | undefined => {
  switch (header(operationHeader)) {
    case "DEL":
      return "delete"
    case "PURGE":
      return "purge"
  }
  // A marker of the server has no operation: what it stands for expired, or was removed past the key-value protocol.
  switch (header(markerReasonHeader)) {
    case undefined:
      return undefined
    case "MaxAge":
      return "expired"
    case "Purge":
      return "purge"
    default:
      return "delete"
  }
}

/** A message of a bucket as the API has it. */
export interface Stored {
  readonly subject: string
  readonly revision: number
  readonly timestampMillis: number
  readonly data: Uint8Array
  readonly reason: Reason | undefined
}
