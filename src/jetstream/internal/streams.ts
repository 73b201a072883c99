/** What is done with streams. */
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { sequenceFrom } from "../../internal/operations/ranges.ts"
import { invalidSubject } from "../../internal/subject/invalid.ts"
import { patternProblem, subjectProblem } from "../../internal/subject/rules.ts"
import type { InvalidSubject } from "../../NatsError.ts"
import {
  type ApiError,
  type CreateStreamError,
  type DefinitionError,
  type DeleteMessageError,
  DeleteRefused,
  InvalidAnswer,
  type InvalidName,
  MessageNotFound,
  type PurgeError,
  PurgeRefused,
  StreamExists,
  type StreamNotFound,
  UnsupportedByServer,
  type UpdateStreamError
} from "../JetStreamError.ts"
import type { Api, CallOptions } from "./api.ts"
import { isWritten, merged, streamName, writeStream, type Written } from "./definition.ts"
import { differing, unsupported } from "./diff.ts"
import { forgetDirect, noteDirect } from "./direct.ts"
import type { Wire, WireObject } from "./exactJson.ts"
import { neededFor, objectOf } from "./fields.ts"
import { configOf, numberOf, streamInfoOf } from "./infos.ts"
import { invalidName } from "./names.ts"
import { versionOf } from "./needs.ts"
import { pages } from "./paging.ts"
import { exceeded, joined, noStream, overlapping, refusedStream, sealedStream, table } from "./refusals.ts"
import type { DeleteMessageOptions } from "./storedTypes.ts"
import type { InfoOptions, ListOptions, PurgeOptions, StreamDefinition, StreamInfo, Target } from "./streamTypes.ts"

/** A stream as a server answers it. */
export interface Answered {
  readonly answer: WireObject
  readonly config: WireObject
}

/** Asks for what answers with a configuration. */
export const answered = <E>(
  api: Api,
  name: string,
  body?: WireObject,
  errors?: CallOptions<E>["errors"],
  timeout?: number
): Effect.Effect<Answered, ApiError | E> =>
  Effect.flatMap(api.call(name, body, { errors, timeout }), (answer): Effect.Effect<Answered, InvalidAnswer> => {
    const config = configOf(name, answer as WireObject)
    if (config instanceof InvalidAnswer) return Effect.fail(config)
    noteDirect(api, config)
    return Effect.succeed({ answer: answer as WireObject, config })
  })

/** A stream that is there, or nothing. */
export const look = (api: Api, name: string): Effect.Effect<Answered | undefined, ApiError> =>
  answered(api, `STREAM.INFO.${name}`, undefined, noStream(name)).pipe(
    Effect.catchTag("StreamNotFound", () => Effect.succeed(undefined))
  )

/** Sends a definition as it is. `10058` is an error of its own there. */
export const send = (api: Api, verb: "CREATE" | "UPDATE", of: Written, config: WireObject) =>
  answered(
    api,
    `STREAM.${verb}.${of.name}`,
    { ...config, name: of.name },
    joined(
      refusedStream(of.name),
      exceeded,
      overlapping(of.name, (of.config.subjects ?? [of.name]) as ReadonlyArray<string>),
      noStream(of.name),
      table([10058], () => new StreamExists({ stream: of.name, differences: [] }))
    )
  )

/** Refuses what the server at hand does not know, before anything is sent. */
export const supported = (
  api: Api,
  of: Written,
  actual: WireObject = {}
): Effect.Effect<void, UnsupportedByServer> => {
  const [lacking] = unsupported(actual, of, versionOf(api))
  return lacking === undefined
    ? Effect.void
    : Effect.fail(new UnsupportedByServer({ feature: lacking.field, needs: lacking.needs ?? "" }))
}

