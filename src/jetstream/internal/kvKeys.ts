/**
 * What a key may be (ADR-8), and how other texts become keys.
 */
import { InvalidKey } from "../JetStreamError.ts"
import type { KeyCodec } from "./kvTypes.ts"
import { namedAs } from "./names.ts"

/** What all clients take. A server would take more, and others could not read it. */
const valid = /^[-/_=a-zA-Z0-9]+(?:\.[-/_=a-zA-Z0-9]+)*$/

const validToken = /^[-/_=a-zA-Z0-9]*$/

/** With the names of bucket and domain in front of it, it has to fit a protocol line. */
const longest = 1024

const keyProblem = (key: string): string | undefined => {
  if (key.length <= longest && valid.test(key)) return undefined
  if (key === "") return "it is empty"
  if (key.length > longest) return `it is longer than ${longest} characters`
  return key.split(".").map(tokenProblem).find((problem) => problem !== undefined)
}

const tokenProblem = (token: string): string | undefined => {
  if (token === "") return "it has a \".\" at its start or end, or two in a row"
  if (token.includes("*") || token.includes(">")) return "wildcards are for filters"
  return validToken.test(token)
    ? undefined
    : "it has a character other than a-z, A-Z, 0-9, \"-\", \"_\", \"/\", \"=\" and \".\": open the bucket with a key codec (`keys`)"
}

const filterProblem = (filter: string): string | undefined => {
  if (filter === "") return "it is empty"
  if (filter.length > longest) return `it is longer than ${longest} characters`
  const tokens = filter.split(".")
  const end = tokens.length - 1
  return tokens
    .map((token, at) => token === "*" || (token === ">" && at === end) ? undefined : tokenProblem(token))
    .find((problem) => problem !== undefined)
}

const invalidKey = (key: unknown, problem: string): InvalidKey => new InvalidKey({ key: namedAs(key, 128), problem })

/** How the keys of a bucket are written and read. */
export interface Keys {
  /** The key as it stands in the bucket. */
  encode(key: string): string | InvalidKey
  encodeFilter(filter: string): string | InvalidKey
  /** `undefined` for what is no key of the codec. */
  decode(key: string): string | undefined
}

export const plainKeys: Keys = {
  encode: (key) => {
    const problem = typeof key === "string" ? keyProblem(key) : "it is no text"
    return problem === undefined ? key : invalidKey(key, problem)
  },
  encodeFilter: (filter) => {
    const problem = typeof filter === "string" ? filterProblem(filter) : "it is no text"
    return problem === undefined ? filter : invalidKey(filter, problem)
  },
  decode: (key) => key
}

/** Token by token, so that filters work on encoded keys. */
export const keysOf = (codec: KeyCodec | undefined): Keys => {
  if (codec === undefined) return plainKeys
  const encode = (key: string, check: (encoded: string) => string | undefined, isFilter: boolean) => {
    if (typeof key !== "string") return invalidKey(key, "it is no text")
    let encoded: string
    try {
      encoded = key.split(".").map((token) => isFilter && isWildcard(token) ? token : codec.encode(token)).join(".")
    } catch {
      return invalidKey(key, "its codec does not take it")
    }
    const problem = check(encoded)
    return problem === undefined ? encoded : invalidKey(key, `encoded, ${problem}`)
  }
  return {
    encode: (key) => encode(key, keyProblem, false),
    encodeFilter: (filter) => encode(filter, filterProblem, true),
    decode: (key) => {
      try {
        return key.split(".").map((token) => codec.decode(token)).join(".")
      } catch {
        return undefined
      }
    }
  }
}

const isWildcard = (token: string): boolean => token === "*" || token === ">"

const plain = /^[-/_a-zA-Z0-9]+$/

/** `=` for nothing, `=XX` for each byte in UTF-8 of what is no plain character. */
export const encodeEscaped = (token: string): string => {
  if (plain.test(token)) return token
  if (token === "") return "="
  if (!token.isWellFormed()) throw new RangeError("it has half of a surrogate pair")
  return token.replaceAll(
    /[^-/_a-zA-Z0-9]/gu,
    (character) =>
      Array.from(Buffer.from(character, "utf8"), (byte) => `=${byte.toString(16).toUpperCase().padStart(2, "0")}`).join(
        ""
      )
  )
}

export const decodeEscaped = (token: string): string => {
  if (plain.test(token)) return token
  if (token === "=") return ""
  const decoded = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(
    Uint8Array.from(
      token.match(/=[0-9A-F]{2}|[-/_a-zA-Z0-9]/g) ?? [],
      (part) => part.length === 3 ? Number.parseInt(part.slice(1), 16) : part.charCodeAt(0)
    )
  )
  // There is one way to write a key: two keys that read the same would not be the same.
  if (encodeEscaped(decoded) !== token) throw new RangeError("it is not written by this codec")
  return decoded
}
