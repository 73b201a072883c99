/**
 * The entries of stores in a bucket: read as its leader has them, written, removed without a trace, and listed.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { sleep } from "../../internal/operations/sending.ts"
import { apiOf } from "../../jetstream/internal/api.ts"
import { reasonOf } from "../../jetstream/internal/kvEntry.ts"
import { supported } from "../../jetstream/internal/level.ts"
import { JetStream, type OutgoingMessage, type PubAck } from "../../jetstream/JetStream.ts"
import {
  type ApiError,
  BucketExists,
  type CreateBucketError,
  type ExpectationError,
  type GetBatchError,
  type GetError,
  type PublishError,
  type PurgeError,
  type UnsupportedByServer
} from "../../jetstream/JetStreamError.ts"
import * as JetStreamStream from "../../jetstream/JetStreamStream.ts"
import type { Input } from "../../NatsHeaders.ts"
import type { BucketOptions } from "./bucketOptions.ts"
import { ensureBucket, opening } from "./opening.ts"

export type WriteError = PublishError | ExpectationError | UnsupportedByServer
export type ListError = Effect.Error<ReturnType<typeof JetStreamStream.info>>
export type Stored = JetStreamStream.StoredMessage

/** A write to a key. */
export interface Writing {
  readonly key: string
  readonly payload: string | Uint8Array
  readonly headers?: Input | undefined
  /** The sequence of the last message of the key. */
  readonly expected?: number | undefined
  /** The time after which the server may delete it. */
  readonly ttl?: Duration.Duration | undefined
}

/** Of one batch: a server refuses more. */
const mostOfBatch = 1_024

/** Of the subjects in one request, so that it fits any server's `max_payload` that is in use. */
const mostCharactersOfBatch = 64 * 1_024

/** Reads of single keys that are on their way at once. */
const concurrency = 64

/**
 * What is over is deleted so much later: who reads a value decides by a clock of its own whether it is seen, and that can be
 * behind the clock of the server, or of another who reads.
 */
export const grace = Duration.minutes(1)

/** In milliseconds. A write takes less than one: who waits for longer gives way to all others. */
const longestPause = 16

/** A longer time is as good as none. */
const longestTtl = Duration.days(10_000)

export class BucketEntries {
  readonly bucket: string
  private readonly js: JetStream
  private readonly stream: string
  private readonly readPrefix: string
  private readonly writePrefix: string
  private readonly template: string
  /** Whether the server deletes what has ended. */
  readonly hasTtl: boolean
  /** Whether one request reads many keys, and what it gives is as the leader has it. */
  private readonly isBatched: boolean

  constructor(js: JetStream, bucket: string, hasTtl: boolean, isBatched: boolean) {
    const api = apiOf(js)
    this.js = js
    this.bucket = bucket
    this.stream = `KV_${bucket}`
    this.readPrefix = `$KV.${bucket}.`
    this.writePrefix = api.isElsewhere ? `${api.prefix}.${this.readPrefix}` : this.readPrefix
    this.template = `${this.readPrefix}{key}`
    this.hasTtl = hasTtl
    this.isBatched = isBatched
  }

  /** `undefined` where there is none, or a mark in its place. */
  read(key: string): Effect.Effect<Stored | undefined, GetError> {
    return Effect.map(this.last(key), (stored) => stored === undefined || isMark(stored) ? undefined : stored)
  }

  private last(key: string): Effect.Effect<Stored | undefined, GetError> {
    return this.run(JetStreamStream.get(this.stream, { last: `${this.readPrefix}${key}` }, { consistent: true })).pipe(
      Effect.catchTag("MessageNotFound", () => Effect.undefined)
    )
  }

  /** Those that are there, by key. */
  readMany(keys: ReadonlySet<string>): Effect.Effect<ReadonlyMap<string, Stored>, GetBatchError | GetError> {
    const found = new Map<string, Stored>()
    const take = (key: string, stored: Stored | undefined): void => {
      if (stored !== undefined && !isMark(stored)) found.set(key, stored)
    }
    const { length } = this.readPrefix
    const reading: Effect.Effect<void, GetBatchError | GetError> = this.isBatched
      ? Effect.forEach(
        batchesOf(keys),
        (batch) =>
          this.run(
            Stream.runForEach(
              JetStreamStream.lastPerSubject(this.stream, batch.map((key) => `${this.readPrefix}${key}`)),
              (stored) => Effect.sync(() => take(stored.subject.slice(length), stored))
            )
          ),
        { discard: true }
      )
      : Effect.forEach(keys, (key) => Effect.map(this.last(key), (stored) => take(key, stored)), {
        discard: true,
        concurrency
      })
    return Effect.as(reading, found)
  }

