/** A store as programs have it. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { InvalidObjectName } from "../JetStreamError.ts"
import type { GetError, ObjectStore } from "../ObjectStore.ts"
import type { ObjectAccess } from "./objectAccess.ts"
import { openObject } from "./objectGet.ts"
import { deleteObject, linkObject, presentInfo, updateObject } from "./objectInfo.ts"
import { putObject } from "./objectPut.ts"
import { sealStore, statusOf } from "./objectStores.ts"
import { listObjects, watchObjects } from "./objectWatch.ts"
import { invalidObjectName } from "./objectWire.ts"

export const handleOf = (access: ObjectAccess): ObjectStore => {
  const open = (name: string) => checked(name, () => openObject(access, name))
  const bytes = (name: string): Effect.Effect<Buffer, GetError> =>
    Effect.flatMap(
      open(name),
      ({ stream }) => Effect.map(Stream.runCollect(stream), (pieces) => Buffer.concat([...pieces]))
    )
  return {
    name: access.store,
    put: (name, data, options = {}) => checked(name, () => putObject(access, name, streamOf(data), options)),
    open,
    get: (name) => Stream.unwrap(Effect.map(open(name), ({ stream }) => stream)),
    getBytes: bytes,
    getText: (name) => Effect.map(bytes(name), (all) => all.toString("utf8")),
    info: (name) => checked(name, () => presentInfo(access, name)),
    updateMeta: (name, options) => checked(name, () => updateObject(access, name, options)),
    link: (name, to) => checked(name, () => linkObject(access, name, to)),
    list: (options = {}) => listObjects(access, options.includeDeleted === true),
    watch: (options = {}) => watchObjects(access, options),
    delete: (name) => checked(name, () => deleteObject(access, name)),
    status: Effect.catchTag(statusOf(access.api, access.store), "InvalidName", Effect.die),
    seal: sealStore(access)
  }
}

const streamOf = <E, R>(data: Stream.Stream<Uint8Array, E, R> | Uint8Array | string): Stream.Stream<Uint8Array, E, R> =>
  typeof data === "string"
    ? Stream.succeed(Buffer.from(data, "utf8"))
    : data instanceof Uint8Array
    ? Stream.succeed(data)
    : Stream.isStream(data)
    ? data
    : Stream.die(new TypeError("an object is put as text, as bytes (`Uint8Array`) or as a stream of bytes"))

const checked = <A, E, R>(name: string, use: () => Effect.Effect<A, E, R>) =>
  Effect.suspend((): Effect.Effect<A, E | InvalidObjectName, R> => {
    const invalid = invalidObjectName(name)
    return invalid === undefined ? use() : Effect.fail(invalid)
  })
