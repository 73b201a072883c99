/**
 * What happens in a bucket as values: keys and values decoded, array by array.
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Pull from "effect/Pull"
import * as Stream from "effect/Stream"
import { sequenceFrom, wholeNumber } from "../../internal/operations/ranges.ts"
import { shownName } from "../../internal/protocol/shown.ts"
import type { InvalidKey, WatchError } from "../JetStreamError.ts"
import { type Bucket, streamNotFound } from "./kvBucket.ts"
import type { Stored } from "./kvEntry.ts"
import type { Change, Entry, InitialDone, WatchEvent } from "./kvEntryTypes.ts"
import type { Opened } from "./kvStore.ts"
import type { Policy, WatchOptions } from "./kvTypes.ts"
import { type Event, initialDone, initialStored, type WatchedFrom, watchStored } from "./kvWatch.ts"
import type { From } from "./orderedConfig.ts"

const marker: InitialDone = { _tag: "InitialDone" }

type AnyOpened<A, DE, RD> = Opened<A, never, DE, unknown, RD, unknown>

/** The filters as they stand in the bucket. */
export const filtersOf = (
  { keys }: Pick<Opened<unknown, never, unknown, unknown, unknown, unknown>, "keys">,
  filter: string | ReadonlyArray<string> | undefined
): ReadonlyArray<string> | InvalidKey => {
  // What is neither is refused as the one filter that it would be.
  const given = filter === undefined ? [] : Array.isArray(filter) ? filter as ReadonlyArray<string> : [filter as string]
  const encoded: Array<string> = []
  for (const each of given) {
    const one = keys.encodeFilter(each)
    if (typeof one !== "string") return one
    encoded.push(one)
  }
  return encoded
}

export const fromOf = (options: WatchOptions<Policy> | undefined): From =>
  options?.from !== undefined
    ? { sequence: options.from }
    : options?.history === true
    ? "all"
    : options?.updatesOnly === true
    ? "new"
    : "lastPerSubject"

export interface Decoding {
  readonly ignoreDeletes?: boolean | undefined
  readonly headersOnly?: boolean | undefined
  /** What is done with a value that does not decode. Default: the stream fails. */
  readonly onInvalid?: Policy | undefined
}

/** What a message means: a change, `undefined` for what is left out, or an Effect of either where that has to be waited for. */
type Meaning<A, DE, RD> = Change<A> | undefined | Waited<A, DE, RD>

class Waited<A, DE, RD> {
  readonly change: Effect.Effect<Change<A> | undefined, DE, RD>
  constructor(change: Effect.Effect<Change<A> | undefined, DE, RD>) {
    this.change = change
  }
}

const makeDecode = <A, DE, RD>(opened: AnyOpened<A, DE, RD>, options: Decoding) => {
  const { bucket, format, keys } = opened
  const { length } = bucket.located.readPrefix
  const { read } = format
  const { headersOnly = false, ignoreDeletes = false } = options
  const skips = options.onInvalid === "skip"
  return (stored: Stored): Meaning<A, DE, RD> => {
    const { data, reason, revision, subject, timestampMillis } = stored
    if (reason !== undefined && ignoreDeletes) return undefined
    const key = keys.decode(subject.slice(length))
    if (key === undefined) return new Waited(Effect.as(warn(subject, foreignKey), undefined))
    if (reason !== undefined) return { _tag: "Deletion", key, revision, reason, timestampMillis }
    if (headersOnly) return { _tag: "Entry", key, revision, value: undefined as A, timestampMillis }
    if (read !== undefined) return { _tag: "Entry", key, revision, value: read(data), timestampMillis }
    const entry = (value: A): Entry<A> => ({ _tag: "Entry", key, revision, value, timestampMillis })
    const decoded = format.decode(subject, data)
    if (Exit.isExit(decoded) && Exit.isSuccess(decoded)) return entry(decoded.value as A)
    const made = Effect.map(decoded, entry)
    return new Waited(
      skips ? Effect.catch(made, (error) => Effect.as(warn(subject, String(error)), undefined)) : made
    )
  }
}

const foreignKey = "its key is not one of the key codec"

const warn = (subject: string, problem: string): Effect.Effect<void> =>
  Effect.annotateLogs(Effect.logWarning(`A value of a bucket is left out: ${problem}`), { subject: shownName(subject) })

