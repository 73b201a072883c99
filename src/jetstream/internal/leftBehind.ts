/**
 * Consumers of an ordered read that it does not read from any more, and those that may have been made and were never read from.
 * Removing them is tidying up: what is left at last is gone when its time without a pull is over.
 */
import * as Effect from "effect/Effect"
import { sleep } from "../../internal/operations/sending.ts"
import type { Api } from "./api.ts"

const patienceMillis = 1_000
const pauseMillis = 1_000

/** So often it is tried in a row, where nobody answers. */
const mostPasses = 5

export class LeftBehind {
  private readonly names = new Set<string>()
  private mayDelete = true
  private isTidying = false
  private readonly api: Api
  private readonly stream: string
  /** The read is over: its end removes what is left. */
  private readonly isOver: () => boolean

  constructor(api: Api, stream: string, isOver: () => boolean) {
    this.api = api
    this.stream = stream
    this.isOver = isOver
  }

  add(names: ReadonlyArray<string>): void {
    for (const name of names) if (name !== "" && this.mayDelete) this.names.add(name)
  }

  /** Removes them now. */
  readonly removed: Effect.Effect<void> = Effect.suspend(() =>
    Effect.forEach([...this.names], (name) => this.remove(name), { concurrency: "unbounded", discard: true })
  )

  /** Removes them in the background. */
  readonly tidy: Effect.Effect<void> = Effect.suspend(() => {
    if (this.isTidying) return Effect.void
    this.isTidying = true
    let passes = 0
    const passing = Effect.whileLoop({
      while: () => this.names.size > 0 && passes < mostPasses && !this.isOver(),
      body: () => passes++ === 0 ? this.removed : Effect.andThen(sleep(this.api.connection, pauseMillis), this.removed),
      step: () => {}
    })
    const over = Effect.sync(() => {
      this.isTidying = false
    })
    return Effect.asVoid(Effect.forkDetach(Effect.andThen(passing, over)))
  })

  private remove(name: string): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { api, names, stream } = this
      if (!names.has(name) || api.connection.session === undefined) return Effect.void
      return Effect.match(api.call(`CONSUMER.DELETE.${stream}.${name}`, undefined, { timeout: patienceMillis }), {
        onSuccess: () => {
          names.delete(name)
        },
        onFailure: ({ _tag }) => {
          if (_tag === "JetStreamApiError") names.delete(name)
          if (_tag !== "PermissionsViolation") return
          // Each denial is an event of the client.
          this.mayDelete = false
          names.clear()
        }
      })
    })
  }
}
