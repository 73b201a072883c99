/**
 * What happens in a bucket, as it happens: the messages of its stream in their order, and the moment when all that was there
 * has been given.
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Pull from "effect/Pull"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { type OpenOrderedError, type OrderedError, UnsupportedByServer, type WatchError } from "../JetStreamError.ts"
import type { Bucket } from "./kvBucket.ts"
import { type Reason, reasonOf, type Stored } from "./kvEntry.ts"
import type { PulledMessage } from "./message.ts"
import { openOrdered } from "./ordered.ts"
import type { From } from "./orderedConfig.ts"

/** All that was there has been given. */
export const initialDone = "initialDone"

export type Event = Stored | typeof initialDone

export interface WatchedFrom {
  readonly from: From
  readonly headersOnly?: boolean | undefined
  readonly window?: number | undefined
}

const defaultWindow = 1024
const windowBytes = 8 * 1024 * 1024
const heartbeatMillis = 5000
const inactiveMillis = 30_000

/** What a server before 2.10 says, as it does not know several filters and sees none. */
const withoutFilter = 10094

/** Whether `wide` has all that `narrow` has. */
const covers = (wide: string, narrow: string): boolean => {
  const wanted = wide.split(".")
  const given = narrow.split(".")
  for (let at = 0; at < wanted.length; at++) {
    if (wanted[at] === ">") return given.length > at
    if (at >= given.length || given[at] === ">") return false
    if (wanted[at] !== "*" && wanted[at] !== given[at]) return false
  }
  return wanted.length === given.length
}

/** A server refuses filters that have something in common. Of those of which one has it all, that one is left. */
export const withoutCovered = (filters: ReadonlyArray<string>): ReadonlyArray<string> => {
  const each = [...new Set(filters)]
  return each.filter((filter) => !each.some((other) => other !== filter && covers(other, filter)))
}

const storedOf = (message: PulledMessage): Stored => ({
  subject: message.subject,
  revision: message.sequence,
  timestampMillis: millisIn(message.reply ?? ""),
  data: message.data,
  reason: message.headerStart === message.payloadStart ? undefined : reasonIn(message)
})

const reasonIn = ({ headers }: PulledMessage): Reason | undefined => reasonOf((name) => headers[name]?.[0])

const nanosDigits = 6
const shortDots = 8

/**
 * When a message was stored, which its acknowledgement's subject says in nanoseconds: the eighth token, or the tenth of the
 * long form. Reading all of the subject would cost more than all else that is done with the message.
 */
export const millisIn = (ackSubject: string): number => {
  let dots = 0
  for (let at = ackSubject.indexOf("."); at >= 0; at = ackSubject.indexOf(".", at + 1)) dots++
  let start = 0
  for (let left = dots > shortDots ? 9 : 7; left > 0; left--) start = ackSubject.indexOf(".", start) + 1
  return Number(ackSubject.slice(start, ackSubject.indexOf(".", start) - nanosDigits))
}

/** `filters` are keys, with wildcards, as they stand in the bucket; none are all. */
const openWatch = (
  bucket: Bucket,
  filters: ReadonlyArray<string>,
  { from, headersOnly, window }: WatchedFrom
): Effect.Effect<
  Pull.Pull<NonEmptyReadonlyArray<Event>, WatchError>,
  WatchError,
  Scope.Scope
> => {
  const { readPrefix } = bucket.located
  const failed = (error: OpenOrderedError | OrderedError): WatchError => {
    if (error._tag === "StreamNotFound") return bucket.notFound
    return error._tag === "JetStreamApiError" && error.errCode === withoutFilter && filters.length > 1
      ? new UnsupportedByServer({ feature: "filters", needs: "2.10" })
      : error
  }
  const opened = openOrdered(bucket.api, {
    stream: bucket.stream,
    filters: (filters.length === 0 ? [">"] : withoutCovered(filters)).map((filter) => `${readPrefix}${filter}`),
    from,
    headersOnly,
    window: window ?? defaultWindow,
    windowBytes,
    heartbeatMillis,
    inactiveMillis
  })
  return Effect.map(Effect.mapError(opened, failed), (source) => {
    let isInitial = true
    const next = Effect.map(
      Effect.mapError(source.next, (error) => isDone(error) ? error : failed(error)),
      (batch) => batch.map(storedOf) as unknown as NonEmptyReadonlyArray<Event>
    )
    const marker: NonEmptyReadonlyArray<Event> = [initialDone]
    const first = Effect.map(
      Effect.mapError(source.nextOrInitial, (error) => isDone(error) ? error : failed(error)),
      (batch) => {
        if (batch !== undefined) return batch.map(storedOf) as unknown as NonEmptyReadonlyArray<Event>
        isInitial = false
        return marker
      }
    )
    return Effect.suspend(() => isInitial ? first : next)
  })
}

const isDone = (error: OrderedError | Cause.Done): error is Cause.Done => error._tag === "Done"

/** The scope of its run is that of what it reads from. */
export const watchStored = (
  bucket: Bucket,
  filters: ReadonlyArray<string>,
  options: WatchedFrom
): Stream.Stream<Event, WatchError> =>
  Stream.unwrap(
    Effect.map(openWatch(bucket, filters, options), (pull) => Stream.fromPull(Effect.succeed(pull)))
  )

/** What was there when it began, and then the end. */
export const initialStored = (
  bucket: Bucket,
  filters: ReadonlyArray<string>,
  options: WatchedFrom
): Stream.Stream<Stored, WatchError> =>
  Stream.takeWhile(watchStored(bucket, filters, options), (event): event is Stored => event !== initialDone)
