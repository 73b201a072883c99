/**
 * W3C trace context in a NATS header block: `traceparent` and `tracestate`, cut from bytes and put into bytes.
 */
import * as Context from "effect/Context"
import * as Tracer from "effect/Tracer"
import type { Input } from "../../NatsHeaders.ts"
import { CR, LF, SPACE, TAB } from "../protocol/bytes.ts"

const firstLine = "NATS/1.0\r\n"

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

const isHex = /^[0-9a-f]+$/

/**
 * The header lines that carry a span, `undefined` where there is nothing to carry: the caller's own `traceparent` wins,
 * and the ids of a tracer may be of another kind.
 */
export const traceLines = (span: Tracer.AnySpan, headers: Input | undefined): string | undefined => {
  if (tracedByCaller(headers)) return undefined
  const { spanId, traceId } = span
  if (spanId.length !== 16 || traceId.length > 32 || !isHex.test(spanId) || !isHex.test(traceId)) return undefined
  const id = traceId.length === 32 ? traceId : traceId.padStart(32, "0")
  const state = stateOf(span)
  const parent = `${traceparent}: 00-${id}-${spanId}-${span.sampled ? "01" : "00"}\r\n`
  return state === "" ? parent : `${parent}${tracestate}: ${state}\r\n`
}

/** A header block with lines in front of the others, where reading finds them first. The given block is not changed. */
export const withLines = (block: Uint8Array | undefined, lines: string): Uint8Array => {
  if (block === undefined || block.length === 0) return Buffer.from(`${firstLine}${lines}\r\n`, "latin1")
  const joined = Buffer.allocUnsafe(block.length + lines.length)
  joined.write(firstLine + lines, 0, "latin1")
  joined.set(block.subarray(firstLine.length), firstLine.length + lines.length)
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
  for (let i = start; i < end; i++) {
    const byte = bytes[i]
    if (!((byte >= 0x30 && byte <= 0x39) || (byte >= 0x61 && byte <= 0x66))) return false
  }
  return true
}

const zerosOnly = (bytes: Buffer, start: number, end: number): boolean => {
  for (let i = start; i < end; i++) if (bytes[i] !== 0x30) return false
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
  const version = bytes.toString("latin1", at, at + 2)
  if (version === "ff") return undefined
  const next = bytes[end]
  if (next !== CR && next !== SPACE && next !== TAB && (version === "00" || next !== DASH)) return undefined
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
