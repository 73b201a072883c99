/**
 * Handlers over a consumer, on core's engine: workers that take message by message, one timer that extends what takes long,
 * and a stop that gives back what no handler has begun.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import type { PartName } from "../../internal/operations/background.ts"
import { type Handling, type Intake, reporting, run } from "../../internal/operations/engine.ts"
import { sleep } from "../../internal/operations/sending.ts"
import { shownName } from "../../internal/protocol/shown.ts"
import { meterConsumer } from "../../internal/telemetry/consumerMetrics.ts"
import type { InvalidOption } from "../../NatsError.ts"
import {
  type ApiError,
  type ConsumerNotFound,
  ConsumerUnfit,
  type InvalidName,
  type MessagesError,
  type OpenError,
  type StreamNotFound
} from "../JetStreamError.ts"
import type { Api } from "./api.ts"
import { askFacts } from "./consumerFacts.ts"
import { type FitConsumer, fitConsumer } from "./consumerFit.ts"
import { openLater } from "./laterIntake.ts"
import type { PulledMessage } from "./message.ts"
import { openPull } from "./openPull.ts"
import { checkTarget, type PullOptions, type PullSource, type PullTarget } from "./pullSource.ts"
import { annotationsOf, Work, type WorkSettings } from "./work.ts"

export interface ProcessSettings<E, R>
  extends Pick<WorkSettings<E, R>, "handler" | "retry" | "maxDeliver" | "copy" | "hopeless">, PullOptions
{
  readonly concurrency: number
  readonly extend: boolean
  readonly template: string | undefined
  readonly drainTimeout: Duration.Input | undefined
  readonly part: PartName | undefined
}

export type StartError = OpenError | ConsumerUnfit

/** Of the time that the server waits, this share has gone by at most when a message is extended, and half of it at least. */
const extendAfter = 1 / 4

/** Looks at the consumer before a message is asked for. */
const checkFit = (
  api: Api,
  { consumer, stream }: PullTarget
): Effect.Effect<FitConsumer, ApiError | InvalidName | StreamNotFound | ConsumerNotFound | ConsumerUnfit> => {
  const problem = checkTarget({ consumer, stream })
  if (problem !== undefined) return Effect.fail(problem)
  return Effect.flatMap(askFacts(api, stream, consumer), (facts) => {
    const fit = fitConsumer(stream, consumer, facts)
    return fit instanceof ConsumerUnfit ? Effect.fail(fit) : Effect.succeed(fit)
  })
}

/**
 * Handles the messages of a consumer until the scope closes, which is a stop. `declared` brings it to its definition. As a part
 * of a client that connects in the background it succeeds at once.
 */
export const process = <E, R, E2>(
  api: Api,
  target: PullTarget,
  declared: Effect.Effect<unknown, E2>,
  settings: ProcessSettings<E, R>,
  scope: Scope.Scope
): Effect.Effect<
  Handling<StartError | MessagesError | E2>,
  StartError | MessagesError | InvalidOption | E2,
  R
> => {
  const { concurrency, drainTimeout, part } = settings
  const { connection } = api
  const opening = Effect.andThen(declared, open(api, target, settings))
  const isLater = part !== undefined && connection.isComing
  const opened: Effect.Effect<
    ReadonlyArray<Intake<PulledMessage, StartError | MessagesError | E2, R>>,
    StartError | MessagesError | E2,
    Scope.Scope
  > = isLater
    ? Effect.map(openLater(connection, opening, reporting(connection, annotationsOf(target))), (intake) => [intake])
    : Effect.map(opening, (intake) => [intake])
  const stuck = Effect.annotateLogs(
    Effect.logWarning("A message handler does not let itself be interrupted and is left behind"),
    { stream: shownName(target.stream), consumer: shownName(target.consumer) }
  )
  return run(connection, opened, stuck, { concurrency, drainTimeout, part }, scope)
}

const open = Effect.fnUntraced(function*<E, R>(
  api: Api,
  target: PullTarget,
  settings: ProcessSettings<E, R>
): Effect.fn.Return<Intake<PulledMessage, MessagesError, R>, StartError | MessagesError, Scope.Scope> {
  const { connection } = api
  const { consumer, stream } = target
  const { filter } = yield* checkFit(api, target)
  const work = new Work<E, R>({ ...settings, api, stream, consumer, template: settings.template ?? filter })
  const looked = Latch.makeUnsafe(false)
  const source = yield* openPull(api, target, {
    ...settings,
    onLate: () => work.giveBack(work.inHand),
    onLooked: () => looked.openUnsafe()
  })
  work.done = (message) => source.handled(1, message.size)
  work.redelivered = () => source.review()
  yield* work.observe
  const metered = meterConsumer(yield* Effect.context<never>(), stream, consumer, {
    counts: work.counts,
    get held() {
      return work.inHand.size + source.pending
    },
    get pending() {
      return work.pending
    },
    get lag() {
      return work.lag
    }
  }, connection.settings.metrics)
  yield* Effect.addFinalizer(() => Effect.sync(metered.leave))
  work.durations = metered.durations
  const extending = settings.extend
    ? yield* Effect.forkScoped(extend(api, work, source, looked), { startImmediately: true })
    : undefined
  return {
    source: {
      read: (limit = 1) => Effect.succeed(source.next(limit)),
      takeOne: () => source.takeOne(),
      rest: () => source.rest()
    },
    handle: work.handle,
    settle: work,
    report: reporting(connection, annotationsOf(target)),
    oneByOne: true,
    leave: Effect.map(source.stop, work.giveBack),
    abandon: () => {
      extending?.interruptUnsafe()
      // Handlers that cannot be interrupted have them all the same.
      work.giveBack(work.inHand)
      source.done()
    },
    giveBack: (messages) => Effect.sync(() => work.giveBack(messages)),
    forget: () => {
      connection.unfinished.delete(source)
    }
  }
})

// One timer for all: for what handlers are busy with, and for what waits behind them. A wait of the server that has become
// shorter counts at once.
const extend = <E, R>(api: Api, work: Work<E, R>, source: PullSource, looked: Latch.Latch): Effect.Effect<never> => {
  const due = (): number => Math.min(...source.facts.ackWaitsMillis) * extendAfter
  return Effect.forever(Effect.suspend(() =>
    Effect.andThen(
      Effect.raceFirst(sleep(api.connection, due()), looked.await),
      Effect.sync(() => {
        looked.closeUnsafe()
        work.extend(source, due())
      })
    )
  ))
}
