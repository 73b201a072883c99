/** What a socket holds is read before its session is given up: on a clock that skips every wait, with a session of our own. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Latch } from "effect"
import * as Defaults from "../src/internal/config/defaults.ts"
import type { Connection } from "../src/internal/connection/connection.ts"
import { heartbeat } from "../src/internal/connection/heartbeat.ts"
import type { Session } from "../src/internal/wire/session.ts"

const turns = (count: number, then: () => void): void => {
  if (count === 0) then()
  else setImmediate(() => turns(count - 1, then))
}

/** Answers each ping after so many turns of the loop, and hears something else in every turn before, where it does. */
const beatOn = (answerAfter: number, hearsMore: boolean) =>
  Effect.gen(function*() {
    const seen = { pings: 0, ends: 0 }
    const session = {
      server: "nats://a:4222",
      heard: 0,
      backlog: 0,
      writer: { bytesOut: 0 },
      ping: (resume: () => void) => {
        seen.pings++
        for (let i = hearsMore ? 1 : answerAfter; i < answerAfter; i++) {
          turns(i, () => {
            session.heard++
          })
        }
        turns(answerAfter, () => {
          session.heard++
          resume()
        })
      },
      fail: () => seen.ends++
    }
    const connection = { suspicion: Latch.makeUnsafe(false) }
    const clock = yield* Clock.Clock
    const skipping: Clock.Clock = {
      ...clock,
      currentTimeMillisUnsafe: () => 0,
      currentTimeNanosUnsafe: () => 0n,
      monotonicTimeNanosUnsafe: () => 0n,
      sleep: () => Effect.void
    }
    const beating = yield* Effect.forkChild(
      Effect.provideService(
        heartbeat(connection as unknown as Connection, session as unknown as Session, {
          ...Defaults.config,
          maxPingOut: 1
        }),
        Clock.Clock,
        skipping
      ),
      { startImmediately: true }
    )
    yield* Effect.callback<void>((resume) => {
      const look = (): void => {
        if (seen.pings >= 5 || seen.ends > 0) resume(Effect.void)
        else setImmediate(look)
      }
      look()
    })
    yield* Fiber.interrupt(beating)
    return seen.ends === 0 ? "lives" : "is given up"
  })

describe("a session whose answer is late by the clock", () => {
  it.live("lives when it lies in the socket", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* beatOn(2, false), "lives")
    }))

  it.live("lives while more is read of what lies before it", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* beatOn(20, true), "lives")
    }))

  it.live("is given up when nothing comes for some turns, or when other things come on and on", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* beatOn(50, false), "is given up")
      assert.strictEqual(yield* beatOn(300, true), "is given up")
    }))
})
