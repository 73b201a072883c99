/**
 * nats-core's parser, which works byte by byte, is the oracle: ours, which works by whole chunks, must see the same.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { cut, Dice, oracle, parse, stream } from "./streams.ts"

const seed = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 ** 31 - 1 }))

const same = (chunks: ReadonlyArray<Buffer>, expected: ReadonlyArray<string>): void => {
  const { broken, events, fault, parser } = parse(chunks)
  assert.strictEqual(fault, undefined)
  assert.deepStrictEqual(broken, [])
  assert.deepStrictEqual(events, expected)
  assert.strictEqual(parser.pendingBytes, 0)
}

describe("the parser equals nats-core's", () => {
  it.prop("on random streams, cut at random", { seed }, ({ seed }) => {
    const dice = new Dice(seed)
    const bytes = stream(dice, 1 + dice.below(30), 400)
    const chunks = cut(dice, bytes)
    const expected = oracle(chunks)
    same(chunks, expected)
  }, { timeout: 120_000, arbitrary: { runs: 4000 } })

  it.prop("on short streams, cut in two at every position, and into single bytes", { seed }, ({ seed }) => {
    const dice = new Dice(seed)
    const bytes = stream(dice, 1 + dice.below(4), 30)
    const expected = oracle([bytes])
    for (let at = 0; at <= bytes.length; at++) {
      same([Buffer.from(bytes.subarray(0, at)), Buffer.from(bytes.subarray(at))], expected)
    }
    same(Array.from(bytes, (byte) => Buffer.from([byte])), expected)
  }, { timeout: 120_000, arbitrary: { runs: 200 } })

  it.prop("on payloads of many chunks", { seed }, ({ seed }) => {
    const dice = new Dice(seed)
    const chunks = cut(dice, stream(dice, 1 + dice.below(4), 60_000))
    same(chunks, oracle(chunks))
  }, { timeout: 120_000, arbitrary: { runs: 60 } })

  it.prop("however the same bytes are cut", { seed }, ({ seed }) => {
    const dice = new Dice(seed)
    const bytes = stream(dice, 1 + dice.below(10), 200)
    assert.deepStrictEqual(parse(cut(dice, bytes)).events, parse([bytes]).events)
  }, { arbitrary: { runs: 500 } })
})
