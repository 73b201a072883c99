/**
 * Throw-away certificates for tests: an authority, what it signs, and what no authority signed.
 *
 * Everything is PEM text in memory. Keys are 2048-bit RSA, made anew each time; they protect nothing beyond a test, so
 * they are plain strings. It takes the package `node-forge`, without which the constructors fail with `PackageMissing`.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { TestCertificates, TestNatsServer } from "effect-nats/testing"
 *
 * const program = Effect.gen(function*() {
 *   const authority = yield* TestCertificates.authority()
 *   const server = yield* TestNatsServer.make({ tls: yield* authority.issue() })
 *   yield* Effect.log(`clients of ${server.url} must trust`, authority.cert)
 * }).pipe(Effect.scoped)
 * ```
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as crypto from "node:crypto"
import * as net from "node:net"
import * as util from "node:util"
import { loadPackage } from "./internal/packages.ts"
import type { PackageMissing } from "./TestNatsServerError.ts"

/**
 * A certificate and its private key, both PEM.
 *
 * @category models
 * @since 0.1.0
 */
export interface Certificate {
  readonly cert: string
  readonly key: string
}

/**
 * What a certificate says.
 *
 * @category models
 * @since 0.1.0
 */
export interface CertificateOptions {
  /** The subject's common name. Default `"localhost"`. */
  readonly commonName?: string | undefined
  /**
   * Subject alternative names: DNS names, IP addresses and e-mail addresses, told apart by their look. Default
   * `["localhost", "127.0.0.1", "::1"]`; a client's certificate may have none, or the address that `verify: "map"` maps.
   */
  readonly names?: ReadonlyArray<string> | undefined
  /** How long it is valid from now. Default 1 day. */
  readonly expiresIn?: Duration.Input | undefined
  /** It expired an hour ago. Default `false`. */
  readonly expired?: boolean | undefined
  /** It is valid from tomorrow on. Default `false`. */
  readonly notYetValid?: boolean | undefined
}

/**
 * A certificate authority.
 *
 * @category models
 * @since 0.1.0
 */
export interface Authority extends Certificate {
  /** Makes a certificate, for servers and clients, signed by this authority. */
  readonly issue: (options?: CertificateOptions) => Effect.Effect<Certificate>
}

/**
 * Makes a certificate authority that nobody else trusts. Default name: one that no other has.
 *
 * @category constructors
 * @since 0.1.0
 */
export const authority = (
  options?: { readonly name?: string | undefined }
): Effect.Effect<Authority, PackageMissing> =>
  Effect.flatMap(loadForge, (forge) => {
    const name = options?.name ?? `Test authority ${crypto.randomBytes(4).toString("hex")}`
    return Effect.map(
      certificate(forge, { commonName: name, names: [] }, { authority: true, signer: undefined }),
      (made): Authority => ({
        ...made,
        issue: (wanted) => certificate(forge, wanted ?? {}, { authority: false, signer: { ...made, name } })
      })
    )
  })

/**
 * Makes a certificate that is signed by its own key.
 *
 * @category constructors
 * @since 0.1.0
 */
export const selfSigned = (options?: CertificateOptions): Effect.Effect<Certificate, PackageMissing> =>
  Effect.flatMap(loadForge, (forge) => certificate(forge, options ?? {}, { authority: false, signer: undefined }))

// internal

const loadForge = Effect.map(loadPackage("node-forge", () => import("node-forge")), (library) => library.default)

type Forge = Effect.Success<typeof loadForge>

interface Role {
  readonly authority: boolean
  readonly signer: (Certificate & { readonly name: string }) | undefined
}

const generateKeyPair = util.promisify(crypto.generateKeyPair)

const alternativeName = (name: string): { readonly type: number; readonly value?: string; readonly ip?: string } =>
  net.isIP(name) > 0 ? { type: 7, ip: name } : name.includes("@") ? { type: 1, value: name } : { type: 2, value: name }

const hour = 3_600_000

const validity = (options: CertificateOptions): readonly [from: Date, to: Date] => {
  // Servers and clients judge by the machine's clock, whatever clock the test runs on.
  const now = new Date().getTime()
  const from = options.notYetValid === true ? now + 24 * hour : now - 48 * hour
  const to = options.expired === true
    ? now - hour
    : Math.max(from, now) + Duration.toMillis(options.expiresIn ?? "1 day")
  return [new Date(from), new Date(to)]
}

const certificate = (forge: Forge, options: CertificateOptions, role: Role): Effect.Effect<Certificate> =>
  Effect.promise(async () => {
    const { privateKey, publicKey } = await generateKeyPair("rsa", {
      modulusLength: 2048,
      privateKeyEncoding: { type: "pkcs8", format: "pem" },
      publicKeyEncoding: { type: "spki", format: "pem" }
    })
    const commonName = options.commonName ?? "localhost"
    const made = forge.pki.createCertificate()
    made.publicKey = forge.pki.publicKeyFromPem(publicKey)
    made.serialNumber = `01${crypto.randomBytes(15).toString("hex")}`
    const [from, to] = validity(options)
    made.validity.notBefore = from
    made.validity.notAfter = to
    made.setSubject([{ name: "commonName", value: commonName }])
    made.setIssuer([{ name: "commonName", value: role.signer?.name ?? commonName }])
    const names = options.names ?? ["localhost", "127.0.0.1", "::1"]
    made.setExtensions([
      { name: "basicConstraints", cA: role.authority, critical: true },
      role.authority
        ? { name: "keyUsage", keyCertSign: true, cRLSign: true, critical: true }
        : { name: "keyUsage", digitalSignature: true, keyEncipherment: true, critical: true },
      ...(role.authority ? [] : [{ name: "extKeyUsage", serverAuth: true, clientAuth: true }]),
      ...(names.length === 0 ? [] : [{ name: "subjectAltName", altNames: names.map(alternativeName) }]),
      { name: "subjectKeyIdentifier" }
    ])
    made.sign(forge.pki.privateKeyFromPem(role.signer?.key ?? privateKey), forge.md.sha256.create())
    return { cert: forge.pki.certificateToPem(made), key: privateKey }
  })
