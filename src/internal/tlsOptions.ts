/**
 * From TLS settings to the options of `node:tls`.
 */
import * as Redacted from "effect/Redacted"
import * as Net from "node:net"
import type * as Tls from "node:tls"
import * as ConnectError from "../ConnectError.ts"
import { lazyTls } from "./lazyTls.ts"
import type { TlsMaterial } from "./tlsMaterial.ts"

/**
 * `resolveTls` has checked the material, so that hardly anything is left to go wrong here.
 *
 * The name to verify is the one that was dialled, or `serverName`, for addresses too; without a name node would verify
 * `localhost` (P25). An address must not be sent as the server name of the handshake.
 */
export const tlsOptions = (
  host: string,
  tls: TlsMaterial
): Tls.ConnectionOptions | ConnectError.TlsConfigInvalid => {
  const name = tls.serverName ?? host
  const pem = {
    ...(tls.ca === undefined ? {} : { ca: tls.ca }),
    ...(tls.cert === undefined ? {} : { cert: tls.cert }),
    ...(tls.key === undefined ? {} : { key: Redacted.value(tls.key) }),
    ...(tls.passphrase === undefined ? {} : { passphrase: Redacted.value(tls.passphrase) })
  }
  try {
    return {
      host: name,
      servername: Net.isIP(name) === 0 ? name : "",
      secureContext: lazyTls().createSecureContext(pem),
      rejectUnauthorized: !tls.insecureSkipVerify
    }
  } catch (cause) {
    const code = typeof cause === "object" && cause !== null && "code" in cause ? ` (${String(cause.code)})` : ""
    return new ConnectError.TlsConfigInvalid({
      source: "tls",
      problem: `the TLS library does not take it${code}`,
      cause
    })
  }
}
