/**
 * The header block of HPUB and HMSG: `NATS/1.0`, an optional status, lines of `Name: value`, an empty line.
 *
 * As in nats.js, a name's letter case is kept and names are told apart by it, and the blanks around a value do not count.
 */
import { CR, LF, readNumber, SPACE, TAB } from "./bytes.ts"

export interface DecodedHeaders {
  /** Of a message from the server itself, such as 503 without responders. */
  readonly status?: number | undefined
  readonly description?: string | undefined
  /** Without a prototype, so that no header can be mistaken for an inherited property. */
  readonly headers: Record<string, Array<string>>
}

/** Why a header cannot be sent. Its value is not told. */
export interface HeaderProblem {
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

/** Whether a message goes without these where the server takes no headers. */
export const isDispensable = (headers: object | undefined): boolean =>
  headers === undefined || dispensable.has(headers) || Object.keys(headers).length === 0

/** Why a name cannot stand in a header line. */
export const headerNameProblem = (name: string): string | undefined => {
  if (name === "") return "its name is empty"
  return validName.test(name) ? undefined : "its name has a character other than printable ASCII without colon"
}

/** Why a value cannot stand in a header line. */
export const headerValueProblem = (value: string): string | undefined => {
  if (endsLine.test(value)) return "its value has a line break or NUL"
  return value.isWellFormed() ? undefined : "its value has half of a surrogate pair"
}

/** The block, without bytes if there is nothing in the record, or the first problem found. */
export const encodeHeaders = (
  record: Readonly<Record<string, string | ReadonlyArray<string>>>
): Uint8Array | HeaderProblem => {
  let text = version
  for (const name of Object.keys(record)) {
    const inName = headerNameProblem(name)
    if (inName !== undefined) return { header: name, problem: inName }
    const given = record[name]
    if (typeof given !== "string" && !Array.isArray(given)) throw notText()
    for (const value of typeof given === "string" ? [given] : given) {
      if (typeof value !== "string") throw notText()
      const inValue = headerValueProblem(value)
      if (inValue !== undefined) return { header: name, problem: inValue }
      text += `\r\n${name}: ${trim(value)}`
    }
  }
  return text === version ? empty : Buffer.from(`${text}\r\n\r\n`, "utf8")
}

/** Without types, anything can come here: a String object would be a header for each of its characters. */
const notText = (): TypeError => new TypeError("the value of a header must be a string or an array of strings")

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
