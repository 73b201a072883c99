/**
 * The kinds of values in a definition: how each is written on the wire, read from it, and said in words. Words are JSON,
 * lossless and the same for the same meaning, whatever a server makes of it: they are compared and shown.
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import { invalidSubject } from "../../internal/subject/invalid.ts"
import { patternProblem } from "../../internal/subject/rules.ts"
import { fitting, type Wire, type WireObject } from "./exactJson.ts"
import { Misfit, misfit } from "./misfit.ts"
import { nameProblem } from "./names.ts"

/** JSON in the vocabulary of definitions: `"7 days"`, `"10 GiB"`, `"unlimited"`. */
export type Words = string | number | boolean | null | ReadonlyArray<Words> | { readonly [field: string]: Words }

export interface Kind {
  /** Throws a `Misfit`. `at` says where the value stands. */
  readonly encode: (value: unknown, at: string) => Wire
  /** What a definition would have. `undefined` where there is nothing. */
  readonly decode: (wire: Wire) => unknown
  readonly words: (wire: Wire) => Words
}

const largest = 2n ** 63n - 1n

const isWhole = (wire: Wire): wire is number | bigint => typeof wire === "number" || typeof wire === "bigint"

/** A number of the wire, 0 for none. */
export const wholeOf = (wire: Wire): bigint => {
  if (typeof wire === "bigint") return wire
  return typeof wire === "number" && Number.isFinite(wire) ? BigInt(Math.trunc(wire)) : 0n
}

/** A limit of the wire, where nothing, 0 and below stand for none. */
export const limitOf = (wire: Wire): bigint => {
  const limit = wholeOf(wire)
  return limit > 0n ? limit : largest
}

export const text: Kind = {
  encode: (value, at) => typeof value === "string" ? value : misfit(at, "it is no text"),
  decode: (wire) => typeof wire === "string" && wire !== "" ? wire : undefined,
  words: (wire) => typeof wire === "string" ? wire : ""
}

export const flag: Kind = {
  encode: (value, at) => typeof value === "boolean" ? value : misfit(at, "it is neither true nor false"),
  decode: (wire) => wire === true,
  words: (wire) => wire === true
}

/** One of some words. `absent` is the word that nothing on the wire means. */
export const choice = (wires: Readonly<Record<string, string>>, absent: string): Kind => {
  const wordOf = new Map(Object.entries(wires).map(([word, wire]) => [wire, word]))
  const word = (wire: Wire): string => typeof wire !== "string" || wire === "" ? absent : wordOf.get(wire) ?? wire
  return {
    encode: (value, at) =>
      typeof value === "string" && Object.hasOwn(wires, value)
        ? wires[value]
        : misfit(at, `it is none of ${Object.keys(wires).map((each) => JSON.stringify(each)).join(", ")}`),
    decode: word,
    words: word
  }
}

/** Whole numbers from 1. With `unlimited`, that word is written as -1, and what is below 1 is read as it. */
export const count = (options: { readonly unlimited?: true; readonly most?: number } = {}): Kind => {
  const { most = Number.MAX_SAFE_INTEGER, unlimited } = options
  const read = (wire: Wire) => {
    if (isWhole(wire) && wire > 0) return Number(wire)
    return unlimited ? "unlimited" : undefined
  }
  return {
    encode: (value, at) => {
      if (unlimited && value === "unlimited") return -1
      if (typeof value !== "number" || !Number.isInteger(value)) return misfit(at, "it is no whole number")
      if (value < 1) {
        return misfit(at, unlimited ? "it is below 1: say \"unlimited\" if there is no limit" : "it is below 1")
      }
      return value > most ? misfit(at, `it is above ${most}`) : value
    },
    decode: read,
    words: (wire) => read(wire) ?? null
  }
}

/** A sequence: a whole number from 1, as a number or a bigint. */
export const sequence: Kind = {
  encode: (value, at) => {
    if (typeof value === "bigint") {
      return value < 1n || value >= 2n ** 64n
        ? misfit(at, "it is no sequence")
        : fitting(value)
    }
    return typeof value === "number" && Number.isSafeInteger(value) && value >= 1
      ? value
      : misfit(at, "it is no sequence: those are whole numbers from 1")
  },
  decode: (wire) => isWhole(wire) && wire > 0 ? wire : undefined,
  words: (wire) => isWhole(wire) && wire > 0 ? (typeof wire === "bigint" ? String(wire) : wire) : null
}

