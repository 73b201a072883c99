/** What `provision` compared and did: a value, and text for a person. */
import * as Schema from "effect/Schema"
import { printable } from "../../internal/protocol/printable.ts"
import { shownProblem } from "../../internal/protocol/shown.ts"

/**
 * A declared field that differs from what the server has. `declared` and `actual` are JSON in the words of definitions:
 * `"7 days"`, `"10 GiB"`, `"unlimited"`, `["orders.>"]`; `null` is nothing.
 *
 * @category models
 * @since 0.2.0
 */
export interface Change {
  readonly of: "stream" | "consumer"
  /** Of the stream or consumer. */
  readonly name: string
  /** The stream itself, or that of the consumer. */
  readonly stream: string
  /** The option's name: `"maxAge"`. */
  readonly field: string
  readonly declared: unknown
  readonly actual: unknown
  /**
   * `inPlace`: nothing is lost by it. `losesMessages`: the server deletes messages, or may, once it is applied. `irreversible`:
   * it can never be taken back. `needsNew`: the server refuses it; only another stream or consumer can have it.
   * `unsupported`: the server does not know the field, or drops this value of it.
   */
  readonly kind: "inPlace" | "losesMessages" | "irreversible" | "needsNew" | "unsupported"
  /** The server version that has it, where it is `unsupported` and known. */
  readonly needs?: string
}

export const Change: Schema.Codec<Change> = Schema.Struct({
  of: Schema.Literals(["stream", "consumer"]),
  name: Schema.String,
  stream: Schema.String,
  field: Schema.String,
  declared: Schema.Unknown,
  actual: Schema.Unknown,
  kind: Schema.Literals(["inPlace", "losesMessages", "irreversible", "needsNew", "unsupported"]),
  needs: Schema.optionalKey(Schema.String)
})

/**
 * A definition and what became of it. `planned`: it would be created or updated, and was not.
 *
 * @category models
 * @since 0.2.0
 */
export interface ProvisionEntry {
  readonly of: "stream" | "consumer"
  readonly name: string
  readonly stream: string
  /** What it takes: nothing, creating it, or updating it. */
  readonly action: "none" | "create" | "update"
  /** Whether it was done. */
  readonly done: boolean
  /** The fields that differed. Of what is created, those that the server does not know. */
  readonly changes: ReadonlyArray<Change>
}

/**
 * @category models
 * @since 0.2.0
 */
export interface ProvisionReport {
  readonly apply: "safe" | "nothing" | "lossy"
  /** In the order in which they are applied: streams, then consumers. */
  readonly entries: ReadonlyArray<ProvisionEntry>
}

export const ProvisionReport: Schema.Codec<ProvisionReport> = Schema.Struct({
  apply: Schema.Literals(["safe", "nothing", "lossy"]),
  entries: Schema.Array(Schema.Struct({
    of: Schema.Literals(["stream", "consumer"]),
    name: Schema.String,
    stream: Schema.String,
    action: Schema.Literals(["none", "create", "update"]),
    done: Schema.Boolean,
    changes: Schema.Array(Change)
  }))
})

/** What a kind means for the one who reads it. */
export const explained = ({ kind, needs }: Change): string => {
  switch (kind) {
    case "inPlace":
      return "can be changed in place"
    case "losesMessages":
      return "loses messages (apply: \"lossy\" does it)"
    case "irreversible":
      return "can never be taken back (apply: \"lossy\" does it)"
    case "needsNew":
      return "cannot be changed: delete and create anew, or correct the definition"
    case "unsupported":
      return needs === undefined ? "is not taken by the server" : `needs nats-server ${needs}`
  }
}

const longest = 120

const said = (value: unknown): string =>
  value === null ? "nothing" : printable(typeof value === "string" ? value : JSON.stringify(value), longest)

const outcome = ({ action, done }: ProvisionEntry): string => {
  if (action === "none") return "as declared"
  if (done) return action === "create" ? "created" : "updated"
  return action === "create" ? "to create" : "to update"
}

const title = ({ name, of, stream }: ProvisionEntry): string =>
  of === "stream" ? `stream ${shownProblem(name)}` : `consumer ${shownProblem(name)} of ${shownProblem(stream)}`

/** What a kind meant, once it is done. */
const did: Readonly<Record<string, string>> = {
  inPlace: "in place",
  losesMessages: "messages may be lost by it",
  irreversible: "for ever"
}

/** A line for each definition, and one for each change. */
export const formatReport = (report: ProvisionReport): string =>
  report.entries.flatMap((entry) => [
    `${title(entry)}: ${outcome(entry)}`,
    ...entry.changes.map((change) => {
      const then = (entry.done ? did[change.kind] : undefined) ?? explained(change)
      return `  ${change.field}: ${said(change.actual)} -> ${said(change.declared)}; ${then}`
    })
  ]).join("\n")
