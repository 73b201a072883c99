/**
 * From TLS settings to the options of `node:tls`.
 */
import * as Redacted from "effect/Redacted"
import type * as Tls from "node:tls"
import * as ConnectError from "../../ConnectError.ts"
import { withPrefix } from "../config/environment.ts"
import { isIP } from "../identity/hostNames.ts"
import { unframed } from "../protocol/frames.ts"
import { lazyTls } from "./lazyTls.ts"
import type { TlsMaterial } from "./tlsMaterial.ts"

/**
 * `resolveTls` has checked the material, so that hardly anything is left to go wrong here.
 *
 * The certificate must be valid for one of `hosts`, names and addresses alike: without them node would verify
 * `localhost`. An address must not be sent as the server name of the handshake, nor the dot that ends a name that is told
 * in full: no certificate has it (RFC 6066, 3).
 */
export const tlsOptions = (
  named: readonly [string, ...Array<string>],
  tls: TlsMaterial
): Tls.ConnectionOptions | ConnectError.TlsConfigInvalid => {
  const hosts = named.map((host) => host.replace(/\.$/, ""))
  const pem = {
    ...(tls.ca === undefined ? {} : { ca: tls.ca }),
    ...(tls.cert === undefined ? {} : { cert: tls.cert }),
    ...(tls.key === undefined ? {} : { key: Redacted.value(tls.key) }),
    ...(tls.passphrase === undefined ? {} : { passphrase: Redacted.value(tls.passphrase) })
  }
  try {
    return {
      host: hosts[0],
      servername: hosts.find((host) => isIP(host) === 0) ?? "",
      checkServerIdentity: (_, certificate) => identityFault(hosts, certificate),
      secureContext: lazyTls().createSecureContext(pem),
      rejectUnauthorized: !tls.dangerouslyDisableVerification
    }
  } catch (cause) {
    const code = typeof cause === "object" && cause !== null && "code" in cause ? ` (${String(cause.code)})` : ""
    return new ConnectError.TlsConfigInvalid({
      source: tls.variables === undefined ? "tls" : withPrefix(tls.variables, "TLS_*"),
      problem: `the TLS library does not take it${code}`,
      cause: unframed(cause)
    })
  }
}

/** Why the certificate is valid for none of the hosts. */
const identityFault = (hosts: ReadonlyArray<string>, certificate: Tls.PeerCertificate): Error | undefined => {
  const faults = hosts.map((host) => lazyTls().checkServerIdentity(host, certificate))
  return faults.includes(undefined) ? undefined : faults[0]
}
