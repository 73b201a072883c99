/**
 * W3C trace context in a NATS header block: `traceparent` and `tracestate`, cut from bytes and put into bytes.
 */
import * as Context from "effect/Context"
import * as Tracer from "effect/Tracer"
import type { Input } from "../../NatsHeaders.ts"
import { CR, LF, SPACE, TAB, ZERO } from "../protocol/bytes.ts"

const traceparent = "traceparent"
const tracestate = "tracestate"

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

const tracedByCaller = (headers: Input | undefined): boolean => {
  if (headers === undefined) return false
  for (const name in headers) {
    if (name.length === traceparent.length && name.toLowerCase() === traceparent) return true
  }
  return false
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
  span: Tracer.AnySpan,
  headers: Input | undefined
): Uint8Array | undefined => {
  if (tracedByCaller(headers)) return block
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

const startsWith = (bytes: Buffer, at: number, name: string): boolean => {
  if (at + name.length >= bytes.length) return false
  for (let i = 0; i < name.length; i++) if (lower(bytes[at + i]) !== name.charCodeAt(i)) return false
  return bytes[at + name.length] === 0x3a
}

/** Where the value of a header begins, -1 when it is not there. */
const valueStart = (bytes: Buffer, name: string): number => {
  let at = bytes.indexOf(LF) + 1
  while (at > 0 && at < bytes.length && bytes[at] !== CR) {
    if (startsWith(bytes, at, name)) {
      at += name.length + 1
      while (bytes[at] === SPACE || bytes[at] === TAB) at++
      return at
    }
    at = bytes.indexOf(LF, at) + 1
  }
  return -1
}

const hexOnly = (bytes: Buffer, start: number, end: number): boolean => {
  for (let i = start; i < end; i++) if (!hexDigit(bytes[i])) return false
  return true
}

const zerosOnly = (bytes: Buffer, start: number, end: number): boolean => {
  for (let i = start; i < end; i++) if (bytes[i] !== ZERO) return false
  return true
}

const DASH = 0x2d
const sampledFlag = 1

/**
 * The span that a header block names, `undefined` when it names none that is right. Version 00 is read, and from later
 * versions what they have in common with it.
 */
export const remoteSpan = (bytes: Buffer): Tracer.ExternalSpan | undefined => {
  const at = valueStart(bytes, traceparent)
  if (at < 0 || at + 55 > bytes.length) return undefined
  const [trace, span, flags, end] = [at + 3, at + 36, at + 53, at + 55]
  if (
    bytes[at + 2] !== DASH || bytes[at + 35] !== DASH || bytes[at + 52] !== DASH ||
    !hexOnly(bytes, at, at + 2) || !hexOnly(bytes, trace, at + 35) || !hexOnly(bytes, span, at + 52) ||
    !hexOnly(bytes, flags, end) || zerosOnly(bytes, trace, at + 35) || zerosOnly(bytes, span, at + 52)
  ) return undefined
  const format = bytes.toString("latin1", at, at + 2)
  if (format === "ff") return undefined
  const next = bytes[end]
  if (next !== CR && next !== SPACE && next !== TAB && (format === "00" || next !== DASH)) return undefined
  return Tracer.externalSpan({
    traceId: bytes.toString("latin1", trace, at + 35),
    spanId: bytes.toString("latin1", span, at + 52),
    sampled: (Number.parseInt(bytes.toString("latin1", flags, end), 16) & sampledFlag) === sampledFlag,
    annotations: annotationsOf(bytes)
  })
}

const annotationsOf = (bytes: Buffer): Context.Context<never> => {
  const at = valueStart(bytes, tracestate)
  if (at < 0) return Context.empty()
  const end = bytes.indexOf(CR, at)
  const length = (end < 0 ? bytes.length : end) - at
  if (length === 0 || length > longestState) return Context.empty()
  const state = bytes.toString("latin1", at, at + length).trim()
  // What cannot stand in a header line again is not passed on.
  return /^[ -~]+$/.test(state) ? Context.make(TraceState, state) : Context.empty()
}
