/**
 * Reads an object whose keys are known, and tells of keys that are not.
 */
import * as Redacted from "effect/Redacted"
import { printable } from "../protocol/printable.ts"
import { hintFor, normal } from "./hints.ts"
import type { SectionName } from "./keys.ts"
import { kindOf, type Path, type Problems } from "./problems.ts"

export interface Section {
  /** What it is, for messages: "the configuration", "`tls`". */
  readonly what: string
  /** Which one it is, for what is said of keys that others have. */
  readonly section: SectionName
  readonly keys: ReadonlyArray<string>
  /** Unknown keys are shown only where they resemble a known one, as a secret may be in their place. */
  readonly secretive: boolean
}

const distance = (a: string, b: string): number => {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1)))
    }
    row = next
  }
  return row[b.length]
}

/** The known name that an unknown one was probably meant to be. */
export const nearest = (name: string, known: ReadonlyArray<string>): string | undefined => {
  const wanted = normal(name)
  let best: string | undefined
  let bestDistance = Number.POSITIVE_INFINITY
  for (const candidate of known) {
    const d = distance(wanted, normal(candidate))
    if (d < bestDistance) {
      best = candidate
      bestDistance = d
    }
  }
  return best !== undefined && bestDistance <= Math.max(1, Math.floor(normal(best).length / 3)) ? best : undefined
}

const plainWord = /^[A-Za-z_]{1,24}$/

const quoted = (keys: ReadonlyArray<string>): string => keys.map((key) => `\`${key}\``).join(", ")

/** Unknown keys that are told of one by one. */
const toldKeys = 20

const unknownKeys = (problems: Problems, path: Path, keys: ReadonlyArray<string>, section: Section): void => {
  let told = 0
  let listed = false
  /** The known keys, once: where several keys are not known, the list would bury what is said of them. */
  const list = (): string => {
    if (listed) return ""
    listed = true
    return `: ${section.what} has ${quoted(section.keys)}`
  }
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i]
    if (section.keys.includes(key)) continue
    if (told++ === toldKeys) {
      problems.add(path, `${section.what} has more than ${toldKeys} keys that are not known`)
      return
    }
    const hint = hintFor(section.section, key)
    const near = hint === undefined ? nearest(key, section.keys) : undefined
    if (hint !== undefined) {
      problems.add([...path, printable(key, 64)], `this key is not known: ${hint}`)
    } else if (near !== undefined) {
      problems.add([...path, printable(key, 64)], `this key is not known: did you mean \`${near}\`?`)
    } else if (!section.secretive && plainWord.test(key)) {
      problems.add([...path, key], `this key is not known${list()}`)
    } else {
      problems.add(path, `key number ${i + 1} is not known and not shown, as it may be a secret${list()}`)
    }
  }
}

/** The fields that are present, by key. */
export type Fields = ReadonlyMap<string, unknown>

/** A plain object with known keys. `undefined`, after telling why, where it is none; an unknown key is told and left out. */
export const readRecord = (problems: Problems, path: Path, value: unknown, section: Section): Fields | undefined => {
  if (typeof value !== "object" || value === null || Array.isArray(value) || Redacted.isRedacted(value)) {
    return problems.add(path, `must be an object with some of ${quoted(section.keys)}, and is ${kindOf(value)}`)
  }
  const record = value as { readonly [key: string]: unknown }
  const fields = new Map<string, unknown>()
  for (const key of section.keys) {
    const field = record[key]
    if (field !== undefined) {
      fields.set(key, field)
    }
  }
  const own = Object.keys(record)
  unknownKeys(problems, path, own.length > 100_000 ? own.slice(0, 100_000) : own, section)
  return fields
}
