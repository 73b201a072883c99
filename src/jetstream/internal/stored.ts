/** Messages read by sequence or subject: from the leader, or directly from any server that has them (ADR-31). */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { sequenceFrom } from "../../internal/operations/ranges.ts"
import { decodeHeaders } from "../../internal/protocol/headers.ts"
import type { NatsHeaders } from "../../NatsHeaders.ts"
import type { NatsMessage } from "../../NatsMessage.ts"
import {
  type ApiError,
  type GetBatchError,
  type GetError,
  InvalidAnswer,
  JetStreamApiError,
  JetStreamUnavailable,
  MessageNotFound,
  type StreamNotFound
} from "../JetStreamError.ts"
import { type Api, failUnlessOurs } from "./api.ts"
import { away, knownDirect } from "./direct.ts"
import { stringifyExact, type WireObject } from "./exactJson.ts"
import { objectOf } from "./fields.ts"
import { numberOf } from "./infos.ts"
import { instantWords } from "./kinds.ts"
import { supported, unsupported } from "./level.ts"
import { joined, noStream, table } from "./refusals.ts"
import type { GetManyOptions, GetOptions, StoredMessage, Which } from "./storedTypes.ts"
import { answered, checkPattern, nameOf } from "./streams.ts"
import type { Target } from "./streamTypes.ts"

const askDirect = (api: Api, stream: string, timeout?: number): Effect.Effect<boolean, ApiError | StreamNotFound> =>
  Effect.map(
    answered(api, `STREAM.INFO.${stream}`, undefined, noStream(stream), timeout),
    ({ config }) => config.allow_direct === true
  )

const isDirect = (api: Api, stream: string): Effect.Effect<boolean, ApiError | StreamNotFound> =>
  Effect.suspend(() => {
    const known = knownDirect(api, stream)
    return known === undefined ? askDirect(api, stream) : Effect.succeed(known)
  })

const subjectOf = (api: Api, stream: string): string => `${api.prefix}.DIRECT.GET.${stream}`

const wireOf = (which: Which): WireObject => {
  if ("sequence" in which) return { seq: which.sequence }
  return "last" in which ? { last_by_subj: which.last } : { seq: which.from ?? 1, next_by_subj: which.next }
}

/** Throws for what names no message. */
const checkWhich = (which: Which): void => {
  const given: Partial<Record<"sequence" | "last" | "next" | "from", unknown>> = which ?? {}
  if (given.sequence !== undefined) return sequenceFrom(1, "sequence", given.sequence as number)
  if (given.last === undefined && given.next === undefined) {
    throw new TypeError("a message is named by its `sequence`, or as the `last` or the `next` one of a subject")
  }
  if (given.from !== undefined) sequenceFrom(1, "from", given.from as number)
}

const missing = (stream: string, which: Which): MessageNotFound => {
  if ("sequence" in which) return new MessageNotFound({ stream, sequence: which.sequence })
  return new MessageNotFound({ stream, subject: "last" in which ? which.last : which.next })
}

export const get = Effect.fnUntraced(
  function*(
    api: Api,
    target: Target,
    which: Which,
    options: GetOptions = {}
  ): Effect.fn.Return<StoredMessage, GetError> {
    const stream = yield* nameOf(target)
    checkWhich(which)
    yield* checkPattern("last" in which ? which.last : "next" in which ? which.next : undefined)
    if (options.consistent === true || !(yield* isDirect(api, stream))) return yield* fromLeader(api, stream, which)
    return yield* fromAny(api, stream, which)
  }
)

const fromLeader = (api: Api, stream: string, which: Which): Effect.Effect<StoredMessage, GetError> =>
  Effect.flatMap(
    api.call(`STREAM.MSG.GET.${stream}`, wireOf(which), {
      errors: joined(noStream(stream), table([10037], () => missing(stream, which)))
    }),
    (answer): Effect.Effect<StoredMessage, InvalidAnswer> => {
      const message = objectOf((answer as WireObject).message)
      return message === undefined
        ? Effect.fail(new InvalidAnswer({ request: "STREAM.MSG.GET", problem: "it has no message" }))
        : Effect.succeed(ofJson(stream, message))
    }
  )

