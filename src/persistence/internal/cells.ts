/**
 * States in a bucket, one for each key, that many processes change by pure functions: each change is one atomic step.
 *
 * A state is read, changed and written where nobody has written since. Calls of one process on one key wait in a row, and all
 * that wait go in one write: processes meet each other, and calls of one process never do. The last state of a key is kept,
 * so that a process that is alone reads nothing.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import { randomToken } from "../../internal/identity/randomToken.ts"
import { elapsedMillis } from "../../internal/telemetry/monotonic.ts"
import { type Api, apiOf } from "../../jetstream/internal/api.ts"
import { JetStream } from "../../jetstream/JetStream.ts"
import type {
  ApiError,
  BucketNotFound,
  InvalidKey,
  InvalidName,
  KeyAlreadyExists,
  KeyReadError,
  KeyTtlDisabled,
  KeyWriteError,
  UnsupportedByServer,
  WatchError,
  WrongLastSequence
} from "../../jetstream/JetStreamError.ts"
import * as KeyValue from "../../jetstream/KeyValue.ts"
import type { ConnectionClosed, MessageDecodeError, MessageEncodeError } from "../../NatsError.ts"
import { machineClock, ServerClock } from "./serverClock.ts"
import { tokenOf } from "./textToken.ts"

/** A state that counts until `expiresAt`, by the store's clock. */
export interface Held<S> {
  readonly state: S
  readonly expiresAt: number
}

/** What a call is answered, and what is there afterwards. Without `next` everything stays as it is. */
export interface Step<S, A> {
  readonly answer: A
  readonly next?: Held<S> | undefined
}

/** Runs again where another process was faster. An expired state is none. */
export type Transition<S, A> = (held: Held<S> | undefined, now: number) => Step<S, A>

/** What a change of a cell can fail with. */
export type CellError =
  | ApiError
  | BucketNotFound
  | ConnectionClosed
  | InvalidKey
  | KeyAlreadyExists
  | KeyReadError
  | KeyTtlDisabled
  | KeyWriteError
  | MessageDecodeError
  | MessageEncodeError
  | UnsupportedByServer
  | WrongLastSequence

/** What stands in a key. */
interface Cell<S> extends Held<S> {
  /** When it was written. Time in a cell never goes back, whoever writes. */
  readonly at: number
  /** The last writes, latest first: who had no answer finds its own. */
  readonly by: ReadonlyArray<string>
}

const cellSchema = <S extends Schema.Codec<unknown, unknown>>(state: S) =>
  Schema.Struct({
    at: Schema.Finite,
    by: Schema.Array(Schema.String),
    expiresAt: Schema.Finite,
    state
  })

interface Known<S> {
  readonly revision: number
  readonly cell: Cell<S>
}

/** One call that waits for its turn. */
class Waiting<S> {
  readonly step: Transition<S, unknown>
  isGone = false
  exit: Exit.Exit<unknown, CellError> | undefined = undefined
  resume: ((exit: Exit.Exit<unknown, CellError>) => void) | undefined = undefined

  constructor(step: Transition<S, unknown>) {
    this.step = step
  }

  done(exit: Exit.Exit<unknown, CellError>): void {
    this.exit = exit
    this.resume?.(exit)
  }
}

/** The calls on one key. */
interface Lane<S> {
  waiting: Array<Waiting<S>>
  known: Known<S> | undefined
  isRunning: boolean
}

/** Keys of which the last state is kept while nobody asks for them. */
const mostIdle = 1024
const mostAtOnce = 256
const writesKept = 8

/** So long a state outlives its end in the bucket: the server's time and that of states are not the same to the millisecond. */
const graceMillis = 60_000

/** What is to live longer lives for ever. */
const longestTtlMillis = 10 * 365 * 24 * 3_600_000

/** How often a write may come too late before the call fails. Of those who meet one is in time each time. */
const mostLost = 64
const longestPause = 100
const mostUnclear = 3

/** The stream has no leader, or its server is about to start. */
const passing: ReadonlySet<string> = new Set(["JetStreamUnavailable", "NoStreamForSubject", "JetStreamNotEnabled"])

const patienceLost = 4

export class Cells<S> {
  readonly clock: ServerClock
  private readonly api: Api
  private readonly kv: KeyValue.Store<Cell<S>, Cell<S>, MessageDecodeError, MessageEncodeError, never, never>
  private readonly prefix: string
  private readonly lanes = new Map<string, Lane<S>>()
  private readonly fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>

  constructor(
    api: Api,
    kv: KeyValue.Store<Cell<S>, Cell<S>, MessageDecodeError, MessageEncodeError, never, never>,
    prefix: string,
    clock: ServerClock,
    fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  ) {
    this.api = api
    this.kv = kv
    this.prefix = prefix
    this.clock = clock
    this.fork = fork
  }

