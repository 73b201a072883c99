/** What is told of the objects of a store: what there is, and each change as it comes. */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Pull from "effect/Pull"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { shownName } from "../../internal/protocol/shown.ts"
import type { WatchError } from "../ObjectStore.ts"
import type { PulledMessage } from "./message.ts"
import type { ObjectAccess } from "./objectAccess.ts"
import { heartbeatMillis, inactiveMillis, storeError } from "./objectReading.ts"
import type { InitialDone, ObjectInfo, WatchEvent, WatchOptions } from "./objectTypes.ts"
import { everyInfo, readInfo } from "./objectWire.ts"
import { openOrdered, type Ordered } from "./ordered.ts"
import type { Batch } from "./pullInbox.ts"

const window = 512
const windowBytes = 4 * 1024 * 1024

type Events = NonEmptyReadonlyArray<WatchEvent>

const marker: NonEmptyReadonlyArray<InitialDone> = [{ _tag: "InitialDone" }]

const openInfos = (
  access: ObjectAccess,
  { updatesOnly }: WatchOptions
): Effect.Effect<Ordered, WatchError, Scope.Scope> =>
  Effect.catch(
    openOrdered(access.api, {
      stream: access.stream,
      filters: [everyInfo(access.store)],
      from: updatesOnly === true ? "new" : "lastPerSubject",
      window,
      windowBytes,
      heartbeatMillis,
      inactiveMillis
    }),
    (error) => storeError(access, error)
  )

const infoIn = (access: ObjectAccess, message: PulledMessage): ObjectInfo | string => {
  const hasHeaders = message.headerStart !== message.payloadStart
  return readInfo(access.store, {
    subject: message.subject,
    revision: message.sequence,
    millis: message.timestampMillis,
    text: message.text,
    isMarker: hasHeaders && message.header("Nats-Marker-Reason") !== undefined
  })
}

/** What is told by these. What cannot be read is left out: one object does not take the others with it. */
const infosIn = (
  access: ObjectAccess,
  batch: Batch,
  { ignoreDeletes }: WatchOptions
): { readonly infos: ReadonlyArray<ObjectInfo>; readonly warnings: ReadonlyArray<Effect.Effect<void>> } => {
  const infos: Array<ObjectInfo> = []
  const warnings: Array<Effect.Effect<void>> = []
  for (const message of batch) {
    const info = infoIn(access, message)
    if (typeof info === "string") warnings.push(warn(message.subject, info))
    else if (ignoreDeletes !== true || !info.deleted) infos.push(info)
  }
  return { infos, warnings }
}

const warn = (subject: string, problem: string): Effect.Effect<void> =>
  Effect.annotateLogs(
    Effect.logWarning(`What is told of an object is left out, as it cannot be read: ${problem}`),
    { subject: shownName(subject) }
  )

export const watchObjects = (
  access: ObjectAccess,
  options: WatchOptions
): Stream.Stream<WatchEvent, WatchError> =>
  Stream.unwrap(Effect.map(openInfos(access, options), (source) => {
    let isInitial = true
    const pull: Pull.Pull<Events, WatchError> = Effect.suspend(() =>
      Effect.matchEffect(isInitial ? source.nextOrInitial : source.next, {
        onSuccess: (batch): Pull.Pull<Events, WatchError> => {
          if (batch === undefined) {
            isInitial = false
            return Exit.succeed(marker)
          }
          const { infos, warnings } = infosIn(access, batch, options)
          const given = infos.length > 0 ? Exit.succeed(infos as unknown as Events) : pull
          return warnings.length > 0 ? Effect.andThen(Effect.all(warnings, { discard: true }), given) : given
        },
        onFailure: (error): Pull.Pull<Events, WatchError> =>
          Cause.isDone(error) ? Exit.fail(error) : storeError(access, error)
      })
    )
    return Stream.fromPull(Effect.succeed(pull))
  }))

/** The objects that are there now. */
export const listObjects = (access: ObjectAccess, includeDeleted: boolean): Stream.Stream<ObjectInfo, WatchError> =>
  Stream.takeWhile(
    watchObjects(access, { ignoreDeletes: !includeDeleted }),
    (event): event is ObjectInfo => event._tag === "ObjectInfo"
  )
