/** Stores as a whole: made, opened, listed, told of, sealed, deleted. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { type ApiError, type InvalidName, ObjectStoreExists, ObjectStoreNotFound } from "../JetStreamError.ts"
import type { CreateStoreError, ObjectStoreError, SealError } from "../ObjectStore.ts"
import type { Api } from "./api.ts"
import { makeStream } from "./definition.ts"
import { ObjectAccess, type Route } from "./objectAccess.ts"
import type { StoreOptions, StoreStatus } from "./objectTypes.ts"
import { everyChunk, everyInfo, invalidStore, storeOf, streamOf } from "./objectWire.ts"
import * as Streams from "./streams.ts"
import type { StreamConfig, StreamInfo, StreamOptions } from "./streamTypes.ts"

/** The subjects of a store as they reach it through the API of its domain, and what makes them those of the store. */
const mapped = (store: string) => ({
  subjects: [`$OBJ.${store}.C.>`, `$OBJ.${store}.M.>`],
  subjectTransform: { source: `$OBJ.${store}.>`, destination: `$O.${store}.>` }
})

const isMapped = (store: string, { subjectTransform: found, subjects: has }: StreamConfig): boolean => {
  const { subjectTransform, subjects } = mapped(store)
  return subjects.every((subject) => has.includes(subject)) && typeof found === "object" &&
    found.source === subjectTransform.source && found.destination === subjectTransform.destination
}

/** Whether it is JetStream of another domain than that of the server at hand. */
const isElsewhere = (api: Api): boolean =>
  api.isElsewhere && (api.domain === undefined || api.domain !== api.connection.info?.domain)

const routeOf = (api: Api, store: string, config: StreamConfig): Route => {
  if (!isElsewhere(api)) return "plain"
  return isMapped(store, config) ? "prefixed" : "looked"
}

const accessTo = (api: Api, store: string, { config }: StreamInfo): ObjectAccess =>
  new ObjectAccess(api, store, routeOf(api, store, config))

const infoOf = (api: Api, store: string): Effect.Effect<StreamInfo, ObjectStoreError | InvalidName> =>
  Effect.suspend((): Effect.Effect<StreamInfo, ObjectStoreError | InvalidName> => {
    const invalid = invalidStore(store)
    if (invalid !== undefined) return Effect.fail(invalid)
    return Streams.info(api, streamOf(store)).pipe(
      Effect.catchTag("StreamNotFound", () => Effect.fail(new ObjectStoreNotFound({ store }))),
      // There is no pattern in it.
      Effect.catchTag("InvalidSubject", Effect.die)
    )
  })

export const openStore = (api: Api, store: string): Effect.Effect<ObjectAccess, ObjectStoreError | InvalidName> =>
  Effect.map(infoOf(api, store), (info) => accessTo(api, store, info))

/** What was said, in the words of streams. */
const declared = (store: string, options: StoreOptions, acrossDomains: boolean): StreamOptions => {
  const across = mapped(store)
  const given: Record<string, unknown> = {
    description: options.description,
    subjects: [everyChunk(store), everyInfo(store), ...(acrossDomains ? across.subjects : [])],
    subjectTransform: acrossDomains ? across.subjectTransform : undefined,
    storage: options.storage,
    replicas: options.replicas,
    maxBytes: options.maxBytes,
    maxAge: options.ttl,
    compression: options.compression === undefined ? undefined : options.compression ? "s2" : "none",
    placement: options.placement,
    ttl: options.objectTtl,
    metadata: options.metadata,
    discard: "new",
    allowRollup: true,
    allowDirect: true
  }
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
}

const createAs = (
  api: Api,
  store: string,
  options: StoreOptions,
  acrossDomains: boolean
): Effect.Effect<ObjectAccess, CreateStoreError> =>
  Effect.gen(function*() {
    const there = yield* Streams.look(api, streamOf(store))
    const undo = Effect.ignore(there === undefined ? Streams.remove(api, streamOf(store)) : Effect.void)
    const info = yield* Streams.create(api, makeStream(streamOf(store), declared(store, options, acrossDomains))).pipe(
      Effect.catchTag(
        "StreamExists",
        ({ differences }) => Effect.fail(new ObjectStoreExists({ store, differences: [...differences] }))
      ),
      // A server that drops what it does not know has made something else than what was asked for.
      Effect.tapError((error) => error._tag === "UnsupportedByServer" ? undo : Effect.void)
    )
    return accessTo(api, store, info)
  })

export const createStore = (
  api: Api,
  store: string,
  options: StoreOptions
): Effect.Effect<ObjectAccess, CreateStoreError> =>
  Effect.suspend((): Effect.Effect<ObjectAccess, CreateStoreError> => {
    const invalid = invalidStore(store)
    if (invalid !== undefined) return Effect.fail(invalid)
    const { acrossDomains } = options
    if (acrossDomains !== undefined) return createAs(api, store, options, acrossDomains)
    if (!isElsewhere(api)) return createAs(api, store, options, false)
    // Nobody asked for it: on a server that has no transforms the store is made without, as is said of it then.
    return Effect.catchIf(
      createAs(api, store, options, true),
      (error) => error._tag === "UnsupportedByServer" && error.feature === "subjectTransform",
      () => createAs(api, store, options, false)
    )
  })

const statusIn = (store: string, info: StreamInfo): StoreStatus => {
  const { config, state } = info
  return {
    store,
    description: config.description,
    ttl: Duration.isZero(config.maxAge) || !Duration.isFinite(config.maxAge) ? undefined : config.maxAge,
    maxBytes: config.maxBytes === "unlimited" ? undefined : Number(config.maxBytes),
    storage: config.storage,
    replicas: config.replicas,
    isSealed: config.sealed === true,
    isCompressed: config.compression === "s2",
    objectTtl: config.ttl === true,
    acrossDomains: isMapped(store, config),
    bytes: Number(state.bytes),
    metadata: config.metadata,
    stream: info
  }
}

export const statusOf = (api: Api, store: string): Effect.Effect<StoreStatus, ObjectStoreError | InvalidName> =>
  Effect.map(infoOf(api, store), (info) => statusIn(store, info))

export const listStores = (api: Api): Stream.Stream<StoreStatus, ApiError> =>
  Streams.list(api).pipe(
    // There is no pattern in it.
    Stream.catchTag("InvalidSubject", Stream.die),
    Stream.filter(({ name }) => storeOf(name) !== undefined),
    Stream.map((info) => statusIn(storeOf(info.name) ?? "", info))
  )

export const deleteStore = (api: Api, store: string): Effect.Effect<void, ObjectStoreError | InvalidName> =>
  Effect.suspend((): Effect.Effect<void, ObjectStoreError | InvalidName> => {
    const invalid = invalidStore(store)
    if (invalid !== undefined) return Effect.fail(invalid)
    return Effect.catchTag(
      Streams.remove(api, streamOf(store)),
      "StreamNotFound",
      () => Effect.fail(new ObjectStoreNotFound({ store }))
    )
  })

export const sealStore = ({ api, store, stream }: ObjectAccess): Effect.Effect<void, SealError> =>
  Streams.update(api, makeStream(stream, { sealed: true })).pipe(
    Effect.catchTag("StreamNotFound", () => Effect.fail(new ObjectStoreNotFound({ store }))),
    // Of names and fields that are not given here.
    Effect.catchTag(
      ["InvalidName", "InvalidSubject", "InvalidDefinition", "UnsupportedByServer", "SubjectsOverlap"],
      Effect.die
    ),
    Effect.asVoid
  )
