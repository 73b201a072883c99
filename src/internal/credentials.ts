/**
 * Credentials as one dial uses them: files read, creds text parsed, JWT times known.
 */
import type * as Redacted from "effect/Redacted"
import type { AuthMethod } from "../ConnectError.ts"

export interface Credentials {
  readonly method: AuthMethod
  readonly user?: string | undefined
  readonly password?: Redacted.Redacted | undefined
  readonly token?: Redacted.Redacted | undefined
  /** NKey seed, of an NKey user or of the user that `jwt` is for. Absent for a bearer JWT. */
  readonly seed?: Redacted.Redacted | undefined
  readonly jwt?: Redacted.Redacted | undefined
  /** The JWT's `exp`, in milliseconds since the epoch. */
  readonly expiresAt?: number | undefined
  /** The JWT's `nbf`, in milliseconds since the epoch. */
  readonly notBefore?: number | undefined
  /** Where they came from, for messages. Never the content. */
  readonly source: string
}
