/** What a socket holds is read before its session is given up: on a clock that skips every wait, with a session of our own. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Fiber, Latch } from "effect"
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

describe("a session on which nothing is answered", () => {
  it.live("is given up after maxPingOut pings, whatever the session before it had left", () =>
    Effect.gen(function*() {
      const connection = { suspicion: Latch.makeUnsafe(false) } as unknown as Connection
      const clock: Clock.Clock = {
        ...Clock.Clock.defaultValue(),
        currentTimeMillisUnsafe: () => 0,
        currentTimeNanosUnsafe: () => 0n,
        monotonicTimeNanosUnsafe: () => 0n,
        sleep: () => Effect.void
      }
      /** The pings of a session until it is given up, or until there are so many. */
      const pings = (most: number) =>
        Effect.callback<number>((resume) => {
          let sent = 0
          const session = {
            server: "nats://a:4222",
            heard: 0,
            backlog: 0,
            writer: { bytesOut: 0 },
            ping: () => {
              sent++
              if (sent === most) resume(Effect.succeed(sent))
            },
            fail: () => resume(Effect.succeed(sent))
          } as unknown as Session
          const beating = Effect.runFork(
            Effect.provideService(
              heartbeat(connection, session, { ...Defaults.config, maxPingOut: 3 }),
              Clock.Clock,
              clock
            )
          )
          return Fiber.interrupt(beating)
        })
      assert.deepStrictEqual([yield* pings(2), yield* pings(99), yield* pings(99)], [2, 3, 3])
    }))
})

describe("a session whose pings do not leave", () => {
  it.live("is given up, though pongs come: they answer the pings of before", () =>
    Effect.gen(function*() {
      const clock: Clock.Clock = { ...Clock.Clock.defaultValue(), sleep: () => Effect.void }
      const seen = yield* Effect.callback<string>((resume) => {
        let sent = 0
        const session = {
          server: "nats://a:4222",
          heard: 0,
          backlog: 1_000,
          writer: { bytesOut: 1_000 },
          ping: (pong: () => void) => {
            sent++
            session.writer.bytesOut += 6
            session.backlog += 6
            setImmediate(pong)
            if (sent === 20) resume(Effect.succeed("lives"))
          },
          fail: () => resume(Effect.succeed("is given up"))
        }
        const beating = Effect.runFork(
          Effect.provideService(
            heartbeat(
              { suspicion: Latch.makeUnsafe(false) } as unknown as Connection,
              session as unknown as Session,
              { ...Defaults.config, maxPingOut: 2 }
            ),
            Clock.Clock,
            clock
          )
        )
        return Fiber.interrupt(beating)
      })
      assert.strictEqual(seen, "is given up")
    }))
})

/** What a session is like after so many eighths of `connectTimeout`, since something was not answered in its time. */
interface Seen {
  readonly heard?: number
  /** Bytes that are written, and of these what has not left, and whether the socket has them. */
  readonly bytesOut?: number
  readonly backlog?: number
  readonly isFull?: boolean
  readonly writing?: number
}

/** Gives after how many eighths it is given up or left alone. */
const suspect = (seen: (eighths: number) => Seen) =>
  Effect.gen(function*() {
    const suspicion = Latch.makeUnsafe(false)
    let eighths = 0
    const outcome = yield* Effect.callback<string>((resume) => {
      const session = {
        server: "nats://a:4222",
        get heard() {
          return seen(eighths).heard ?? 0
        },
        get backlog() {
          return seen(eighths).backlog ?? 0
        },
        get isFull() {
          return seen(eighths).isFull ?? false
        },
        get writing() {
          return seen(eighths).writing ?? 0
        },
        writer: {
          get bytesOut() {
            return seen(eighths).bytesOut ?? 0
          }
        },
        ping: () => {},
        fail: () => resume(Effect.succeed("is given up"))
      }
      const clock = Clock.Clock.defaultValue()
      const skipping: Clock.Clock = {
        ...clock,
        currentTimeMillisUnsafe: () => 0,
        currentTimeNanosUnsafe: () => 0n,
        monotonicTimeNanosUnsafe: () => 0n,
        sleep: (duration) =>
          Effect.suspend(() => {
            const millis = Duration.toMillis(duration)
            if (millis === 100) eighths++
            // The second before the next ping that is not one of the interval.
            if (millis === 1_000) resume(Effect.succeed("is left alone"))
            return millis === 100 ? Effect.void : Effect.never
          })
      }
      const beating = Effect.runFork(
        Effect.provideService(
          heartbeat(
            { suspicion } as unknown as Connection,
            session as unknown as Session,
            { ...Defaults.config, connectTimeout: Duration.millis(800) }
          ),
          Clock.Clock,
          skipping
        )
      )
      // It is closed where the heart begins to beat.
      suspicion.openUnsafe()
      return Fiber.interrupt(beating)
    })
    return [outcome, eighths]
  })

describe("a session on which something was not answered in its time", () => {
  const rows: ReadonlyArray<readonly [string, readonly [string, number], (eighths: number) => Seen]> = [
    ["is given up after connectTimeout, when nothing comes", ["is given up", 8], () => ({})],
    ["is left alone when something comes", ["is left alone", 5], (n) => ({ heard: n < 5 ? 0 : 1 })],
    [
      "is given up as late when its ping, and what was written with it, leave",
      ["is given up", 8],
      (n) => ({ bytesOut: 1000, backlog: n === 0 ? 1000 : 0 })
    ],
    [
      "is given up when the socket is full and nothing is taken from it, whatever is written",
      ["is given up", 8],
      (n) => ({ bytesOut: 1000 + n, backlog: 1000 + n, isFull: true, writing: 500 })
    ],
    [
      "is left alone when the socket was full and something is taken",
      ["is left alone", 5],
      (n) => ({ bytesOut: 1000, backlog: n < 5 ? 1000 : 0, isFull: n < 5, writing: n < 5 ? 1000 : 0 })
    ],
    [
      "is left alone when a part of a long write is taken",
      ["is left alone", 5],
      (n) => ({ bytesOut: 1000, backlog: 1000, isFull: true, writing: n < 5 ? 1000 : 900 })
    ]
  ]
  for (const [title, expected, seen] of rows) {
    it.live(title, () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* suspect(seen), [...expected])
      }))
  }
})