  /** The key of a bucket in which the state of `key` stands. */
  name(key: string): string {
    return `${this.prefix}.${tokenOf(key)}`
  }

  /** All states that are there, and each change of one. What does not decode is left out. */
  get changes(): Stream.Stream<KeyValue.WatchEvent<Cell<S>>, WatchError | InvalidKey> {
    return this.kv.watch(`${this.prefix}.*`, { onInvalid: "skip" })
  }

  /**
   * Takes one step. Interruption ends the wait: a step that was begun may be taken. Bounded by the time that requests have, for
   * each of the few that it sends.
   */
  step<A>(key: string, transition: Transition<S, A>): Effect.Effect<A, CellError> {
    return Effect.suspend(() => {
      const name = this.name(key)
      const lane = this.lane(name)
      const waiting = new Waiting<S>(transition)
      lane.waiting.push(waiting)
      if (!lane.isRunning) this.start(name, lane)
      return Effect.callback<A, CellError>((resume) => {
        const settle = (exit: Exit.Exit<unknown, CellError>): void => resume(exit as Exit.Exit<A, CellError>)
        if (waiting.exit !== undefined) return settle(waiting.exit)
        waiting.resume = settle
        return Effect.sync(() => {
          waiting.isGone = true
        })
      })
    })
  }

  private lane(name: string): Lane<S> {
    const found = this.lanes.get(name)
    if (found !== undefined) return found
    const made: Lane<S> = { waiting: [], known: undefined, isRunning: false }
    this.lanes.set(name, made)
    return made
  }

  /** Puts the lane behind all others, and forgets those that were idle longest. */
  private rest(name: string, lane: Lane<S>): void {
    this.lanes.delete(name)
    this.lanes.set(name, lane)
    for (const [each, { isRunning }] of this.lanes) {
      if (this.lanes.size <= mostIdle) return
      if (!isRunning) this.lanes.delete(each)
    }
  }

  /** Runs until nobody waits any more. */
  private start(name: string, lane: Lane<S>): void {
    lane.isRunning = true
    let batch: ReadonlyArray<Waiting<S>> = []
    const run = Effect.gen({ self: this }, function*() {
      while (lane.waiting.length > 0) {
        batch = lane.waiting.splice(0, mostAtOnce)
        const exit = yield* Effect.exit(this.settle(name, lane, batch))
        if (Exit.isSuccess(exit)) continue
        lane.known = undefined
        for (const each of batch) each.done(exit)
      }
    })
    this.fork(Effect.provideService(run, Clock.Clock, machineClock)).addObserver((exit) => {
      lane.isRunning = false
      if (Exit.isSuccess(exit)) {
        // One that came when nobody looked any more.
        return lane.waiting.length > 0 ? this.start(name, lane) : this.rest(name, lane)
      }
      // The store is closed, and nobody takes a step any more.
      this.lanes.delete(name)
      for (const each of [...batch, ...lane.waiting.splice(0)]) each.done(exit)
    })
  }

  private readonly read = (name: string): Effect.Effect<Known<S> | undefined, CellError> =>
    Effect.map(
      this.kv.get(name, { consistent: true }),
      (found) => Option.isNone(found) ? undefined : { revision: found.value.revision, cell: found.value.value }
    )

  /** Asks again what changes nothing, where it is the servers that are away, as long as a request may take. */
  private asked<A, E extends CellError>(ask: Effect.Effect<A, E>, until: number): Effect.Effect<A, E> {
    const attempt = (failures: number): Effect.Effect<A, E> =>
      Effect.catch(ask, (error) =>
        Effect.flatMap(elapsedMillis, (now) =>
          now >= until || !this.passes(error)
            ? Effect.fail(error)
            : Effect.andThen(pause(failures + patienceLost), Effect.suspend(() => attempt(failures + 1)))))
    return attempt(0)
  }

  private passes({ _tag }: CellError): boolean {
    return passing.has(_tag) ||
      (_tag === "ConnectionLost" && this.api.connection.settings.whileDisconnected !== "fail")
  }

