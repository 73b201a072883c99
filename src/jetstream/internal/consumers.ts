/** What is done with consumers. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { randomToken } from "../../internal/identity/randomToken.ts"
import { sequenceFrom } from "../../internal/operations/ranges.ts"
import { sleep } from "../../internal/operations/sending.ts"
import {
  type ApiError,
  ConsumerExists,
  ConsumerIsPush,
  ConsumerNotFound,
  type ConsumerRefused,
  type CreateConsumerError,
  type DefinitionError,
  InvalidDefinition,
  type InvalidName,
  type PauseError,
  type ResetError,
  type StreamNotFound,
  type UnpinError,
  type UnsupportedByServer,
  type UpdateConsumerError
} from "../JetStreamError.ts"
import type { Api } from "./api.ts"
import type { ConsumerDefinition, ConsumerInfo, EphemeralOptions, PauseState, Target } from "./consumerTypes.ts"
import {
  consumerNames,
  invalidConsumer,
  isWritten,
  merged,
  writeConsumer,
  writeConsumerOptions,
  type Written
} from "./definition.ts"
import { differing } from "./diff.ts"
import type { Wire, WireObject } from "./exactJson.ts"
import { objectOf } from "./fields.ts"
import { consumerInfoOf, numberOf, pauseOf } from "./infos.ts"
import { time } from "./kinds.ts"
import { callFor, type Feature } from "./level.ts"
import { Misfit } from "./misfit.ts"
import { isBefore, versionOf } from "./needs.ts"
import { pages } from "./paging.ts"
import { exceeded, joined, noConsumer, noStream, refusedConsumer, table } from "./refusals.ts"
import { type Answered, answered, kept, nameOf, senseless, supported } from "./streams.ts"
import type { Instant, Target as StreamTarget } from "./streamTypes.ts"

/** A consumer that is there, or nothing. */
export const look = (
  api: Api,
  stream: string,
  consumer: string
): Effect.Effect<Answered | undefined, ApiError | StreamNotFound> =>
  answered(api, `CONSUMER.INFO.${stream}.${consumer}`, undefined, noConsumer(stream, consumer)).pipe(
    Effect.catchTag("ConsumerNotFound", () => Effect.succeed(undefined))
  )

/** Whether a server knows what a create and an update are. An older one does either. */
const knowsActions = (api: Api): boolean => !isBefore(versionOf(api), "2.10")

/** Sends a definition as it is. Where servers do not tell a create from an update, who asks has looked before. */
export const send = (
  api: Api,
  action: "create" | "update",
  of: Written,
  config: WireObject,
  durable = true
) =>
  answered(
    api,
    `CONSUMER.CREATE.${of.stream}.${of.name}`,
    {
      stream_name: of.stream,
      config: { ...config, ...(durable ? { durable_name: of.name } : { name: of.name }) },
      ...(knowsActions(api) ? { action } : {})
    },
    joined(
      refusedConsumer(of.stream, of.name),
      exceeded,
      noConsumer(of.stream, of.name),
      table([10148], () => new ConsumerExists({ stream: of.stream, consumer: of.name, differences: [] }))
    )
  )

/**
 * Changes a consumer that is there. A server takes `pause_until` when it creates one, and drops it from a change: a pause is
 * a request of its own.
 */
export const change = (api: Api, of: Written, there: Answered) =>
  Effect.flatMap(send(api, "update", of, merged(there.config, of)), (sent) => {
    const { pauseUntil } = of.fields
    const isPaused = !("pause_until" in of.config) || pauseUntil.words(sent.config) === pauseUntil.words(of.config)
    if (isPaused) return Effect.succeed(sent)
    const request = `CONSUMER.PAUSE.${of.stream}.${of.name}`
    return callFor(api, "pause", request, { pause_until: of.config.pause_until }, {
      errors: noConsumer(of.stream, of.name)
    }).pipe(
      Effect.map((answer): Answered => ({
        answer: { ...sent.answer, ...pick(answer as WireObject) },
        config: { ...sent.config, pause_until: (answer as WireObject).pause_until }
      })),
      // Whoever asked looks at what was dropped.
      Effect.catchTag("UnsupportedByServer", () => Effect.succeed(sent))
    )
  })

const pick = ({ pause_remaining, paused }: WireObject): WireObject => ({ pause_remaining, paused })

const writing = (definition: ConsumerDefinition): Effect.Effect<Written, DefinitionError> =>
  Effect.suspend(() => written(writeConsumer(definition)))

const written = (of: Written | DefinitionError): Effect.Effect<Written, DefinitionError> =>
  isWritten(of) ? Effect.succeed(of) : Effect.fail(of)

