/** The history checker itself: it finds nothing where nothing is wrong, and each wrong that it is there for. */
import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import {
  type Arrival,
  type Attempt,
  checkAtLeastOnce,
  checkHoldings,
  checkIncrements,
  checkOrdered,
  checkPublishes,
  gapsBeside,
  type Holding,
  type Increment,
  longestDelay,
  longestGap,
  type Message,
  type Observation,
  type Outcome
} from "../fixtures/history.ts"
import { randomOf } from "../fixtures/random.ts"

const seed = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 ** 31 }))

interface History {
  readonly attempts: ReadonlyArray<Attempt>
  readonly stream: ReadonlyArray<Message>
  /** Unknown attempts that stored a copy. */
  readonly unknownStored: number
}

/** A server that keeps its promises, under clients whose answers get lost. */
const truthful = (random: () => number): History => {
  const attempts: Array<Attempt> = []
  const stream: Array<Message> = []
  let unknownStored = 0
  let sequence = Math.floor(random() * 5)
  let now = 0
  for (let number = 0; number < 30; number++) {
    const id = `m${number}`
    const deduplicated = random() < 0.6
    let first: number | undefined
    for (let retries = Math.floor(random() * 4); retries >= 0; retries--) {
      const started = now
      now += 1 + Math.floor(random() * 10)
      const fate = random()
      let outcome: Outcome
      if (fate < 0.1) outcome = { _tag: "refused", reason: "StreamFull" }
      else if (fate < 0.2) outcome = { _tag: "neverWritten", reason: "offline" }
      else if (fate < 0.35) outcome = { _tag: "unknown", reason: "not stored" }
      else {
        const isCopy = deduplicated && first !== undefined
        if (!isCopy) {
          // What is not seen here leaves holes in the sequence.
          sequence += 1 + Math.floor(random() * 2)
          first = sequence
          stream.push({ sequence, id })
        }
        if (fate < 0.6) {
          outcome = { _tag: "unknown", reason: "the answer was lost" }
          if (!isCopy) unknownStored++
        } else outcome = { _tag: isCopy ? "duplicate" : "stored", sequence: isCopy ? first! : sequence }
      }
      attempts.push({ id, deduplicated, started, ended: now, outcome })
    }
  }
  return { attempts, stream, unknownStored }
}

const stored = (id: string, sequence: number, deduplicated = true): Attempt => ({
  id,
  deduplicated,
  started: 0,
  ended: 1,
  outcome: { _tag: "stored", sequence }
})

const told = (id: string, tag: "refused" | "neverWritten" | "unknown", deduplicated = true): Attempt => ({
  id,
  deduplicated,
  started: 0,
  ended: 1,
  outcome: { _tag: tag, reason: "" }
})

const message = (sequence: number, id: string): Message => ({ sequence, id })

describe("publishes against the stream", () => {
  it.prop(
    "a server that keeps its promises is found to keep them, and unknown ones are counted apart",
    { seed },
    ({ seed }) => {
      const { attempts, stream, unknownStored } = truthful(randomOf(seed))
      const { counts, violations } = checkPublishes(attempts, stream)
      assert.deepStrictEqual(violations, [])
      const unknown = attempts.filter(({ outcome }) => outcome._tag === "unknown").length
      assert.strictEqual(counts.unknownRead + counts.unknownNotRead, unknown)
      assert.strictEqual(counts.unknownRead, unknownStored)
    }
  )

  it.prop("a message that was told as stored and is lost is found, whichever it is", { seed }, ({ seed }) => {
    const random = randomOf(seed)
    const { attempts, stream } = truthful(random)
    const promised = attempts.flatMap(({ outcome }) =>
      outcome._tag === "stored" || outcome._tag === "duplicate" ? [outcome.sequence] : []
    )
    const lost = promised[Math.floor(random() * promised.length)]
    const { violations } = checkPublishes(attempts, stream.filter(({ sequence }) => sequence !== lost))
    assert.isTrue(violations.some((each) => each.includes(`at ${lost}, where nothing is`)), violations.join("\n"))
  })

  it.prop("a copy too many under a message id is found, whichever it is", { seed }, ({ seed }) => {
    const random = randomOf(seed)
    const { attempts, stream } = truthful(random)
    const once = new Set(attempts.flatMap(({ deduplicated, id }) => deduplicated ? [id] : []))
    const copied = stream.filter(({ id }) => once.has(id))
    if (copied.length === 0) return
    const { id } = copied[Math.floor(random() * copied.length)]
    const { violations } = checkPublishes(attempts, [...stream, message(10_000, id)])
    assert.deepStrictEqual(violations, [`${id} is stored 2 times, at most 1 were told`])
  })

  it.each<[string, ReadonlyArray<Attempt>, ReadonlyArray<Message>, string | undefined]>([
    ["refused, and stored", [told("a", "refused")], [message(1, "a")], "a was told as refused, and is stored"],
    [
      "never written, and stored",
      [told("a", "neverWritten")],
      [message(1, "a")],
      "a was told as neverWritten, and is stored"
    ],
    [
      "refused and never written, and stored",
      [told("a", "refused", false), told("a", "neverWritten", false)],
      [message(1, "a")],
      "a was told as refused, neverWritten, and is stored"
    ],
    ["unknown, and stored", [told("a", "unknown")], [message(1, "a")], undefined],
    ["unknown, and not stored", [told("a", "unknown")], [], undefined],
    [
      "stored elsewhere",
      [stored("a", 1), stored("b", 2)],
      [message(1, "b"), message(2, "a")],
      "a was told as stored at 1, where b is"
    ],
    [
      "told the same sequence",
      [stored("a", 1), stored("b", 1)],
      [message(1, "a")],
      "b was told as stored at 1, where a is"
    ],
    [
      "unknown once without a message id, and stored three times",
      [told("a", "unknown", false), stored("a", 2, false)],
      [message(1, "a"), message(2, "a"), message(3, "a")],
      "a is stored 3 times, at most 2 were told"
    ],
    ["published by nobody", [], [message(1, "a")], "a is stored at 1, and nobody published it"],
    [
      "read back out of order",
      [stored("a", 1), stored("b", 2)],
      [message(2, "b"), message(1, "a")],
      "1 came after 2"
    ]
  ])("%s", (_name, attempts, stream, violation) => {
    const { violations } = checkPublishes(attempts, stream)
    if (violation === undefined) assert.deepStrictEqual(violations, [])
    else assert.include(violations, violation)
  })
})

