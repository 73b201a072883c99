import { assert, describe, it } from "@effect/vitest"
import { headers as natsHeaders, type MsgHdrs } from "@nats-io/nats-core"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { createHash } from "node:crypto"
import { encodeHeaders } from "../../src/internal/protocol/headers.ts"
import { BufferedWriter, payloadSize } from "../../src/internal/protocol/writer.ts"
import { natsCorePublisher } from "./natsCorePublisher.ts"
import { Dice } from "./streams.ts"

const seed = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 ** 31 - 1 }))

const collect = () => {
  const sent: Array<Uint8Array> = []
  const writer = new BufferedWriter((bytes) => sent.push(bytes))
  return { sent, writer, bytes: () => Buffer.concat(sent), text: () => Buffer.concat(sent).toString() }
}

const turn = Effect.promise(() => Promise.resolve())

interface Publication {
  readonly subject: string
  readonly reply: string
  readonly headers: Readonly<Record<string, ReadonlyArray<string>>>
  readonly payload: string | Uint8Array
}

const texts = [
  "",
  "a",
  "hello",
  "é",
  "日本語",
  "😀",
  "\ud800",
  "\r\n",
  "PUB a 1\r\nx\r\n",
  "x".repeat(47),
  "y".repeat(48),
  "é".repeat(60)
]

const publication = (dice: Dice): Publication => {
  const length = dice.pick([0, 1, 100, 4000, 21_000, 33_000, 65_400, 65_536, 70_000, 200_000])
  const most = dice.below(4) === 0 ? length : Math.min(length, 300)
  return {
    subject: dice.pick(["a", "foo.bar.baz", "ü.日本", "s".repeat(46), "s".repeat(48), "é".repeat(300)]),
    reply: dice.pick(["", "", "_INBOX.abc.1", "réponse"]),
    headers: dice.pick<Publication["headers"]>([
      {},
      {},
      { A: ["b"] },
      { "Nats-Msg-Id": ["é", "2"], b: [""], B: ["x".repeat(2000)] },
      { Big: ["z".repeat(40_000)] }
    ]),
    payload: dice.below(2) === 0
      ? dice.pick(texts).repeat(dice.below(3)) + dice.pick(["p", "é", ""]).repeat(most)
      : new Uint8Array(most).fill(dice.below(256))
  }
}

const publish = (writer: BufferedWriter, { headers, payload, reply, subject }: Publication): void => {
  const encoded = encodeHeaders(headers)
  assert.instanceOf(encoded, Uint8Array)
  writer.publish(subject, reply, encoded, payload)
}

const natsCoreBytes = (publications: ReadonlyArray<Publication>): Buffer => {
  const sent: Array<Buffer> = []
  const core = natsCorePublisher((bytes) => sent.push(Buffer.from(bytes)))
  for (const { headers, payload, reply, subject } of publications) {
    let hdrs: MsgHdrs | undefined
    for (const [name, values] of Object.entries(headers)) {
      hdrs ??= natsHeaders()
      for (const value of values) hdrs.append(name, value)
    }
    core.publish(subject, payload, { reply, ...(hdrs === undefined ? {} : { headers: hdrs }) })
  }
  core.flushPending()
  return Buffer.concat(sent)
}

describe("publishing", () => {
  it.prop("writes the very bytes that nats-core writes, in order, small and huge mixed", { seed }, ({ seed }) => {
    const dice = new Dice(seed)
    // The same again, too: its line is a copy of the one before, where that is still in the buffer.
    const publications = Array.from(
      { length: 1 + dice.below(25) },
      () => Array<Publication>(dice.pick([1, 1, 3])).fill(publication(dice))
    ).flat()
    const { bytes, writer } = collect()
    for (const each of publications) {
      publish(writer, each)
      if (dice.below(10) === 0) writer.flush()
    }
    writer.flush()
    const expected = natsCoreBytes(publications)
    assert.isTrue(bytes().equals(expected))
    assert.strictEqual(writer.bytesOut, expected.length)
  }, { timeout: 120_000, arbitrary: { runs: 400 } })

  it.prop("never writes again into what it has handed over", { seed }, ({ seed }) => {
    const dice = new Dice(seed)
    const sums: Array<string> = []
    const sent: Array<Uint8Array> = []
    const sum = (bytes: Uint8Array): string => createHash("sha1").update(bytes).digest("hex")
    const writer = new BufferedWriter((bytes) => {
      sent.push(bytes)
      sums.push(sum(bytes))
    })
    for (let i = 0; i < 40; i++) {
      publish(writer, publication(dice))
      if (dice.below(3) === 0) writer.flush()
    }
    writer.flush()
    assert.isAbove(sent.length, 1)
    assert.deepStrictEqual(sent.map(sum), sums)
  }, { timeout: 60_000, arbitrary: { runs: 100 } })

  it("copies the payload, small or huge, so that the caller can reuse its buffer", () => {
    for (const size of [10, 40_000, 100_000]) {
      const { sent, text, writer } = collect()
      const payload = Buffer.alloc(size, "a")
      writer.publish("s", "", undefined, payload)
      payload.fill("b")
      writer.flush()
      assert.isAtLeast(sent.length, 1)
      assert.strictEqual(text(), `PUB s ${size}\r\n${"a".repeat(size)}\r\n`)
    }
  })

  it("knows the size of a payload without writing it", () => {
    for (const text of texts) assert.strictEqual(payloadSize(text), new TextEncoder().encode(text).length)
    assert.strictEqual(payloadSize(new Uint8Array(7)), 7)
  })

  it("of a subject too long for the buffer still gives right bytes", () => {
    const { text, writer } = collect()
    const subject = "é".repeat(40_000)
    writer.publish(subject, "r", undefined, "x")
    writer.publish(subject, "", Buffer.from("NATS/1.0\r\n\r\n"), "")
    writer.flush()
    assert.strictEqual(text(), `PUB ${subject} r 1\r\nx\r\nHPUB ${subject} 12 12\r\nNATS/1.0\r\n\r\n\r\n`)
  })
})

