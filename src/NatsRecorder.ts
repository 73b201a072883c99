/**
 * Records the traffic on subjects, and publishes a recording again.
 *
 * A recorder is one more subscriber: the programs that it listens to need no change and do not know of it. A recording is
 * a file of JSON lines, one `Entry` each, that people and other programs can read, cut and write. It is for tests and for
 * looking into faults; what must not be lost is kept by a JetStream stream.
 *
 * ```ts
 * import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
 * import { Effect, Layer, Stream } from "effect"
 * import { NatsClient, NatsRecorder } from "effect-nats"
 *
 * // Requests with their answers: answers are messages on the callers' inboxes.
 * const Recording = NatsRecorder.layerFile("orders.jsonl", ["orders.>", "_INBOX.>"])
 *
 * const replayed = NatsRecorder.fromFile("orders.jsonl").pipe(
 *   NatsRecorder.replay({ subject: (subject) => `replay.${subject}` }),
 *   Stream.runForEach(({ entry, isSame }) => Effect.log(entry.subject, isSame))
 * )
 *
 * const Live = Layer.provideMerge(NodeFileSystem.layer, NatsClient.layer())
 * ```
 *
 * A recording has the payloads and headers as they were sent, whatever secrets are in them. `layerFile` makes files that
 * only their owner can read.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "effect/FileSystem"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import { type PlatformError, systemError } from "effect/PlatformError"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { asPart, noteEnd, noteStopping, watchEnd } from "./internal/operations/background.ts"
import { allOrNothing, finalizing } from "./internal/operations/closing.ts"
import { connectionOf } from "./internal/operations/connectionOf.ts"
import { checkConcurrency } from "./internal/operations/handling.ts"
import { patternsOf } from "./internal/operations/subscribe.ts"
import { describeIssue } from "./internal/payload/decodeProblem.ts"
import { isTraceHeader } from "./internal/protocol/headerNames.ts"
import { monotonicMillis } from "./internal/telemetry/monotonic.ts"
import { isUtf8 } from "./internal/wire/utf8.ts"
import { NatsClient, type SubscribeOptions } from "./NatsClient.ts"
import type {
  ConnectionClosed,
  InvalidOption,
  PublishError,
  RequestError,
  SubscribeError,
  SubscriptionError
} from "./NatsError.ts"
import type { Input } from "./NatsHeaders.ts"
import type { NatsMessage } from "./NatsMessage.ts"

/**
 * One recorded message.
 *
 * @category models
 * @since 0.1.0
 */
export interface Entry {
  /** When it was read, in milliseconds since 1970. */
  readonly at: number
  readonly subject: string
  /** Where an answer was expected. */
  readonly reply?: string
  readonly headers?: Readonly<Record<string, ReadonlyArray<string>>>
  /** The payload as text, or as base64 where it is no UTF-8. */
  readonly payload: string
  readonly encoding?: "base64"
}

/**
 * The schema of an entry, as a line of a recording has it.
 *
 * @category models
 * @since 0.1.0
 */
export const Entry: Schema.Codec<Entry> = Schema.Struct({
  at: Schema.Finite,
  subject: Schema.String,
  reply: Schema.optionalKey(Schema.String),
  headers: Schema.optionalKey(Schema.Record(Schema.String, Schema.Array(Schema.String))),
  payload: Schema.String,
  encoding: Schema.optionalKey(Schema.Literal("base64"))
})

/**
 * A recording that is being made.
 *
 * @category models
 * @since 0.1.0
 */
export interface Recording {
  /**
   * The messages from the moment that the server had the subscriptions. Those of one pattern are in order. It ends with
   * success after `stop`, and fails as the stream of `NatsClient.subscription` does.
   */
  readonly entries: Stream.Stream<Entry, SubscriptionError>
  /** Takes no more messages. What was received can still be read; then the stream ends. Never fails. */
  readonly stop: Effect.Effect<void>
}

/**
 * @category options
 * @since 0.1.0
 */
export interface ReplayOptions {
  /** Where a message is published: default the subject it was recorded on. */
  readonly subject?: ((subject: string, entry: Entry) => string) | undefined
  /** `"recorded"`: with the pauses of the recording. `"none"`: as fast as it goes. Default `"recorded"`. */
  readonly timing?: "recorded" | "none" | undefined
  /** How long a request waits for its answer. Default: `requestTimeout` of the config, 10 seconds. */
  readonly timeout?: Duration.Input | undefined
  /**
   * Messages that are on their way at the same time. With 1, the default, the next one waits for the answer to the last
   * request, which can make the pauses longer than they were. A whole number above 0, or `"unbounded"`; anything else is an
   * `InvalidOption`.
   */
  readonly concurrency?: number | "unbounded" | undefined
}

/**
 * A message that was published again.
 *
 * @category models
 * @since 0.1.0
 */
export interface Replayed {
  readonly entry: Entry
  /** Where it was published. */
  readonly subject: string
  /** The answer to a request, or why there is none. Absent for a message that asked for none. */
  readonly answer?: Result.Result<NatsMessage, Exclude<RequestError, ConnectionClosed>> | undefined
  /** What it was answered with when it was recorded, where the recording has that. */
  readonly recorded?: Entry | undefined
  /** Whether the answer has the payload of the recorded one. Absent where there is nothing to compare with. */
  readonly isSame?: boolean | undefined
}