/** Fails for a consumer that cannot be pulled from. */
export const pulled = (of: Written, config: WireObject): Effect.Effect<void, ConsumerIsPush> =>
  typeof config.deliver_subject === "string" && config.deliver_subject !== ""
    ? Effect.fail(new ConsumerIsPush({ stream: of.stream, consumer: of.name }))
    : Effect.void

/** One that is there: as it is declared, or in the way. */
const taken = Effect.fnUntraced(
  function*(of: Written, there: Answered): Effect.fn.Return<Answered, ConsumerExists | ConsumerIsPush> {
    yield* pulled(of, there.config)
    const differences = differing(there.config, of)
    if (differences.length === 0) return there
    return yield* new ConsumerExists({ stream: of.stream, consumer: of.name, differences })
  }
)

export const create = Effect.fnUntraced(
  function*(api: Api, definition: ConsumerDefinition): Effect.fn.Return<ConsumerInfo, CreateConsumerError> {
    const of = yield* writing(definition)
    const made = yield* createNew(api, of, true)
    return consumerInfoOf(made.answer, made.config)
  }
)

const createNew = Effect.fnUntraced(
  function*(api: Api, of: Written, durable: boolean): Effect.fn.Return<Answered, CreateConsumerError> {
    yield* supported(api, of)
    if (!knowsActions(api)) {
      const there = yield* look(api, of.stream, of.name)
      if (there !== undefined) return yield* taken(of, there)
    }
    const made = yield* send(api, "create", of, of.config, durable).pipe(
      Effect.catchTag(
        "ConsumerExists",
        (exists) =>
          Effect.flatMap(
            look(api, of.stream, of.name),
            (there): Effect.Effect<Answered, ConsumerExists | ConsumerIsPush> =>
              there === undefined ? Effect.fail(exists) : taken(of, there)
          )
      ),
      Effect.catchTag("ConsumerNotFound", () => Effect.fail(senseless("CONSUMER.CREATE")))
    )
    yield* kept(of, made.config)
    return made
  }
)

export const update = Effect.fnUntraced(
  function*(api: Api, definition: ConsumerDefinition): Effect.fn.Return<ConsumerInfo, UpdateConsumerError> {
    const of = yield* writing(definition)
    const there = yield* look(api, of.stream, of.name)
    if (there === undefined) return yield* new ConsumerNotFound({ stream: of.stream, consumer: of.name })
    yield* pulled(of, there.config)
    yield* supported(api, of, there.config)
    const { answer, config } = yield* change(api, of, there).pipe(
      Effect.catchTag("ConsumerExists", () => Effect.fail(senseless("CONSUMER.CREATE")))
    )
    yield* kept(of, config)
    return consumerInfoOf(answer, config)
  }
)

const bytesOfChance = 12

export const ephemeral = Effect.fnUntraced(
  function*(
    api: Api,
    stream: StreamTarget,
    { name, ...options }: EphemeralOptions
  ): Effect.fn.Return<ConsumerInfo, CreateConsumerError, Scope.Scope> {
    const of = yield* written(writeConsumerOptions(yield* nameOf(stream), name ?? randomToken(bytesOfChance), options))
    // One under a name of chance is ours before it is there, so that it also goes where the answer is lost.
    let isOurs = name === undefined
    let isAnswered = false
    yield* Effect.addFinalizer(() => isOurs ? forget(api, of, isAnswered ? 0 : mostForgets) : Effect.void)
    if (name !== undefined && (yield* look(api, of.stream, name)) !== undefined) {
      return yield* new ConsumerExists({ stream: of.stream, consumer: name, differences: [] })
    }
    const { answer, config } = yield* Effect.tapError(createNew(api, of, false), ({ _tag }) =>
      Effect.sync(() => {
        isAnswered = _tag !== "RequestTimedOut" && _tag !== "ConnectionLost"
      }))
    isOurs = true
    isAnswered = true
    return consumerInfoOf(answer, config)
  }
)

/** How often, and how many milliseconds apart, what was not there yet is deleted again. */
const mostForgets = 3
const betweenForgets = 50

/**
 * Without a session it is left to the server, which deletes what nobody pulls from. A server does not take requests in their
 * order: what was asked for and not answered can be made behind the first delete.
 */
const forget = (api: Api, of: Written, again: number): Effect.Effect<void> =>
  Effect.suspend(() =>
    api.connection.session === undefined
      ? Effect.void
      : api.call(`CONSUMER.DELETE.${of.stream}.${of.name}`, undefined, { errors: noConsumer(of.stream, of.name) }).pipe(
        Effect.catchTag("ConsumerNotFound", () =>
          again === 0
            ? Effect.void
            : Effect.andThen(sleep(api.connection, betweenForgets), forget(api, of, again - 1))),
        Effect.ignore
      )
  )