describe("arrivals against the stream", () => {
  const stream = [message(3, "a"), message(5, "b"), message(6, "c")]

  it.each<[string, ReadonlyArray<Message>, ReadonlyArray<string>, ReadonlyArray<string>]>([
    ["all, in order", stream, [], []],
    [
      "one left out",
      [stream[0], stream[2]],
      ["1 were left out, the first is 5"],
      ["1 never came, the first is 5"]
    ],
    ["one twice in a row", [stream[0], stream[0], stream[1], stream[2]], ["3 came twice in a row"], []],
    ["one again", [...stream, stream[0]], ["3 came after 6"], []],
    ["two in the wrong order", [stream[1], stream[0], stream[2]], ["3 came after 5"], []],
    ["the end missing", stream.slice(0, 2), ["1 were left out, the first is 6"], ["1 never came, the first is 6"]],
    [
      "one that is not what is stored",
      [stream[0], message(5, "x"), stream[2]],
      ["x came as 5, where b is stored"],
      ["x came as 5, where b is stored"]
    ]
  ])("%s", (_name, arrivals, ordered, atLeastOnce) => {
    assert.deepStrictEqual(checkOrdered(arrivals, stream).violations, ordered)
    assert.deepStrictEqual(checkAtLeastOnce(arrivals, stream).violations, atLeastOnce)
  })

  it("what came again is counted", () => {
    assert.strictEqual(checkAtLeastOnce([...stream, stream[0], stream[0]], stream).counts.again, 2)
  })

  it("the longest gap is told with its beginning, and the publisher's own beside it", () => {
    assert.deepStrictEqual(longestGap([]), { millis: 0, from: 0 })
    assert.deepStrictEqual(longestGap([5]), { millis: 0, from: 5 })
    assert.deepStrictEqual(longestGap([0, 10, 40, 45]), { millis: 30, from: 10 })
    const arrivals: ReadonlyArray<Arrival> = [0, 100, 900].map((at, index) => ({ sequence: index, id: "", at }))
    const attempts: ReadonlyArray<Attempt> = [
      { ...stored("a", 1), ended: 10 },
      { ...told("b", "unknown"), ended: 300 },
      { ...stored("c", 2), ended: 700 }
    ]
    assert.deepStrictEqual(gapsBeside(arrivals, attempts), {
      reader: { millis: 800, from: 100 },
      publisher: { millis: 690, from: 10 }
    })
  })
})

describe("the longest delay of a reader", () => {
  it("is from when a message was told as stored until it came first", () => {
    const attempts: ReadonlyArray<Attempt> = [
      { ...stored("a", 1), ended: 10 },
      { ...stored("b", 2), ended: 20 },
      { ...told("c", "unknown"), ended: 5 },
      { ...stored("d", 4), ended: 1_000 }
    ]
    const arrivals: ReadonlyArray<Arrival> = [
      { sequence: 1, id: "a", at: 12 },
      { sequence: 2, id: "b", at: 320 },
      { sequence: 3, id: "c", at: 900 },
      // Before the publisher was told.
      { sequence: 4, id: "d", at: 990 },
      { sequence: 1, id: "a", at: 5_000 }
    ]
    assert.deepStrictEqual(longestDelay(arrivals, attempts), { millis: 300, from: 20 })
    assert.deepStrictEqual(longestDelay([], attempts), { millis: 0, from: 0 })
  })
})

