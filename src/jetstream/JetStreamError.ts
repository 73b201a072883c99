/**
 * Failures of JetStream, key-value and object stores, and the named union of each operation.
 *
 * Every cause that a program branches on has a tag of its own, told by the server's `err_code`. The others are a
 * `JetStreamApiError` with code and description. Failures of the connection are those of core: see `NatsError`.
 *
 * @since 0.2.0
 */
import type {
  ConnectionClosed,
  ConnectionLost,
  HeadersNotSupported,
  InvalidHeader,
  InvalidOption,
  InvalidPayload,
  InvalidSubject,
  MaxPayloadExceeded,
  PermissionsViolation,
  RequestTimedOut,
  SlowConsumer,
  SubscriptionLimitExceeded
} from "../NatsError.ts"
import type {
  InvalidAnswer,
  InvalidName,
  JetStreamApiError,
  JetStreamNotEnabled,
  JetStreamUnavailable,
  UnsupportedByServer
} from "./internal/errorsOfApi.ts"
import type {
  BucketExists,
  BucketNotFound,
  InvalidKey,
  KeyTtlDisabled,
  LockNeedsTtl
} from "./internal/errorsOfBuckets.ts"
import type {
  AckLate,
  AckNotExpected,
  AlreadySettled,
  ConsumerDeleted,
  ConsumerExists,
  ConsumerIsPush,
  ConsumerNotFound,
  ConsumerRefused,
  ConsumerUnfit,
  PullRefused
} from "./internal/errorsOfConsumers.ts"
import type {
  BatchNotAllowed,
  BatchRefused,
  MessageRefused,
  NoStreamForSubject,
  NotPublished,
  PublishOutcomeUnknown,
  StreamFull,
  WrongLastMessageId,
  WrongLastSequence,
  WrongStream
} from "./internal/errorsOfPublishing.ts"
import type {
  DeleteRefused,
  InvalidDefinition,
  MessageNotFound,
  ProvisionRefused,
  PurgeRefused,
  ResourcesExceeded,
  StreamExists,
  StreamNotFound,
  StreamRefused,
  StreamSealed,
  SubjectsOverlap
} from "./internal/errorsOfStreams.ts"

export * from "./internal/errorsOfApi.ts"
export * from "./internal/errorsOfBuckets.ts"
export * from "./internal/errorsOfConsumers.ts"
export * from "./internal/errorsOfObjects.ts"
export * from "./internal/errorsOfPublishing.ts"
export * from "./internal/errorsOfStreams.ts"

/**
 * What opening `messages` can fail with, before the first message.
 *
 * @category unions
 * @since 0.2.0
 */
export type OpenError =
  | ApiError
  | InvalidName
  | StreamNotFound
  | ConsumerNotFound
  | ConsumerIsPush
  | UnsupportedByServer

/**
 * What ends `messages`, once open. Everything else is survived.
 *
 * @category unions
 * @since 0.2.0
 */
export type MessagesError =
  | ConsumerDeleted
  | StreamNotFound
  | PullRefused
  | PermissionsViolation
  | SubscriptionLimitExceeded
  | ConnectionClosed

/**
 * What opening `ordered` can fail with.
 *
 * @category unions
 * @since 0.2.0
 */
export type OpenOrderedError = ApiError | InvalidName | StreamNotFound | UnsupportedByServer

/**
 * What ends `ordered`, once open. `JetStreamApiError` is a refusal to make the consumer anew that lasts.
 *
 * @category unions
 * @since 0.2.0
 */
export type OrderedError =
  | StreamNotFound
  | JetStreamApiError
  | PermissionsViolation
  | SubscriptionLimitExceeded
  | ConnectionClosed

/**
 * What `next` and `fetch` can fail with.
 *
 * @category unions
 * @since 0.2.0
 */
export type FetchError = OpenError | ConsumerDeleted | PullRefused

/**
 * What `ack`, `nak`, `term` and `inProgress` can fail with.
 *
 * @category unions
 * @since 0.2.0
 */
export type AckError = AckLate | AlreadySettled | AckNotExpected | ConnectionClosed

/**
 * What can fail of any request to the API of JetStream.
 *
 * @category unions
 * @since 0.2.0
 */
export type ApiError =
  | JetStreamNotEnabled
  | JetStreamUnavailable
  | JetStreamApiError
  | InvalidAnswer
  | MaxPayloadExceeded
  | PermissionsViolation
  | SubscriptionLimitExceeded
  | RequestTimedOut
  | ConnectionLost
  | ConnectionClosed

/**
 * What can fail of a publish. `NotPublished` was never written, `PublishOutcomeUnknown` and `InvalidAnswer` were and may be
 * stored, the others were refused and are not.
 *
 * @category unions
 * @since 0.2.0
 */
export type PublishError =
  | InvalidSubject
  | InvalidPayload
  | InvalidHeader
  | HeadersNotSupported
  | MaxPayloadExceeded
  | PermissionsViolation
  | NotPublished
  | PublishOutcomeUnknown
  | InvalidAnswer
  | NoStreamForSubject
  | StreamFull
  | MessageRefused
  | JetStreamUnavailable
  | ConnectionClosed

/**
 * What else can fail of a publish with `expect`.
 *
 * @category unions
 * @since 0.2.0
 */
export type ExpectationError = WrongLastSequence | WrongLastMessageId | WrongStream

/**
 * What can fail of a read of a bucket.
 *
 * @category unions
 * @since 0.2.0
 */
