/**
 * The outgoing half of the protocol.
 */
import { CR, LF, SPACE, ZERO } from "./bytes.ts"

/**
 * Writes protocol lines into one buffer and sends it once per turn of the event loop.
 */
export interface Writer {
  /** Bytes written so far. */
  readonly bytesOut: number
  /** `headers` is a whole NATS header block, from `NATS/1.0` to its empty line. The payload is copied. */
  publish(subject: string, reply: string, headers: Uint8Array | undefined, payload: string | Uint8Array): void
  /** A short publish whose subject is text that was received: it is copied as it came, where making a string of it costs more. */
  publishTo(chunk: Uint8Array, subjectStart: number, subjectEnd: number, payload: Uint8Array): void
  subscribe(sid: number, subject: string, queue: string | undefined): void
  unsubscribe(sid: number, max: number | undefined): void
  ping(): void
  pong(): void
  /** Hands everything over now. Otherwise that happens in a microtask. */
  flush(): void
}

/** Bytes that a payload has on the wire: of a string, its length in UTF-8. */
export const payloadSize = (payload: string | Uint8Array): number =>
  typeof payload === "string" ? Buffer.byteLength(payload, "utf8") : payload.length

const capacity = 64 * 1024

/** Operation, spaces, line ends and two sizes of up to ten digits. */
const lineOverhead = 48

/** A UTF-16 unit has at most three bytes in UTF-8. */
const unitBytes = 3

/** Above this length one native call is cheaper than a loop over the characters. */
const longText = 48

const PUB = Buffer.from("PUB ")
const HPUB = Buffer.from("HPUB ")
const noHeaders = new Uint8Array(0)

/**
 * The writer of one session. It checks nothing: subjects, headers and sizes are checked before they come here.
 *
 * What has been handed over is never written again. A new buffer is taken only when the current one is full, not after
 * each flush: with one small request at a time that would cost a 64 KiB allocation for each of them.
 */
export class BufferedWriter implements Writer {
  bytesOut = 0

  private send: ((bytes: Uint8Array) => void) | undefined
  private buffer: Buffer = Buffer.allocUnsafeSlow(capacity)
  /** Where the part begins that has not been handed over. */
  private start = 0
  private end = 0
  private scheduled = false
  /** The last line without headers and reply: many messages go to one subject, and a copy is cheaper than the line made anew. */
  private lineSubject = ""
  private lineSize = 0
  /** Where it is in the buffer, negative when it is not. */
  private lineStart = -1
  private lineEnds = -1
  private readonly onTurn = (): void => {
    this.scheduled = false
    this.flush()
  }

  constructor(send: (bytes: Uint8Array) => void) {
    this.send = send
  }

  publish(subject: string, reply: string, headers: Uint8Array | undefined, payload: string | Uint8Array): void {
    if (this.send === undefined) return
    const header = headers ?? noHeaders
    const lineMost = lineOverhead + unitBytes * (subject.length + reply.length)
    if (lineMost + header.length + unitBytes * payload.length <= capacity) {
      this.reserve(lineMost + header.length + unitBytes * payload.length)
      this.publishSmall(subject, reply, header, payload)
    } else {
      this.publishLarge(lineMost, subject, reply, header, payload)
    }
  }

  publishTo(chunk: Uint8Array, subjectStart: number, subjectEnd: number, payload: Uint8Array): void {
    if (this.send === undefined) return
    this.reserve(lineOverhead + subjectEnd - subjectStart + payload.length)
    const from = this.end
    this.bytes(PUB)
    const { buffer } = this
    let { end } = this
    for (let i = subjectStart; i < subjectEnd; i++) buffer[end++] = chunk[i]
    buffer[end] = SPACE
    this.end = end + 1
    this.number(payload.length)
    this.lineEnd()
    this.bytes(payload)
    this.lineEnd()
    this.wrote(this.end - from)
  }

  subscribe(sid: number, subject: string, queue: string | undefined): void {
    this.line(queue === undefined ? `SUB ${subject} ${sid}\r\n` : `SUB ${subject} ${queue} ${sid}\r\n`)
  }

  unsubscribe(sid: number, max: number | undefined): void {
    this.line(max === undefined ? `UNSUB ${sid}\r\n` : `UNSUB ${sid} ${max}\r\n`)
  }

  ping(): void {
    this.line("PING\r\n")
  }

  pong(): void {
    this.line("PONG\r\n")
  }

  flush(): void {
    if (this.end === this.start) return
    const bytes = this.buffer.subarray(this.start, this.end)
    this.start = this.end
    this.send?.(bytes)
  }

  /** From here on nothing is written or sent, what has not been handed over included. */
  detach(): void {
    this.send = undefined
    this.start = this.end
  }

  private publishSmall(subject: string, reply: string, header: Uint8Array, payload: string | Uint8Array): void {
    const from = this.end
    // Of a string, at first the size it has if it is ASCII.
    this.publishLine(subject, reply, header.length, payload.length)
    this.bytes(header)
    if (typeof payload !== "string") {
      this.bytes(payload)
    } else {
      const written = this.text(payload)
      if (written !== payload.length) {
        this.end = from
        this.publishLine(subject, reply, header.length, written)
        this.bytes(header)
        this.text(payload)
      }
    }
    this.lineEnd()
    this.wrote(this.end - from)
  }

