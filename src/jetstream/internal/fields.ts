/**
 * The fields of a definition: what each is on the wire, which server has it, and what a change of it does. Everything that
 * is done with a definition is told by these tables: writing, reading, comparing, and the words of a report.
 */
import type { Wire, WireObject } from "./exactJson.ts"
import type { Kind, Words } from "./kinds.ts"
import { misfit } from "./misfit.ts"

/**
 * What a change of a field does: done where it stands; messages are lost by it; it can never be taken back; only another
 * stream or consumer can have it; the server has no such field.
 */
export type ChangeKind = "inPlace" | "losesMessages" | "irreversible" | "needsNew" | "unsupported"

/** A change to be judged. */
export interface Judged {
  readonly from: WireObject
  readonly to: WireObject
  /** Whether the server is older than this one, as `"2.11"`. `false` where its version is not known. */
  readonly isBefore: (version: string) => boolean
}

export interface Field {
  /** All names on the wire that belong to it. */
  readonly wires: ReadonlyArray<string>
  readonly encode: (value: unknown, at: string) => WireObject
  readonly decode: (config: WireObject) => unknown
  readonly words: (config: WireObject) => Words
  /** The server version that has it, or has this value of it. Where it is none, all have it. */
  readonly since?: string | ((words: Words) => string | undefined) | undefined
  readonly change: ChangeKind | ((change: Judged) => ChangeKind)
}

export type Fields = Readonly<Record<string, Field>>

/** A field that is one value on the wire. */
export const field = (
  wire: string,
  kind: Kind,
  change: Field["change"] = "inPlace",
  since?: Field["since"]
): Field => ({
  wires: [wire],
  encode: (value, at) => ({ [wire]: kind.encode(value, at) }),
  decode: (config) => kind.decode(config[wire]),
  words: (config) => kind.words(config[wire]),
  since,
  change
})

/** The version that has what the words say. */
export const neededFor = (of: Field, words: Words): string | undefined =>
  typeof of.since === "function" ? of.since(words) : of.since

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** Writes what is given, by the fields. */
export const encodeFields = (fields: Fields, value: unknown, at: string): WireObject => {
  if (!isObject(value)) return misfit(at, "it is no object")
  const config: Record<string, Wire> = {}
  const prefix = at === "" ? "" : `${at}.`
  for (const [name, given] of Object.entries(value)) {
    if (given === undefined) continue
    if (!Object.hasOwn(fields, name)) misfit(`${prefix}${name}`, "there is no such field")
    Object.assign(config, fields[name].encode(given, `${prefix}${name}`))
  }
  return config
}

/** Reads what is there, by the fields. */
export const decodeFields = (fields: Fields, config: WireObject): Readonly<Record<string, unknown>> => {
  const value: Record<string, unknown> = {}
  for (const [name, of] of Object.entries(fields)) {
    const decoded = of.decode(config)
    if (decoded !== undefined) value[name] = decoded
  }
  return value
}

export const objectOf = (wire: Wire): WireObject | undefined => isObject(wire) ? wire as WireObject : undefined

/** An object with fields of its own. Where it is `optional`, `"none"` stands for no such object. */
export const struct = (
  fields: Fields,
  required: ReadonlyArray<string> = [],
  options: { readonly optional?: true } = {}
): Kind => ({
  encode: (value, at) => {
    if (options.optional && value === "none") return undefined
    const config = encodeFields(fields, value, at)
    const missing = required.find((name) => (value as Readonly<Record<string, unknown>>)[name] === undefined)
    return missing === undefined ? config : misfit(`${at}.${missing}`, "it is missing")
  },
  decode: (wire) => {
    const config = objectOf(wire)
    return config === undefined || Object.keys(config).length === 0 ? undefined : decodeFields(fields, config)
  },
  words: (wire) => {
    const config = objectOf(wire)
    if (config === undefined) return "none"
    // Servers write some fields that are nothing, and leave out others.
    const said = Object.entries(fields).map(([name, of]) => [name, of.words(config)] as const)
      .filter(([, words]) => !isNothing(words))
    return said.length === 0 ? "none" : Object.fromEntries(said)
  }
})

const isNothing = (words: Words): boolean =>
  words === null || words === "" || words === false || words === "none" || (Array.isArray(words) && words.length === 0)