/** The names of a consumer that can be asked for. */
export const namesOf = (
  target: Target
): Effect.Effect<{ readonly stream: string; readonly consumer: string }, InvalidName> => {
  const named = consumerNames(target)
  const problem = invalidConsumer(named.stream, named.consumer)
  return problem === undefined ? Effect.succeed(named) : Effect.fail(problem)
}

export const info = Effect.fnUntraced(
  function*(
    api: Api,
    target: Target
  ): Effect.fn.Return<ConsumerInfo, ApiError | StreamNotFound | ConsumerNotFound | InvalidName> {
    const { consumer, stream } = yield* namesOf(target)
    const errors = noConsumer(stream, consumer)
    const { answer, config } = yield* answered(api, `CONSUMER.INFO.${stream}.${consumer}`, undefined, errors)
    return consumerInfoOf(answer, config)
  }
)

const nameIn = (element: Wire): string => String(objectOf(element)?.name)

export const list = (
  api: Api,
  stream: StreamTarget
): Stream.Stream<ConsumerInfo, ApiError | StreamNotFound | InvalidName> =>
  Stream.unwrap(Effect.map(nameOf(stream), (name) =>
    pages(api, `CONSUMER.LIST.${name}`, {
      of: "consumers",
      key: nameIn,
      read: (element) => consumerInfoOf(objectOf(element) ?? {}, objectOf(objectOf(element)?.config) ?? {}),
      errors: noStream(name)
    })))

export const names = (
  api: Api,
  stream: StreamTarget
): Stream.Stream<string, ApiError | StreamNotFound | InvalidName> =>
  Stream.unwrap(
    Effect.map(nameOf(stream), (name) =>
      pages(api, `CONSUMER.NAMES.${name}`, { of: "consumers", key: String, read: String, errors: noStream(name) }))
  )

export const remove = Effect.fnUntraced(
  function*(
    api: Api,
    target: Target
  ): Effect.fn.Return<void, ApiError | StreamNotFound | ConsumerNotFound | InvalidName> {
    const { consumer, stream } = yield* namesOf(target)
    yield* api.call(`CONSUMER.DELETE.${stream}.${consumer}`, undefined, { errors: noConsumer(stream, consumer) })
  }
)

/** What only newer servers can be asked. */
const asked = Effect.fnUntraced(
  function*(
    api: Api,
    target: Target,
    [feature, request]: readonly [Feature, string],
    body: WireObject
  ): Effect.fn.Return<
    WireObject,
    ApiError | InvalidName | StreamNotFound | ConsumerNotFound | ConsumerRefused | UnsupportedByServer
  > {
    const { consumer, stream } = yield* namesOf(target)
    const errors = joined(noConsumer(stream, consumer), refusedConsumer(stream, consumer))
    return (yield* callFor(api, feature, `CONSUMER.${request}.${stream}.${consumer}`, body, { errors })) as WireObject
  }
)

export const pause = Effect.fnUntraced(
  function*(api: Api, target: Target, until: Instant | undefined): Effect.fn.Return<PauseState, PauseError> {
    const { consumer } = yield* namesOf(target)
    const at = until === undefined ? undefined : instantOf(consumer, until)
    if (at instanceof InvalidDefinition) return yield* at
    return pauseOf(yield* asked(api, target, ["pause", "PAUSE"], { pause_until: at }))
  }
)

const instantOf = (name: string, value: Instant): string | InvalidDefinition => {
  try {
    return time.encode(value, "pauseUntil") as string
  } catch (error) {
    if (!(error instanceof Misfit)) throw error
    return new InvalidDefinition({ of: "consumer", name, field: error.field, problem: error.problem })
  }
}

export const reset = (
  api: Api,
  target: Target,
  sequence: number | undefined
): Effect.Effect<number, ResetError> =>
  Effect.suspend(() => {
    // 0 would be none to the server.
    if (sequence !== undefined) sequenceFrom(1, "sequence", sequence)
    return Effect.raceFirst(
      Effect.map(
        asked(api, target, ["consumerReset", "RESET"], { seq: sequence }),
        ({ reset_seq }) => numberOf(reset_seq)
      ),
      absent(api, target)
    )
  })

/** Fails where the consumer is not there, for what a server does not answer then. Never ends otherwise. */
const absent = (api: Api, target: Target): Effect.Effect<never, StreamNotFound | ConsumerNotFound> =>
  Effect.matchEffect(info(api, target), {
    onFailure: (error) =>
      error._tag === "StreamNotFound" || error._tag === "ConsumerNotFound" ? Effect.fail(error) : Effect.never,
    onSuccess: () => Effect.never
  })

export const unpin = (api: Api, target: Target, group: string): Effect.Effect<void, UnpinError> =>
  Effect.asVoid(asked(api, target, ["unpin", "UNPIN"], { group }))