/** Who cannot be asked any more has been told otherwise: the configuration is looked at again. */
const fromAny = (api: Api, stream: string, which: Which): Effect.Effect<StoredMessage, GetError> =>
  api.nats.request(subjectOf(api, stream), stringifyExact(wireOf(which)), {
    subjectTemplate: `${api.prefix}.DIRECT.GET`,
    timeout: api.timeoutMillis
  }).pipe(
    Effect.flatMap((reply): Effect.Effect<StoredMessage, InvalidAnswer | MessageNotFound | JetStreamApiError> =>
      reply.status === undefined ? ofReply(reply) : Effect.fail(
        reply.status === 404 ? missing(stream, which) : refusal(api, reply)
      )
    ),
    Effect.catch((error): Effect.Effect<StoredMessage, GetError> => {
      switch (error._tag) {
        case "NoResponders":
        case "RequestTimedOut": {
          const failure = error._tag === "RequestTimedOut" ? error : new JetStreamUnavailable(away)
          return Effect.matchEffect(askDirect(api, stream, api.patienceMillis), {
            onSuccess: (direct) => direct ? Effect.fail(failure) : fromLeader(api, stream, which),
            onFailure: (looked) => Effect.fail(looked._tag === "RequestTimedOut" ? failure : looked)
          })
        }
        default:
          return failUnlessOurs(error)
      }
    })
  )

const refusal = (api: Api, reply: NatsMessage): JetStreamApiError =>
  new JetStreamApiError({
    request: "DIRECT.GET",
    errCode: 0,
    code: reply.status ?? 0,
    description: api.shown(reply.description ?? "no description")
  })

// Batches

/** Of one batch: what it takes to hold a page of them while the next is asked for. */
const mostOfBatch = 256

/** At least one message comes, however large. */
const mostBytesOfBatch = 8 * 1024 * 1024

interface Batch {
  readonly body: WireObject
  /** How many are wanted in all; not known before the first batch tells. */
  readonly left: number | undefined
}

const pendingOf = (reply: NatsMessage): number => Number(reply.header("Nats-Num-Pending") ?? 0)

interface Batched {
  readonly messages: ReadonlyArray<StoredMessage>
  /** `undefined` where there was no message at all. */
  readonly end: NatsMessage | undefined
}

/** What a batch gave, and what it ended with. */
const batch = (
  api: Api,
  stream: string,
  body: WireObject
): Effect.Effect<Batched, GetBatchError> =>
  api.nats.requestMany(subjectOf(api, stream), stringifyExact(body), {
    subjectTemplate: `${api.prefix}.DIRECT.GET`,
    timeout: api.timeoutMillis
  }).pipe(
    Stream.takeUntil((reply) => reply.status !== undefined),
    Stream.runCollect,
    Effect.catch((error): Effect.Effect<never, ApiError> => {
      switch (error._tag) {
        case "NoResponders":
          return Effect.fail(new JetStreamUnavailable(away))
        case "SlowConsumer":
          return Effect.fail(new InvalidAnswer({ request: "DIRECT.GET", problem: "it is more than was asked for" }))
        default:
          return failUnlessOurs(error)
      }
    }),
    Effect.flatMap((replies): Effect.Effect<Batched, GetBatchError> => {
      const last = replies.at(-1)
      if (last?.status === 404) return Effect.succeed({ messages: [], end: undefined })
      if (last?.status === undefined) {
        return Effect.fail(new InvalidAnswer({ request: "DIRECT.GET", problem: "it breaks off before its end" }))
      }
      if (last.status !== 204) return Effect.fail(refusal(api, last))
      return Effect.map(Effect.forEach(replies.slice(0, -1), ofReply), (messages) => ({ messages, end: last }))
    })
  )

const batches = (api: Api, stream: string, first: WireObject, limit: number | undefined) =>
  Stream.paginate({ body: first, left: limit } as Batch, ({ body, left }: Batch) =>
    Effect.map(
      batch(api, stream, { ...body, batch: Math.min(left ?? mostOfBatch, mostOfBatch), max_bytes: mostBytesOfBatch }),
      ({ end, messages }): readonly [ReadonlyArray<StoredMessage>, Option.Option<Batch>] => {
        const last = messages.at(-1)
        if (end === undefined || last === undefined) return [messages, Option.none()]
        const pending = pendingOf(end)
        const wanted = left === undefined ? pending : Math.min(left - messages.length, pending)
        const upTo = end.header("Nats-UpTo-Sequence")
        const next = {
          ...body,
          seq: last.sequence + 1,
          ...(upTo === undefined || first.multi_last === undefined ? {} : { up_to_seq: Number(upTo) })
        }
        return [messages, wanted > 0 ? Option.some({ body: next, left: wanted }) : Option.none()]
      }
    ))

