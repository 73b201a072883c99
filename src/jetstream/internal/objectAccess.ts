/**
 * What an object store is asked and told: the last that was told of an object, a message that is stored, a purge.
 */
import * as Effect from "effect/Effect"
import { hasProperty } from "effect/Predicate"
import {
  type ApiError,
  InvalidAnswer,
  ObjectStoreAmbiguous,
  ObjectStoreNotFound,
  ObjectStoreSealed
} from "../JetStreamError.ts"
import { type Answer, type Api, ownPrefix } from "./api.ts"
import type { ObjectInfo } from "./objectTypes.ts"
import { chunkSubject, infoSubject, readInfo, streamOf } from "./objectWire.ts"

/** The last message on the subject of an object's info, read or not. */
export interface Last {
  /** 0 where there is none. */
  readonly revision: number
  readonly info: ObjectInfo | undefined
  readonly text: string
  /** Why it could not be read. */
  readonly problem?: string | undefined
}

const none: Last = { revision: 0, info: undefined, text: "" }
const nothing = "nothing"

/** The way of what is published to the store of another domain. */
export type Route = "plain" | "looked" | "prefixed"

export class ObjectAccess {
  readonly api: Api
  readonly store: string
  readonly stream: string
  readonly route: Route

  constructor(api: Api, store: string, route: Route) {
    this.api = api
    this.store = store
    this.stream = streamOf(store)
    this.route = route
  }

  /** By the stream's leader, so that what was just written is there. */
  last(name: string): Effect.Effect<Last, ApiError | ObjectStoreNotFound> {
    const asked = this.api.call<ObjectStoreNotFound | typeof nothing>(
      `STREAM.MSG.GET.${this.stream}`,
      { last_by_subj: infoSubject(this.store, name) },
      { errors: { ...this.notFound, 10037: () => nothing } }
    )
    return Effect.matchEffect(asked, {
      onFailure: (error) => error === nothing ? Effect.succeed(none) : Effect.fail(error),
      onSuccess: (answer) => this.lastIn(answer)
    })
  }

  purge(
    subject: string,
    timeout?: number
  ): Effect.Effect<void, ApiError | ObjectStoreNotFound | ObjectStoreSealed> {
    return Effect.asVoid(
      this.api.call<ObjectStoreNotFound | ObjectStoreSealed>(`STREAM.PURGE.${this.stream}`, { filter: subject }, {
        timeout,
        errors: { ...this.notFound, ...this.sealed }
      })
    )
  }

  /**
   * Where one of the store's subjects is published. A server maps the API of its domain, and with it `$OBJ.>` and not the
   * `$O.>` that stores are kept under.
   */
  published(subject: string): string {
    return this.route === "prefixed" ? `${this.api.prefix}.$OBJ.${subject.slice("$O.".length)}` : subject
  }

  /** Looks whether a stream of this side would take what is meant for the other one. */
  readonly unambiguous: Effect.Effect<void, ObjectStoreAmbiguous> = Effect.suspend(() => {
    const { api, store } = this
    if (this.route !== "looked") return Effect.void
    const subject = chunkSubject(store, "any")
    return Effect.flatMap(
      api.nats.request(`${ownPrefix}.STREAM.NAMES`, JSON.stringify({ subject })),
      ({ text }) => {
        const names: unknown = JSON.parse(text)?.streams
        return Array.isArray(names) && names.length > 0 ? Effect.fail(this.ambiguous) : Effect.void
      }
    ).pipe(Effect.catch((error) => error instanceof ObjectStoreAmbiguous ? Effect.fail(error) : Effect.void))
  })

  /** A store of this side answered in place of the one that was meant. */
  isElsewhere(domain: string | undefined): boolean {
    return this.route === "looked" && this.api.domain !== undefined && domain !== undefined &&
      domain !== this.api.domain
  }

  get ambiguous(): ObjectStoreAmbiguous {
    const { domain } = this.api
    return new ObjectStoreAmbiguous({ store: this.store, ...(domain === undefined ? {} : { domain }) })
  }

  readonly notFound = { 10059: () => new ObjectStoreNotFound({ store: this.store }) }
  readonly sealed = { 10109: () => new ObjectStoreSealed({ store: this.store }) }

  private lastIn({ message }: Answer): Effect.Effect<Last, InvalidAnswer> {
    if (!hasProperty(message, "subject") || !hasProperty(message, "seq") || !hasProperty(message, "time")) {
      return Effect.fail(new InvalidAnswer({ request: "STREAM.MSG.GET", problem: "it has no message" }))
    }
    const fields: Readonly<Record<string, unknown>> = message
    const textOf = (field: string): string => Buffer.from(String(fields[field] ?? ""), "base64").toString("utf8")
    const [revision, text] = [Number(message.seq), textOf("data")]
    const info = readInfo(this.store, {
      subject: String(message.subject),
      revision,
      millis: Date.parse(String(message.time)),
      text,
      isMarker: /^Nats-Marker-Reason:/im.test(textOf("hdrs"))
    })
    return Effect.succeed(
      typeof info === "string" ? { revision, info: undefined, text, problem: info } : { revision, info, text }
    )
  }
}
