/**
 * Decodes and encodes `tls`.
 */
import * as Redacted from "effect/Redacted"
import type { Encoded, NatsTls } from "../../NatsTls.ts"
import { parseCertificates, parseKey } from "../identity/pem.ts"
import { has, readBoolean, readLiteral, readPath, readSecret, readText } from "./fields.ts"
import { keysOf } from "./keys.ts"
import { contentProblem } from "./misplaced.ts"
import { noteVariables, prefixOf } from "./origin.ts"
import type { Path, Problems } from "./problems.ts"
import { readRecord, type Section } from "./record.ts"
import { normalHost } from "./serverUrl.ts"

/** The first setting that is given besides `mode`: whoever gives one means TLS. */
export const meaningTls = (setting: (key: string) => unknown): string | undefined =>
  keysOf("tls").find((key) => key !== "mode" && setting(key) !== undefined && setting(key) !== false)

const section: Section = { what: "`tls`", section: "tls", keys: keysOf("tls"), secretive: true }

/** `{ key: value }`, or nothing where there is no value. */
const optional = <K extends string, A>(key: K, value: A | undefined): { readonly [P in K]?: A } =>
  (value === undefined ? {} : { [key]: value }) as { readonly [P in K]?: A }

export const decodeTls = (problems: Problems, path: Path, input: unknown): NatsTls | undefined => {
  const fields = readRecord(problems, path, input, section)
  if (fields === undefined) return undefined
  const before = problems.count
  const read = <A>(key: string, reader: (path: Path, value: unknown) => A | undefined): A | undefined => {
    const value = fields.get(key)
    return value === undefined ? undefined : reader([...path, key], value)
  }
  const pem = (at: Path, value: unknown) => readSecret(problems, at, value, has.document, true)
  const file = (key: string) => read(key, (at, value) => readPath(problems, at, value, `\`${key.slice(0, -4)}\``))

  const mode = read("mode", (at, value) => readLiteral(problems, at, value, ["disable", "prefer", "require"])) ??
    (meaningTls((key) => fields.get(key)) === undefined ? undefined : "require")
  const handshakeFirst = read("handshakeFirst", (at, value) => readBoolean(problems, at, value)) ?? false
  const dangerouslyDisableVerification =
    read("dangerouslyDisableVerification", (at, value) => readBoolean(problems, at, value)) ?? false
  const serverName = read("serverName", (at, value) => {
    const name = readText(problems, at, value, 253)
    return name === undefined || normalHost(name) !== undefined ? name : problems.add(at, "is no host name or address")
  })
  const ca = read("ca", pem)
  const cert = read("cert", pem)
  const key = read("key", pem)
  const passphrase = read("passphrase", (at, value) => readSecret(problems, at, value, has.short))
  const caFile = file("caFile")
  const certFile = file("certFile")
  const keyFile = file("keyFile")

  for (const name of ["ca", "cert", "key"]) {
    if (fields.has(name) && fields.has(`${name}File`)) {
      problems.add([...path, `${name}File`], `clashes with \`${name}\`: give one of the two`)
    }
  }
  const hasCert = fields.has("cert") || fields.has("certFile")
  const hasKey = fields.has("key") || fields.has("keyFile")
  if (hasCert && !hasKey) {
    problems.add([...path, fields.has("cert") ? "cert" : "certFile"], "needs its private key: set `key` or `keyFile`")
  }
  if (hasKey && !hasCert) {
    problems.add([...path, fields.has("key") ? "key" : "keyFile"], "needs its certificate: set `cert` or `certFile`")
  }
  if (passphrase !== undefined && !hasKey) {
    problems.add([...path, "passphrase"], "is of no key: set `key` or `keyFile`")
  }
  if (handshakeFirst && mode === "disable") {
    problems.add([...path, "handshakeFirst"], "clashes with `mode` \"disable\"")
  }
  checkPem(problems, path, ca, cert, key, passphrase)
  if (problems.count > before) return undefined
  const decoded: NatsTls = {
    ...optional("mode", mode),
    handshakeFirst,
    ...optional("serverName", serverName),
    ...optional("ca", ca),
    ...optional("cert", cert),
    ...optional("key", key === undefined ? undefined : Redacted.make(key, { label: "key" })),
    ...optional("caFile", caFile),
    ...optional("certFile", certFile),
    ...optional("keyFile", keyFile),
    ...optional(
      "passphrase",
      passphrase === undefined ? undefined : Redacted.make(passphrase, { label: "passphrase" })
    ),
    dangerouslyDisableVerification
  }
  const prefix = prefixOf(input)
  if (prefix !== undefined) noteVariables(decoded, prefix)
  return decoded
}

const checkPem = (
  problems: Problems,
  path: Path,
  ca: string | undefined,
  cert: string | undefined,
  key: string | undefined,
  passphrase: string | undefined
): void => {
  const unusable = (option: string, text: string | undefined, problem: string): void => {
    const other = contentProblem(text ?? "", "PEM text", `use \`${option}File\``)
    problems.add([...path, option], other ?? `is unusable: ${problem}`)
  }
  const authorities = ca === undefined ? undefined : parseCertificates(ca)
  if (typeof authorities === "string") {
    unusable("ca", ca, authorities)
  }
  const certificates = cert === undefined ? undefined : parseCertificates(cert)
  if (typeof certificates === "string") {
    unusable("cert", cert, certificates)
  }
  const parsed = key === undefined ? undefined : parseKey(key, passphrase)
  if (typeof parsed === "string") {
    unusable("key", key, parsed)
  } else if (parsed !== undefined && typeof certificates === "object" && !certificates[0].checkPrivateKey(parsed)) {
    problems.add([...path, "key"], "does not belong to the certificate")
  }
}

export const encodeTls = (tls: NatsTls): Encoded => {
  const { key, passphrase, ...rest } = tls
  return {
    ...rest,
    ...optional("key", key === undefined ? undefined : Redacted.value(key)),
    ...optional("passphrase", passphrase === undefined ? undefined : Redacted.value(passphrase))
  }
}
