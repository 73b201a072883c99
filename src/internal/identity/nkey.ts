/**
 * NKeys: Ed25519 keys in the text form of NATS (base32, a prefix that names the role, a CRC16).
 */
import { lazyCrypto } from "./lazyBuiltins.ts"

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

const prefixSeed = 18 << 3

/** The roles of keys, by prefix byte. */
const roles: ReadonlyMap<number, string> = new Map([
  [20 << 3, "user"],
  [0, "account"],
  [14 << 3, "operator"],
  [13 << 3, "server"],
  [2 << 3, "cluster"],
  [23 << 3, "curve"]
])

const prefixUser = 20 << 3

/** A user seed in text: "SU" and 56 characters. */
const seedLength = 58

const crc16 = (bytes: Uint8Array, length: number): number => {
  let crc = 0
  for (let i = 0; i < length; i++) {
    crc ^= bytes[i] << 8
    for (let bit = 0; bit < 8; bit++) {
      crc = (crc & 0x8000) === 0 ? (crc << 1) & 0xffff : ((crc << 1) ^ 0x1021) & 0xffff
    }
  }
  return crc
}

const base32 = (bytes: Uint8Array): string => {
  let text = ""
  let bits = 0
  let value = 0
  for (const byte of bytes) {
    value = ((value << 8) | byte) & 0xffff
    bits += 8
    while (bits >= 5) {
      bits -= 5
      text += alphabet[(value >> bits) & 31]
    }
  }
  return bits === 0 ? text : text + alphabet[(value << (5 - bits)) & 31]
}

const withChecksum = (body: Uint8Array): string => {
  const raw = new Uint8Array(body.length + 2)
  raw.set(body)
  const crc = crc16(body, body.length)
  raw[body.length] = crc & 0xff
  raw[body.length + 1] = crc >> 8
  return base32(raw)
}

/** The text form of a user seed. */
export const encodeUserSeed = (key: Uint8Array): string => {
  const body = new Uint8Array(34)
  body[0] = prefixSeed | (prefixUser >> 5)
  body[1] = (prefixUser & 31) << 3
  body.set(key.subarray(0, 32), 2)
  return withChecksum(body)
}

/** The text form of a user's public key. */
export const encodeUserPublicKey = (key: Uint8Array): string => {
  const body = new Uint8Array(33)
  body[0] = prefixUser
  body.set(key.subarray(0, 32), 1)
  return withChecksum(body)
}

/** The bytes of a text in base32 and the bits that are left over, or where its first character is that is none. */
const fromBase32 = (text: string): { readonly bytes: Uint8Array; readonly rest: number } | number => {
  const bytes = new Uint8Array((text.length * 5) >> 3)
  let bits = 0
  let value = 0
  let at = 0
  for (let i = 0; i < text.length; i++) {
    const digit = alphabet.indexOf(text[i])
    if (digit < 0) return i
    value = ((value << 5) | digit) & 0xfff
    bits += 5
    if (bits >= 8) {
      bits -= 8
      bytes[at++] = (value >> bits) & 0xff
    }
  }
  return { bytes, rest: value & ((1 << bits) - 1) }
}

const hasChecksum = (bytes: Uint8Array): boolean => {
  const length = bytes.length - 2
  return crc16(bytes, length) === (bytes[length] | (bytes[length + 1] << 8))
}

/** The 32 bytes of a user seed, or what is wrong with the text, without showing any of it. */
export const decodeUserSeed = (text: string): Uint8Array | string => {
  if (text.length !== seedLength) {
    return text.startsWith("U") && text.length === 56
      ? "it is a user's public key; the seed begins with SU"
      : `it has ${text.length} characters and a seed has ${seedLength}`
  }
  const decoded = fromBase32(text)
  if (typeof decoded === "number") return `its character ${decoded + 1} is not base32 (A to Z and 2 to 7, upper case)`
  const { bytes, rest } = decoded
  if ((bytes[0] & 0xf8) !== prefixSeed) return "it is not a seed; a user seed begins with SU"
  const role = ((bytes[0] & 7) << 5) | (bytes[1] >> 3)
  if (role !== prefixUser) {
    return `it is the seed of ${an(roles.get(role) ?? "unknown role")}; a user seed begins with SU`
  }
  // The last character has two bits more than the bytes need; a seed is written with both at zero.
  if (!hasChecksum(bytes) || rest !== 0) return "its checksum is wrong, so a character was changed or lost"
  return bytes.slice(2, 34)
}

export interface PublicKey {
  /** Such as `account`. */
  readonly role: string
  /** Whether a signature is of this key. */
  readonly verify: (data: Uint8Array, signature: Uint8Array) => boolean
}

/** A public key of any role, or `undefined` for a text that is none. */
export const decodePublicKey = (text: string): PublicKey | undefined => {
  const decoded = text.length === 56 ? fromBase32(text) : -1
  if (typeof decoded === "number") return undefined
  const { bytes } = decoded
  const role = roles.get(bytes[0])
  if (role === undefined || !hasChecksum(bytes)) return undefined
  return {
    role,
    verify: (data, signature) => {
      const { createPublicKey, verify } = lazyCrypto()
      // What stands before the 32 bytes of an Ed25519 key in SPKI.
      const der = Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), bytes.subarray(1, 33)])
      return verify(null, data, createPublicKey({ key: der, format: "der", type: "spki" }), signature)
    }
  }
}

const an = (word: string): string => (/^[aeiou]/.test(word) ? `an ${word}` : `a ${word}`)

/** What stands before the 32 bytes of an Ed25519 key in PKCS #8. */
const pkcs8 = Buffer.from("302e020100300506032b657004220420", "hex")

export interface UserKey {
  /** "U" and 55 characters. */
  readonly publicKey: string
  readonly sign: (data: Uint8Array) => Uint8Array
}

/** The key pair of a seed's 32 bytes. `node:crypto` signs in a fortieth of the time that JavaScript takes. */
export const userKey = (seed: Uint8Array): UserKey => {
  const { createPrivateKey, createPublicKey, sign } = lazyCrypto()
  const key = createPrivateKey({ key: Buffer.concat([pkcs8, seed]), format: "der", type: "pkcs8" })
  const spki = createPublicKey(key).export({ format: "der", type: "spki" })
  return {
    publicKey: encodeUserPublicKey(spki.subarray(spki.length - 32)),
    sign: (data) => sign(null, data, key)
  }
}