const units: ReadonlyArray<readonly [name: string, nanos: bigint]> = [
  ["day", 86_400_000_000_000n],
  ["hour", 3_600_000_000_000n],
  ["minute", 60_000_000_000n],
  ["second", 1_000_000_000n],
  ["milli", 1_000_000n],
  ["micro", 1_000n],
  ["nano", 1n]
]

/** A duration as it can be written in a definition, without loss. */
export const durationWords = (nanos: bigint): string => {
  const [name, size] = units.find(([, each]) => nanos % each === 0n) ?? ["nano", 1n]
  return `${nanos / size} ${name}${nanos / size === 1n ? "" : "s"}`
}

/** In milliseconds where it is a whole number of them, as a program would have written it. */
export const durationOf = (nanos: bigint): Duration.Duration =>
  nanos % 1_000_000n === 0n ? Duration.millis(Number(nanos / 1_000_000n)) : Duration.nanos(nanos)

/** Nanoseconds. With `unlimited`, an infinite duration is written as 0, and 0 is read as one. */
export const duration = (options: { readonly unlimited?: true } = {}): Kind => ({
  encode: (value, at) => {
    const given = Duration.fromInput(value as Duration.Input)
    if (given._tag === "None") return misfit(at, "it is no duration")
    const nanos = Duration.toNanos(given.value)
    if (nanos._tag === "None") {
      return options.unlimited && Duration.isGreaterThan(given.value, Duration.zero)
        ? 0
        : misfit(at, "it cannot be without an end")
    }
    if (nanos.value <= 0n) return misfit(at, "it is nothing in nanoseconds: a server takes that for its default")
    return nanos.value > largest ? misfit(at, "it is above 292 years, and does not fit the wire") : fitting(nanos.value)
  },
  decode: (wire) => {
    const nanos = wholeOf(wire)
    if (nanos > 0n) return durationOf(nanos)
    return options.unlimited ? Duration.infinity : undefined
  },
  words: (wire) => {
    const nanos = wholeOf(wire)
    if (nanos > 0n) return durationWords(nanos)
    return options.unlimited ? "Infinity" : null
  }
})

const byteUnits: Readonly<Record<string, bigint>> = {
  B: 1n,
  KB: 1000n,
  MB: 1000n ** 2n,
  GB: 1000n ** 3n,
  TB: 1000n ** 4n,
  KiB: 1024n,
  MiB: 1024n ** 2n,
  GiB: 1024n ** 3n,
  TiB: 1024n ** 4n
}

const written = /^(\d+)(?:\.(\d+))? ?(B|[KMGT]i?B)$/

const bytesOf = (value: unknown, at: string): bigint => {
  if (typeof value === "bigint") return value
  if (typeof value === "number") {
    return Number.isSafeInteger(value)
      ? BigInt(value)
      : misfit(at, "it is no whole number of bytes")
  }
  const parts = typeof value === "string" ? written.exec(value) : null
  if (parts === null) return misfit(at, "it is no size: those are numbers of bytes, or as \"10 GiB\"")
  const [, whole, fraction = "", unit] = parts
  const scale = 10n ** BigInt(fraction.length)
  const scaled = BigInt(whole + fraction) * byteUnits[unit]
  return scaled % scale === 0n ? scaled / scale : misfit(at, "it is no whole number of bytes")
}

const sizeWords = (bytes: bigint): Words => {
  const unit = ["TiB", "GiB", "MiB", "KiB"].find((each) => bytes % byteUnits[each] === 0n)
  if (unit !== undefined) return `${bytes / byteUnits[unit]} ${unit}`
  const plain = fitting(bytes)
  return typeof plain === "number" ? plain : `${plain} B`
}

/** Bytes. With `unlimited`, that word is written as -1, and what is below 1 is read as it. */
export const size = (options: { readonly unlimited?: true; readonly most?: bigint } = {}): Kind => {
  const { most = largest, unlimited } = options
  return {
    encode: (value, at) => {
      if (unlimited && value === "unlimited") return -1
      const bytes = bytesOf(value, at)
      if (bytes < 1n) {
        return misfit(at, unlimited ? "it is nothing: say \"unlimited\" if there is no limit" : "it is nothing")
      }
      return bytes > most ? misfit(at, `it is above ${most} bytes, and does not fit the wire`) : fitting(bytes)
    },
    decode: (wire) => {
      if (isWhole(wire) && wire > 0) return wire
      return unlimited ? "unlimited" : undefined
    },
    words: (wire) => {
      if (isWhole(wire) && wire > 0) return sizeWords(BigInt(wire))
      return unlimited ? "unlimited" : null
    }
  }
}

const instant = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/

