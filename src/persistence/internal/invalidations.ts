/**
 * Invalidated keys on the wire. A key is what effect makes of it, so that they agree in all processes: texts, numbers, bigints
 * and booleans are texts, and anything else is its hash.
 */
import * as Hash from "effect/Hash"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"

/** What `Reactivity` takes as keys. */
export type Keys = ReadonlyArray<unknown> | Readonly<Record<string, ReadonlyArray<unknown>>>

export type KeyHash = string | number

const isList = (keys: Keys): keys is ReadonlyArray<unknown> => Array.isArray(keys)

const hashOf = (key: unknown): KeyHash => {
  switch (typeof key) {
    case "string":
    case "number":
    case "bigint":
    case "boolean":
      return String(key)
    default:
      return Hash.hash(key)
  }
}

export const hashesOf = (keys: Keys): ReadonlyArray<KeyHash> => {
  if (isList(keys)) return keys.map(hashOf)
  const hashes: Array<KeyHash> = []
  for (const key in keys) {
    hashes.push(key)
    for (const id of keys[key]) hashes.push(`${key}:${hashOf(id)}`)
  }
  return hashes
}

/** As a key that effect makes this hash of. */
export const keyOf = (hash: KeyHash): unknown => typeof hash === "string" ? hash : { [Hash.symbol]: () => hash }

/** A key of everything that is registered. No program has it. */
const everythingKey = "effect-nats/NatsReactivity/everything"

export const everything: Keys = [everythingKey]

/** What is invalidated with its keys, and with everything. */
export const withEverything = (keys: Keys): Keys =>
  isList(keys) ? [...keys, everythingKey] : { ...keys, [everythingKey]: [] }

const Message = Schema.Struct({
  /** Who sent it, and does not take it. */
  from: Schema.String,
  /** Absent: everything. */
  keys: Schema.optionalKey(Schema.Array(Schema.Union([Schema.String, Schema.Finite])))
})
export type Message = typeof Message.Type

const decode = Schema.decodeUnknownResult(Schema.fromJsonString(Message))

/** `undefined` for what is no message of ours. */
export const readMessage = (text: string): Message | undefined => Result.getOrUndefined(decode(text))

export const allMessage = (from: string): string => JSON.stringify({ from } satisfies Message)

/** Room for what is around the keys. */
const around = 256

const bytesOf = (hash: KeyHash): number => Buffer.byteLength(JSON.stringify(hash)) + 1

/** In as many messages as it needs. A key that is too long for any is in none, and everything is invalidated instead. */
export const messagesOf = (from: string, hashes: Iterable<KeyHash>, maxPayload: number): ReadonlyArray<string> => {
  const parts: Array<Array<KeyHash>> = []
  let room = 0
  for (const hash of hashes) {
    const bytes = bytesOf(hash)
    if (bytes > maxPayload - around) return [allMessage(from)]
    if (bytes > room) {
      parts.push([])
      room = maxPayload - around
    }
    parts.at(-1)!.push(hash)
    room -= bytes
  }
  return parts.map((keys) => JSON.stringify({ from, keys } satisfies Message))
}
