/**
 * Random streams as a server could send them, what nats-core's parser makes of them, and what ours does.
 */
import { type CallbackFn, Parser as Oracle, type ParserEvent } from "@nats-io/nats-core/internal"
import { Parser } from "../../src/internal/protocol/parser.ts"
import type { MessageTarget } from "../../src/internal/protocol/target.ts"

/** A small generator, so that a failing property is repeated by its seed alone. */
export class Dice {
  private state: number
  constructor(seed: number) {
    this.state = seed | 0
  }
  next(): number {
    this.state = (this.state + 0x6d2b79f5) | 0
    let t = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
  below(n: number): number {
    return Math.floor(this.next() * n)
  }
  pick<A>(items: ReadonlyArray<A>): A {
    return items[this.below(items.length)]
  }
}

const infoJson = (dice: Dice): string =>
  JSON.stringify({
    server_id: dice.pick(["NABC", "", "MSG a 1 5", "ü\\\"'"]),
    version: "2.10.27",
    max_payload: dice.below(1 << 20),
    ...(dice.below(2) === 0
      ? { connect_urls: ["127.0.0.1:4222", "[::1]:4223"], nonce: "x".repeat(dice.below(600)) }
      : {}),
    ...(dice.below(3) === 0 ? { ldm: true } : {})
  })

const wire = [
  "\r\n",
  "\r",
  "\n",
  "MSG a 1 5\r\nhello\r\n",
  "HMSG a 1 12 14\r\n",
  "NATS/1.0\r\n\r\n",
  "-ERR 'Authorization Violation'\r\n",
  "PING\r\n",
  "PONG\r\n",
  "INFO {}\r\n",
  "+OK\r\n",
  " ",
  "\t",
  "\0",
  "é"
]

const payload = (dice: Dice, largest: number): Buffer => {
  if (dice.below(8) === 0) return Buffer.alloc(0)
  if (dice.below(2) === 0) {
    let text = ""
    for (let i = dice.below(6); i >= 0; i--) text += dice.pick(wire)
    return Buffer.from(text)
  }
  return Buffer.from(Array.from({ length: dice.below(largest) }, () => dice.below(256)))
}

const subjects = [
  "a",
  "foo.bar",
  "$JS.ACK.S.C.1.22.333.4444.0",
  "ü.日本",
  "_INBOX.abcdefghijklmnopqrstuv.1",
  "MSG",
  "a\u0001b",
  "x\u000by"
]

const frame = (dice: Dice, largest: number): Buffer => {
  const blank = (): string => dice.below(12) === 0 ? dice.pick(["  ", "\t", " \t "]) : " "
  const word = (text: string): string => dice.below(10) === 0 ? text.toLowerCase() : text
  const kind = dice.below(12)
  if (kind < 9) {
    const headers = kind < 4
      ? dice.pick(["NATS/1.0\r\n\r\n", "NATS/1.0 503\r\n\r\n", "NATS/1.0\r\nA: b\r\nA: MSG a 1 5\r\n\r\n"])
      : ""
    const body = payload(dice, largest)
    const reply = dice.below(2) === 0 ? `${blank()}${dice.pick(subjects)}` : ""
    const sizes = headers === "" ? `${body.length}` : `${headers.length}${blank()}${headers.length + body.length}`
    const line = `${word(headers === "" ? "MSG" : "HMSG")}${blank()}${dice.pick(subjects)}${blank()}${
      dice.pick([0, 1, 2, 3, 7, 123456])
    }${reply}${blank()}${sizes}${dice.below(15) === 0 ? " " : ""}\r\n`
    return Buffer.concat([Buffer.from(line + headers), body, Buffer.from("\r\n")])
  }
  if (kind === 9) return Buffer.from(dice.pick(["PING", "PONG", "ping", "Pong", "+OK", "+ok"]) + "\r\n")
  if (kind === 10) {
    return Buffer.from(
      `${word("-ERR")}${blank()}${dice.pick(["'Stale Connection'", "plain", "'MSG a 1 5 é'", "'x"])}\r\n`
    )
  }
  return Buffer.from(`${word("INFO")}${blank()}${infoJson(dice)}\r\n`)
}

export const stream = (dice: Dice, frames: number, largest: number): Buffer =>
  Buffer.concat(Array.from({ length: frames }, () => frame(dice, largest)))

/** Cuts at random: often into crumbs, sometimes not at all. Every chunk has memory of its own, as from a socket. */
export const cut = (dice: Dice, bytes: Buffer): Array<Buffer> => {
  const most = dice.pick([1, 3, 20, 200, 5000, 100_000])
  const chunks: Array<Buffer> = []
  for (let at = 0; at < bytes.length;) {
    const next = at + 1 + dice.below(most)
    chunks.push(Buffer.from(bytes.subarray(at, next)))
    at = next
  }
  return chunks
}

const latin = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1")

const messageEvent = (sid: number, subject: string, reply: string, headerSize: number, data: string): string =>
  JSON.stringify(["message", sid, subject, reply, headerSize, data])

/** The events as nats-core's parser sees them; +OK left out, as ours ignores it. */
export const oracle = (chunks: ReadonlyArray<Buffer>): Array<string> => {
  const events: Array<string> = []
  const names = ["ok", "error", "message", "info", "ping", "pong"]
  const parser = new Oracle({
    push(event: CallbackFn | ParserEvent) {
      if (typeof event === "function") return
      const name = names[event.kind]
      if (name === "message" && "msg" in event && event.msg !== undefined) {
        const { hdr, reply, sid, subject } = event.msg
        events.push(
          messageEvent(
            sid,
            latin(subject),
            reply === undefined ? "" : latin(reply),
            Math.max(0, hdr),
            latin(event.data!)
          )
        )
      } else if (name === "error") {
        const text = Buffer.from(event.data!).toString()
        events.push(`error ${/^'.*'$/.test(text) ? text.slice(1, -1) : text}`)
      } else if (name === "info") {
        events.push(`info ${JSON.stringify(sorted(JSON.parse(Buffer.from(event.data!).toString())))}`)
      } else if (name !== "ok") {
        events.push(name)
      }
    }
  })
  for (const chunk of chunks) parser.parse(chunk)
  return events
}

const sorted = (value: object): object =>
  Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => a < b ? -1 : 1))

