/**
 * Messages on their way out.
 */
import type { PermissionsViolation } from "../../NatsError.ts"
import { payloadSize } from "../protocol/writer.ts"

/** A message, its parts checked. */
export interface Outgoing {
  readonly subject: string
  readonly reply: string
  readonly headers: Uint8Array | undefined
  /** The headers that the caller gave, where they make a block: `headers` can have a trace besides. */
  readonly given: object | undefined
  readonly payload: string | Uint8Array
}

/** What the server's `max_payload` counts. */
export const sizeOf = ({ headers, payload }: Pick<Outgoing, "headers" | "payload">): number =>
  (headers === undefined ? 0 : headers.length) + payloadSize(payload)

/** A publish with `confirm` that waits for the server's word. */
export interface ConfirmWatch {
  readonly subject: string
  readonly reply: string
  denied: PermissionsViolation | undefined
}