/**
 * Records what is published on subjects and patterns. Succeeds when the server has the subscriptions. A message that two
 * patterns match is recorded for each.
 *
 * Of a client that connects in the background (`reconnect.onFirstConnect`) it succeeds at once, and subscribes when there is a
 * session: what the server refuses then is the end of `entries`.
 *
 * The time of an entry is the `Clock`'s when it is read: messages that come together have the same.
 *
 * @category recording
 * @since 0.2.0
 */
export const make = (
  subjects: string | ReadonlyArray<string>,
  options?: SubscribeOptions
): Effect.Effect<Recording, SubscribeError, NatsClient | Scope.Scope> =>
  Effect.gen(function*() {
    const nats = yield* NatsClient
    const subscriptions = yield* allOrNothing(Effect.forEach(
      patternsOf(subjects),
      (pattern) => asPart(nats.subscription(pattern, options)),
      { concurrency: "unbounded" }
    ))
    const streams = subscriptions.map(({ stream }) =>
      Stream.mapArrayEffect(stream, (messages) =>
        Clock.clockWith((clock) => {
          const at = clock.currentTimeMillisUnsafe()
          const [first, ...others] = messages
          return Effect.succeed([entryOf(first, at), ...others.map((message) => entryOf(message, at))] as const)
        }))
    )
    return {
      entries: streams.length === 1 ? streams[0] : Stream.mergeAll(streams, { concurrency: "unbounded" }),
      stop: Effect.forEach(subscriptions, ({ drain }) => drain, { concurrency: "unbounded", discard: true })
    }
  })

/**
 * Records to a file of JSON lines for as long as the layer lives. Built when the file is open and the server has the
 * subscriptions. Appends to a file that exists; makes one that only its owner can read. When the layer is closed, what was
 * received is written, within the time that the client has for its close: `drainTimeout`. What is not is told by a warning.
 *
 * A recording that ends because of an error, of the file or of the subscription, ends a program that was started with
 * `NatsLayer.launch` with `BackgroundEnded`; else it is logged at level Error.
 *
 * @category recording
 * @since 0.1.0
 */
export const layerFile = (
  path: string,
  subjects: string | ReadonlyArray<string>,
  options?: SubscribeOptions
): Layer.Layer<never, SubscribeError | PlatformError, NatsClient | FileSystem.FileSystem> =>
  Layer.effectDiscard(Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const file = yield* fs.open(path, { flag: "a", mode: 0o600 })
    const recording = yield* make(subjects, options)
    const connection = connectionOf(yield* NatsClient)
    const part = connection.parts.join({ kind: "recorder", name: path })
    const writing = yield* recording.entries.pipe(
      Stream.runForEachArray((entries) => file.writeAll(Buffer.from(entries.map(toLine).join("")))),
      Effect.tapCause((cause) => Effect.sync(() => noteEnd(part, cause))),
      Effect.forkScoped
    )
    yield* watchEnd(part, Fiber.join(writing))
    yield* Effect.addFinalizer(() =>
      finalizing(connection, undefined, (patience) =>
        Effect.sync(() => noteStopping(part)).pipe(
          Effect.andThen(patience.wait(Effect.andThen(recording.stop, Fiber.await(writing)))),
          Effect.andThen((isDone) =>
            isDone ? Effect.void : Effect.annotateLogs(
              Effect.logWarning("The stop was out of time: what was received last is not recorded"),
              { recorder: path }
            )
          ),
          Effect.andThen(Effect.sync(() => connection.parts.leave(part)))
        ))
    )
  }))

/**
 * Reads a recording. A line that is no entry fails with a `PlatformError` of the reason `InvalidData` that names the line,
 * after the entries before it. Empty lines are left out.
 *
 * @category replaying
 * @since 0.1.0
 */
export const fromFile = (path: string): Stream.Stream<Entry, PlatformError, FileSystem.FileSystem> =>
  Stream.unwrap(Effect.map(FileSystem.FileSystem, (fs) => fs.stream(path))).pipe(
    Stream.decodeText,
    Stream.splitLines,
    Stream.zipWithIndex,
    Stream.filter(([line]) => line.trim() !== ""),
    Stream.mapEffect(([line, index]) =>
      Effect.mapError(decodeLine(line), (problem) =>
        systemError({
          _tag: "InvalidData",
          module: "NatsRecorder",
          method: "fromFile",
          pathOrDescriptor: path,
          description: `line ${index + 1} is no entry of a recording: ${problem}`
        }))
    )
  )

/**
 * Publishes the messages of a recording again, in order, and tells each.
 *
 * A message that asked for an answer is sent as a request. Answers that are in the recording are not published: they are
 * compared with those that come now. A request that fails is an element with that failure. The stream itself fails when a
 * message cannot be published and when the client has ended. Trace headers are left out, so that the old trace does not
 * grow.
 *
 * The recording is read whole before the first message.
 *
 * @category replaying
 * @since 0.1.0
 */
