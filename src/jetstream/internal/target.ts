/**
 * The consumer that messages are taken from, as it is given. One that is given as a definition is provisioned first, in
 * what is safe: what differs otherwise is a failure, and not dropped without a word.
 */
import * as Effect from "effect/Effect"
import type { ProvisionError } from "../JetStreamError.ts"
import type { Api } from "./api.ts"
import type { ConsumerDefinition, Target } from "./consumerTypes.ts"
import { consumerNames, isConsumerDefinition } from "./definition.ts"
import { ensureConsumer } from "./provision.ts"
import type { PullTarget } from "./pullSource.ts"

/** What a target can fail with by being a definition. */
export type DeclaredError<T> = T extends ConsumerDefinition ? ProvisionError : never

export const pullTargetOf = <T extends Target>(api: Api, target: T): Effect.Effect<PullTarget, DeclaredError<T>> => {
  const names = Effect.succeed(consumerNames(target))
  return isConsumerDefinition(target)
    ? Effect.andThen(ensureConsumer(api, target), names) as Effect.Effect<PullTarget, DeclaredError<T>>
    : names
}
