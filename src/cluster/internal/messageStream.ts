/** Reads and writes of the message storage: what is asked of the stream, and how its answers are put together. */
import type * as Reply from "effect/cluster/Reply"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { apiOf, askedAgain } from "../../jetstream/internal/api.ts"
import { type Expectation, JetStream, type PubAck } from "../../jetstream/JetStream.ts"
import type {
  BatchError,
  DeleteMessageError,
  ExpectationError,
  GetBatchError,
  GetError,
  PublishError,
  PurgeError,
  UnsupportedByServer
} from "../../jetstream/JetStreamError.ts"
import * as JetStreamStream from "../../jetstream/JetStreamStream.ts"
import { RequestTimedOut } from "../../NatsError.ts"
import * as NatsHeaders from "../../NatsHeaders.ts"
import type { MessageSubjects } from "./messageSubjects.ts"
import { type Acknowledged, acknowledgedOf, isMarker, replyOf } from "./messageValues.ts"

type StoredMessage = JetStreamStream.StoredMessage

export type ReadError = GetBatchError | GetError
export type WriteError = PublishError | ExpectationError | UnsupportedByServer
export type StreamError = ReadError | WriteError | BatchError | DeleteMessageError | PurgeError

export interface WriteOptions {
  readonly expect?: Expectation | undefined
  readonly msgId?: string | undefined
  readonly ttl?: Duration.Input | undefined
}

/** A reply as it stands in the stream. */
export interface StoredReply {
  readonly sequence: number
  readonly reply: Reply.Encoded
  /** When it was stored, in milliseconds since 1970. */
  readonly atMillis: number
  /** How long it lives from then on. `undefined`: for ever. */
  readonly ttl: Duration.Duration | undefined
}

/** What is stored of the replies to one request, in the order of the stream. */
export interface Replies {
  readonly exit: StoredReply | undefined
  readonly chunks: ReadonlyArray<StoredReply>
  readonly acknowledged: StoredAcknowledgement | undefined
}

interface StoredAcknowledgement extends Acknowledged {
  readonly sequence: number
}

export const noReplies: Replies = { exit: undefined, chunks: [], acknowledged: undefined }

/** Chunks that nobody has acknowledged. */
export const unacknowledged = ({ acknowledged, chunks }: Replies): ReadonlyArray<StoredReply> => {
  return acknowledged === undefined ? chunks : chunks.filter(({ sequence }) => sequence > acknowledged.upTo)
}

/** What counts for an entry: only what is younger than it. An older reply is one that was cleared. */
export const since = (replies: Replies, sequence: number): Replies => ({
  exit: replies.exit !== undefined && replies.exit.sequence > sequence ? replies.exit : undefined,
  chunks: replies.chunks.filter((chunk) => chunk.sequence > sequence),
  acknowledged: replies.acknowledged
})

/** Exits and chunks of messages in the order of the stream. */
const bySequence = (left: { readonly sequence: number }, right: { readonly sequence: number }): number =>
  left.sequence - right.sequence

/** So long an answer is waited for, in milliseconds: a leader that dies answers nothing. What can be done twice is tried again. */
const answerMillis = 2_000

/** As many as a server answers with at once. */
const mostOfPart = 1_024

/** Requests to the leader at once, where each is about one message. */
const atOnce = 32

/** Patterns of one request: a server answers with 1,024 messages at most, and refuses what would be more. */
const mostPatterns = 256

/** A server says so where patterns match too much. */
const tooMany = 413

export interface Page {
  readonly messages: ReadonlyArray<StoredMessage>
  /** There was nothing behind them. */
  readonly isEnd: boolean
}