/** The second look: what a server was sent and its answer does not have was dropped by it. */
export const kept = (of: Written, config: WireObject): Effect.Effect<void, UnsupportedByServer> => {
  const [field] = differing(config, of)
  if (field === undefined) return Effect.void
  const needs = neededFor(of.fields[field], of.fields[field].words(of.config)) ?? "that knows it"
  return Effect.fail(new UnsupportedByServer({ feature: field, needs }))
}

/** What no server answers to this: something else does. */
export const senseless = (request: string): InvalidAnswer =>
  new InvalidAnswer({ request, problem: "its error is one of another request" })

/** A definition as it is written on the wire. */
export const writing = (definition: StreamDefinition): Effect.Effect<Written, DefinitionError> =>
  Effect.suspend((): Effect.Effect<Written, DefinitionError> => {
    const of = writeStream(definition)
    return isWritten(of) ? Effect.succeed(of) : Effect.fail(of)
  })

export const create = Effect.fnUntraced(
  function*(api: Api, definition: StreamDefinition): Effect.fn.Return<StreamInfo, CreateStreamError> {
    const of = yield* writing(definition)
    yield* supported(api, of)
    const { answer, config } = yield* send(api, "CREATE", of, of.config).pipe(
      Effect.catchTag("StreamExists", (exists) =>
        Effect.flatMap(look(api, of.name), (there) =>
          Effect.fail(
            there === undefined
              ? exists
              : new StreamExists({ stream: of.name, differences: differing(there.config, of) })
          ))),
      Effect.catchTag("StreamNotFound", () => Effect.fail(senseless("STREAM.CREATE")))
    )
    yield* kept(of, config)
    return streamInfoOf(api, answer, config)
  }
)

export const update = Effect.fnUntraced(
  function*(api: Api, definition: StreamDefinition): Effect.fn.Return<StreamInfo, UpdateStreamError> {
    const of = yield* writing(definition)
    const there = yield* answered(api, `STREAM.INFO.${of.name}`, undefined, noStream(of.name))
    yield* supported(api, of, there.config)
    const { answer, config } = yield* send(api, "UPDATE", of, merged(there.config, of)).pipe(
      Effect.catchTag("StreamExists", () => Effect.fail(senseless("STREAM.UPDATE")))
    )
    yield* kept(of, config)
    return streamInfoOf(api, answer, config)
  }
)

/** The name of a stream that can be asked for. */
export const nameOf = (stream: Target): Effect.Effect<string, InvalidName> => {
  const name = streamName(stream)
  const problem = invalidName("stream", name)
  return problem === undefined ? Effect.succeed(name) : Effect.fail(problem)
}

/** Fails for what is no pattern, where one is given. */
export const checkPattern = (pattern: string | undefined): Effect.Effect<void, InvalidSubject> => {
  const problem = pattern === undefined ? undefined : patternProblem(pattern)
  return problem === undefined ? Effect.void : Effect.fail(invalidSubject("pattern", pattern!, problem))
}

export const info = Effect.fnUntraced(
  function*(
    api: Api,
    stream: Target,
    options: InfoOptions = {}
  ): Effect.fn.Return<StreamInfo, ApiError | StreamNotFound | InvalidName | InvalidSubject> {
    const name = yield* nameOf(stream)
    yield* checkPattern(options.subjects)
    const body = { subjects_filter: options.subjects, deleted_details: options.deletedDetails }
    const ask = (offset: number) =>
      answered(api, `STREAM.INFO.${name}`, offset === 0 ? body : { ...body, offset }, noStream(name))
    const first = yield* ask(0)
    const { answer, config } = first
    if (options.subjects === undefined) return streamInfoOf(api, answer, config)
    const subjects: Record<string, Wire> = { ...subjectsOf(answer) }
    const total = numberOf(answer.total)
    for (let offset = Object.keys(subjects).length; offset < total;) {
      const page = subjectsOf((yield* ask(offset)).answer)
      const found = Object.keys(page).length
      if (found === 0) break
      Object.assign(subjects, page)
      offset += found
    }
    return streamInfoOf(api, { ...answer, state: { ...objectOf(answer.state), subjects } }, config)
  }
)