export const replay: {
  (
    options?: ReplayOptions
  ): <E, R>(
    entries: Stream.Stream<Entry, E, R>
  ) => Stream.Stream<Replayed, E | PublishError | InvalidOption, R | NatsClient>
  <E, R>(
    entries: Stream.Stream<Entry, E, R>,
    options?: ReplayOptions
  ): Stream.Stream<Replayed, E | PublishError | InvalidOption, R | NatsClient>
} = dual(
  (args) => Stream.isStream(args[0]),
  <E, R>(
    entries: Stream.Stream<Entry, E, R>,
    options: ReplayOptions = {}
  ): Stream.Stream<Replayed, E | PublishError | InvalidOption, R | NatsClient> =>
    Stream.unwrap(Effect.gen(function*() {
      yield* checkConcurrency(options.concurrency ?? 1)
      const nats = yield* NatsClient
      const { answers, questions } = paired(yield* Stream.runCollect(entries))
      const clock = yield* Clock.Clock
      const begin = monotonicMillis(clock)
      const paced = options.timing === "none"
        ? Stream.fromIterable(questions)
        : Stream.tap(Stream.fromIterable(questions), (entry) =>
          Effect.suspend(() =>
            Effect.sleep(Math.max(0, begin + entry.at - questions[0].at - monotonicMillis(clock)))
          ), {
          concurrency: 1
        })
      return Stream.mapEffect(paced, (entry) =>
        send(nats, entry, answers, options), {
        concurrency: options.concurrency ?? 1
      })
    }))
)

/**
 * The payload of an entry as it was sent.
 *
 * @category getters
 * @since 0.1.0
 */
export const payloadOf = (entry: Entry): string | Uint8Array =>
  entry.encoding === "base64" ? Buffer.from(entry.payload, "base64") : entry.payload

// internal

const entryOf = (message: NatsMessage, at: number): Entry => {
  const { headers, reply } = message
  return {
    at,
    subject: message.subject,
    ...(reply === undefined ? {} : { reply }),
    ...(Object.keys(headers).length === 0 ? {} : { headers }),
    ...payloadField(message.data)
  }
}

const payloadField = (data: Uint8Array): Pick<Entry, "payload" | "encoding"> => {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
  return isUtf8(bytes)
    ? { payload: bytes.toString("utf8") }
    : { payload: bytes.toString("base64"), encoding: "base64" }
}

const toLine = (entry: Entry): string => `${JSON.stringify(entry)}\n`

const decodeEntry = Schema.decodeUnknownEffect(Entry)

/** Fails with what is wrong, without the line's text: what the parser says has a piece of it. */
const decodeLine = (line: string): Effect.Effect<Entry, string> => {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    return Effect.fail("it is not JSON")
  }
  return Effect.mapError(decodeEntry(value), ({ issue }) => {
    const { path, problem } = describeIssue(issue)
    return path === "" ? problem : `${problem} at ${path}`
  })
}

/** The messages to publish, and the first answer to each request by its inbox. */
const paired = (
  entries: ReadonlyArray<Entry>
): { readonly questions: ReadonlyArray<Entry>; readonly answers: ReadonlyMap<string, Entry> } => {
  const inboxes = new Set(entries.flatMap(({ reply }) => reply ?? []))
  const answers = new Map<string, Entry>()
  for (const entry of entries) {
    if (inboxes.has(entry.subject) && !answers.has(entry.subject)) answers.set(entry.subject, entry)
  }
  return { questions: entries.filter(({ subject }) => !inboxes.has(subject)), answers }
}

const headersOf = (entry: Entry): Input | undefined =>
  entry.headers && Object.fromEntries(Object.entries(entry.headers).filter(([name]) => !isTraceHeader(name)))

const send = (
  nats: NatsClient,
  entry: Entry,
  answers: ReadonlyMap<string, Entry>,
  options: ReplayOptions
): Effect.Effect<Replayed, PublishError> => {
  const subject = options.subject === undefined ? entry.subject : options.subject(entry.subject, entry)
  const payload = payloadOf(entry)
  const headers = headersOf(entry)
  if (entry.reply === undefined) return Effect.as(nats.publish(subject, payload, { headers }), { entry, subject })
  const recorded = answers.get(entry.reply)
  return nats.request(subject, payload, { headers, timeout: options.timeout }).pipe(
    Effect.map((answer) => ({ entry, subject, answer: Result.succeed(answer), ...compared(answer, recorded) })),
    Effect.catchIf(
      (error) => error._tag !== "ConnectionClosed",
      (error) =>
        Effect.succeed({
          entry,
          subject,
          answer: Result.fail(error),
          ...(recorded === undefined ? {} : { recorded, isSame: false })
        })
    )
  )
}

const compared = (answer: NatsMessage, recorded: Entry | undefined): Pick<Replayed, "recorded" | "isSame"> =>
  recorded === undefined
    ? {}
    : { recorded, isSame: Buffer.compare(answer.data, Buffer.from(payloadOf(recorded))) === 0 }