/** Writers on some keys, one at a time, of whose answers some get lost. */
const counting = (random: () => number) => {
  const increments: Array<Increment> = []
  const observations: Array<Observation> = []
  const state = new Map<string, { revision: number; value: number }>()
  let revision = 0
  for (let step = 0; step < 100; step++) {
    const key = `k${Math.floor(random() * 3)}`
    const writer = `w${Math.floor(random() * 3)}`
    const current = state.get(key) ?? { revision: 0, value: 0 }
    if (current.revision > 0) observations.push({ observer: writer, key, ...current })
    const fate = random()
    const value = current.value + 1
    if (fate < 0.2) increments.push({ key, writer, value, outcome: { _tag: "conflict" } })
    else if (fate < 0.3) increments.push({ key, writer, value, outcome: { _tag: "neverWritten", reason: "" } })
    else {
      const isUnknown = fate < 0.5
      if (!isUnknown || random() < 0.5) state.set(key, { revision: ++revision, value })
      increments.push({
        key,
        writer,
        value,
        outcome: isUnknown ? { _tag: "unknown", reason: "" } : { _tag: "stored", revision }
      })
    }
  }
  return { increments, observations, end: new Map([...state].map(([key, { value }]) => [key, value])) }
}

describe("increments by compare-and-set", () => {
  it.prop("are found right where each was over the one before", { seed }, ({ seed }) => {
    const { end, increments, observations } = counting(randomOf(seed))
    assert.deepStrictEqual(checkIncrements(increments, observations, end).violations, [])
  })

  it.prop("one that is lost in the end is found", { seed }, ({ seed }) => {
    const { end, increments, observations } = counting(randomOf(seed))
    for (const [key, value] of end) {
      const own = increments.filter((each) => each.key === key)
      const sure = own.filter(({ outcome }) => outcome._tag === "stored").length
      const most = sure + own.filter(({ outcome }) => outcome._tag === "unknown").length
      for (const wrong of [sure - 1, most + 1]) {
        const { violations } = checkIncrements(increments, observations, new Map([...end, [key, wrong]]))
        assert.strictEqual(violations.length, 1, `${value}`)
        assert.include(violations[0], `${key} is ${wrong}`)
      }
    }
  })

  const increment = (writer: string, value: number, revision: number): Increment => ({
    key: "k",
    writer,
    value,
    outcome: { _tag: "stored", revision }
  })

  it("two that were stored over the same value are a lost update", () => {
    const { violations } = checkIncrements([increment("a", 1, 1), increment("b", 1, 2)], [], new Map([["k", 2]]))
    assert.deepStrictEqual(violations, ["k: 1 by b at 2 over 1 by a: lost"])
  })

  it("one revision that was given twice is found", () => {
    const { violations } = checkIncrements([increment("a", 1, 1), increment("b", 2, 1)], [], new Map([["k", 2]]))
    assert.deepStrictEqual(violations, ["k: a and b were both given revision 1"])
  })

  it("a revision that goes back is found for its observer, and for no other", () => {
    const seen = (observer: string, revision: number, value: number): Observation => ({
      observer,
      key: "k",
      revision,
      value
    })
    const check = (observations: ReadonlyArray<Observation>) => checkIncrements([], observations, new Map()).violations
    assert.deepStrictEqual(check([seen("a", 2, 2), seen("b", 1, 1), seen("a", 2, 2), seen("b", 2, 2)]), [])
    assert.deepStrictEqual(check([seen("a", 2, 2), seen("a", 1, 1)]), ["a saw k at 1 after 2"])
    assert.deepStrictEqual(check([seen("a", 2, 2), seen("a", 2, 3)]), ["a saw k at 2 as 2 and as 3"])
  })
})

describe("holders of a lock", () => {
  const holding = (holder: string, token: number, from: number, to: number): Holding => ({ holder, token, from, to })

  it.each<[string, ReadonlyArray<Holding>, ReadonlyArray<string>, number]>([
    ["one after the other", [holding("a", 1, 0, 10), holding("b", 3, 10, 20), holding("a", 7, 25, 30)], [], 0],
    [
      "the same token",
      [holding("a", 1, 0, 10), holding("b", 1, 11, 20)],
      ["token 1 was given to a and to b"],
      0
    ],
    [
      "a smaller token later",
      [holding("a", 5, 0, 10), holding("b", 3, 11, 20)],
      ["b got token 3 after a had got 5"],
      0
    ],
    ["two at a time, under other tokens", [holding("a", 1, 0, 100), holding("b", 2, 70, 80)], [], 1]
  ])("%s", (_name, holdings, violations, overlaps) => {
    const found = checkHoldings(holdings)
    assert.deepStrictEqual(found.violations, violations)
    assert.strictEqual(found.counts.overlaps, overlaps)
  })

  it("the longest time in which two held it is told", () => {
    const { counts } = checkHoldings([holding("a", 1, 0, 100), holding("b", 2, 70, 80), holding("c", 3, 95, 120)])
    assert.strictEqual(counts.longestOverlap, 10)
    assert.strictEqual(counts.overlaps, 2)
  })
})