  /** Gives the sequence. */
  write(writing: Writing): Effect.Effect<PubAck, WriteError> {
    const { payload, subject, ...options } = this.outgoing(writing)
    return this.js.publish(subject, payload, { ...options, subjectTemplate: this.template })
  }

  /** In their order, pipelined. What is written stays when a later one fails. */
  writeAll(writings: ReadonlyArray<Writing>): Effect.Effect<void, WriteError> {
    return Stream.runDrain(this.js.publishAll(Stream.fromIterable(writings.map((writing) => this.outgoing(writing)))))
  }

  private outgoing({ expected, headers, key, payload, ttl }: Writing): OutgoingMessage {
    const isEnding = this.hasTtl && ttl !== undefined && Duration.isLessThan(ttl, longestTtl)
    return {
      subject: `${this.writePrefix}${key}`,
      payload,
      headers,
      ...(expected === undefined ? {} : { expect: { lastSubjectSequence: expected } }),
      ...(isEnding ? { ttl: Duration.sum(Duration.max(ttl, Duration.zero), grace) } : {})
    }
  }

  /** Removes every message of a key or pattern, those before a sequence only. Nothing is left in their place. */
  purge(filter: string, upTo?: number): Effect.Effect<void, PurgeError> {
    return Effect.asVoid(this.run(JetStreamStream.purge(this.stream, { filter: `${this.readPrefix}${filter}`, upTo })))
  }

  /**
   * The keys behind a prefix, without it, as the leader has them. A mark that another program left in place of a value counts
   * as one: no request tells them apart without a consumer, which can be where the last writes are not yet.
   */
  keys(prefix: string): Effect.Effect<ReadonlyArray<string>, ListError> {
    const start = `${this.readPrefix}${prefix}`
    return Effect.map(
      this.run(JetStreamStream.info(this.stream, { subjects: `${start}>` })),
      ({ state }) => Array.from(state.subjects?.keys() ?? [], (subject) => subject.slice(start.length))
    )
  }

  /** Of several keys. */
  purgeAll(keys: Iterable<string>): Effect.Effect<void, PurgeError> {
    return Effect.forEach(keys, (key) => this.purge(key), { discard: true, concurrency })
  }

  /** What was read, and nothing that was written since. */
  purgeRead(read: Iterable<Stored>): Effect.Effect<void, PurgeError> {
    return Effect.forEach(
      read,
      ({ sequence, subject }) => this.purge(subject.slice(this.readPrefix.length), sequence + 1),
      { discard: true, concurrency }
    )
  }

  /** A while, so that those who have lost the same race do not meet again. By the clock of the client. */
  pause(lost: number): Effect.Effect<void> {
    const { connection } = apiOf(this.js)
    return Effect.flatMap(
      Random.next,
      (chance) => sleep(connection, Math.ceil(chance * Math.min(2 ** lost, longestPause)))
    )
  }

  private run<A, E>(effect: Effect.Effect<A, E, JetStream>): Effect.Effect<A, E> {
    return Effect.provideService(effect, JetStream, this.js)
  }
}

/** What stands in the place of a value that was deleted or has expired. */
const isMark = ({ headers }: Stored): boolean => reasonOf((name) => headers[name]?.[0]) !== undefined

const batchesOf = (keys: Iterable<string>): ReadonlyArray<ReadonlyArray<string>> => {
  const batches: Array<Array<string>> = []
  let room = 0
  for (const key of keys) {
    const last = batches.at(-1)
    if (last === undefined || last.length === mostOfBatch || room < key.length) {
      batches.push([key])
      room = mostCharactersOfBatch
    } else last.push(key)
    room -= key.length
  }
  return batches
}

export type OpenError = CreateBucketError | ApiError | UnsupportedByServer

/** The bucket as a layer finds or makes it, as what every call begins with. */
export const openEntries = (options: BucketOptions) =>
  opening({ name: options.bucket, needs: [], open: opened(options) })

const opened = Effect.fnUntraced(function*(
  { bucket, ...config }: BucketOptions
): Effect.fn.Return<BucketEntries, OpenError, JetStream | Scope.Scope> {
  const js = yield* JetStream
  const isRecent = yield* Effect.as(supported(apiOf(js), "ttl"), true).pipe(
    Effect.catchTag("UnsupportedByServer", () => Effect.succeed(false))
  )
  const plain = ensureBucket(bucket, config)
  // One without times of its values is taken, too, as an older server makes it: what is over is deleted when it is read.
  const { keyTtl, replicas, ttl } = yield* isRecent
    ? Effect.catchTag(ensureBucket(bucket, { ...config, keyTtl: true }), "BucketExists", () => plain)
    : plain
  // Its own age would end values early.
  if (ttl !== undefined && Duration.isFinite(ttl)) return yield* new BucketExists({ bucket, differences: ["maxAge"] })
  return new BucketEntries(js, bucket, isRecent && keyTtl, isRecent && replicas === 1)
})
