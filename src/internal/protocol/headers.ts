/**
 * The header block of HPUB and HMSG: `NATS/1.0`, an optional status, lines of `Name: value`, an empty line.
 *
 * As in nats.js, a name's letter case is kept and names are told apart by it, and the blanks around a value do not count.
 */
import { CR, LF, readNumber, SPACE, TAB } from "./bytes.ts"
import { kindOf } from "./kindOf.ts"

export interface DecodedHeaders {
  /** Of a message from the server itself, such as 503 without responders. */
  readonly status?: number | undefined
  readonly description?: string | undefined
  /** Without a prototype, so that no header can be mistaken for an inherited property. */
  readonly headers: Record<string, Array<string>>
}

/** Why a header cannot be sent. Its value is not told. */
export interface HeaderProblem {
  /** Its name. Empty where the headers as a whole are at fault, and where the name is. */
  readonly header: string
  readonly problem: string
}

const version = "NATS/1.0"

const empty = new Uint8Array(0)

/** Printable ASCII except the colon, as RFC 822 and the clients of NATS have it. */
const validName = /^[!-9;-~]+$/
// oxlint-disable-next-line no-control-regex
const endsLine = /[\r\n\0]/
const blanksAround = /^[ \t]+|[ \t]+$/g

const dispensable = new WeakSet<object>()

/** Marks headers that say what a receiver takes for granted. Without them the message means the same. */
export const markDispensable = <H extends object>(headers: H): H => {
  dispensable.add(headers)
  return headers
}

/** Whether a message goes without these where the server takes no headers. They are none that make no block. */
export const isDispensable = (headers: object | undefined): boolean => headers === undefined || dispensable.has(headers)

/** The problem of a header without a name. */
export const noName = "its name is empty"

/** Why a name cannot stand in a header line. */
export const headerNameProblem = (name: string): string | undefined => {
  if (name === "") return noName
  return validName.test(name) ? undefined : "its name has a character other than printable ASCII without colon"
}

/** Why a value cannot stand in a header line. */
export const headerValueProblem = (value: string): string | undefined => {
  if (endsLine.test(value)) return "its value has a line break or NUL"
  return value.isWellFormed() ? undefined : "its value has half of a surrogate pair"
}

/**
 * Whether it is a record, of this realm or another. Without types, anything can come here: a text or an array would be a
 * header for each of its characters or elements, and a `Map` would be none. Throws where looking at it does.
 */
const isRecord = (headers: unknown): boolean => {
  if (typeof headers !== "object" || headers === null || Array.isArray(headers)) return false
  const prototype: unknown = Object.getPrototypeOf(headers)
  return prototype === Object.prototype || prototype === null ||
    (Object.prototype.toString.call(headers) === "[object Object]" && !(Symbol.iterator in headers))
}

type Input = Readonly<Record<string, string | ReadonlyArray<string>>>

/**
 * The headers as `join` makes them from these. What is no record, or throws when it is read, stays what it is: it is
 * refused where it is sent.
 */
export const joinHeaders = (headers: Input, join: (headers: Input) => Input): Input => {
  try {
    return isRecord(headers) ? join(headers) : headers
  } catch {
    return headers
  }
}

/** The block, without bytes if there is nothing in the record, or the first problem found. Reads each value once. */
export const encodeHeaders = (record: Input): Uint8Array | HeaderProblem => {
  let header = ""
  try {
    if (!isRecord(record)) {
      return {
        header,
        problem: `they are ${kindOf(record)}, and have to be a record from name to text or list of texts`
      }
    }
    let text = version
    for (const name of Object.keys(record)) {
      header = name
      const inName = headerNameProblem(name)
      if (inName !== undefined) return { header, problem: inName }
      const given = record[name]
      const values = typeof given === "string" ? [given] : given
      if (!Array.isArray(values)) return { header, problem: `its value is ${kindOf(given)}, ${asText}` }
      for (let i = 0; i < values.length; i++) {
        const value: unknown = values[i]
        if (typeof value !== "string") return { header, problem: `value ${i + 1} of it is ${kindOf(value)}, ${asText}` }
        const inValue = headerValueProblem(value)
        if (inValue !== undefined) return { header, problem: inValue }
        text += `\r\n${name}: ${trim(value)}`
      }
    }
    return text === version ? empty : Buffer.from(`${text}\r\n\r\n`, "utf8")
  } catch {
    // A getter, a Proxy: what it throws is the program's own.
    return { header, problem: header === "" ? "they throw when they are read" : "its value throws when it is read" }
  }
}

const asText = "and has to be a string or an array of strings"

/** Reads what it can: a line without a colon is skipped, a broken status counts as none. */
export const decodeHeaders = (bytes: Uint8Array): DecodedHeaders => {
  const headers: Record<string, Array<string>> = Object.create(null)
  const lines = asBuffer(bytes).toString("utf8").split("\r\n")
  for (let i = 1; i < lines.length; i++) {
    const line = lines[i]
    const colon = line.indexOf(":")
    if (colon <= 0) continue
    const name = line.slice(0, colon)
    const value = trim(line.slice(colon + 1))
    const values = headers[name]
    if (values === undefined) headers[name] = [value]
    else values.push(value)
  }
  const status = statusOf(bytes)
  if (status === 0) return { headers }
  const description = lines[0].slice(version.length).trim().slice(3).trim()
  return description === "" ? { status, headers } : { status, description, headers }
}

/** The status in the first line, 0 if there is none. Builds nothing, to be asked of each reply. */
export const statusOf = (bytes: Uint8Array, start = 0, end: number = bytes.length): number => {
  let at = start + version.length
  while (at < end && (bytes[at] === SPACE || bytes[at] === TAB)) at++
  if (at === start + version.length || at + 3 > end) return 0
  const after = at + 3
  if (after < end && bytes[after] !== SPACE && bytes[after] !== TAB && bytes[after] !== CR && bytes[after] !== LF) {
    return 0
  }
  return Math.max(0, readNumber(bytes, at, after))
}

/** The first value of a header: of this very name, else of one that differs in letter case only. */
export const getHeader = (
  record: Readonly<Record<string, ReadonlyArray<string>>>,
  name: string
): string | undefined => {
  if (Object.hasOwn(record, name)) return record[name][0]
  const wanted = name.toLowerCase()
  for (const other of Object.keys(record)) {
    if (other.toLowerCase() === wanted) return record[other][0]
  }
  return undefined
}

const trim = (value: string): string => value.replace(blanksAround, "")

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
