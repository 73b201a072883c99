/**
 * What the codec costs against nats-core's, in this process and without sockets: CPU time per message, the two
 * alternating, medians of 15 rounds. Run it with `node bench/codec.ts`; a ratio below 1 is cheaper than nats-core.
 */
import { type CallbackFn, Parser as NatsCoreParser, type ParserEvent } from "@nats-io/nats-core/internal"
import { Parser } from "../src/internal/protocol/parser.ts"
import type { MessageTarget } from "../src/internal/protocol/target.ts"
import { BufferedWriter } from "../src/internal/protocol/writer.ts"
import { natsCorePublisher } from "../test/protocol/natsCorePublisher.ts"

const rounds = 15
const perRound = 200_000

const median = (values: ReadonlyArray<number>): number => values.toSorted((a, b) => a - b)[values.length >> 1]

/** CPU of this process in microseconds per message. */
const cost = (run: () => void): number => {
  const before = process.cpuUsage()
  run()
  const { system, user } = process.cpuUsage(before)
  return (user + system) / perRound
}

const compare = (name: string, ours: () => void, theirs: () => void): void => {
  const our: Array<number> = []
  const their: Array<number> = []
  for (let round = -2; round < rounds; round++) {
    const pair = round % 2 === 0
      ? [cost(ours), cost(theirs)]
      : [cost(theirs), cost(ours)].toReversed()
    if (round < 0) continue
    our.push(pair[0])
    their.push(pair[1])
  }
  const ratio = median(our.map((value, i) => value / their[i]))
  console.log(
    `${name.padEnd(44)} ${median(our).toFixed(3)} µs, nats-core ${median(their).toFixed(3)} µs, ratio ${
      ratio.toFixed(2)
    }`
  )
}

const chunksOf = (frame: Buffer): { readonly chunks: ReadonlyArray<Buffer>; readonly perPass: number } => {
  const perPass = 20_000
  const all = Buffer.concat(Array.from({ length: perPass }, () => frame))
  const chunks: Array<Buffer> = []
  for (let at = 0; at < all.length; at += 65_536) chunks.push(Buffer.from(all.subarray(at, at + 65_536)))
  return { chunks, perPass }
}

let seen = 0

const receive = (name: string, frame: Buffer): void => {
  const { chunks, perPass } = chunksOf(frame)
  const target: MessageTarget = {
    touched: false,
    accept(_chunk, _s0, _s1, _r0, _r1, _h0, p0, p1) {
      seen += p1 - p0
    },
    commit() {}
  }
  const targets = new Map([[1, target]])
  const ours = new Parser({
    target: (sid) => targets.get(sid),
    info() {},
    ping() {},
    pong() {},
    error() {}
  })
  const theirs = new NatsCoreParser({
    push(event: CallbackFn | ParserEvent) {
      if ("data" in event && event.data !== undefined) seen += event.data.length
    }
  })
  const passes = perRound / perPass
  compare(
    name,
    () => {
      for (let pass = 0; pass < passes; pass++) for (const chunk of chunks) ours.push(chunk)
    },
    () => {
      for (let pass = 0; pass < passes; pass++) for (const chunk of chunks) theirs.parse(chunk)
    }
  )
  if (ours.unknown > 0 || ours.pendingBytes > 0) throw new Error("the stream was not read whole")
}

const send = (name: string, reply: string, payload: string | Uint8Array): void => {
  const ours = new BufferedWriter((bytes) => {
    seen += bytes.length
  })
  const theirs = natsCorePublisher((bytes) => {
    seen += bytes.length
  })
  const options = reply === "" ? undefined : { reply }
  const perTurn = 400
  compare(
    name,
    () => {
      for (let i = 1; i <= perRound; i++) {
        ours.publish("orders.created", reply, undefined, payload)
        if (i % perTurn === 0) ours.flush()
      }
    },
    () => {
      for (let i = 1; i <= perRound; i++) {
        theirs.publish("orders.created", payload, options)
        if (i % perTurn === 0) theirs.flushPending()
      }
    }
  )
}

const body = "x".repeat(128)
receive("parse MSG, 128 B", Buffer.from(`MSG orders.created 1 128\r\n${body}\r\n`))
receive("parse MSG with reply, 128 B", Buffer.from(`MSG orders.created 1 _INBOX.abcdefghijklmnop.1 128\r\n${body}\r\n`))
receive(
  "parse HMSG, 128 B",
  Buffer.from(`HMSG orders.created 1 40 168\r\nNATS/1.0\r\nNats-Msg-Id: 1234567890123\r\n\r\n${body}\r\n`)
)
receive("parse MSG, 16 B", Buffer.from(`MSG orders.created 1 16\r\n${body.slice(0, 16)}\r\n`))
receive("parse MSG, 4 KiB", Buffer.from(`MSG orders.created 1 4096\r\n${"x".repeat(4096)}\r\n`))
send("publish bytes, 128 B", "", Buffer.from(body))
send("publish text, 128 B", "", body)
send("publish text with reply, 16 B", "_INBOX.abcdefghijklmnop.1", body.slice(0, 16))
send("publish text beyond ASCII, 128 B", "", "é".repeat(64))
if (seen === 0) throw new Error("nothing was parsed")
