import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect } from "effect"
import { NatsClient } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"
import { makeAheadClock } from "../fixtures/aheadClock.ts"
import { count, follow, keepLedger, oneTurn, unhandled } from "../fixtures/following.ts"

const rotations = 5

const users = (password: string): TestNatsServer.Options => ({
  users: [{ user: "witness", password: "constant" }, { user: "app", password }]
})

/** A server whose app password can change, an app whose vault says which it is, and a witness that keeps its own. */
const setUp = Effect.gen(function*() {
  const server = yield* TestNatsServer.make(users("p0"))
  const vault = { password: "p0", reads: 0 }
  const auth = Effect.sync(() => {
    vault.reads++
    return { user: "app", password: vault.password }
  })
  const clock = yield* makeAheadClock
  const app = yield* NatsClient.make({
    servers: server.url,
    auth,
    reconnect: { initialDelay: "20 millis", maxDelay: "200 millis" }
  }).pipe(Effect.provideService(Clock.Clock, clock))
  const witness = yield* NatsClient.make({ servers: server.url, auth: { user: "witness", password: "constant" } })
  const problems = yield* unhandled
  const status = yield* follow(app)
  const inbound = yield* keepLedger(app, "in")
  const outbound = yield* keepLedger(witness, "out")
  yield* count(witness, "in")
  yield* count(app, "out")
  yield* inbound.ledger.more(50)
  // A session younger than a second is backed off from: by the clock of the client this one is older.
  const age = clock.forward(1100)
  return { server, vault, app, witness, problems, status, inbound, outbound, age }
})

describe.concurrent("credentials rotated by reload, five times under traffic", () => {
  it.live("with the vault ahead: one Disconnected and one Connected each, and the same streams live on", () =>
    Effect.gen(function*() {
      const { age, app, inbound, outbound, problems, server, status, vault, witness } = yield* setUp
      for (let i = 1; i <= rotations; i++) {
        yield* age
        vault.password = `p${i}`
        yield* server.reload(users(`p${i}`))
        yield* status.connected(i + 1)
        yield* inbound.ledger.more(100)
        yield* outbound.ledger.more(100)
      }
      assert.deepStrictEqual(status.tags, [
        "Connected",
        ...Array.from({ length: rotations }, () => ["Disconnected", "Connected"] as const).flat()
      ])
      assert.deepStrictEqual(status.losses, Array.from({ length: rotations }, () => "AuthorizationViolation"))
      assert.deepStrictEqual(status.all("Connected").map((event) => event.session), [1, 2, 3, 4, 5, 6])
      assert.strictEqual(vault.reads, 1 + rotations)
      assert.strictEqual((yield* app.stats).dials, 1 + rotations)
      assert.strictEqual((yield* app.stats).reconnects, rotations)
      assert.strictEqual((yield* witness.stats).reconnects, 0)
      // What is missing is missing between two sessions; inside one, everything came, once and in order.
      assert.strictEqual(inbound.ledger.disorder, 0)
      assert.isAtMost(inbound.ledger.gaps, rotations)
      assert.strictEqual(outbound.ledger.disorder, 0)
      assert.isAtMost(outbound.ledger.gaps, rotations)
      yield* oneTurn
      assert.deepStrictEqual(problems, [])
    }))

  it.live("with a vault that lags the server: refused dials are Reconnecting events, and it comes back", () =>
    Effect.gen(function*() {
      const { age, app, inbound, outbound, problems, server, status, vault } = yield* setUp
      for (let i = 1; i <= rotations; i++) {
        const refused = status.all("Reconnecting").length
        yield* age
        yield* server.reload(users(`p${i}`))
        // More refusals than end the supervision of credentials that never change.
        yield* status.seen("Reconnecting", refused + 4)
        vault.password = `p${i}`
        yield* status.connected(i + 1)
        yield* inbound.ledger.more(100)
        yield* outbound.ledger.more(100)
      }
      assert.match(
        status.tags.join(" "),
        /^Connected( Disconnected( Reconnecting){4,} Connected){5}$/
      )
      for (const event of status.all("Reconnecting")) assert.strictEqual(event.reason._tag, "AuthorizationViolation")
      assert.deepStrictEqual(status.losses, Array.from({ length: rotations }, () => "AuthorizationViolation"))
      // Every refused dial but an outage's first is announced.
      const { dials } = yield* app.stats
      assert.strictEqual(dials, 1 + rotations + status.all("Reconnecting").length)
      assert.strictEqual(inbound.ledger.disorder, 0)
      assert.isAtMost(inbound.ledger.gaps, rotations)
      assert.strictEqual(outbound.ledger.disorder, 0)
      assert.isAtMost(outbound.ledger.gaps, rotations)
      yield* oneTurn
      assert.deepStrictEqual(problems, [])
    }))

  it.live("a rotation that nobody notices: the next dial, whenever it comes, uses the new secret", () =>
    Effect.gen(function*() {
      const { app, inbound, server, status, vault } = yield* setUp
      vault.password = "p1"
      yield* server.kill
      yield* status.seen("Disconnected")
      yield* server.restart
      yield* server.reload(users("p1"))
      yield* status.connected(2)
      yield* inbound.ledger.more(50)
      const [elapsed] = yield* Effect.timed(app.drain)
      assert.isBelow(Duration.toMillis(elapsed), 5000)
      yield* status.until(({ last }) => last._tag === "Closed")
      yield* app.closed
    }))
})