  /** Takes the steps of a batch in their order, in one write. */
  private settle(
    name: string,
    lane: Lane<S>,
    batch: ReadonlyArray<Waiting<S>>
  ): Effect.Effect<void, CellError> {
    return Effect.gen({ self: this }, function*() {
      const until = (yield* elapsedMillis) + this.api.timeoutMillis
      let { known } = lane
      let isCurrent = false
      let lost = 0
      /** Writes that were not answered: one that is found in what is read, however late, was in time. */
      const unanswered = new Map<string, () => void>()
      let unclear: CellError | undefined
      while (true) {
        yield* this.asked(this.clock.fresh, until)
        if (known === undefined) {
          known = yield* this.asked(this.read(name), until)
          isCurrent = true
          const own = known?.cell.by.find((write) => unanswered.has(write))
          if (own !== undefined) {
            lane.known = known
            return unanswered.get(own)!()
          }
          if (unclear !== undefined && unanswered.size >= mostUnclear) return yield* unclear
        }
        const taken = take(batch, known, this.clock.now())
        if (taken.next === undefined) {
          // That nothing is to be changed is true of what the leader has, and not of what was kept.
          if (isCurrent) {
            lane.known = known
            return taken.tell()
          }
          known = undefined
          continue
        }
        const cell: Cell<S> = {
          ...taken.next,
          at: taken.now,
          by: [randomToken(6), ...(known?.cell.by ?? [])].slice(0, writesKept)
        }
        const written = yield* Effect.result(this.write(name, cell, known?.revision))
        if (written._tag === "Success") {
          lane.known = { revision: written.success, cell }
          return taken.tell()
        }
        const error = written.failure
        if (error._tag === "PublishOutcomeUnknown" || error._tag === "InvalidAnswer") {
          unanswered.set(cell.by[0]!, taken.tell)
          unclear = error
          known = undefined
          continue
        }
        const isLate = error._tag === "WrongLastSequence" || error._tag === "KeyAlreadyExists"
        if (!isLate && !passing.has(error._tag)) return yield* error
        if (++lost >= mostLost || (!isLate && (yield* elapsedMillis) >= until)) return yield* error
        // What was kept was old: nobody was met yet.
        if (isCurrent) yield* pause(isLate ? lost : lost + patienceLost)
        known = undefined
        isCurrent = false
      }
    })
  }

  private write(name: string, cell: Cell<S>, revision: number | undefined): Effect.Effect<number, CellError> {
    const millis = cell.expiresAt - cell.at + graceMillis
    const options = millis < longestTtlMillis ? { ttl: Math.max(1000, millis) } : {}
    return revision === undefined
      ? this.kv.create(name, cell, options)
      : this.kv.update(name, cell, revision, options)
  }
}

/** The steps of those who still wait, one after the other. */
const take = <S>(batch: ReadonlyArray<Waiting<S>>, known: Known<S> | undefined, time: number) => {
  const now = Math.max(time, known?.cell.at ?? 0)
  const answers: Array<readonly [Waiting<S>, unknown]> = []
  let held: Held<S> | undefined = known === undefined || known.cell.expiresAt <= now ? undefined : known.cell
  let next: Held<S> | undefined
  for (const each of batch) {
    if (each.isGone) continue
    const step = each.step(held, now)
    answers.push([each, step.answer])
    if (step.next === undefined) continue
    next = { state: step.next.state, expiresAt: step.next.expiresAt }
    held = next.expiresAt <= now ? undefined : next
  }
  const tell = (): void => {
    for (const [each, answer] of answers) each.done(Exit.succeed(answer))
  }
  return { now, next, tell }
}

const pause = (lost: number): Effect.Effect<void> =>
  Effect.flatMap(Random.next, (chance) => Effect.sleep(Math.ceil(chance * Math.min(2 ** lost, longestPause))))

/** What cells of one bucket have in common. */
export interface CellBucket {
  readonly bucket: string
  readonly clock: ServerClock
  readonly cells: <S, I>(
    prefix: string,
    state: Schema.Codec<S, I>
  ) => Effect.Effect<Cells<S>, ApiError | BucketNotFound | InvalidName>
}

/** So long what the server said of its time is believed. */
const believedMillis = 5 * 60_000

/** Opens a bucket for cells, for as long as the scope. */
export const openCells = (bucket: string): Effect.Effect<CellBucket, ApiError, JetStream | Scope.Scope> =>
  Effect.gen(function*() {
    const js = yield* JetStream
    const api = apiOf(js)
    const scope = yield* Effect.scope
    const clock = new ServerClock(api, `KV_${bucket}`, {
      clock: yield* Clock.Clock,
      freshMillis: believedMillis,
      samples: 3
    })
    yield* clock.fresh
    const runFork = Effect.runForkWith(yield* Effect.context<never>())
    const fork = (effect: Effect.Effect<void>): Fiber.Fiber<void> => Fiber.runIn(runFork(effect), scope)
    return {
      bucket,
      clock,
      cells: <S, I>(prefix: string, state: Schema.Codec<S, I>) =>
        Effect.map(
          Effect.provideService(KeyValue.schema(bucket, cellSchema(state)), JetStream, js),
          (kv) => new Cells<S>(api, kv as never, prefix, clock, fork)
        )
    }
  })
