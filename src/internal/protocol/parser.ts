/**
 * The incoming half of the protocol: whole chunks in, messages and control lines out.
 *
 * A chunk is scanned once. Messages are not copied and not decoded: their targets get offsets into the chunk. Only the
 * frame that a chunk's end cuts in two is copied, once, together with its rest.
 */
import { CR, LF, readNumber, SPACE, TAB, ZERO } from "./bytes.ts"
import { Carry } from "./carry.ts"
import type { ServerInfo } from "./info.ts"
import { parseInfo } from "./info.ts"
import { classify, Operation } from "./operation.ts"
import type { MessageTarget } from "./target.ts"

/**
 * What the parser reports to. All are called synchronously from `push` and must not throw. Before each control line the
 * messages in front of it have been committed to their targets.
 */
export interface ParserSink {
  /** Asked again in each chunk and after each control line; the answer is kept for the messages in between. */
  target(sid: number): MessageTarget | undefined
  info(info: ServerInfo): void
  ping(): void
  pong(): void
  /** The text of an `-ERR`, without its quotes, at most 16 KiB of it. */
  error(text: string): void
}

export interface ParserLimits {
  /**
   * Bytes of a MSG, HMSG, PING, PONG or +OK line. Default 65,536: a server takes 4,096 from a client, but prefixes
   * subjects for imports and gateways, and can be configured higher. INFO and -ERR may have 1 MiB: INFO lists a cluster.
   */
  readonly maxControlLine?: number | undefined
  /**
   * Bytes of one message, headers included. Default 128 MiB. This is not the `max_payload` of INFO: that binds what this
   * client publishes, while JetStream adds headers to what it delivers and a reload can lower it under stored messages.
   * No server can be configured above 64 MiB.
   */
  readonly maxPayload?: number | undefined
}

const defaultControlLine = 64 * 1024
const maxTextLine = 1024 * 1024
/** Of an -ERR, what is read. A subject that it names has 4,096 bytes where the server is not configured otherwise. */
const longestError = 16 * 1024
const defaultPayload = 128 * 1024 * 1024

/** The frame is not whole yet, or the stream is broken. */
const STOP = -1

export class Parser {
  /** Bytes pushed. */
  bytesIn = 0
  /** Messages parsed, those for unknown subscriptions included. */
  messagesIn = 0
  /** Messages skipped because no subscription has their sid; normal after an unsubscribe. */
  unknown = 0

  private readonly sink: ParserSink
  private readonly maxLine: number
  private readonly maxPayload: number
  private readonly carry = new Carry()
  private readonly touched: Array<MessageTarget> = []
  /** Start and end of up to five arguments of a message line; reused, so that no message allocates. */
  private readonly args = new Int32Array(10)
  /** Length of the unfinished frame at the end of the buffer, 0 while its line is unfinished. */
  private need = 0
  private fault: string | undefined = undefined
  private stopped = false
  private cachedSid = -1
  private cachedTarget: MessageTarget | undefined = undefined

  constructor(sink: ParserSink, limits?: ParserLimits) {
    this.sink = sink
    this.maxLine = limits?.maxControlLine ?? defaultControlLine
    this.maxPayload = limits?.maxPayload ?? defaultPayload
  }

  /** Bytes of an unfinished frame that wait for their rest. */
  get pendingBytes(): number {
    return this.carry.length
  }

  /**
   * Takes the next bytes, which must not be written again. Gives a description of the fault when the stream is broken,
   * never with bytes of it, and gives the same one for whatever is pushed later. `undefined` means that all is well.
   */
  push(chunk: Buffer): string | undefined {
    if (this.stopped) return this.fault
    this.bytesIn += chunk.length
    this.forgetTarget()
    let position = this.carry.length > 0 ? this.resume(chunk) : 0
    if (!this.stopped && position < chunk.length) {
      position = this.scan(chunk, position)
      if (!this.stopped && position < chunk.length) this.carry.start(chunk, position, this.need)
    }
    this.commit()
    return this.fault
  }

  /** Ignores everything from here on, the rest of the current chunk included. */
  stop(): void {
    this.stopped = true
    this.carry.release()
  }

  /** Completes the frame that earlier chunks began. Gives the position in `chunk` behind it. */
  private resume(chunk: Buffer): number {
    let position = 0
    while (this.carry.length > 0 && position < chunk.length) {
      const lineUnfinished = this.need === 0
      const newline = lineUnfinished ? chunk.indexOf(LF, position) : STOP
      const upTo = lineUnfinished
        ? newline < 0 ? chunk.length : newline + 1
        : Math.min(chunk.length, position + this.need - this.carry.length)
      this.carry.append(chunk, position, upTo, this.need)
      position = upTo
      const frame = this.carry.bytes()
      if (lineUnfinished && newline < 0) this.checkUnfinished(frame)
      if (lineUnfinished ? newline < 0 : frame.length < this.need) break
      const end = this.scan(frame, 0)
      if (this.stopped) return position
      if (end === frame.length) this.carry.release()
    }
    return position
  }

