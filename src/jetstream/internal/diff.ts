/** A definition against what a server has: the declared fields that differ, and what it takes to change them. Pure. */
import { filterChange } from "./consumerFields.ts"
import { merged, type Written } from "./definition.ts"
import type { WireObject } from "./exactJson.ts"
import { type ChangeKind, neededFor } from "./fields.ts"
import type { Words } from "./kinds.ts"
import { isBefore } from "./needs.ts"

export interface Difference {
  readonly field: string
  readonly declared: Words
  readonly actual: Words
  readonly kind: ChangeKind
  readonly needs: string | undefined
}

/** What is known of where a definition is applied. */
export interface Circumstances {
  /** The server's version, where it is known. */
  readonly version: string | undefined
  /** Of the stream that a consumer is of. */
  readonly retention?: string | undefined
}

const same = (a: Words, b: Words): boolean => JSON.stringify(a) === JSON.stringify(b)

/** The declared fields that are not so in a configuration. */
export const differing = (actual: WireObject, of: Written): ReadonlyArray<string> =>
  of.declared.filter((name) => !same(of.fields[name].words(actual), of.fields[name].words(of.config)))

/** What the declared fields would need of the server that it does not have. For something new, against nothing. */
export const unsupported = (actual: WireObject, of: Written, version: string | undefined): ReadonlyArray<Difference> =>
  differing(actual, of).flatMap((field) => {
    const declared = of.fields[field].words(of.config)
    const needs = neededFor(of.fields[field], declared)
    return needs !== undefined && isBefore(version, needs)
      ? [{ field, declared, actual: of.fields[field].words(actual), kind: "unsupported" as const, needs }]
      : []
  })

/** All changes from what is there, those that come along with them, too. */
export const differences = (actual: WireObject, of: Written, at: Circumstances): ReadonlyArray<Difference> => {
  const to = merged(actual, of)
  const implied = Object.keys(of.implied(actual))
  const along = Object.entries(of.fields)
    .filter(([name, { wires, words }]) =>
      !of.declared.includes(name) && wires.some((wire) => implied.includes(wire)) && !same(words(actual), words(to))
    )
    .map(([name]) => name)
  return [...differing(actual, of), ...along].map((field): Difference => {
    const { change, words } = of.fields[field]
    const declared = words(to)
    const needs = neededFor(of.fields[field], declared)
    if (needs !== undefined && isBefore(at.version, needs)) {
      return { field, declared, actual: words(actual), kind: "unsupported", needs }
    }
    const kind = typeof change === "string"
      ? change
      : change({ from: actual, to, isBefore: (version) => isBefore(at.version, version) })
    return {
      field,
      declared,
      actual: words(actual),
      kind: field === "filter" ? filterChange(at.retention, kind) : kind,
      needs: undefined
    }
  })
}
