/** What follows from a status of a pull: by its number, and by words where the server gives nothing else. */
import { assert, describe, it } from "@effect/vitest"
import { encodePull, meaningOf } from "../../src/jetstream/internal/pullStatus.ts"

describe("the meaning of a status, as servers from 2.9 to 2.15 write it", () => {
  const cases = [
    [100, "Idle Heartbeat", "alive"],
    [100, "FlowControl Request", "alive"],
    [404, "No Messages", "over"],
    [408, "Request Timeout", "over"],
    [409, "Batch Completed", "over"],
    [409, "Message Size Exceeds MaxBytes", "tooLarge"],
    [409, "Leadership Change", "lost"],
    [409, "Server Shutdown", "lost"],
    [503, "", "lost"],
    [409, "Consumer Deleted", "deleted"],
    [409, "Exceeded MaxRequestBatch of 10", "overLimit"],
    [409, "Exceeded MaxRequestExpires of 5s", "overLimit"],
    [409, "Exceeded MaxRequestMaxBytes of 100", "overLimit"],
    [409, "Exceeded MaxWaiting", "busy"],
    [423, "Nats-Pin-Id mismatch", "unpinned"],
    [409, "Consumer is push based", "refused"],
    [400, "Bad Request - heartbeat value too large", "refused"],
    [400, "Bad Request - Priority Group missing", "refused"],
    [409, "something that is not known yet", "refused"]
  ] as const
  for (const [status, description, meaning] of cases) {
    it(`${status} ${description}: ${meaning}`, () => assert.strictEqual(meaningOf(status, description), meaning))
  }
})

it("a pull says what it asks for in the server's units, and leaves out what it does not", () => {
  assert.deepStrictEqual(
    JSON.parse(encodePull({ batch: 5, expiresMillis: 1500, heartbeatMillis: 100, maxBytes: 10, group: "g" })),
    { batch: 5, expires: 1_500_000_000, idle_heartbeat: 100_000_000, max_bytes: 10, group: "g" }
  )
  assert.deepStrictEqual(JSON.parse(encodePull({ batch: 1, noWait: true })), { batch: 1, no_wait: true })
})
