/**
 * What the page is made of: numbers on top, and tables below. It goes over the wire as JSON.
 */
import type { Counted } from "../../service/internal/rates.ts"
import { Problem } from "./asking.ts"

/**
 * A table that the program adds to the page.
 *
 * @category models
 * @since 0.2.0
 */
export interface Section {
  readonly title: string
  readonly columns: ReadonlyArray<string>
  /** A cell for each column. A text is shown printable, and cut at 512 characters; of more than 200 rows the rest is counted. */
  readonly rows: ReadonlyArray<ReadonlyArray<string | number>>
}

/** How a number is shown: by default as a count. `nanos` and `seconds` are lengths of time. */
export type Unit = "rate" | "bytes" | "nanos" | "seconds"

export interface Column {
  readonly title: string
  readonly unit?: Unit
  /** A number above 0 is trouble, and so is a text. */
  readonly isTrouble?: boolean
  /** The state of a client. */
  readonly isState?: boolean
  /** What the number was lately is drawn beside it. */
  readonly isDrawn?: boolean
}

/** `null`: it is not known. */
export type Cell = string | number | null

export interface Table {
  readonly title: string
  readonly columns: ReadonlyArray<Column>
  readonly rows: ReadonlyArray<ReadonlyArray<Cell>>
  /** How many rows there are besides. */
  readonly more: number
  /** Why rows are missing, or all of them. */
  readonly problem?: string
}

export interface Tile extends Column {
  readonly value: number | null
  /** How many there could be. */
  readonly of?: number
}

export interface Seen {
  readonly tiles: ReadonlyArray<Tile>
  readonly tables: ReadonlyArray<Table>
}

/** All that is shown, at a moment: milliseconds since 1970. */
export interface Snapshot extends Seen {
  readonly at: number
  /** How long the next one takes. */
  readonly everyMillis: number
}

/** What the next look compares with. */
export interface Past extends Counted {
  /** The last sequence of each stream. */
  readonly stored: ReadonlyMap<string, number>
}

const mostRows = 200

export const sum = (numbers: ReadonlyArray<number>): number => numbers.reduce((all, each) => all + each, 0)

export const tableOf = (
  title: string,
  columns: ReadonlyArray<Column>,
  rows: ReadonlyArray<ReadonlyArray<Cell>>,
  found?: unknown
): Table => ({
  title,
  columns,
  rows: rows.slice(0, mostRows),
  more: Math.max(0, rows.length - mostRows),
  ...(found instanceof Problem ? { problem: found.text } : {})
})

/** The same, with each text as it may be shown. */
export const shownSnapshot = (snapshot: Snapshot, shown: (text: string) => string): Snapshot => ({
  ...snapshot,
  tables: snapshot.tables.map((table) => ({
    ...table,
    title: shown(table.title),
    columns: table.columns.map((column) => ({ ...column, title: shown(column.title) })),
    rows: table.rows.map((row) => row.map((cell) => typeof cell === "string" ? shown(cell) : cell)),
    ...(table.problem === undefined ? {} : { problem: shown(table.problem) })
  }))
})