export interface Parsed {
  readonly events: Array<string>
  readonly fault: string | undefined
  /** What the parser did that its contract forbids. */
  readonly broken: Array<string>
  readonly parser: Parser
}

/** The events as our parser reports them. Messages are read only after the last chunk, from the chunks they came in. */
export const parse = (
  chunks: ReadonlyArray<Buffer>,
  options?: {
    readonly knows?: (sid: number) => boolean
    readonly limits?: ConstructorParameters<typeof Parser>[1]
  }
): Parsed => {
  const events: Array<() => string> = []
  const broken: Array<string> = []
  const targets = new Map<number, MessageTarget & { waiting: number }>()
  const settled = (when: string): void => {
    for (const [sid, target] of targets) if (target.waiting > 0 || target.touched) broken.push(`${sid} waits ${when}`)
  }
  const control = (text: string): void => {
    settled(`at ${text}`)
    events.push(() => text)
  }
  const makeTarget = (sid: number): MessageTarget & { waiting: number } => ({
    touched: false,
    waiting: 0,
    accept(chunk, s0, s1, r0, r1, h0, p0, p1) {
      if (!this.touched) broken.push("accepts untouched")
      this.waiting++
      events.push(() =>
        messageEvent(
          sid,
          latin(chunk.subarray(s0, s1)),
          latin(chunk.subarray(r0, r1)),
          p0 - h0,
          latin(chunk.subarray(h0, p1))
        )
      )
    },
    commit() {
      if (this.waiting === 0) broken.push("commits nothing")
      this.waiting = 0
    }
  })
  const parser = new Parser({
    target(sid) {
      if (options?.knows?.(sid) === false) return undefined
      const known = targets.get(sid) ?? makeTarget(sid)
      targets.set(sid, known)
      return known
    },
    info: (info) => control(`info ${JSON.stringify(sorted(info))}`),
    ping: () => control("ping"),
    pong: () => control("pong"),
    error: (text) => control(`error ${text}`)
  }, options?.limits)
  let fault: string | undefined
  for (const chunk of chunks) {
    fault = parser.push(chunk)
    settled("after a chunk")
  }
  return { events: events.map((event) => event()), fault, broken, parser }
}
