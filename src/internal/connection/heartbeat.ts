/**
 * Whether the other side of a session still lives: pings by the interval, and one at once when something went unanswered.
 *
 * Time counts here as the event loop runs. A loop that was blocked has read nothing meanwhile, so a wait is cut into slices:
 * however long the block, it costs one of them. And timers run before the sockets are read, so that before a session is
 * given up, what its socket holds is read first.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { StaleConnection } from "../../ConnectError.ts"
import type { SessionSettings } from "../config/settings.ts"
import type { Session } from "../wire/session.ts"
import type { Connection } from "./connection.ts"

const slices = 8

/** Turns of the event loop without data after which a socket holds nothing that has not been read. */
const quietTurns = 3
/** More than what a socket holds takes to be read. What comes on and on is not waited for. */
const mostTurns = 100

/** A responder that is slow on a healthy connection costs one ping in so long, however many requests time out. */
const leastBetweenProbes = Duration.seconds(1)

const turn: Effect.Effect<void> = Effect.callback((resume) => {
  const next = setImmediate(() => resume(Effect.void))
  return Effect.sync(() => clearImmediate(next))
})

/** What the operating system has taken of what was written. */
const taken = (session: Session): number => session.writer.bytesOut - session.backlog

class Heartbeat {
  private readonly session: Session
  private readonly interval: Duration.Duration
  private readonly most: number
  private readonly patience: Duration.Duration
  private unanswered = 0

  constructor(session: Session, { connectTimeout, maxPingOut, pingInterval }: SessionSettings) {
    this.session = session
    this.interval = pingInterval
    this.most = maxPingOut
    this.patience = connectTimeout
  }

  /** Pings by the interval. */
  readonly regular: Effect.Effect<void> = Effect.suspend(() =>
    Effect.forever(Effect.andThen(this.wait(this.interval, () => false), this.beat))
  )

  /** Pings at once, and gives the session up when nothing at all has come within `connectTimeout`. */
  readonly probe: Effect.Effect<void> = Effect.suspend(() => {
    const { session } = this
    const { heard } = session
    let lives = false
    let wasFull = false
    let [gone, left] = [0, 0]
    // What is taken from a socket that was full was received on the other side: the ping is still on its way. What leaves
    // into one that has room says nothing: the ping itself does.
    const isAlive = (): boolean => {
      const { isFull, writing } = session
      const now = taken(session)
      lives ||= session.heard !== heard || (wasFull && (now > gone || writing < left))
      wasFull = isFull
      gone = now
      left = writing
      return lives
    }
    session.ping(() => {})
    return Effect.andThen(this.wait(this.patience, isAlive), () => this.unlessHeard(isAlive))
  })

  private readonly beat: Effect.Effect<void> = Effect.suspend(() => {
    if (this.unanswered < this.most) {
      this.ping()
      return Effect.void
    }
    return Effect.map(this.unlessHeard(() => this.unanswered < this.most), () => this.ping())
  })

  private ping(): void {
    const { session } = this
    this.unanswered++
    let asked = Infinity
    session.ping(() => {
      // A PONG to a PING that is still here answers nothing.
      if (taken(session) >= asked) this.unanswered = 0
    })
    asked = session.writer.bytesOut
  }

  /** Waits so long, or until it is `over`. */
  private wait(time: Duration.Duration, over: () => boolean): Effect.Effect<void> {
    return Effect.suspend(() => {
      const slice = Duration.millis(Duration.toMillis(time) / slices)
      let left = slices
      return Effect.whileLoop({
        while: () => left-- > 0 && !over(),
        body: () => Effect.sleep(slice),
        step: () => {}
      })
    })
  }

  private unlessHeard(heard: () => boolean): Effect.Effect<void> {
    const { session } = this
    let seen = session.heard
    let quiet = 0
    let turns = 0
    const reading = Effect.whileLoop({
      while: () => !heard() && quiet < quietTurns && turns < mostTurns,
      body: () => turn,
      step: () => {
        turns++
        quiet = session.heard === seen ? quiet + 1 : 0
        seen = session.heard
      }
    })
    return Effect.map(reading, () => {
      if (!heard()) session.fail(new StaleConnection({ server: session.server }))
    })
  }
}

/** Never ends by itself. It ends the session. */
export const heartbeat = (
  connection: Connection,
  session: Session,
  settings: SessionSettings
): Effect.Effect<unknown> => {
  const beating = new Heartbeat(session, settings)
  const { suspicion } = connection
  const probing = Effect.forever(
    Effect.andThen(suspicion.await, Effect.andThen(beating.probe, Effect.sleep(leastBetweenProbes))).pipe(
      Effect.andThen(suspicion.close)
    )
  )
  return Effect.all([beating.regular, Effect.andThen(suspicion.close, probing)], { concurrency: "unbounded" })
}