  /** Parses whole frames. Gives the position of the first one that is not whole, and sets `need` for it. */
  private scan(chunk: Buffer, from: number): number {
    let position = from
    this.need = 0
    while (position < chunk.length) {
      let next = STOP
      if (isMsg(chunk, position)) {
        next = this.plainMessage(chunk, position)
        if (next === STOP) next = this.message(chunk, position, position + 4, false)
      } else {
        next = chunk[position] === 0x48 && isMsg(chunk, position + 1)
          ? this.message(chunk, position, position + 5, true)
          : this.control(chunk, position)
      }
      if (next === STOP) return position
      position = next
      if (this.stopped) return position
    }
    return position
  }

  /**
   * Reads `MSG subject sid [reply] size` as servers write it in one pass, twice as fast as `message`, which takes any
   * spacing. Gives the position behind the message, or STOP when it is anything else or not whole: `message` tells what.
   */
  private plainMessage(chunk: Buffer, start: number): number {
    // What follows a subject or reply that ends before this, two numbers of nine digits at most, is within all bounds.
    const limit = Math.min(chunk.length, start + this.maxLine) - 22
    const subjectStart = start + 4
    let i = subjectStart
    while (i < limit && chunk[i] > SPACE) i++
    const subjectEnd = i
    if (i >= limit || i === subjectStart || chunk[i] !== SPACE) return STOP
    let digit = 0
    let sid = 0
    const sidStart = ++i
    while ((digit = chunk[i] - ZERO) >= 0 && digit <= 9 && i - sidStart < 9) {
      sid = sid * 10 + digit
      i++
    }
    if (i === sidStart || chunk[i] !== SPACE) return STOP
    let replyStart = 0
    let replyEnd = 0
    let size = 0
    let sizeStart = ++i
    while ((digit = chunk[i] - ZERO) >= 0 && digit <= 9 && i - sizeStart < 9) {
      size = size * 10 + digit
      i++
    }
    if (chunk[i] !== CR) {
      replyStart = sizeStart
      while (i < limit && chunk[i] > SPACE) i++
      replyEnd = i
      if (i >= limit || i === replyStart || chunk[i] !== SPACE) return STOP
      size = 0
      sizeStart = ++i
      while ((digit = chunk[i] - ZERO) >= 0 && digit <= 9 && i - sizeStart < 9) {
        size = size * 10 + digit
        i++
      }
    }
    if (i === sizeStart || chunk[i] !== CR || chunk[i + 1] !== LF || size > this.maxPayload) return STOP
    const payloadStart = i + 2
    const payloadEnd = payloadStart + size
    if (payloadEnd + 2 > chunk.length || chunk[payloadEnd] !== CR || chunk[payloadEnd + 1] !== LF) return STOP
    this.deliver(chunk, sid, subjectStart, subjectEnd, replyStart, replyEnd, payloadStart, payloadStart, payloadEnd)
    return payloadEnd + 2
  }

  private message(chunk: Buffer, start: number, afterOperation: number, hasHeaders: boolean): number {
    const args = this.args
    const limit = Math.min(chunk.length, start + this.maxLine)
    let i = afterOperation
    let count = 0
    let byte = 0
    while (true) {
      while (i < limit && ((byte = chunk[i]) === SPACE || byte === TAB)) i++
      if (i >= limit) return this.unfinishedLine(chunk, start, this.maxLine)
      if (byte === CR || byte === LF) break
      if (count === 5) return this.malformedLine(chunk, start, i)
      args[2 * count] = i
      // Other control characters are part of the argument: a server lets a careless client publish them.
      do i++
      while (
        i < limit && ((byte = chunk[i]) > SPACE || (byte !== SPACE && byte !== TAB && byte !== CR && byte !== LF))
      )
      args[2 * count + 1] = i
      count++
    }
    if (byte === CR) {
      i++
      if (i >= limit) return this.unfinishedLine(chunk, start, this.maxLine)
      if (chunk[i] !== LF) return this.malformedLine(chunk, start, i)
    }
    const numbers = hasHeaders ? 2 : 1
    const hasReply = count === numbers + 3
    if (!hasReply && count !== numbers + 2) return this.fail("malformed message line")

    const sid = readNumber(chunk, args[2], args[3])
    if (sid < 0) return this.fail("malformed subscription id")
    const size = readNumber(chunk, args[2 * count - 2], args[2 * count - 1])
    if (size < 0) return this.fail("malformed message size")
    if (size > this.maxPayload) return this.fail(`a message of more than ${this.maxPayload} bytes`)
    const headerSize = hasHeaders ? readNumber(chunk, args[2 * count - 4], args[2 * count - 3]) : 0
    if (headerSize < 0) return this.fail("malformed header size")
    if (headerSize > size) return this.fail("a header longer than its message")

    const headerStart = i + 1
    const payloadEnd = headerStart + size
    const next = payloadEnd + 2
    if (next > chunk.length) {
      this.need = next - start
      return STOP
    }
    if (chunk[payloadEnd] !== CR || chunk[payloadEnd + 1] !== LF) return this.fail("no line end after a message")

    const replyStart = hasReply ? args[4] : 0
    const replyEnd = hasReply ? args[5] : 0
    const payloadStart = headerStart + headerSize
    this.deliver(chunk, sid, args[0], args[1], replyStart, replyEnd, headerStart, payloadStart, payloadEnd)
    return next
  }

