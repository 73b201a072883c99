/**
 * Streams: their definitions, what is done with them, and how a server is brought to what a program declares.
 *
 * A definition is a value: it says in words what a stream is to be, and nothing happens before something is done with it.
 * `layer` and `provision` bring the server to it and change nothing that would lose a message unless they are told to.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { JetStreamStream } from "effect-nats/jetstream"
 *
 * const Orders = JetStreamStream.make("ORDERS", {
 *   subjects: ["orders.>"],
 *   maxAge: "7 days",
 *   maxBytes: "10 GiB"
 * })
 *
 * const program = Effect.gen(function*() {
 *   const report = yield* JetStreamStream.provision([Orders])
 *   yield* Effect.log(JetStreamStream.formatReport(report))
 *   const { state } = yield* JetStreamStream.info(Orders)
 *   yield* Effect.log(state.messages)
 * })
 * ```
 *
 * It is not for publishing (`JetStream`) or reading (`JetStreamConsumer`).
 *
 * @since 0.2.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import type * as Stream from "effect/Stream"
import type { InvalidSubject } from "../NatsError.ts"
import { isStreamDefinition as hasStreamTypeId, makeStream } from "./internal/definition.ts"
import type { CheckedName } from "./internal/nameLiteral.ts"
import * as Provision from "./internal/provision.ts"
import * as Report from "./internal/report.ts"
import * as Stored from "./internal/stored.ts"
import type { DeleteMessageOptions, GetManyOptions, GetOptions, StoredMessage, Which } from "./internal/storedTypes.ts"
import * as Streams from "./internal/streams.ts"
import {
  type InfoOptions,
  type ListOptions,
  type Provisioned,
  type ProvisionOptions,
  type PurgeOptions,
  type StreamDefinition,
  type StreamInfo,
  type StreamOptions,
  StreamTypeId,
  type Target
} from "./internal/streamTypes.ts"
import { withApi, withApiStream } from "./internal/withApi.ts"
import type { JetStream } from "./JetStream.ts"
import type { ConsumerDefinition } from "./JetStreamConsumer.ts"
import type {
  ApiError,
  CreateStreamError,
  DeleteMessageError,
  GetBatchError,
  GetError,
  InvalidName,
  ProvisionError,
  PurgeError,
  StreamNotFound,
  UpdateStreamError
} from "./JetStreamError.ts"

/**
 * @category type IDs
 * @since 0.2.0
 */
export const TypeId: "~effect-nats/JetStreamStream" = StreamTypeId

export type { CheckedName, CheckedPattern } from "./internal/nameLiteral.ts"

export type { DeleteMessageOptions, GetManyOptions, GetOptions, StoredMessage, Which } from "./internal/storedTypes.ts"

export type {
  Apply,
  ByteSize,
  ClusterInfo,
  InfoOptions,
  Instant,
  ListOptions,
  Origin,
  OriginInfo,
  Provisioned,
  ProvisionOptions,
  PurgeOptions,
  Replica,
  StreamConfig,
  StreamDefinition,
  StreamInfo,
  StreamOptions,
  StreamState,
  SubjectTransform,
  Target
} from "./internal/streamTypes.ts"

export type { Change, ProvisionEntry, ProvisionReport } from "./internal/report.ts"

// Definitions

/**
 * A definition of a stream. A literal name or subject that is none does not compile; another one fails typed where the
 * definition is used.
 *
 * @category constructors
 * @since 0.2.0
 */
export const make = <const Name extends string, const Subjects extends string = never>(
  name: CheckedName<Name>,
  options: StreamOptions<Subjects> = {}
): StreamDefinition<Name> => makeStream(name as string, options as unknown as StreamOptions) as StreamDefinition<Name>

/**
 * @category guards
 * @since 0.2.0
 */
export const isStreamDefinition = (value: unknown): value is StreamDefinition => hasStreamTypeId(value)

/**
 * That the stream has been provisioned, for what needs it: demands its `layer`, and gives what the stream was then.
 *
 * @category services
 * @since 0.2.0
 */
export const provisioned = <const Name extends string>(
  definition: StreamDefinition<Name>
): Context.Service<Provisioned<Name>, StreamInfo> =>
  Context.Service<Provisioned<Name>, StreamInfo>(`effect-nats/JetStreamStream/${definition.name}`)

// Operations

/**
 * Creates a stream. One that is there with the same configuration is taken for it; with another one it is `StreamExists`,
 * which names the fields that differ.
 *
 * Fails before anything is sent where the definition is invalid, or has a field that the server does not know, and with
 * `UnsupportedByServer` where the answer shows that a field was dropped: the stream is there then, without it. Interrupted,
 * it may or may not be created; to create it again is harmless.
 *
 * @category operations
 * @since 0.2.0
 */
export const create = (definition: StreamDefinition): Effect.Effect<StreamInfo, CreateStreamError, JetStream> =>
  withApi((api) => Streams.create(api, definition))

/**
 * Changes a stream to the definition: what it declares; the rest stays as it is. It is applied as it is written, also where
 * that loses messages or can never be taken back: see `provision` for a look before.
 *
 * Reads the configuration and writes it back, since a server replaces all of it: of two updates at once one can undo the
 * other.
 *
 * @category operations
 * @since 0.2.0
 */
export const update = (definition: StreamDefinition): Effect.Effect<StreamInfo, UpdateStreamError, JetStream> =>
  withApi((api) => Streams.update(api, definition))

