/**
 * What every workload under faults is given, what it tells in the end, and how it waits and counts meanwhile.
 */
import * as Effect from "effect/Effect"
import type { Arrival, Attempt, Findings, Gap, Message } from "../test/fixtures/history.ts"
import { randomOf } from "../test/fixtures/random.ts"
import { breaking, type Rig } from "./faultRig.ts"
import type { Peer, Reader, System } from "./faultSystems.ts"

export interface Given {
  readonly seed: number
  /** Milliseconds. */
  readonly time: number
  readonly publishes: number
  readonly restarts: number
  /** How many watches there are. */
  readonly watches: number
  /** Whether a fault takes part. */
  readonly isChosen: (fault: string) => boolean
  readonly log: (words: string) => void
}

export interface Told {
  readonly counts: Readonly<Record<string, number | string>>
  readonly violations: ReadonlyArray<string>
}

export type Workload = (system: System, given: Given) => Effect.Effect<Told, unknown>

export const peerOf = (system: System, rig: Rig) =>
  Effect.acquireRelease(Effect.promise(() => system.open(rig.urls)), (peer) => Effect.promise(() => peer.close()))

export const pause = (millis: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, millis))

/** Real time, for at most so long. */
export const until = (condition: () => boolean, millis: number): Effect.Effect<boolean> =>
  Effect.promise(async () => {
    const last = performance.now() + millis
    while (!condition() && performance.now() < last) await pause(20)
    return condition()
  })

/** Until readers have their first message: a fault while they are opened is another matter. */
export const opened = (condition: () => boolean, ...readers: ReadonlyArray<Reader>): Effect.Effect<void> =>
  Effect.map(until(condition, 20_000), (isSo) => {
    if (!isSo) throw new Error(`not opened: ${readers.map((reader) => reader.ended()).join(", ")}`)
  })

export const arrivalsOf = (): { readonly all: Array<Arrival>; readonly take: (message: Message) => void } => {
  const all: Array<Arrival> = []
  return { all, take: (message) => all.push({ ...message, at: performance.now() }) }
}

export const named = (name: string, { violations }: Findings): ReadonlyArray<string> =>
  violations.map((each) => `${name}: ${each}`)

export const endOf = (name: string, reader: Reader): ReadonlyArray<string> => {
  const ended = reader.ended()
  return ended === undefined ? [] : [`${name}: ended by itself: ${ended}`]
}

export const seconds = (millis: number): string => `${(millis / 1_000).toFixed(1)} s`

export const longestOf = (gaps: ReadonlyArray<Gap>): Gap =>
  gaps.reduce((longest, gap) => gap.millis > longest.millis ? gap : longest)

/** The faults as they came, to tell which one a silence began with. */
export class Timeline {
  private readonly all: Array<{ readonly name: string; readonly since: number }> = []
  private readonly began = performance.now()
  private readonly given: Given

  constructor(given: Given) {
    this.given = given
  }

  get count(): number {
    return this.all.length
  }

  readonly add = (name: string, since: number): void => {
    this.all.push({ name, since })
    this.given.log(`${name}, from ${seconds(since - this.began)}, ${seconds(performance.now() - since)}`)
  }

  /** A gap in words: how long, from when on, and the last fault that had begun before it ended. */
  at({ from, millis }: Gap): string {
    const fault = this.all.findLast(({ since }) => since <= from + millis)
    return `${seconds(millis)}, from ${seconds(from - this.began)} (${fault?.name ?? "before any fault"})`
  }
}

export const reasonsOf = (attempts: ReadonlyArray<Attempt>): string =>
  [...Map.groupBy(
    attempts.flatMap(({ outcome }) =>
      "reason" in outcome ? [`${outcome._tag} ${outcome.reason.replaceAll(/\d{3,}/g, "…")}`] : []
    ),
    (each) => each
  )].map(([reason, all]) => `${reason}: ${all.length}`).join("; ")

/** The faults of a workload on one stream for the given time. */
export const faultsFor = (rig: Rig, peer: Peer, stream: string, given: Given): Effect.Effect<Timeline, unknown> =>
  Effect.gen(function*() {
    const faults = new Timeline(given)
    const last = performance.now() + given.time
    const stage = { rig, peer, stream, consumer: undefined, random: randomOf(given.seed) }
    yield* breaking(stage, given.isChosen, () => performance.now() > last, faults.add)
    return faults
  })