  private deliver(
    chunk: Buffer,
    sid: number,
    subjectStart: number,
    subjectEnd: number,
    replyStart: number,
    replyEnd: number,
    headerStart: number,
    payloadStart: number,
    payloadEnd: number
  ): void {
    this.messagesIn++
    const target = sid === this.cachedSid ? this.cachedTarget : this.findTarget(sid)
    if (target === undefined) {
      this.unknown++
      return
    }
    if (!target.touched) {
      target.touched = true
      this.touched.push(target)
    }
    target.accept(chunk, subjectStart, subjectEnd, replyStart, replyEnd, headerStart, payloadStart, payloadEnd)
  }

  private control(chunk: Buffer, start: number): number {
    const operation = classify(chunk, start)
    if (operation === Operation.Garbage) return this.fail("an unknown operation")
    if (operation === Operation.Unfinished) return STOP
    if (operation === Operation.Msg) return this.message(chunk, start, start + 3, false)
    if (operation === Operation.HMsg) return this.message(chunk, start, start + 4, true)
    const maxLine = hasText(operation) ? maxTextLine : this.maxLine
    const newline = chunk.indexOf(LF, start)
    if (newline < 0) return this.unfinishedLine(chunk, start, maxLine)
    if (newline - start >= maxLine) return this.tooLong(maxLine)
    let from = start + (operation === Operation.Ok ? 3 : 4)
    while (from < newline && isBlank(chunk[from])) from++
    let to = newline
    while (to > from && isBlank(chunk[to - 1])) to--
    if (!hasText(operation) && to > from) return this.fail("an unknown operation")
    this.report(operation, chunk, from, to)
    return this.fault === undefined ? newline + 1 : STOP
  }

  private report(operation: Operation, chunk: Buffer, from: number, to: number): void {
    // Whoever sees a PONG or an -ERR has everything that came before it.
    this.commit()
    if (operation === Operation.Ping) this.sink.ping()
    else if (operation === Operation.Pong) this.sink.pong()
    else if (operation === Operation.Err) {
      const quoted = to - from >= 2 && chunk[from] === 0x27 && chunk[to - 1] === 0x27
      const start = quoted ? from + 1 : from
      this.sink.error(chunk.toString("utf8", start, Math.min(quoted ? to - 1 : to, start + longestError)))
    } else if (operation === Operation.Info) {
      const info = parseInfo(chunk.toString("utf8", from, to))
      if (info === undefined) this.fail("malformed INFO")
      else this.sink.info(info)
    }
    // What was reported may have added or removed subscriptions.
    this.forgetTarget()
  }

  private findTarget(sid: number): MessageTarget | undefined {
    this.cachedSid = sid
    this.cachedTarget = this.sink.target(sid)
    return this.cachedTarget
  }

  private forgetTarget(): void {
    this.cachedSid = -1
    this.cachedTarget = undefined
  }

  private commit(): void {
    if (this.touched.length === 0) return
    for (const target of this.touched) {
      target.touched = false
      target.commit()
    }
    this.touched.length = 0
  }

  /** Garbage and endless lines are found without waiting for their end, and without looking at all of them again. */
  private checkUnfinished(frame: Buffer): void {
    const operation = classify(frame, 0)
    if (operation === Operation.Garbage) this.fail("an unknown operation")
    else this.unfinishedLine(frame, 0, hasText(operation) ? maxTextLine : this.maxLine)
  }

  private unfinishedLine(chunk: Buffer, start: number, maxLine: number): number {
    return chunk.length - start >= maxLine ? this.tooLong(maxLine) : STOP
  }

  // Told when the line has ended, so that it is the same wherever the stream is cut.
  private malformedLine(chunk: Buffer, start: number, from: number): number {
    const newline = chunk.indexOf(LF, from)
    return newline < 0 || newline - start >= this.maxLine
      ? this.unfinishedLine(chunk, start, this.maxLine)
      : this.fail("malformed message line")
  }

  private tooLong(maxLine: number): number {
    return this.fail(`a line of more than ${maxLine} bytes`)
  }

  private fail(fault: string): number {
    this.fault = fault
    this.stop()
    return STOP
  }
}

/** "MSG " as servers write it. Anything else takes the slower way through `classify`. */
const isMsg = (chunk: Buffer, at: number): boolean =>
  chunk.length - at > 3 && chunk[at] === 0x4d && chunk[at + 1] === 0x53 && chunk[at + 2] === 0x47 &&
  chunk[at + 3] === SPACE

const hasText = (operation: Operation): boolean => operation === Operation.Info || operation === Operation.Err

const isBlank = (byte: number): boolean => byte === SPACE || byte === TAB || byte === CR