export interface MessageStream {
  readonly name: string
  readonly subjects: MessageSubjects
  readonly write: (subject: string, value: object | "", options?: WriteOptions) => Effect.Effect<PubAck, WriteError>
  readonly writeBytes: (
    subject: string,
    data: Uint8Array | string,
    options?: WriteOptions
  ) => Effect.Effect<PubAck, WriteError>
  /** All or none of them. The sequence is that of the last one. */
  readonly writeAll: (
    messages: ReadonlyArray<{ readonly subject: string; readonly value: object | "" } & WriteOptions>
  ) => Effect.Effect<number, BatchError>
  /** The last message of a pattern, of the leader. */
  readonly last: (pattern: string) => Effect.Effect<StoredMessage | undefined, GetError>
  /** The same, and what stands in the place of one that is gone. */
  readonly lastOrMarker: (pattern: string) => Effect.Effect<StoredMessage | undefined, GetError>
  readonly at: (sequence: number) => Effect.Effect<StoredMessage | undefined, GetError>
  /** All messages of these patterns, in the order of the stream. A replica answers, which may be behind. */
  readonly all: (patterns: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<StoredMessage>, ReadError>
  /**
   * The same in parts of a page at most, each in the order of the stream, until somebody wants no more: what is held does not
   * grow with what there is.
   */
  readonly parts: (
    patterns: ReadonlyArray<string>,
    wantsMore: (messages: ReadonlyArray<StoredMessage>) => boolean
  ) => Effect.Effect<void, ReadError>
  /** At most so many of a pattern from a sequence on. That there is no more is the leader's word. */
  readonly page: (pattern: string, from: number, limit: number) => Effect.Effect<Page, ReadError>
  /** What counts of the replies to these requests. A reply that was just stored may be missing. */
  readonly replies: (requests: Iterable<string>) => Effect.Effect<ReadonlyMap<string, Replies>, ReadError>
  /** The same, and all that was stored before. */
  readonly freshReplies: (requests: Iterable<string>) => Effect.Effect<ReadonlyMap<string, Replies>, ReadError>
  /** What is gone already is no failure. */
  readonly remove: (sequence: number) => Effect.Effect<void, DeleteMessageError | GetError>
  readonly purge: (filter: string, upTo?: number) => Effect.Effect<void, PurgeError>
  /** The subjects of a pattern that have a message, of the leader. */
  readonly subjectsOf: (pattern: string) => Effect.Effect<ReadonlyArray<string>, GetError>
}

interface StreamOptions {
  readonly js: JetStream
  readonly name: string
  readonly subjects: MessageSubjects
  /** Whether several servers have the stream, of which one may be behind. */
  readonly isReplicated: () => boolean
}

export const messageStream = ({ isReplicated, js, name, subjects }: StreamOptions): MessageStream => {
  const { connection } = apiOf(js)
  const ask = <A, E>(asked: Effect.Effect<A, E, JetStream>): Effect.Effect<A, E> =>
    Effect.provideService(asked, JetStream, js)
  const askInTime = <A, E extends { readonly _tag: string }>(
    asked: Effect.Effect<A, E, JetStream>
  ): Effect.Effect<A, E | RequestTimedOut> =>
    Effect.timeoutOrElse(isReplicated() ? askedAgain(connection, ask(asked)) : ask(asked), {
      duration: answerMillis,
      orElse: () => Effect.fail(new RequestTimedOut({ subject: name, timeoutMillis: answerMillis }))
    })
  const publish: MessageStream["writeBytes"] = (subject, data, options) =>
    js.publish(subject, data, { ...options, subjectTemplate: name, timeout: answerMillis })
  const text = (value: object | "") => value === "" ? "" : JSON.stringify(value)

  const get = (which: JetStreamStream.Which) =>
    askInTime(JetStreamStream.get(name, which, { consistent: isReplicated() })).pipe(
      Effect.map((message): StoredMessage | undefined => message),
      Effect.catchTag("MessageNotFound", () => Effect.undefined)
    )

  const page: MessageStream["page"] = Effect.fnUntraced(function*(pattern, from, limit) {
    const messages = yield* ask(
      Stream.runCollect(JetStreamStream.getMany(name, { subject: pattern, from, limit }))
    )
    if (messages.length >= limit) return { messages, isEnd: false }
    if (!isReplicated()) return { messages, isEnd: true }
    const next = yield* get({ next: pattern, from: (messages.at(-1)?.sequence ?? from - 1) + 1 })
    return next === undefined
      ? { messages, isEnd: true }
      : { messages: [...messages, next], isEnd: false }
  })

  const pages = Effect.fnUntraced(function*(
    pattern: string,
    wantsMore: (messages: ReadonlyArray<StoredMessage>) => boolean
  ): Effect.fn.Return<boolean, ReadError> {
    let from = 1
    while (true) {
      const { isEnd, messages } = yield* page(pattern, from, mostOfPart)
      if (!wantsMore(messages)) return false
      if (isEnd) return true
      from = (messages.at(-1)?.sequence ?? from) + 1
    }
  })

  /** `false`: somebody wants no more. */
  const walk = (
    patterns: ReadonlyArray<string>,
    wantsMore: (messages: ReadonlyArray<StoredMessage>) => boolean
  ): Effect.Effect<boolean, ReadError> =>
    ask(Stream.runCollect(JetStreamStream.lastPerSubject(name, patterns))).pipe(
      Effect.map(wantsMore),
      Effect.catchTag("JetStreamApiError", (error) => {
        if (error.code !== tooMany) return Effect.fail(error)
        if (patterns.length === 1) return pages(patterns[0]!, wantsMore)
        const half = patterns.length >> 1
        return Effect.flatMap(
          walk(patterns.slice(0, half), wantsMore),
          (more) => more ? walk(patterns.slice(half), wantsMore) : Effect.succeed(false)
        )
      })
    )

  const parts: MessageStream["parts"] = Effect.fnUntraced(function*(patterns, wantsMore) {
    for (let i = 0; i < patterns.length; i += mostPatterns) {
      if (!(yield* walk(patterns.slice(i, i + mostPatterns), wantsMore))) return
    }
  })

  const all: MessageStream["all"] = (patterns) =>
    Effect.suspend(() => {
      const found: Array<ReadonlyArray<StoredMessage>> = []
      return Effect.map(
        parts(patterns, (messages) => found.push(messages) > 0),
        () => found.length === 1 ? found[0]! : found.flat().toSorted(bySequence)
      )
    })

  /** All messages of a pattern, one by one from the leader. */
  const chain = Effect.fnUntraced(function*(pattern: string): Effect.fn.Return<Array<StoredMessage>, GetError> {
    const found: Array<StoredMessage> = []
    let from = 1
    while (true) {
      const message = yield* get({ next: pattern, from })
      if (message === undefined) return found
      found.push(message)
      from = message.sequence + 1
    }
  })

  const ofLeader = (requests: Iterable<string>): Effect.Effect<ReadonlyMap<string, Replies>, GetError> =>
    Effect.map(
      Effect.forEach([...requests], (request) =>
        Effect.flatMap(get({ last: subjects.replies(request) }), (last) =>
          last === undefined ? Effect.succeed([]) : Effect.zipWith(
            chain(subjects.replies(request)),
            get({ last: subjects.acknowledged(request) }),
            (replies, acknowledged) =>
              acknowledged === undefined ? replies : [...replies, acknowledged]
          )), { concurrency: atOnce }),
      (found) =>
        gathered(subjects, found.flat())
    )

  const replies: MessageStream["replies"] = (requests) => {
    const patterns: Array<string> = []
    for (const request of requests) patterns.push(subjects.replies(request), subjects.acknowledged(request))
    return Effect.flatMap(all(patterns), (messages) => {
      const found = gathered(subjects, messages)
      return isReplicated() && found.size > 0 ? ofLeader(found.keys()) : Effect.succeed(found)
    })
  }

  return {
    name,
    subjects,
    write: (subject, value, options) => publish(subject, text(value), options),
    writeBytes: publish,
    writeAll: (messages) => {
      const batch = messages.map(({ expect, subject, ttl, value }) => ({ expect, subject, ttl, payload: text(value) }))
      return Effect.map(js.batch(batch as unknown as Parameters<JetStream["batch"]>[0]), ({ sequence }) => sequence)
    },
    last: (pattern) =>
      Effect.map(get({ last: pattern }), (message) => message !== undefined && isMarker(message) ? undefined : message),
    lastOrMarker: (pattern) => get({ last: pattern }),
    at: (sequence) => get({ sequence }),
    all,
    parts,
    page,
    replies,
    freshReplies: (requests) => isReplicated() ? ofLeader(requests) : replies(requests),
    remove: (sequence) =>
      ask(JetStreamStream.deleteMessage(name, sequence)).pipe(
        Effect.catchTag("MessageNotFound", () => Effect.void),
        // A server says so of some that are gone, too.
        Effect.catchTag("DeleteRefused", (refused) =>
          Effect.flatMap(get({ sequence }), (message) =>
            message === undefined ? Effect.void : Effect.fail(refused)))
      ),
    purge: (filter, upTo) => Effect.asVoid(ask(JetStreamStream.purge(name, { filter, upTo }))),
    subjectsOf: (pattern) =>
      Effect.map(
        ask(JetStreamStream.info(name, { subjects: pattern })),
        ({ state }) => [...(state.subjects?.keys() ?? [])]
      )
  }
}

interface Gathered {
  exit: StoredReply | undefined
  readonly chunks: Array<StoredReply>
  acknowledged: StoredAcknowledgement | undefined
}

const ttlOf = (message: StoredMessage): Duration.Duration | undefined => {
  const seconds = Number.parseInt(NatsHeaders.get(message.headers, "Nats-TTL") ?? "", 10)
  return Number.isNaN(seconds) ? undefined : Duration.seconds(seconds)
}

const gathered = (subjects: MessageSubjects, messages: ReadonlyArray<StoredMessage>): ReadonlyMap<string, Replies> => {
  const found = new Map<string, Gathered>()
  for (const message of messages) {
    const request = subjects.requestOf(message.subject)
    const of: Gathered = found.get(request) ?? { exit: undefined, chunks: [], acknowledged: undefined }
    found.set(request, of)
    const saved = replyOf(message)
    if (saved === undefined) {
      const acknowledged = acknowledgedOf(message)
      if (acknowledged !== undefined) of.acknowledged = { ...acknowledged, sequence: message.sequence }
      continue
    }
    const stored = {
      sequence: message.sequence,
      reply: saved.reply,
      atMillis: message.timestampMillis,
      ttl: ttlOf(message)
    }
    if (saved.reply._tag === "WithExit") of.exit = stored
    else of.chunks.push(stored)
  }
  return found
}

/** Of several requests, in the order of the stream. */
export const inOrder = (
  found: ReadonlyMap<string, Replies>,
  chunksOf: (replies: Replies) => ReadonlyArray<StoredReply>
): Array<Reply.Encoded> => {
  const replies: Array<StoredReply> = []
  for (const each of found.values()) {
    replies.push(...chunksOf(each))
    if (each.exit !== undefined) replies.push(each.exit)
  }
  return replies.toSorted(bySequence).map(({ reply }) => reply)
}
