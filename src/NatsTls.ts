/**
 * How the wire is protected.
 *
 * Certificates and keys are given as PEM text (`ca`, `cert`, `key`) or as paths (`caFile`, `certFile`, `keyFile`). Files
 * are read again before every dial, so a renewed certificate is picked up. The server is always verified, against `ca` or
 * else against the authorities that Node trusts, for the name that was dialled or else `serverName`.
 *
 * ```ts
 * import { NatsClient } from "effect-nats"
 *
 * // Mutual TLS:
 * const layer = NatsClient.layer({
 *   servers: "tls://nats.example.com:4222",
 *   tls: { caFile: "/etc/nats/ca.pem", certFile: "/etc/nats/client.pem", keyFile: "/etc/nats/client.key" }
 * })
 * ```
 *
 * @since 0.1.0
 */
import type * as Redacted from "effect/Redacted"
import type * as Schema from "effect/Schema"
import { generatedTls } from "./internal/config/arbitraryTls.ts"
import { codec } from "./internal/config/codec.ts"
import * as Defaults from "./internal/config/defaults.ts"
import { decodeTls, encodeTls } from "./internal/config/tls.ts"
import type { Secret } from "./NatsAuth.ts"

/**
 * TLS settings, decoded. Its fields are those of `Input`, with the defaults applied, but for a `mode` that nothing says: it is
 * absent, and works as `"prefer"`.
 *
 * @category models
 * @since 0.1.0
 */
export interface NatsTls extends Input {
  readonly mode?: "disable" | "prefer" | "require" | undefined
  readonly handshakeFirst: boolean
  readonly serverName?: string | undefined
  readonly ca?: string | undefined
  readonly cert?: string | undefined
  readonly key?: Redacted.Redacted | undefined
  readonly caFile?: string | undefined
  readonly certFile?: string | undefined
  readonly keyFile?: string | undefined
  readonly passphrase?: Redacted.Redacted | undefined
  readonly dangerouslyDisableVerification: boolean
}

/**
 * What can be written as `tls`. All is optional.
 *
 * @category models
 * @since 0.1.0
 */
export interface Input {
  /**
   * `"prefer"`: TLS if the server offers or requires it, or the URL is `tls://` or `wss://`; a server whose session had TLS
   * needs it from then on. `"require"`: nothing is sent in clear, and a server without TLS fails with `TlsUnavailable`.
   * `"disable"`: a server that requires TLS fails with `TlsRequired`. Default `"require"` where any of the other settings
   * is given, else as `"prefer"`, and the decoded settings have no `mode`.
   *
   * Where they have none, a password, a token, a bearer JWT or headers of `webSocket` that went in clear to another machine,
   * on a private network or not, give one warning. A mode that is written says that this is meant.
   */
  readonly mode?: "disable" | "prefer" | "require" | undefined
  /** TLS before the server's greeting, for a server with `handshake_first`. Implies TLS. Default `false`. */
  readonly handshakeFirst?: boolean | undefined
  /** The name to verify. Default: the one that was dialled. */
  readonly serverName?: string | undefined
  /** PEM text of the authorities to trust. Default: those of Node. */
  readonly ca?: string | undefined
  /** PEM text of the client's certificate, and of what is between it and its authority. Needs a key. Default: none. */
  readonly cert?: string | undefined
  /** PEM text of the client's private key. Needs a certificate. Default: none. */
  readonly key?: Secret | undefined
  /** Path of a PEM file, in place of `ca`. Relative to the working directory; read before every dial. Default: none. */
  readonly caFile?: string | undefined
  /** Path of a PEM file, in place of `cert`. Relative to the working directory; read before every dial. Default: none. */
  readonly certFile?: string | undefined
  /** Path of a PEM file, in place of `key`. Relative to the working directory; read before every dial. Default: none. */
  readonly keyFile?: string | undefined
  /** The passphrase of an encrypted key. Default: none. */
  readonly passphrase?: Secret | undefined
  /**
   * `true`: the server's certificate is not checked, so anyone in between can read and change everything. For throw-away
   * set-ups only: each client warns of it once. Default `false`.
   */
  readonly dangerouslyDisableVerification?: boolean | undefined
}

/**
 * The JSON form. It has the key and the passphrase in plain text.
 *
 * @category models
 * @since 0.1.0
 */
export interface Encoded extends Omit<NatsTls, "key" | "passphrase"> {
  readonly key?: string | undefined
  readonly passphrase?: string | undefined
}

/**
 * The settings when none are given: TLS where the server wants it, verified against the authorities of Node.
 *
 * @category constructors
 * @since 0.1.0
 */
export const defaults: NatsTls = Defaults.tls

/**
 * Decodes what is written as `tls`. PEM text is parsed and a key is compared with its certificate at once; files are read
 * when a server is dialled. Its errors name every problem at its path and hold no value.
 *
 * @category schemas
 * @since 0.1.0
 */
export const NatsTls: Schema.Codec<NatsTls, Encoded> = codec("NatsTls", decodeTls, encodeTls, generatedTls)
