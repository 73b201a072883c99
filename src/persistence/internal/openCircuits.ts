/**
 * Which circuits are open, as a watch of the bucket tells it. It only ever says that one is open, and until when: an open
 * circuit does not end before its time, so what is told once is true for as long, unless somebody deletes it.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Api } from "../../jetstream/internal/api.ts"
import type { Cells } from "./cells.ts"
import type { Circuit } from "./circuits.ts"
import { machineClock } from "./serverClock.ts"

/** How long it waits before it watches again where a watch has ended: half of it to all of it. */
const againMillis = 2_000

/** Those whose time is over are forgotten when there are so many. */
const most = 1024

export class OpenCircuits {
  /** By the key of the bucket: until when it is open. */
  private until = new Map<string, number>()
  private room = most
  private readonly cells: Cells<Circuit>

  constructor(cells: Cells<Circuit>) {
    this.cells = cells
  }

  /** How long it is still open, in milliseconds. `undefined`: it is not open, or the store has to be asked. */
  leftOf(key: string): number | undefined {
    const name = this.cells.name(key)
    const until = this.until.get(name)
    if (until === undefined) return undefined
    const { clock } = this.cells
    // Where it may be over by the server, the store decides.
    if (clock.latest() < until) return until - clock.now()
    this.until.delete(name)
    return undefined
  }

  /** Watches for as long as the scope. What is kept is replaced with each session: it tells what a watch may have missed. */
  watch(api: Api): Effect.Effect<void, never, Scope.Scope> {
    const { connection, nats } = api
    const once = Effect.suspend(() => {
      const { sessions } = connection
      const isLater = Stream.filter(nats.status, (event) => event._tag === "Connected" && event.session > sessions)
      return Effect.raceFirst(
        Effect.andThen(this.follow, Effect.void),
        Effect.andThen(Stream.runHead(isLater), Effect.void)
      )
    })
    const again = Effect.flatMap(Random.next, (chance) => Effect.sleep(againMillis * (1 + chance) / 2))
    return once.pipe(
      Effect.catchCause((cause) =>
        Effect.andThen(
          Effect.logDebug("The watch of open circuits has ended, and begins again", cause),
          Effect.sync(() => this.until.clear())
        ).pipe(Effect.andThen(again))
      ),
      // Behind the end of the client nothing comes.
      Effect.repeat({ while: () => connection.ended === undefined }),
      Effect.provideService(Clock.Clock, machineClock),
      Effect.forkScoped({ startImmediately: true }),
      Effect.asVoid
    )
  }

  private get follow() {
    return Effect.suspend(() => {
      let into = new Map<string, number>()
      return Stream.runForEach(this.cells.changes, (event) =>
        Effect.sync(() => {
          if (event._tag === "InitialDone") {
            this.until = into
            return
          }
          // Until all is told, what was kept is true as well, and what comes counts for both.
          for (const map of into === this.until ? [into] : [into, this.until]) {
            if (event._tag === "Entry" && event.value.state.tag === "Open") {
              map.set(event.key, event.value.state.openUntil)
            } else map.delete(event.key)
            if (map.size > this.room) {
              this.forget(map)
            }
          }
        }))
    })
  }

  private forget(map: Map<string, number>): void {
    const now = this.cells.clock.now()
    for (const [name, until] of map) {
      if (until <= now) map.delete(name)
    }
    this.room = Math.max(most, 2 * map.size)
  }
}
