/**
 * Checks PEM text locally. `node:tls` takes garbage as `ca` without a word and fails late and vaguely on the rest.
 */
import type { KeyObject, X509Certificate } from "node:crypto"
import { lazyCrypto } from "./lazyBuiltins.ts"

const certificate = /-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----/

/** The certificates of a PEM text in order, or what is wrong with it, without showing any of it. */
export const parseCertificates = (pem: string): ReadonlyArray<X509Certificate> | string => {
  if (/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(pem) && !certificate.test(pem)) {
    return "it is a private key and must be a certificate"
  }
  const blocks = pem.split("-----BEGIN CERTIFICATE-----").slice(1)
  if (blocks.length === 0) return "it has no -----BEGIN CERTIFICATE----- line"
  if (blocks.length > 1000) return "it has more than 1000 certificates"
  const { X509Certificate } = lazyCrypto()
  const certificates: Array<X509Certificate> = []
  for (const [index, block] of blocks.entries()) {
    const end = block.indexOf("-----END CERTIFICATE-----")
    if (end < 0) return `its certificate ${index + 1} has no -----END CERTIFICATE----- line`
    try {
      certificates.push(
        new X509Certificate(`-----BEGIN CERTIFICATE-----${block.slice(0, end)}-----END CERTIFICATE-----\n`)
      )
    } catch {
      return `its certificate ${index + 1} does not parse`
    }
  }
  return certificates
}

/** The private key of a PEM text, or what is wrong with it, without showing any of it. */
export const parseKey = (pem: string, passphrase: string | undefined): KeyObject | string => {
  if (!/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(pem)) {
    return certificate.test(pem)
      ? "it is a certificate and must be a private key"
      : "it has no -----BEGIN PRIVATE KEY----- line"
  }
  const encrypted = pem.includes("-----BEGIN ENCRYPTED PRIVATE KEY-----") || /^Proc-Type: 4,ENCRYPTED/m.test(pem)
  if (encrypted && passphrase === undefined) return "it is encrypted and there is no passphrase: set `tls.passphrase`"
  try {
    return lazyCrypto().createPrivateKey({ key: pem, ...(passphrase === undefined ? {} : { passphrase }) })
  } catch {
    return encrypted ? "it does not parse, or the passphrase is wrong" : "it does not parse"
  }
}