  private publishLarge(
    lineMost: number,
    subject: string,
    reply: string,
    header: Uint8Array,
    payload: string | Uint8Array
  ): void {
    const size = payloadSize(payload)
    if (lineMost > capacity) {
      // No server takes such a line, but the bytes are right all the same.
      const sizes = header.length === 0 ? `${size}` : `${header.length} ${header.length + size}`
      this.line(`${header.length === 0 ? "PUB" : "HPUB"} ${subject} ${reply === "" ? "" : `${reply} `}${sizes}\r\n`)
    } else {
      this.reserve(lineMost)
      const from = this.end
      this.publishLine(subject, reply, header.length, size)
      this.wrote(this.end - from)
    }
    this.block(header)
    this.block(typeof payload === "string" ? Buffer.from(payload, "utf8") : payload)
    this.reserve(2)
    this.lineEnd()
    this.wrote(2)
  }

  private publishLine(subject: string, reply: string, headerSize: number, payloadSize: number): void {
    if (reply === "" && headerSize === 0) this.plainLine(subject, payloadSize)
    else this.makeLine(subject, reply, headerSize, payloadSize)
  }

  private plainLine(subject: string, payloadSize: number): void {
    const { buffer, end, lineStart } = this
    if (lineStart >= 0 && payloadSize === this.lineSize && subject === this.lineSubject) {
      const length = this.lineEnds - lineStart
      for (let i = 0; i < length; i++) buffer[end + i] = buffer[lineStart + i]
      this.end = end + length
    } else {
      this.makeLine(subject, "", 0, payloadSize)
      this.lineSubject = subject
      this.lineSize = payloadSize
    }
    this.lineStart = end
    this.lineEnds = this.end
  }

  private makeLine(subject: string, reply: string, headerSize: number, payloadSize: number): void {
    this.bytes(headerSize === 0 ? PUB : HPUB)
    this.text(subject)
    this.buffer[this.end++] = SPACE
    if (reply !== "") {
      this.text(reply)
      this.buffer[this.end++] = SPACE
    }
    if (headerSize > 0) {
      this.number(headerSize)
      this.buffer[this.end++] = SPACE
    }
    this.number(headerSize + payloadSize)
    this.lineEnd()
  }

  private line(text: string): void {
    if (this.send === undefined) return
    const size = Buffer.byteLength(text, "utf8")
    if (size > capacity) {
      this.block(Buffer.from(text, "utf8"))
    } else {
      this.reserve(size)
      this.end += this.buffer.write(text, this.end, "utf8")
      this.wrote(size)
    }
  }

  /** Bytes of any length, in order behind what is there. Long ones go out as a copy of their own, not joined. */
  private block(bytes: Uint8Array): void {
    if (bytes.length > capacity / 2) {
      this.flush()
      this.bytesOut += bytes.length
      this.send?.(Uint8Array.prototype.slice.call(bytes))
    } else {
      this.reserve(bytes.length)
      this.bytes(bytes)
      this.wrote(bytes.length)
    }
  }

  // The following write at `end` and need the room reserved.

  /** Gives the number of bytes. */
  private text(text: string): number {
    const length = text.length
    if (length < longText) {
      const { buffer, end } = this
      let i = 0
      let unit = 0
      while (i < length && (unit = text.charCodeAt(i)) < 0x80) buffer[end + i++] = unit
      if (i === length) {
        this.end = end + length
        return length
      }
    }
    const written = this.buffer.write(text, this.end, "utf8")
    this.end += written
    return written
  }

  private bytes(bytes: Uint8Array): void {
    const { buffer, end } = this
    const length = bytes.length
    if (length < longText) {
      for (let i = 0; i < length; i++) buffer[end + i] = bytes[i]
    } else {
      buffer.set(bytes, end)
    }
    this.end = end + length
  }

  private number(value: number): void {
    let digits = 1
    for (let rest = value; rest >= 10; rest = Math.floor(rest / 10)) digits++
    let rest = value
    for (let at = this.end + digits - 1; at >= this.end; at--) {
      const tens = Math.floor(rest / 10)
      this.buffer[at] = ZERO + rest - tens * 10
      rest = tens
    }
    this.end += digits
  }

  private lineEnd(): void {
    this.buffer[this.end] = CR
    this.buffer[this.end + 1] = LF
    this.end += 2
  }

  /** Makes room for `size` bytes, at most `capacity`. */
  private reserve(size: number): void {
    if (this.end + size <= capacity) return
    this.flush()
    this.buffer = Buffer.allocUnsafeSlow(capacity)
    this.start = 0
    this.end = 0
    this.lineStart = -1
  }

  private wrote(size: number): void {
    this.bytesOut += size
    if (this.scheduled) return
    this.scheduled = true
    queueMicrotask(this.onTurn)
  }
}