/** An array that decodes without waiting costs no Effect per message. */
export const decodeEvents = <A, DE, RD>(
  events: Stream.Stream<Event, WatchError>,
  opened: AnyOpened<A, DE, RD>,
  options: Decoding
): Stream.Stream<WatchEvent<A>, WatchError | DE, RD> =>
  Stream.transformPull(events, (pull) =>
    Effect.sync(() => {
      const decode = makeDecode(opened, options)
      let batch: NonEmptyReadonlyArray<Event> | undefined
      let at = 0
      type Next = Pull.Pull<NonEmptyReadonlyArray<WatchEvent<A>>, WatchError | DE, void, RD>

      const next: Next = Effect.suspend(() =>
        batch === undefined
          ? Effect.flatMap(pull, (pulled) => {
            batch = pulled
            at = 0
            return read(pulled)
          })
          : read(batch)
      )

      // Gives what it has before it waits or fails, so that nothing decoded is lost.
      const read = (from: NonEmptyReadonlyArray<Event>): Next => {
        const given: Array<WatchEvent<A>> = []
        const emit = (): Next => Effect.succeed(given as unknown as NonEmptyReadonlyArray<WatchEvent<A>>)
        while (at < from.length) {
          const event = from[at]
          if (event === initialDone) {
            given.push(marker)
            at++
            continue
          }
          const meaning = decode(event)
          if (!(meaning instanceof Waited)) {
            if (meaning !== undefined) given.push(meaning)
            at++
            continue
          }
          if (given.length > 0) return emit()
          at++
          return Effect.flatMap(
            meaning.change,
            (change): Next => change === undefined ? next : Effect.succeed([change])
          )
        }
        batch = undefined
        return given.length > 0 ? emit() : next
      }
      return next
    }))

export const watch = <A, DE, RD>(
  opened: AnyOpened<A, DE, RD>,
  filter: string | ReadonlyArray<string> | undefined,
  options: WatchOptions<Policy> | undefined
): Stream.Stream<WatchEvent<A>, WatchError | InvalidKey | DE, RD> =>
  Stream.suspend((): Stream.Stream<WatchEvent<A>, WatchError | InvalidKey | DE, RD> => {
    const filters = filtersOf(opened, filter)
    if (!Array.isArray(filters)) return Stream.fail(filters as InvalidKey)
    if (options?.from !== undefined) sequenceFrom(1, "from", options.from)
    if (options?.window !== undefined) wholeNumber("window", options.window)
    const from: WatchedFrom = { from: fromOf(options), headersOnly: options?.headersOnly, window: options?.window }
    return decodeEvents(watchStored(opened.bucket, filters, from), opened, options ?? {})
  })

/** All that is there of some keys, and then the end. */
export const history = <A, DE, RD>(
  opened: AnyOpened<A, DE, RD>,
  filter: string | ReadonlyArray<string>,
  options: Decoding | undefined
): Stream.Stream<Change<A>, WatchError | InvalidKey | DE, RD> =>
  Stream.takeWhile(
    watch(opened, filter, { history: true, onInvalid: options?.onInvalid }),
    (event): event is Change<A> => event._tag !== "InitialDone"
  )

export const keysIn = (
  opened: AnyOpened<unknown, unknown, unknown>,
  filter: string | ReadonlyArray<string> | undefined
): Stream.Stream<string, WatchError | InvalidKey> =>
  Stream.suspend((): Stream.Stream<string, WatchError | InvalidKey> => {
    const filters = filtersOf(opened, filter)
    if (!Array.isArray(filters)) return Stream.fail(filters as InvalidKey)
    const { bucket } = opened
    const events = watchStored(bucket, filters, { from: "lastPerSubject", headersOnly: true })
    const decoded = decodeEvents(events, opened, { headersOnly: true, ignoreDeletes: true })
    return Stream.map(
      // Without values nothing is decoded.
      Stream.takeWhile(decoded, (event): event is Entry<unknown> => event._tag === "Entry"),
      ({ key }) => key
    ) as Stream.Stream<string, WatchError>
  })

const defaultOlderThan = Duration.minutes(30)
const purgesAtOnce = 16

/** Up to the mark, and with it where it is old: what was written behind it since then is left. */
export const purgeDeletes = (
  bucket: Bucket,
  olderThan: Duration.Input | undefined
): Effect.Effect<number, WatchError> =>
  Effect.gen(function*() {
    const { origin, originKeyPrefix, originStream, readPrefix } = bucket.located
    const now = yield* Clock.currentTimeMillis
    const young = now - Duration.toMillis(olderThan ?? defaultOlderThan)
    const marks = Stream.filter(
      initialStored(bucket, [], { from: "lastPerSubject", headersOnly: true }),
      ({ reason }) => reason !== undefined
    )
    const purged = Stream.mapEffect(marks, ({ revision, subject, timestampMillis }) => {
      const before = timestampMillis < young ? revision + 1 : revision
      // Before the first sequence there is nothing, and servers before 2.10 take this bound for none.
      if (before <= 1) return Effect.succeed(0)
      return Effect.map(
        origin.call(`STREAM.PURGE.${originStream}`, {
          filter: `${originKeyPrefix}${subject.slice(readPrefix.length)}`,
          seq: before
        }, { errors: { [streamNotFound]: () => bucket.notFound } }),
        ({ purged }) => typeof purged === "number" ? purged : 0
      )
    }, { concurrency: purgesAtOnce })
    return yield* Stream.runFold(purged, () => 0, (sum, some) => sum + some)
  })
