/** Rates from counters, and a table that fits. */
import { assert, describe, it } from "@effect/vitest"
import { topLines } from "../../src/cli/internal/service/top.ts"
import { type Counted, type Rate, ratesOf } from "../../src/service/internal/rates.ts"

const at = (
  millis: number,
  ...counts: ReadonlyArray<readonly [id: string, requests: number, errors: number, millis: number, endpoint?: string]>
): Counted => ({
  at: millis,
  services: counts.map(([id, requests, errors, time, endpoint = "get"]) => ({
    type: "io.nats.micro.v1.stats_response",
    name: "orders",
    id,
    version: "1.0.0",
    metadata: {},
    started: "",
    endpoints: [{
      name: endpoint,
      subject: `orders.${endpoint}`,
      queue_group: "q",
      num_requests: requests,
      num_errors: errors,
      last_error: errors > 0 ? "500:down" : "",
      processing_time: time * 1e6,
      average_processing_time: 0
    }]
  }))
})

describe("rates", () => {
  it("are none the first time", () => {
    const [rate] = ratesOf(undefined, at(0, ["a", 10, 1, 5]))
    assert.deepStrictEqual(rate, {
      service: "orders",
      endpoint: "get",
      instances: 1,
      requests: 10,
      errors: 1,
      requestsPerSecond: 0,
      errorsPerSecond: 0,
      average: undefined,
      lastError: "500:down"
    })
  })

  it("are differences by the time between, of all instances together", () => {
    const [rate] = ratesOf(at(0, ["a", 10, 0, 5], ["b", 0, 0, 0]), at(2000, ["a", 30, 0, 15], ["b", 20, 4, 30]))
    assert.strictEqual(rate.instances, 2)
    assert.strictEqual(rate.requestsPerSecond, 20)
    assert.strictEqual(rate.errorsPerSecond, 2)
    assert.strictEqual(rate.average, 1e6)
  })

  it("a new instance, one whose counters began anew, and one that has gone do not count", () => {
    const [rate] = ratesOf(at(0, ["a", 100, 5, 50], ["gone", 7, 0, 1]), at(1000, ["a", 3, 0, 1], ["new", 50, 0, 9]))
    assert.deepStrictEqual([rate.instances, rate.requests, rate.requestsPerSecond], [2, 53, 0])
    assert.isUndefined(rate.average)
  })

  it("an instance that was started anew under its id does not count, though it has more by now", () => {
    const before = at(0, ["a", 1, 0, 1])
    const [service] = at(1000, ["a", 50, 0, 9]).services
    const [rate] = ratesOf(before, { at: 1000, services: [{ ...service, started: "2026-01-01T00:00:01Z" }] })
    assert.deepStrictEqual([rate.requests, rate.requestsPerSecond], [50, 0])
  })

  it("the busiest comes first", () => {
    const before = at(0, ["a", 0, 0, 0, "idle"], ["b", 0, 0, 0, "busy"])
    const now = at(1000, ["a", 1, 0, 0, "idle"], ["b", 9, 0, 0, "busy"])
    assert.deepStrictEqual(ratesOf(before, now).map(({ endpoint }) => endpoint), ["busy", "idle"])
  })
})

describe("the table", () => {
  const rate = (endpoint: string): Rate => ({
    service: "orders",
    endpoint,
    instances: 1,
    requests: 1,
    errors: 0,
    requestsPerSecond: 1,
    errorsPerSecond: 0,
    average: 1500,
    lastError: ""
  })
  const rates = Array.from({ length: 50 }, (_, index) => rate(`e${index}`))

  it("has no more rows and columns than the terminal", () => {
    for (const size of [{ columns: 80, rows: 24 }, { columns: 20, rows: 5 }, { columns: 10, rows: 4 }]) {
      const lines = topLines("title of the table", rates, size)
      assert.isAtMost(lines.length, size.rows)
      assert.isTrue(lines.every((line) => line.length <= size.columns))
      assert.match(lines.at(-1) ?? "", /^… and \d/)
    }
  })

  it("has all that fits", () => {
    const lines = topLines("title", rates.slice(0, 3), { columns: 120, rows: 24 })
    assert.deepStrictEqual(lines.slice(3).map((line) => line.split(/ +/)[1]), ["e0", "e1", "e2"])
    assert.include(topLines("title", [], { columns: 80, rows: 24 }), "No service answers.")
  })
})