export type KeyReadError = ApiError | BucketNotFound | InvalidKey

/**
 * What can fail of a write to a bucket. As with a publish: `NotPublished` was never written, `PublishOutcomeUnknown` and
 * `InvalidAnswer` may be stored, the others are not.
 *
 * @category unions
 * @since 0.2.0
 */
export type KeyWriteError = Exclude<PublishError, InvalidSubject | InvalidHeader> | BucketNotFound | InvalidKey

/**
 * What can fail of a watch of a bucket, and of what stands on one. Everything else it outlives.
 *
 * @category unions
 * @since 0.2.0
 */
export type WatchError = Exclude<OpenOrderedError | OrderedError, StreamNotFound> | BucketNotFound

/**
 * What can fail of a lock or an election besides its loss.
 *
 * @category unions
 * @since 0.2.0
 */
export type LockError = KeyReadError | KeyWriteError | WatchError | KeyTtlDisabled | UnsupportedByServer | LockNeedsTtl

/**
 * What can fail of making a bucket.
 *
 * @category unions
 * @since 0.2.0
 */
export type CreateBucketError = Exclude<CreateStreamError, StreamExists> | BucketExists | BucketNotFound

/**
 * What can fail of provisioning a bucket.
 *
 * @category unions
 * @since 0.2.0
 */
export type ProvisionBucketError =
  | Exclude<CreateBucketError, BucketExists>
  | Exclude<ProvisionError, StreamNotFound | ConsumerIsPush | ConsumerRefused>

// Processing

/**
 * What the start of `process` can fail with, before the first message.
 *
 * @category unions
 * @since 0.2.0
 */
export type ProcessError = OpenError | MessagesError | ConsumerUnfit | InvalidOption | InvalidSubject

/**
 * What is wrong with a definition before anything is sent.
 *
 * @category unions
 * @since 0.2.0
 */
export type DefinitionError = InvalidName | InvalidSubject | InvalidDefinition

/**
 * @category unions
 * @since 0.2.0
 */
export type CreateStreamError =
  | ApiError
  | DefinitionError
  | UnsupportedByServer
  | StreamExists
  | StreamRefused
  | SubjectsOverlap
  | ResourcesExceeded

/**
 * @category unions
 * @since 0.2.0
 */
export type UpdateStreamError =
  | ApiError
  | DefinitionError
  | UnsupportedByServer
  | StreamNotFound
  | StreamRefused
  | SubjectsOverlap
  | ResourcesExceeded

/**
 * @category unions
 * @since 0.2.0
 */
export type PurgeError = ApiError | StreamNotFound | InvalidName | InvalidSubject | PurgeRefused | StreamSealed

/**
 * @category unions
 * @since 0.2.0
 */
export type DeleteMessageError =
  | ApiError
  | StreamNotFound
  | InvalidName
  | MessageNotFound
  | DeleteRefused
  | StreamSealed

/**
 * @category unions
 * @since 0.2.0
 */
export type GetError = ApiError | StreamNotFound | InvalidName | InvalidSubject | MessageNotFound

/**
 * @category unions
 * @since 0.2.0
 */
export type GetBatchError = ApiError | StreamNotFound | InvalidName | InvalidSubject | UnsupportedByServer

/**
 * @category unions
 * @since 0.2.0
 */
export type CreateConsumerError =
  | ApiError
  | DefinitionError
  | UnsupportedByServer
  | StreamNotFound
  | ConsumerExists
  | ConsumerIsPush
  | ConsumerRefused
  | ResourcesExceeded

/**
 * @category unions
 * @since 0.2.0
 */
export type UpdateConsumerError =
  | ApiError
  | DefinitionError
  | UnsupportedByServer
  | StreamNotFound
  | ConsumerNotFound
  | ConsumerIsPush
  | ConsumerRefused
  | ResourcesExceeded

/**
 * @category unions
 * @since 0.2.0
 */
export type CreateEphemeralError = CreateConsumerError

/**
 * @category unions
 * @since 0.2.0
 */
export type PauseError =
  | ApiError
  | InvalidName
  | InvalidDefinition
  | UnsupportedByServer
  | StreamNotFound
  | ConsumerNotFound
  | ConsumerRefused

/**
 * @category unions
 * @since 0.2.0
 */
export type ResetError =
  | ApiError
  | InvalidName
  | UnsupportedByServer
  | StreamNotFound
  | ConsumerNotFound
  | ConsumerRefused

/**
 * @category unions
 * @since 0.2.0
 */
export type UnpinError =
  | ApiError
  | InvalidName
  | UnsupportedByServer
  | StreamNotFound
  | ConsumerNotFound
  | ConsumerRefused

/**
 * @category unions
 * @since 0.2.0
 */
export type ProvisionError =
  | ApiError
  | DefinitionError
  | StreamNotFound
  | ConsumerIsPush
  | StreamRefused
  | SubjectsOverlap
  | ConsumerRefused
  | ResourcesExceeded
  | ProvisionRefused

/**
 * What can fail of an atomic batch.
 *
 * @category unions
 * @since 0.2.0
 */
export type BatchError = PublishError | ExpectationError | UnsupportedByServer | BatchNotAllowed | BatchRefused

/**
 * What the stream of advisories can fail with.
 *
 * @category unions
 * @since 0.2.0
 */
export type AdvisoryError =
  | InvalidName
  | PermissionsViolation
  | SubscriptionLimitExceeded
  | SlowConsumer
  | ConnectionLost
  | ConnectionClosed
