/**
 * What `process` is asked for, with what is left out, or what is wrong with it.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { PartName } from "../../internal/operations/background.ts"
import { checkConcurrency, type Handling } from "../../internal/operations/engine.ts"
import { wholeNumber } from "../../internal/operations/ranges.ts"
import { invalidSubject } from "../../internal/subject/invalid.ts"
import { subjectProblem } from "../../internal/subject/rules.ts"
import { isTraced } from "../../internal/telemetry/tracing.ts"
import { InvalidOption, InvalidSubject } from "../../NatsError.ts"
import type { NatsHeaders } from "../../NatsHeaders.ts"
import type { ProcessError } from "../JetStreamError.ts"
import type { JetStreamMessage } from "../JetStreamMessage.ts"
import type { Api } from "./api.ts"
import { checkGroup, pullOptionsOf } from "./consuming.ts"
import { copiedHeaders, copyId, ownHeaders } from "./deadLetter.ts"
import { process, type ProcessSettings } from "./process.ts"
import type { ProcessOptions } from "./processTypes.ts"
import * as Publish from "./publish.ts"
import type { PullTarget } from "./pullSource.ts"
import { defaultRetry } from "./retryDelay.ts"
import type { Hopeless, WorkSettings } from "./work.ts"

/** Where there is a dead letter and no other number. */
const defaultMaxDeliver = 5

/** Throws for numbers that are none, as those of `messages`. */
export const resolve = (
  api: Api,
  options: ProcessOptions
): Omit<ProcessSettings<never, never>, "handler" | "hopeless" | "part"> | InvalidSubject => {
  const { concurrency = 1, deadLetter, maxDeliver } = options
  if (maxDeliver !== undefined) {
    wholeNumber("maxDeliver", maxDeliver)
    if (deadLetter === undefined) throw new RangeError("`maxDeliver` needs `deadLetter`: a subject, or `false`")
  }
  const problem = typeof deadLetter === "string" ? subjectProblem(deadLetter) : undefined
  if (problem !== undefined) return invalidSubject("subject", deadLetter as string, problem)
  return {
    ...pullOptionsOf({ ...options, window: options.window ?? 2 * concurrency }),
    concurrency,
    retry: options.retry ?? defaultRetry,
    extend: options.extend ?? true,
    maxDeliver: maxDeliver ?? (typeof deadLetter === "string" ? defaultMaxDeliver : undefined),
    copy: typeof deadLetter === "string" ? copyTo(api, deadLetter) : false,
    template: options.subjectTemplate,
    drainTimeout: options.drainTimeout
  }
}

/** A copy that is published inside a span tells of that one, which knows the message's own. */
const withoutTrace = (headers: NatsHeaders): NatsHeaders =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => !/^trace(parent|state)$/i.test(name)))

// Headers of its own that cannot be sent, or leave no room for what is told of it, stay behind. Where a payload leaves no room
// for that either, the copy is the message as it is: what is given up is logged with its place.
const copyTo = (api: Api, subject: string): Exclude<WorkSettings<never, never>["copy"], false> => (message, reason) => {
  const publish = (headers: NatsHeaders) =>
    Publish.publish(api, subject, message.data, {
      msgId: copyId(message),
      headers: copiedHeaders(message, headers, reason)
    })
  const bare = Effect.suspend(() =>
    Effect.catchTag(
      Publish.publish(api, subject, message.data, { headers: ownHeaders(message.headers) }),
      "InvalidHeader",
      () => Publish.publish(api, subject, message.data)
    )
  )
  const told = Effect.catchTag(publish({}), "MaxPayloadExceeded", () => bare)
  return Effect.withFiber((fiber) =>
    Effect.catchTags(publish(isTraced(fiber) ? withoutTrace(message.headers) : message.headers), {
      InvalidHeader: () => told,
      MaxPayloadExceeded: () => told
    })
  )
}

export const partOf = ({ consumer, stream }: PullTarget): PartName => ({
  kind: "consumer",
  name: `${stream}/${consumer}`
})

/** Begins, or says what is wrong with what was asked for. */
export const start = <E, R, E2>(
  api: Api,
  target: PullTarget,
  declared: Effect.Effect<unknown, E2>,
  handler: (message: JetStreamMessage) => Effect.Effect<unknown, E, R>,
  options: ProcessOptions | undefined,
  scope: Scope.Scope,
  isPart: boolean,
  hopeless?: Hopeless
): Effect.Effect<Handling<ProcessError | E2>, ProcessError | E2, R> =>
  Effect.gen(function*() {
    const { concurrency = 1 } = options ?? {}
    yield* checkConcurrency(concurrency)
    if (!Number.isFinite(concurrency)) return yield* unboundedConcurrency
    const unsupported = checkGroup(api, options ?? {})
    if (unsupported !== undefined) return yield* unsupported
    const settings = resolve(api, options ?? {})
    if (settings instanceof InvalidSubject) return yield* settings
    return yield* process(
      api,
      target,
      declared,
      { ...settings, handler, hopeless, part: isPart ? partOf(target) : undefined },
      scope
    )
  })

/** Each message that is not handled is kept from others: their number has a bound. */
const unboundedConcurrency = new InvalidOption({
  option: "concurrency",
  given: "unbounded",
  problem: "it must be a whole number above 0"
})