export const getMany = (
  api: Api,
  target: Target,
  options: GetManyOptions = {}
): Stream.Stream<StoredMessage, GetBatchError> =>
  Stream.unwrap(Effect.gen(function*() {
    const stream = yield* nameOf(target)
    yield* checkPattern(options.subject)
    const direct = yield* isDirect(api, stream)
    const { from = 1, limit, subject } = options
    if (limit !== undefined && limit < 1) return Stream.empty
    if (!direct || unsupported(api, "directBatch") !== undefined) {
      return oneByOne(api, stream, from, subject ?? ">", limit)
    }
    return batches(api, stream, { seq: from, next_by_subj: subject ?? ">" }, limit)
  }))

/** Up to the last message that is there now. */
const oneByOne = (
  api: Api,
  stream: string,
  from: number,
  subject: string,
  limit = Number.POSITIVE_INFINITY
): Stream.Stream<StoredMessage, GetBatchError> =>
  Stream.unwrap(Effect.map(answered(api, `STREAM.INFO.${stream}`, undefined, noStream(stream)), ({ answer }) => {
    const end = numberOf(objectOf(answer.state)?.last_seq)
    return Stream.paginate(
      { from, left: limit },
      (at) =>
        at.from > end ? none : fromLeader(api, stream, { next: subject, from: at.from }).pipe(
          Effect.map((message) =>
            message.sequence > end ? nothing : [
              [message],
              at.left > 1 ? Option.some({ from: message.sequence + 1, left: at.left - 1 }) : Option.none()
            ] as const
          ),
          Effect.catchTag("MessageNotFound", () => none)
        )
    )
  }))

const nothing: readonly [ReadonlyArray<StoredMessage>, Option.Option<{ from: number; left: number }>] = [
  [],
  Option.none()
]

const none = Effect.succeed(nothing)

export const lastPerSubject = (
  api: Api,
  target: Target,
  subjects: string | ReadonlyArray<string>
): Stream.Stream<StoredMessage, GetBatchError> =>
  Stream.unwrap(Effect.gen(function*() {
    const stream = yield* nameOf(target)
    const patterns = typeof subjects === "string" ? [subjects] : subjects
    yield* Effect.forEach(patterns, checkPattern, { discard: true })
    yield* supported(api, "directBatch")
    if (!(yield* isDirect(api, stream)) && !(yield* askDirect(api, stream))) {
      return yield* new InvalidAnswer({ request: "DIRECT.GET", problem: "the stream has no `allowDirect`" })
    }
    return batches(api, stream, { multi_last: patterns }, undefined)
  }))

// Messages

/** Of the server, in front of what the publisher gave. */
const ofDirect = new Set(["Nats-Stream", "Nats-Subject", "Nats-Sequence", "Nats-Time-Stamp", "Nats-Num-Pending"])

const nanosOf = (time: string): bigint => {
  const said = instantWords(time)
  if (said === undefined) return 0n
  const [seconds, fraction = ""] = said.slice(0, -1).split(".")
  return BigInt(Date.parse(`${seconds}Z`)) * 1_000_000n + BigInt(fraction.padEnd(9, "0"))
}

const made = (
  stream: string,
  subject: string,
  sequence: number,
  time: string,
  data: Uint8Array,
  headers: NatsHeaders
): StoredMessage => {
  const timestampNanos = nanosOf(time)
  return {
    stream,
    subject,
    sequence,
    timestampNanos,
    timestampMillis: Number(timestampNanos / 1_000_000n),
    data,
    get text() {
      return Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("utf8")
    },
    headers
  }
}

const bytesOf = (base64: unknown): Buffer => Buffer.from(typeof base64 === "string" ? base64 : "", "base64")

const ofJson = (stream: string, message: WireObject): StoredMessage => {
  const block = bytesOf(message.hdrs)
  return made(
    stream,
    String(message.subject),
    numberOf(message.seq),
    String(message.time),
    bytesOf(message.data),
    block.length === 0 ? {} : decodeHeaders(block).headers
  )
}

const ofReply = (reply: NatsMessage): Effect.Effect<StoredMessage, InvalidAnswer> => {
  const [stream, subject, sequence, time] = ["Nats-Stream", "Nats-Subject", "Nats-Sequence", "Nats-Time-Stamp"]
    .map((name) => reply.header(name))
  if (stream === undefined || subject === undefined || sequence === undefined || time === undefined) {
    return Effect.fail(new InvalidAnswer({ request: "DIRECT.GET", problem: "it does not say which message it is" }))
  }
  const headers = Object.fromEntries(Object.entries(reply.headers).filter(([name]) => !ofDirect.has(name)))
  return Effect.succeed(made(stream, subject, Number(sequence), time, reply.data, headers))
}