/** An instant of RFC 3339 in UTC with as many digits as it needs, so that the same instant is the same text. */
export const instantWords = (given: string): string | undefined => {
  const parts = instant.exec(given)
  if (parts === null) return undefined
  const millis = Date.parse(`${parts[1]}${parts[3]}`)
  if (!Number.isFinite(millis)) return undefined
  const digits = (parts[2] ?? "").replace(/0+$/, "")
  return `${new Date(millis).toISOString().slice(0, 19)}${digits === "" ? "" : `.${digits}`}Z`
}

/** What Go has for no time. */
const beginning = "0001-01-01T00:00:00Z"

const timeWords = (wire: Wire): string | undefined => {
  const said = typeof wire === "string" ? instantWords(wire) : undefined
  return said === beginning ? undefined : said
}

/** An instant as a `DateTime`, which has milliseconds. */
export const timeOf = (wire: Wire): DateTime.Utc | undefined => {
  const said = timeWords(wire)
  return said === undefined ? undefined : DateTime.toUtc(DateTime.makeUnsafe(said))
}

/** An instant: a `Date`, a `DateTime`, or text of RFC 3339, which is what it is read as, for its nanoseconds. */
export const time: Kind = {
  encode: (value, at) =>
    instantWords(isoOf(value)) ??
      misfit(at, "it is no time: those are a Date, a DateTime, or text as \"2026-01-31T12:00:00Z\""),
  decode: timeWords,
  words: (wire) => timeWords(wire) ?? null
}

const isoOf = (value: unknown): string => {
  if (typeof value === "string") return value
  if (DateTime.isDateTime(value)) return DateTime.formatIso(value)
  return value instanceof Date && Number.isFinite(value.getTime()) ? value.toISOString() : ""
}

/** A pattern of subjects. */
export const pattern: Kind = {
  ...text,
  encode: (value, at) => {
    if (typeof value !== "string") return misfit(at, "it is no text")
    const problem = patternProblem(value)
    if (problem === undefined) return value
    throw new Misfit(at, problem.problem, invalidSubject("pattern", value, problem))
  }
}

/** A destination of a transform: a subject with functions as `{{wildcard(1)}}` in it, which a server checks. */
export const destination: Kind = {
  ...text,
  encode: (value, at) =>
    typeof value === "string" && value !== "" && !/\s/.test(value.replaceAll(/\{\{[^}]*\}\}/g, ""))
      ? value
      : misfit(at, "it is no destination of subjects")
}

/** The name of a stream or a consumer that a field refers to. */
export const name: Kind = {
  ...text,
  encode: (value, at) => {
    const problem = nameProblem(value)
    return problem === undefined ? value as string : misfit(at, problem)
  }
}

/** Several of a kind. `ordered` where the order means something; else they are compared without it. */
export const list = (kind: Kind, options: { readonly ordered?: true } = {}): Kind => ({
  encode: (value, at) =>
    Array.isArray(value)
      ? value.map((item, index) => kind.encode(item, `${at}[${index}]`))
      : misfit(at, "it is no array"),
  decode: (wire) => Array.isArray(wire) ? wire.map(kind.decode) : [],
  words: (wire) => {
    const words: Array<Words> = Array.isArray(wire) ? wire.map(kind.words) : []
    return options.ordered ? words : words.map((item) => [JSON.stringify(item), item] as const)
      .toSorted(([a], [b]) => a < b ? -1 : a > b ? 1 : 0).map(([, item]) => item)
  }
})

/** What servers write into the metadata of streams and consumers, and nobody declares. */
const ofServer = "_nats."

export const metadata: Kind = {
  encode: (value, at) => {
    if (typeof value !== "object" || value === null) return misfit(at, "it is no record of texts")
    for (const [key, item] of Object.entries(value)) {
      if (typeof item !== "string") return misfit(`${at}.${key}`, "it is no text")
      if (key.startsWith(ofServer)) return misfit(`${at}.${key}`, "keys that start with \"_nats.\" are the server's")
    }
    return { ...value }
  },
  decode: (wire) => Object.fromEntries(ownMetadata(wire)),
  words: (wire) =>
    Object.fromEntries(ownMetadata(wire).toSorted(([a], [b]) => a < b ? -1 : 1)) as Record<string, string>
}

const ownMetadata = (wire: Wire): Array<[string, Wire]> =>
  typeof wire === "object" && wire !== null && !Array.isArray(wire)
    ? Object.entries(wire as WireObject).filter(([key, item]) => !key.startsWith(ofServer) && typeof item === "string")
    : []
