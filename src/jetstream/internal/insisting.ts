/**
 * Asks for a consumer until there is one. A cluster without a leader answers nothing, and one that is slow answers late: so it
 * is asked again before its time is over, and the first answer counts, whichever request it is to.
 *
 * What was not answered may have been done: asked again under the same name it is one consumer. Twice, or when the connection was
 * lost meanwhile: it may be on a server that is gone, and then nobody answers for this name.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"

/** How long an answer is waited for. */
export const patienceMillis = 5_000

/** Without an answer it is asked again so soon: each second while leaders are elected, and less often afterwards. */
const againMillis = 1_000
const mostAgainMillis = 2_000
const soonTimes = 5

const mostUnderOneName = 2

export interface Insisting<A, E> {
  readonly ask: (name: string) => Effect.Effect<A, E>
  readonly nextName: () => string
  readonly now: () => number
  readonly sleep: (millis: number) => Effect.Effect<void>
  /** Ends when something may be otherwise: it is over, or there is a session. */
  readonly woken: Effect.Effect<void>
  readonly isOver: () => boolean
  readonly hasSession: () => boolean
  /** What such a failure says of the next time. */
  readonly failed: (error: E) => Failed
  /** Of the reader: when it takes long it is asked once in each, if that is from one second to two. */
  readonly heartbeatMillis: number
  /** How long to wait before the first time. */
  readonly delay: number
}

export interface Failed {
  /** How long to wait before it. */
  readonly pause: number
  /** Nothing was made. */
  readonly isAnswer: boolean
}

export interface Made<A> {
  readonly name: string
  readonly made: A
  /** Others that may be there. */
  readonly left: ReadonlyArray<string>
}

interface Answered<A, E> {
  readonly fiber: Fiber.Fiber<Told<A, E>>
  readonly told: Told<A, E>
}

type Told<A, E> = { readonly name: string; readonly made: A } | { readonly name: string; readonly error: E }

/** Gives nothing when it is over before. */
export const insist = <A, E>(options: Insisting<A, E>): Effect.Effect<Made<A> | undefined> =>
  Effect.gen(function*() {
    const { hasSession, now } = options
    const laterMillis = Math.min(mostAgainMillis, Math.max(againMillis, options.heartbeatMillis))
    const asked = new Map<Fiber.Fiber<Told<A, E>>, string>()
    const doubtful = new Set<string>()
    let name = options.nextName()
    let silent = 0
    let silences = 0
    let dueAt = now() + options.delay
    while (!options.isOver()) {
      if (hasSession() && now() >= dueAt) {
        if (silent === mostUnderOneName) {
          doubtful.add(name)
          name = options.nextName()
          silent--
        }
        silent++
        dueAt = now() + (++silences > soonTimes ? laterMillis : againMillis)
        asked.set(yield* Effect.forkChild(told(options, name)), name)
      }
      const answered = yield* Effect.raceAllFirst<Effect.Effect<Answered<A, E> | void>>([
        options.woken,
        hasSession() ? options.sleep(Math.max(1, dueAt - now())) : Effect.never,
        ...[...asked.keys()].map((fiber) => Effect.map(Fiber.join(fiber), (told) => ({ fiber, told })))
      ])
      if (answered === undefined) continue
      const { fiber, told: answer } = answered
      asked.delete(fiber)
      if ("made" in answer) {
        yield* Fiber.interruptAll(asked.keys())
        for (const each of asked.values()) doubtful.add(each)
        doubtful.delete(answer.name)
        return { ...answer, left: [...doubtful] }
      }
      const { isAnswer, pause } = options.failed(answer.error)
      if (answer.name === name) silent = isAnswer ? 0 : mostUnderOneName
      if (isAnswer) silences = 0
      dueAt = Math.min(dueAt, now() + pause)
    }
    yield* Fiber.interruptAll(asked.keys())
    return undefined
  })

const told = <A, E>({ ask }: Insisting<A, E>, name: string): Effect.Effect<Told<A, E>> =>
  Effect.match(ask(name), {
    onSuccess: (made) => ({ name, made }),
    onFailure: (error) => ({ name, error })
  })
