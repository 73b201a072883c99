/**
 * The beginning and the end of taking messages: a scope has both.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { finalizing } from "../../internal/operations/closing.ts"
import { sleep } from "../../internal/operations/sending.ts"
import { ConsumerIsPush, type MessagesError, type OpenError } from "../JetStreamError.ts"
import type { Api } from "./api.ts"
import { backoffMillis } from "./backoff.ts"
import { askFactsIfAllowed, type ConsumerFacts } from "./consumerFacts.ts"
import type { PulledMessage } from "./message.ts"
import { Pull } from "./pull.ts"
import { checkTarget, type PullOptions, type PullTarget } from "./pullSource.ts"

/** One that is to be waited for, or made, need not be there at first. */
const factsAtStart = (
  api: Api,
  { consumer, stream }: PullTarget,
  { onMissing }: PullOptions
): Effect.Effect<ConsumerFacts, OpenError> => {
  const ask = (failures: number): Effect.Effect<ConsumerFacts, OpenError> =>
    Effect.catchTag(
      askFactsIfAllowed(api, stream, consumer),
      ["StreamNotFound", "ConsumerNotFound"],
      (error) =>
        onMissing === "wait"
          ? Effect.andThen(
            sleep(api.connection, backoffMillis(failures)),
            Effect.suspend(() => ask(failures + 1))
          )
          : Effect.fail(error)
    )
  return ask(0)
}

/** Begins to take messages. The scope ends it: what came and nobody has goes to others. */
export const openPull = (
  api: Api,
  target: PullTarget,
  options: PullOptions
): Effect.Effect<Pull, OpenError | MessagesError, Scope.Scope> =>
  Effect.gen(function*() {
    const problem = checkTarget(target)
    if (problem !== undefined) return yield* problem
    const { connection } = api
    const facts = yield* factsAtStart(api, target, options)
    if (facts.isPush) return yield* new ConsumerIsPush({ stream: target.stream, consumer: target.consumer })
    const inbox = yield* api.nats.inbox
    const pull = yield* Effect.acquireRelease(
      Effect.sync(() => connection.subscribe((sid, owner) => new Pull(sid, owner, api, target, inbox, facts, options))),
      (pull) => close(pull)
    )
    pull.start()
    yield* Effect.forkScoped(pull.drive)
    return pull
  })

const close = (pull: Pull): Effect.Effect<void> => {
  const { connection } = pull
  const rest = (messages: ReadonlyArray<PulledMessage>): void => {
    if (pull.facts.ackPolicy === "explicit") { for (const message of messages) message.giveBack() }
  }
  return finalizing(connection, undefined, (patience) =>
    Effect.andThen(
      patience.wait(Effect.map(pull.stop, rest)),
      Effect.sync(() => {
        connection.unsubscribe(pull)
        pull.giveBackRest()
        pull.finish(Cause.Done())
        pull.done()
      })
    ))
}
