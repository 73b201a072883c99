/**
 * W3C trace context in a NATS header block: `traceparent` and `tracestate`, cut from bytes and put into bytes.
 */
import * as Context from "effect/Context"
import * as Tracer from "effect/Tracer"
import { CR, LF, SPACE, TAB, ZERO } from "../protocol/bytes.ts"
import { traceparentHeader as traceparent, tracestateHeader as tracestate } from "../protocol/headerNames.ts"

/** The list of vendors that came with a remote span. It goes on with what is sent in the same trace. */
const TraceState: Context.Reference<string> = Context.Reference<string>("effect-nats/internal/TraceState", {
  defaultValue: () => ""
})

// A longer list is not kept: the specification asks for 512 characters to be passed on.
const longestState = 512

// Spans on the way to a remote one. A loop that nests its spans has any number of them.
const mostParents = 64

const stateOf = (span: Tracer.AnySpan): string => {
  let current: Tracer.AnySpan | undefined = span
  for (let i = 0; i < mostParents && current !== undefined; i++) {
    if (current._tag === "ExternalSpan") return Context.get(current.annotations, TraceState)
    current = current.parent._tag === "Some" ? current.parent.value : undefined
  }
  return ""
}

const hexDigit = (unit: number): boolean => (unit >= 0x30 && unit <= 0x39) || (unit >= 0x61 && unit <= 0x66)

/** Writes an id; `false` when it is not one of W3C. Zeros in front of a short one. */
const writeId = (bytes: Uint8Array, at: number, id: string, length: number): boolean => {
  const missing = length - id.length
  if (missing < 0) return false
  for (let i = 0; i < missing; i++) bytes[at + i] = ZERO
  for (let i = 0; i < id.length; i++) {
    const unit = id.charCodeAt(i)
    if (!hexDigit(unit)) return false
    bytes[at + missing + i] = unit
  }
  return true
}

const version = "NATS/1.0\r\n"
const template = Buffer.from(`${version}${traceparent}: 00-${"0".repeat(32)}-${"0".repeat(16)}-00\r\n\r\n`)
const traceAt = version.length + traceparent.length + 5
const spanAt = traceAt + 33
const flagAt = spanAt + 18
const linesEnd = template.length - 2

/**
 * A header block that carries a span in front of the given lines, where reading finds it first; the given block is not
 * changed. It is returned as it is where there is nothing to carry: a `traceparent` of the caller wins, and the ids of a
 * tracer may be of another kind.
 */
export const withTrace = (
  block: Uint8Array | undefined,
  span: Tracer.AnySpan
): Uint8Array | undefined => {
  if (block !== undefined && hasTraceparent(block)) return block
  const state = stateOf(span)
  const others = block === undefined || block.length === 0 ? undefined : block
  const second = state === "" ? "" : `${tracestate}: ${state}\r\n`
  const rest = others === undefined ? 2 : others.length - version.length
  const joined = Buffer.allocUnsafe(linesEnd + second.length + rest)
  for (let i = 0; i < linesEnd; i++) joined[i] = template[i]
  if (!writeId(joined, traceAt, span.traceId, 32) || !writeId(joined, spanAt, span.spanId, 16)) return block
  if (span.sampled) joined[flagAt] = ZERO + 1
  if (second !== "") joined.write(second, linesEnd, "latin1")
  const at = linesEnd + second.length
  if (others !== undefined) {
    joined.set(others.subarray(version.length), at)
  } else {
    joined[at] = CR
    joined[at + 1] = LF
  }
  return joined
}

const lower = (byte: number): number => byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte

/** Where the value of the line begins if it has this name, else -1. */
const valueOf = (bytes: Uint8Array, line: number, end: number, name: string): number => {
  let at = line + name.length
  if (at >= end || bytes[at] !== COLON) return -1
  for (let i = 0; i < name.length; i++) if (lower(bytes[line + i]) !== name.charCodeAt(i)) return -1
  at++
  while (bytes[at] === SPACE || bytes[at] === TAB) at++
  return at
}

const nextLine = (bytes: Uint8Array, at: number, end: number): number => {
  let next = at
  while (next < end && bytes[next] !== LF) next++
  return next + 1
}

/** Read from the bytes, which are what is sent: the record of a caller can be a Proxy. */
const hasTraceparent = (block: Uint8Array): boolean => {
  const end = block.length
  for (let line = nextLine(block, 0, end); line < end && block[line] !== CR; line = nextLine(block, line, end)) {
    if (lower(block[line]) === 0x74 && valueOf(block, line, end, traceparent) >= 0) return true
  }
  return false
}

const zeroTrace = "0".repeat(32)
const zeroSpan = "0".repeat(16)

const COLON = 0x3a
const DASH = 0x2d
const valueLength = 55

/**
 * The span that the header block from `start` to `end` names, `undefined` when it names none that is right. Version 00 is
 * read, and from later versions what they have in common with it.
 */
export const remoteSpan = (bytes: Buffer, start: number, end: number): Tracer.ExternalSpan | undefined => {
  let parentAt = -1
  let stateAt = -1
  for (let line = nextLine(bytes, start, end); line < end && bytes[line] !== CR; line = nextLine(bytes, line, end)) {
    if (lower(bytes[line]) !== 0x74) continue
    if (parentAt < 0) parentAt = valueOf(bytes, line, end, traceparent)
    if (stateAt < 0) stateAt = valueOf(bytes, line, end, tracestate)
  }
  if (parentAt < 0 || parentAt + valueLength > end) return undefined
  for (let i = 0; i < valueLength; i++) {
    const unit = bytes[parentAt + i]
    if (i === 2 || i === 35 || i === 52 ? unit !== DASH : !hexDigit(unit)) return undefined
  }
  const value = bytes.toString("latin1", parentAt, parentAt + valueLength)
  const next = bytes[parentAt + valueLength]
  const isFirst = value.startsWith("00")
  if (next !== CR && next !== SPACE && next !== TAB && (isFirst || next !== DASH)) return undefined
  const traceId = value.slice(3, 35)
  const spanId = value.slice(36, 52)
  if (traceId === zeroTrace || spanId === zeroSpan || (!isFirst && value.startsWith("ff"))) return undefined
  return Tracer.externalSpan({
    traceId,
    spanId,
    sampled: (Number.parseInt(value.slice(54), 16) & 1) === 1,
    annotations: stateAt < 0 ? nothing : annotationsOf(bytes, stateAt, end)
  })
}

const nothing = Context.empty()

const annotationsOf = (bytes: Buffer, at: number, end: number): Context.Context<never> => {
  let stop = at
  while (stop < end && bytes[stop] !== CR) stop++
  if (stop === at || stop - at > longestState) return nothing
  const state = bytes.toString("latin1", at, stop).trim()
  // What cannot stand in a header line again is not passed on.
  return /^[ -~]+$/.test(state) ? Context.make(TraceState, state) : nothing
}