/**
 * What a stream is and what is in it.
 *
 * @category operations
 * @since 0.2.0
 */
export const info = (
  stream: Target,
  options?: InfoOptions
): Effect.Effect<StreamInfo, ApiError | StreamNotFound | InvalidName | InvalidSubject, JetStream> =>
  withApi((api) => Streams.info(api, stream, options))

/**
 * All streams of the account, each once, read page by page. Fails where a page does, and where a server of the cluster does
 * not answer for its streams. What is created or deleted meanwhile may be in it or not.
 *
 * @category operations
 * @since 0.2.0
 */
export const list = (options?: ListOptions): Stream.Stream<StreamInfo, ApiError | InvalidSubject, JetStream> =>
  withApiStream((api) => Streams.list(api, options))

/**
 * The names of all streams of the account, each once, read page by page: see `list`.
 *
 * @category operations
 * @since 0.2.0
 */
export const names = (options?: ListOptions): Stream.Stream<string, ApiError | InvalidSubject, JetStream> =>
  withApiStream((api) => Streams.names(api, options))

/**
 * The name of the stream that stores a subject, if one does.
 *
 * @category operations
 * @since 0.2.0
 */
export const nameBySubject = (
  subject: string
): Effect.Effect<Option.Option<string>, ApiError | InvalidSubject, JetStream> =>
  withApi((api) => Streams.nameBySubject(api, subject))

/**
 * Deletes messages, and gives how many. Fails with `PurgeRefused` where the stream has `denyPurge`.
 *
 * @category operations
 * @since 0.2.0
 */
export const purge = (stream: Target, options?: PurgeOptions): Effect.Effect<number, PurgeError, JetStream> =>
  withApi((api) => Streams.purge(api, stream, options))

export {
  /**
   * Deletes a stream with its messages and consumers.
   *
   * @category operations
   * @since 0.2.0
   */
  remove as delete
}

const remove = (stream: Target): Effect.Effect<void, ApiError | StreamNotFound | InvalidName, JetStream> =>
  withApi((api) => Streams.remove(api, stream))

/**
 * Deletes one message. Fails with `DeleteRefused` where the stream has `denyDelete`, with `MessageNotFound` where it is gone.
 *
 * @category operations
 * @since 0.2.0
 */
export const deleteMessage = (
  stream: Target,
  sequence: number,
  options?: DeleteMessageOptions
): Effect.Effect<void, DeleteMessageError, JetStream> =>
  withApi((api) => Streams.deleteMessage(api, stream, sequence, options))

/**
 * One message of a stream. Fails with `MessageNotFound` where there is none.
 *
 * @category operations
 * @since 0.2.0
 */
export const get = (
  stream: Target,
  which: Which,
  options?: GetOptions
): Effect.Effect<StoredMessage, GetError, JetStream> => withApi((api) => Stored.get(api, stream, which, options))

/**
 * Messages of a stream in their order, up to the last one that is there when it is run. In batches where the server has
 * them (2.11, for a stream with `allowDirect`), else one by one. A stream that breaks off fails.
 *
 * @category operations
 * @since 0.2.0
 */
export const getMany = (
  stream: Target,
  options?: GetManyOptions
): Stream.Stream<StoredMessage, GetBatchError, JetStream> =>
  withApiStream((api) => Stored.getMany(api, stream, options))

/**
 * The last message of each subject that one of the patterns matches, all as of one moment. Needs nats-server 2.11 and
 * a stream with `allowDirect`; a server refuses more than 1,024 subjects.
 *
 * @category operations
 * @since 0.2.0
 */
export const lastPerSubject = (
  stream: Target,
  subjects: string | ReadonlyArray<string>
): Stream.Stream<StoredMessage, GetBatchError, JetStream> =>
  withApiStream((api) => Stored.lastPerSubject(api, stream, subjects))

// Provisioning

/**
 * Brings streams and consumers to their definitions, in this order: streams, then consumers.
 *
 * Everything is read and judged first. Where a change is not one that `apply` allows, `ProvisionRefused` has the report and
 * nothing was done at all. What is not there is created, what differs is changed with the rest of its configuration kept, and
 * the answer is compared again: what a server dropped is a change of the kind `unsupported`, and fails.
 * Run twice it changes nothing. Two programs that provision the same at once both succeed.
 *
 * @category provisioning
 * @since 0.2.0
 */
export const provision = (
  definitions: ReadonlyArray<StreamDefinition | ConsumerDefinition>,
  options?: ProvisionOptions
): Effect.Effect<Report.ProvisionReport, ProvisionError, JetStream> =>
  withApi((api) => Provision.provision(api, definitions, options))

/**
 * A report as text for a person: a line for each stream and consumer, and one for each change.
 *
 * @category provisioning
 * @since 0.2.0
 */
export const formatReport: (report: Report.ProvisionReport) => string = Report.formatReport

/**
 * Provisions a stream when the layer is built, and provides that it is there. What demands it says so:
 * `yield* JetStreamStream.provisioned(Orders)`. Closing the scope leaves the stream as it is.
 *
 * @category layers
 * @since 0.2.0
 */
export const layer = <Name extends string>(
  definition: StreamDefinition<Name>,
  options?: { readonly apply?: "safe" | "lossy" | undefined }
): Layer.Layer<Provisioned<Name>, ProvisionError, JetStream> =>
  Layer.effect(provisioned(definition), withApi((api) => Provision.ensureStream(api, definition, options)))