const subjectsOf = (answer: WireObject): WireObject => objectOf(objectOf(answer.state)?.subjects) ?? {}

const nameIn = (element: Wire): string => String(objectOf(objectOf(element)?.config)?.name)

const filtered = (options: ListOptions = {}): WireObject =>
  options.subject === undefined ? {} : { subject: options.subject }

export const list = (
  api: Api,
  options?: ListOptions
): Stream.Stream<StreamInfo, ApiError | InvalidSubject> =>
  Stream.unwrap(Effect.as(
    checkPattern(options?.subject),
    pages<StreamInfo, never>(api, "STREAM.LIST", {
      body: filtered(options),
      of: "streams",
      key: nameIn,
      read: (element) => streamInfoOf(api, objectOf(element) ?? {}, objectOf(objectOf(element)?.config) ?? {})
    })
  ))

export const names = (api: Api, options?: ListOptions): Stream.Stream<string, ApiError | InvalidSubject> =>
  Stream.unwrap(Effect.as(
    checkPattern(options?.subject),
    pages<string, never>(api, "STREAM.NAMES", { body: filtered(options), of: "streams", key: String, read: String })
  ))

export const nameBySubject = (
  api: Api,
  subject: string
): Effect.Effect<Option.Option<string>, ApiError | InvalidSubject> => {
  const problem = subjectProblem(subject)
  return problem === undefined
    ? Stream.runHead(names(api, { subject }))
    : Effect.fail(invalidSubject("subject", subject, problem))
}

export const purge = Effect.fnUntraced(
  function*(api: Api, stream: Target, options: PurgeOptions = {}): Effect.fn.Return<number, PurgeError> {
    const name = yield* nameOf(stream)
    const { filter, keep, upTo } = options
    yield* checkPattern(filter)
    // What is no number would not reach the server, which then purges all.
    if (keep !== undefined) sequenceFrom(0, "keep", keep)
    if (upTo !== undefined) sequenceFrom(0, "upTo", upTo)
    // Before the first sequence there is nothing. To a server 0 means no bound, and before 2.10 so does 1.
    if (upTo !== undefined && upTo <= 1 && keep === undefined) {
      yield* answered(api, `STREAM.INFO.${name}`, undefined, noStream(name))
      return 0
    }
    const answer = yield* api.call(`STREAM.PURGE.${name}`, { filter, keep, seq: upTo }, {
      errors: joined(
        noStream(name),
        sealedStream(name),
        table([10110], ({ description }) => new PurgeRefused({ stream: name, description })),
        table(
          [10003],
          () => new PurgeRefused({ stream: name, description: "`keep` and `upTo` are not for both at once" })
        )
      )
    })
    return numberOf((answer as WireObject).purged)
  }
)

export const remove = Effect.fnUntraced(
  function*(api: Api, stream: Target): Effect.fn.Return<void, ApiError | StreamNotFound | InvalidName> {
    const name = yield* nameOf(stream)
    forgetDirect(api, name)
    yield* api.call(`STREAM.DELETE.${name}`, undefined, { errors: noStream(name) })
  }
)

export const deleteMessage = Effect.fnUntraced(
  function*(
    api: Api,
    stream: Target,
    sequence: number,
    options: DeleteMessageOptions = {}
  ): Effect.fn.Return<void, DeleteMessageError> {
    const name = yield* nameOf(stream)
    sequenceFrom(1, "sequence", sequence)
    yield* api.call(`STREAM.MSG.DELETE.${name}`, { seq: sequence, no_erase: options.secure !== true }, {
      errors: joined(
        noStream(name),
        sealedStream(name),
        table([10043, 10037], () => new MessageNotFound({ stream: name, sequence })),
        table([10057], ({ description }) => new DeleteRefused({ stream: name, sequence, description }))
      )
    })
  }
)