describe("handing over", () => {
  it.effect("happens once per turn, with everything written in it", () =>
    Effect.gen(function*() {
      const { sent, text, writer } = collect()
      writer.ping()
      for (let i = 0; i < 100; i++) writer.publish("a", "", undefined, "x")
      assert.strictEqual(sent.length, 0)
      yield* turn
      assert.strictEqual(sent.length, 1)
      assert.strictEqual(text(), `PING\r\n${"PUB a 1\r\nx\r\n".repeat(100)}`)
      yield* turn
      assert.strictEqual(sent.length, 1)
    }))

  it.effect("goes on in the same memory, so that small requests one by one do not cost a buffer each", () =>
    Effect.gen(function*() {
      const { sent, writer } = collect()
      for (let i = 0; i < 50; i++) {
        writer.publish("a", "", undefined, "x")
        yield* turn
      }
      assert.strictEqual(sent.length, 50)
      assert.strictEqual(new Set(sent.map((bytes) => bytes.buffer)).size, 1)
    }))

  it("asks for one microtask per turn, however much is written in it", () => {
    const queue = globalThis.queueMicrotask
    let asked = 0
    globalThis.queueMicrotask = () => {
      asked++
    }
    try {
      const { writer } = collect()
      for (let i = 0; i < 10; i++) writer.publish("a", "", undefined, "x")
      writer.flush()
      writer.ping()
      assert.strictEqual(asked, 1)
    } finally {
      globalThis.queueMicrotask = queue
    }
  })

  it("happens at once when the buffer is full", () => {
    const { sent, text, writer } = collect()
    for (let i = 0; i < 20; i++) writer.publish("a", "", undefined, new Uint8Array(10_000).fill(120))
    assert.isAtLeast(sent.length, 2)
    writer.flush()
    assert.strictEqual(text(), `PUB a 10000\r\n${"x".repeat(10_000)}\r\n`.repeat(20))
  })

  it("without anything to hand over does nothing", () => {
    const { sent, writer } = collect()
    writer.flush()
    writer.ping()
    writer.flush()
    writer.flush()
    assert.strictEqual(sent.length, 1)
  })

  it.effect("ends with detach: what was not handed over is dropped, and nothing is counted any more", () =>
    Effect.gen(function*() {
      const { sent, writer } = collect()
      writer.publish("a", "", undefined, "x")
      const written = writer.bytesOut
      writer.detach()
      writer.publish("a", "", undefined, new Uint8Array(200_000))
      writer.publish("a", "", undefined, "x")
      writer.subscribe(1, "a", undefined)
      writer.unsubscribe(1, undefined)
      writer.ping()
      writer.pong()
      writer.flush()
      yield* turn
      assert.strictEqual(sent.length, 0)
      assert.strictEqual(writer.bytesOut, written)
    }))
})

describe("control lines", () => {
  it("are written as the protocol has them", () => {
    const { text, writer } = collect()
    writer.subscribe(1, "foo.*", undefined)
    writer.subscribe(23, "ü.>", "wörker")
    writer.unsubscribe(1, undefined)
    writer.unsubscribe(23, 5)
    writer.ping()
    writer.pong()
    writer.flush()
    assert.strictEqual(text(), "SUB foo.* 1\r\nSUB ü.> wörker 23\r\nUNSUB 1\r\nUNSUB 23 5\r\nPING\r\nPONG\r\n")
    assert.strictEqual(writer.bytesOut, Buffer.byteLength(text()))
  })
})
