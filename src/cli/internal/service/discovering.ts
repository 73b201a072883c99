/**
 * What services answer, gathered.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { NatsClient } from "../../../NatsClient.ts"
import * as ServiceDiscovery from "../../../service/ServiceDiscovery.ts"
import { shown } from "../output.ts"

/** Whom a command asks. */
export interface Asked {
  readonly name?: string | undefined
  readonly id?: string | undefined
  readonly timeout?: Duration.Duration | undefined
  readonly prefix?: string | undefined
}

/** Nobody answers to the name that was given. */
export class NoSuchService extends Schema.TaggedError<NoSuchService>()("NoSuchService", {
  name: Schema.optionalKey(Schema.String),
  id: Schema.optionalKey(Schema.String)
}) {
  override get message(): string {
    const which = this.id === undefined ? "" : ` with the id ${shown(this.id, 128)}`
    const name = this.name === undefined ? "" : ` "${shown(this.name, 128)}"`
    return `No service${name}${which} answers here: "effect-nats service list" shows which do.`
  }
}

const options = ({ id, name, prefix, timeout }: Asked): ServiceDiscovery.Options => ({
  ...(name === undefined ? {} : { name }),
  ...(id === undefined ? {} : { id }),
  ...(prefix === undefined ? {} : { prefix }),
  ...(timeout === undefined ? {} : { timeout })
})

/** By name, version and id, so that the same services make the same text. */
const sorted = <A extends ServiceDiscovery.Instance>(found: ReadonlyArray<A>): ReadonlyArray<A> =>
  found.toSorted((a, b) =>
    a.name.localeCompare(b.name, "en") || a.version.localeCompare(b.version, "en", { numeric: true }) ||
    a.id.localeCompare(b.id, "en")
  )

const gathered = <A extends ServiceDiscovery.Instance>(
  answers: Stream.Stream<A, ServiceDiscovery.DiscoveryError, NatsClient>
): Effect.Effect<ReadonlyArray<A>, ServiceDiscovery.DiscoveryError, NatsClient> =>
  Effect.map(
    // That nobody is there is an answer, too.
    Effect.catchTag(Stream.runCollect(answers), "NoResponders", () => Effect.succeed<ReadonlyArray<A>>([])),
    sorted
  )

export const instances = (asked: Asked) => gathered(ServiceDiscovery.ping(options(asked)))

export const infos = (asked: Asked) => gathered(ServiceDiscovery.info(options(asked)))

export const statistics = (asked: Asked, stall?: Duration.Duration) =>
  gathered(ServiceDiscovery.stats({ ...options(asked), ...(stall === undefined ? {} : { stall }) }))
