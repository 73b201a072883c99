/** What is told of an object, and changes of that alone. */
import * as Effect from "effect/Effect"
import { randomToken } from "../../internal/identity/randomToken.ts"
import { InvalidObjectInfo, InvalidObjectLink, ObjectChanged, ObjectExists, ObjectNotFound } from "../JetStreamError.ts"
import type { DeleteError, InfoError, LinkError, UpdateError } from "../ObjectStore.ts"
import { type Last, ObjectAccess } from "./objectAccess.ts"
import { type Changed, changeInfo, tidy } from "./objectPublish.ts"
import type { ObjectInfo, ObjectLink, UpdateOptions } from "./objectTypes.ts"
import { chunkSubject, emptyInfo, headersOf, idBytes, invalidObjectName, invalidStore } from "./objectWire.ts"

/** Of an object that is there. */
export const presentInfo = (access: ObjectAccess, name: string): Effect.Effect<ObjectInfo, InfoError> =>
  Effect.flatMap(access.last(name), (last) => present(access, name, last))

const present = (
  { store }: ObjectAccess,
  name: string,
  { info, problem }: Last
): Effect.Effect<ObjectInfo, InvalidObjectInfo | ObjectNotFound> => {
  if (problem !== undefined) return Effect.fail(new InvalidObjectInfo({ store, name, problem }))
  return info === undefined || info.deleted ? Effect.fail(new ObjectNotFound({ store, name })) : Effect.succeed(info)
}

/** As it is told of an object that is there no more. */
const gone = (info: ObjectInfo): ObjectInfo => {
  const { digest: _, link: __, ...kept } = info
  return { ...kept, size: 0, chunks: 0, deleted: true }
}

/** Whether it was there. What cannot be read is deleted, too. */
export const deleteObject = (access: ObjectAccess, name: string): Effect.Effect<boolean, DeleteError> =>
  Effect.uninterruptible(Effect.gen(function*() {
    yield* access.unambiguous
    const absent = new ObjectNotFound({ store: access.store, name })
    const changed = yield* Effect.result(
      changeInfo(access, name, ({ info, problem }) =>
        problem === undefined && (info === undefined || info.deleted)
          ? Effect.fail(absent)
          : Effect.succeed(gone(info ?? emptyInfo(access.store, name))))
    )
    if (changed._tag === "Failure") return changed.failure === absent ? false : yield* changed.failure as DeleteError
    yield* tidyFormer(access, changed.success)
    return true
  }))

/** The chunks of what was replaced. */
export const tidyFormer = (access: ObjectAccess, { former: { info } }: Changed): Effect.Effect<void> =>
  info === undefined || info.deleted || info.link !== undefined || info.id === ""
    ? Effect.void
    : tidy(access, chunkSubject(access.store, info.id))

export const updateObject = (
  access: ObjectAccess,
  name: string,
  { description, headers, metadata, name: newName = name }: UpdateOptions
): Effect.Effect<ObjectInfo, UpdateError> =>
  Effect.uninterruptible(Effect.gen(function*() {
    const invalid = invalidObjectName(newName)
    if (invalid !== undefined) return yield* invalid
    yield* access.unambiguous
    const updated = (info: ObjectInfo): ObjectInfo => ({
      ...info,
      name: newName,
      ...(description === undefined ? {} : { description }),
      ...(headers === undefined ? {} : { headers: headersOf(headers) }),
      ...(metadata === undefined ? {} : { metadata })
    })
    if (newName === name) {
      const changed = yield* changeInfo(
        access,
        name,
        (last) => Effect.map(present(access, name, last), updated)
      )
      return changed.info
    }
    return yield* rename(access, name, newName, updated)
  }))

/**
 * The object has both names for a moment, and never none. The former name is told to be gone only if it still is that of
 * the same object: otherwise its chunks are gone with it, and the new name is taken back.
 */
const rename = (
  access: ObjectAccess,
  name: string,
  newName: string,
  updated: (info: ObjectInfo) => ObjectInfo
): Effect.Effect<ObjectInfo, UpdateError> =>
  Effect.gen(function*() {
    const { store } = access
    const object = yield* presentInfo(access, name)
    const renamed = yield* changeInfo(access, newName, ({ info }) =>
      info === undefined || info.deleted
        ? Effect.succeed(updated(object))
        : Effect.fail(new ObjectExists({ store, name: newName })))
    const changed = new ObjectChanged({ store, name })
    const left = yield* Effect.result(changeInfo(access, name, ({ info }) =>
      info?.revision === object.revision
        // Under an id of its own: another client that deletes it once more purges the chunks of what is told here.
        ? Effect.succeed(gone({ ...object, id: randomToken(idBytes) }))
        : Effect.fail(changed)))
    if (left._tag === "Success") return renamed.info
    if (left.failure === changed) {
      yield* Effect.ignore(changeInfo(access, newName, ({ info }) =>
        info?.id === object.id
          ? Effect.succeed(gone({ ...info, id: randomToken(idBytes) }))
          : Effect.fail(changed)))
    }
    return yield* left.failure
  })

export const linkObject = (
  access: ObjectAccess,
  name: string,
  to: ObjectLink
): Effect.Effect<ObjectInfo, LinkError> =>
  Effect.uninterruptible(Effect.gen(function*() {
    const { store } = access
    const invalid = invalidStore(to.store) ?? (to.name === undefined ? undefined : invalidObjectName(to.name))
    if (invalid !== undefined) return yield* invalid
    yield* access.unambiguous
    const target = new ObjectAccess(access.api, to.store, "plain")
    if (to.name === undefined) {
      yield* access.api.call(`STREAM.INFO.${target.stream}`, undefined, { errors: target.notFound })
    } else if ((yield* presentInfo(target, to.name)).link !== undefined) {
      return yield* new InvalidObjectLink({ store, name, problem: "it would lead to a link" })
    }
    const link = to.name === undefined ? { store: to.store } : { store: to.store, name: to.name }
    const changed = yield* changeInfo(access, name, ({ info }) =>
      info === undefined || info.deleted || info.link !== undefined
        ? Effect.succeed({ ...emptyInfo(store, name), id: randomToken(idBytes), link })
        : Effect.fail(new ObjectExists({ store, name })))
    return changed.info
  }))
