/**
 * TLS settings as one dial uses them: files read, everything inline.
 */
import type * as Redacted from "effect/Redacted"

export interface TlsMaterial {
  readonly mode: "disable" | "prefer" | "require"
  /** TLS before INFO. */
  readonly handshakeFirst: boolean
  /** The name to verify, in place of the one that was dialled. */
  readonly serverName?: string | undefined
  readonly ca?: string | undefined
  readonly cert?: string | undefined
  readonly key?: Redacted.Redacted | undefined
  readonly passphrase?: Redacted.Redacted | undefined
  /** `true` only when the user asked, in so many words, not to verify the server. */
  readonly insecureSkipVerify: boolean
}
