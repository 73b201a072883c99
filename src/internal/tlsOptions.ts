/**
 * From TLS settings to the options of `node:tls`.
 */
import * as Redacted from "effect/Redacted"
import { X509Certificate } from "node:crypto"
import * as Net from "node:net"
import * as Tls from "node:tls"
import * as ConnectError from "../ConnectError.ts"
import type { TlsMaterial } from "./tlsMaterial.ts"

type Pem = Pick<Tls.SecureContextOptions, "ca" | "cert" | "key" | "passphrase">

/**
 * The name to verify is the one that was dialled, or `serverName`, for addresses too; without a name node would verify
 * `localhost` (P25). An address must not be sent as the server name of the handshake.
 */
export const tlsOptions = (
  host: string,
  tls: TlsMaterial
): Tls.ConnectionOptions | ConnectError.TlsConfigInvalid => {
  const name = tls.serverName ?? host
  const pem: Pem = {
    ...(tls.ca === undefined ? {} : { ca: tls.ca }),
    ...(tls.cert === undefined ? {} : { cert: tls.cert }),
    ...(tls.key === undefined ? {} : { key: Redacted.value(tls.key) }),
    ...(tls.passphrase === undefined ? {} : { passphrase: Redacted.value(tls.passphrase) })
  }
  try {
    if (tls.ca !== undefined) {
      // Node ignores a `ca` without a certificate, and then trusts no one.
      void new X509Certificate(tls.ca)
    }
    return {
      host: name,
      servername: Net.isIP(name) === 0 ? name : "",
      secureContext: Tls.createSecureContext(pem),
      rejectUnauthorized: !tls.insecureSkipVerify
    }
  } catch (cause) {
    return new ConnectError.TlsConfigInvalid({ ...blame(pem, cause), cause })
  }
}

const accepts = (pem: Pem): boolean => {
  try {
    Tls.createSecureContext(pem)
    return true
  } catch {
    return false
  }
}

/** Which of the options it was, found by trying each alone. */
const blame = (pem: Pem, cause: unknown): { readonly source: string; readonly problem: string } => {
  const code = typeof cause === "object" && cause !== null && "code" in cause ? ` (${String(cause.code)})` : ""
  const { ca, cert, key, passphrase } = pem
  if (ca !== undefined && !isCertificate(ca.toString())) {
    return { source: "tls.ca", problem: `it holds no PEM certificate${code}` }
  }
  if (cert !== undefined && !accepts({ cert })) {
    return { source: "tls.cert", problem: `it holds no PEM certificate${code}` }
  }
  if (key !== undefined && !accepts(passphrase === undefined ? { key } : { key, passphrase })) {
    const problem = passphrase === undefined
      ? "it holds no PEM key, or one that needs tls.passphrase"
      : "it holds no PEM key that tls.passphrase opens"
    return { source: "tls.key", problem: `${problem}${code}` }
  }
  return { source: "tls.cert and tls.key", problem: `they do not belong together${code}` }
}

const isCertificate = (pem: string): boolean => {
  try {
    void new X509Certificate(pem)
    return true
  } catch {
    return false
  }
}
