/**
 * WebSocket frames (RFC 6455), without extensions.
 */
export const opcodes = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const

const FIN = 0x80
const RSV1 = 0x40
const RSV = 0x70
const MASKED = 0x80
const maxControl = 125

/** One frame of a client, masked as those must be. */
export const frame = (opcode: number, payload: Uint8Array, mask: Uint8Array): Buffer => {
  const length = payload.length
  const head = length <= maxControl ? 2 : length <= 0xffff ? 4 : 10
  const bytes = Buffer.allocUnsafe(head + 4 + length)
  bytes[0] = FIN | opcode
  if (head === 2) {
    bytes[1] = MASKED | length
  } else if (head === 4) {
    bytes[1] = MASKED | 126
    bytes.writeUInt16BE(length, 2)
  } else {
    bytes[1] = MASKED | 127
    bytes.writeUInt32BE(Math.floor(length / 0x1_0000_0000), 2)
    bytes.writeUInt32BE(length % 0x1_0000_0000, 6)
  }
  bytes.set(mask, head)
  const start = head + 4
  for (let i = 0; i < length; i++) {
    bytes[start + i] = payload[i] ^ mask[i & 3]
  }
  return bytes
}

export interface FrameSink {
  /** Bytes of a message, in order, not copied. Where messages begin and end does not matter to NATS. */
  data(chunk: Buffer): void
  control(opcode: number, payload: Buffer): void
}

/** Takes the frames of a server apart, whatever the chunks. */
export class FrameReader {
  private readonly sink: FrameSink
  /** The beginning of a frame's head, or of a control frame, that a chunk's end cut. */
  private pending: Buffer = Buffer.alloc(0)
  /** Bytes of the current message frame that are still to come. */
  private remaining = 0

  constructor(sink: FrameSink) {
    this.sink = sink
  }

  /** Gives what is wrong when the stream is broken, in words that follow "sent". */
  push(chunk: Buffer): string | undefined {
    let bytes = this.pending.length === 0 ? chunk : Buffer.concat([this.pending, chunk])
    this.pending = bytes.subarray(bytes.length)
    while (bytes.length > 0) {
      if (this.remaining > 0) {
        const part = bytes.subarray(0, this.remaining)
        this.remaining -= part.length
        bytes = bytes.subarray(part.length)
        this.sink.data(part)
        continue
      }
      const head = headOf(bytes)
      if (typeof head === "string") return head
      const controlEnd = head === undefined ? 0 : head.size + head.length
      if (head === undefined || (head.opcode >= opcodes.close && bytes.length < controlEnd)) {
        this.pending = bytes
        return undefined
      }
      if (head.opcode >= opcodes.close) {
        this.sink.control(head.opcode, bytes.subarray(head.size, controlEnd))
        bytes = bytes.subarray(controlEnd)
      } else {
        this.remaining = head.length
        bytes = bytes.subarray(head.size)
      }
    }
    return undefined
  }
}

interface Head {
  readonly opcode: number
  readonly size: number
  readonly length: number
}

/** What breaks the rules (RFC 6455, 5.2 and 5.5), in words that follow "sent". */
const faultOf = (opcode: number, first: number, second: number): string | undefined => {
  const isControl = opcode >= opcodes.close
  if ((second & MASKED) !== 0) return "a masked WebSocket frame, as only clients may"
  if ((first & RSV1) !== 0) return "a compressed WebSocket frame (its first reserved bit), which was not agreed on"
  if ((first & RSV) !== 0) return "a WebSocket frame with a reserved bit"
  if ((opcode > opcodes.binary && !isControl) || opcode > opcodes.pong) {
    return `a WebSocket frame of a kind that is not known (opcode ${opcode})`
  }
  if (isControl && (first & FIN) === 0) return "a WebSocket control frame in parts"
  if (isControl && (second & 0x7f) > maxControl) return `a WebSocket control frame of more than ${maxControl} bytes`
  return undefined
}

/** `undefined` when it is not whole yet, a text when it breaks the rules. */
const headOf = (bytes: Buffer): Head | string | undefined => {
  if (bytes.length < 2) return undefined
  const opcode = bytes[0] & 0x0f
  const short = bytes[1] & 0x7f
  const fault = faultOf(opcode, bytes[0], bytes[1])
  if (fault !== undefined) return fault
  const size = short <= maxControl ? 2 : short === 126 ? 4 : 10
  if (bytes.length < size) return undefined
  const length = size === 2
    ? short
    : size === 4
    ? bytes.readUInt16BE(2)
    : bytes.readUInt32BE(2) * 0x1_0000_0000 + bytes.readUInt32BE(6)
  return Number.isSafeInteger(length) ? { opcode, size, length } : "a WebSocket frame that is too long"
}

const statuses: { readonly [code: number]: string } = {
  1000: "normal closure",
  1001: "going away",
  1002: "protocol error",
  1003: "unsupported data",
  1007: "invalid data",
  1008: "policy violation",
  1009: "message too big",
  1011: "internal error",
  1012: "service restart",
  1013: "try again later",
  1014: "bad gateway"
}

/** What a close frame says. */
export interface CloseWord {
  /** Its status, in words that a server's could be. */
  readonly status: string
  /** The reason that the other side gave, as it came. Empty without one. */
  readonly reason: string
}

/** `undefined` when it gives no status. */
export const closeWord = (payload: Buffer): CloseWord | undefined => {
  if (payload.length < 2) return undefined
  const code = payload.readUInt16BE(0)
  const name = statuses[code] === undefined ? "" : ` (${statuses[code]})`
  return { status: `closed the WebSocket with status ${code}${name}`, reason: payload.toString("utf8", 2).trim() }
}
