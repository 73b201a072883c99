/**
 * TLS settings as one dial uses them: files read, everything inline.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { TlsConfigInvalid } from "../../ConnectError.ts"
import type { NatsTls } from "../../NatsTls.ts"
import * as defaults from "../config/defaults.ts"
import { inVariables, withPrefix } from "../config/environment.ts"
import { options } from "../config/keys.ts"
import { prefixOf } from "../config/origin.ts"
import { parseCertificates, parseKey } from "../identity/pem.ts"
import { lazyTls } from "./lazyTls.ts"
import { readSecretFile } from "./secretFile.ts"

export interface TlsMaterial {
  readonly mode: "disable" | "prefer" | "require"
  /** Nobody wrote a mode, and so nobody said that secrets may go in clear. */
  readonly modeIsDefault?: boolean | undefined
  /** TLS before INFO. */
  readonly handshakeFirst: boolean
  /** The name to verify, in place of the one that was dialled. */
  readonly serverName?: string | undefined
  readonly ca?: string | undefined
  readonly cert?: string | undefined
  readonly key?: Redacted.Redacted | undefined
  readonly passphrase?: Redacted.Redacted | undefined
  /** `true` only when the user asked, in so many words, not to verify the server. */
  readonly dangerouslyDisableVerification: boolean
  /** The prefix of the variables that the settings came from, for errors. Absent for options and files. */
  readonly variables?: string | undefined
}

interface Pem {
  /** The option, and the file that it names. */
  readonly source: string
  readonly text: string
}

type Material = "ca" | "cert" | "key"

/** A setting as whoever wrote it calls it. */
const named = (prefix: string | undefined, key: Material | `${Material}File`): string =>
  prefix === undefined ? `tls.${key}` : withPrefix(prefix, options[`tls.${key}`][0])

const readPem = (
  option: Material,
  inline: string | undefined,
  path: string | undefined,
  prefix: string | undefined,
  timeout: Duration.Duration
): Effect.Effect<Pem | undefined, TlsConfigInvalid> => {
  if (path === undefined) {
    return Effect.succeed(inline === undefined ? undefined : { source: named(prefix, option), text: inline })
  }
  const setting = named(prefix, `${option}File`)
  const source = `${setting} (${path})`
  return readSecretFile(path, { secret: option === "key", option: setting, timeout }).pipe(
    Effect.mapError(({ cause, problem }) =>
      new TlsConfigInvalid({ source, problem, ...(cause === undefined ? {} : { cause }) })
    ),
    Effect.map((text) => ({ source, text }))
  )
}

const invalid = (pem: Pem, problem: string): Effect.Effect<never, TlsConfigInvalid> =>
  Effect.fail(new TlsConfigInvalid({ source: pem.source, problem }))

/**
 * Reads the files, for at most `timeout`, and checks everything that can be checked without a server, as `node:tls` takes a garbage `ca` without
 * a word and reads files so late that a reset in between kills the process.
 */
export const resolveTls = Effect.fnUntraced(function*(
  tls: NatsTls,
  timeout: Duration.Duration = defaults.config.connectTimeout
): Effect.fn.Return<TlsMaterial, TlsConfigInvalid> {
  const prefix = prefixOf(tls)
  const inlineKey = tls.key === undefined ? undefined : Redacted.value(tls.key)
  // Side by side, so that all have one time.
  const [ca, cert, key] = yield* Effect.all([
    readPem("ca", tls.ca, tls.caFile, prefix, timeout),
    readPem("cert", tls.cert, tls.certFile, prefix, timeout),
    readPem("key", inlineKey, tls.keyFile, prefix, timeout)
  ], { concurrency: "unbounded" })
  const passphrase = tls.passphrase === undefined ? undefined : Redacted.value(tls.passphrase)

  const authorities = ca === undefined ? undefined : parseCertificates(ca.text)
  if (ca !== undefined && typeof authorities === "string") return yield* invalid(ca, authorities)
  const certificates = cert === undefined ? undefined : parseCertificates(cert.text)
  if (cert !== undefined && typeof certificates === "string") return yield* invalid(cert, certificates)
  const parsed = key === undefined ? undefined : parseKey(key.text, passphrase)
  if (key !== undefined && typeof parsed === "string") {
    return yield* invalid(key, prefix === undefined ? parsed : inVariables(prefix, "tls", parsed))
  }
  if (
    key !== undefined && typeof parsed === "object" && typeof certificates === "object" &&
    !certificates[0].checkPrivateKey(parsed)
  ) {
    return yield* invalid(key, `it does not belong to the certificate of ${cert?.source}`)
  }
  if (cert !== undefined) {
    // What the checks above do not know, such as a certificate that this build of OpenSSL finds too weak.
    yield* Effect.try({
      try: () => lazyTls().createSecureContext({ ca: ca?.text, cert: cert.text, key: key?.text, passphrase }),
      catch: () => new TlsConfigInvalid({ source: cert.source, problem: "the TLS library does not take it" })
    })
  }
  return {
    mode: tls.mode ?? "prefer",
    modeIsDefault: tls.mode === undefined,
    handshakeFirst: tls.handshakeFirst,
    serverName: tls.serverName,
    ca: ca?.text,
    cert: cert?.text,
    key: key === undefined ? undefined : Redacted.make(key.text, { label: "key" }),
    passphrase: tls.passphrase,
    dangerouslyDisableVerification: tls.dangerouslyDisableVerification,
    ...(prefix === undefined ? {} : { variables: prefix })
  }
})
