/**
 * The first line of a server.
 */
import { parseInfo, type ServerInfo } from "./info.ts"
import { printable } from "./printable.ts"

/** With the `…` that stands for the rest. */
const maxBanner = 64
/** Of a first line that is no NATS server's so much is read. */
const maxRead = 1024
const maxLine = 1024 * 1024

const LF = 0x0a

/** How a first line is shown: printable, at most 64 characters. */
export const bannerText = (raw: string): string => printable(raw.trim(), maxBanner - 1)

/** Whether nothing of it is text, as of an alert of TLS. */
export const isBinary = (raw: string): boolean => !/[\x21-\x7e]/.test(raw)

/** Gathers bytes up to the end of the first line, and tells early when they are not a NATS server's. */
export class Greeting {
  private bytes: Buffer = Buffer.alloc(0)

  push(chunk: Buffer): void {
    this.bytes = this.bytes.length === 0 ? chunk : Buffer.concat([this.bytes, chunk])
  }

  get isEmpty(): boolean {
    return this.bytes.length === 0
  }

  /** The line without its end, once it is there. */
  get line(): string | undefined {
    const end = this.bytes.indexOf(LF)
    return end < 0 ? undefined : this.bytes.toString("utf8", 0, end).trimEnd()
  }

  /** What came after the line. */
  get rest(): Buffer {
    return this.bytes.subarray(this.bytes.indexOf(LF) + 1)
  }

  /** What the line says, `undefined` if it is not a well-formed INFO. */
  get info(): ServerInfo | undefined {
    const line = this.line
    return line === undefined || !/^INFO[ \t]/i.test(line) ? undefined : parseInfo(line.slice(5))
  }

  /** How the line begins when no NATS server begins so, as it came. Empty for an endless line. */
  get banner(): string | undefined {
    const start = this.bytes.toString("latin1", 0, 5).toUpperCase()
    if ("INFO ".startsWith(start) || "INFO\t".startsWith(start) || "-ERR ".startsWith(start)) {
      return this.bytes.length > maxLine && this.line === undefined ? "" : undefined
    }
    const end = this.bytes.indexOf(LF)
    return this.bytes.toString("utf8", 0, Math.min(end < 0 ? this.bytes.length : end, maxRead))
  }

  /** Whether `banner` has all that it will have. */
  get bannerIsWhole(): boolean {
    return this.bytes.length >= maxBanner || this.line !== undefined
  }
}
