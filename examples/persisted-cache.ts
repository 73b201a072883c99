/**
 * A cache that outlives the process: results are kept in a bucket, so what one process has looked up is there for the next
 * one, until its time is over.
 *
 *   node examples/persisted-cache.ts
 *
 * Prints:
 *   first process: looking up GB
 *   first process: GB is United Kingdom
 *   first process: GB is United Kingdom
 *   second process: GB is United Kingdom
 *   second process: looking up XX
 *   second process: XX is unknown
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Exit, Layer, Schema } from "effect"
import { NatsClient } from "effect-nats"
import { JetStream } from "effect-nats/jetstream"
import { NatsPersistence } from "effect-nats/persistence"
import { TestNatsServer } from "effect-nats/testing"
import { Persistable, PersistedCache } from "effect/persistence"

class UnknownCountry extends Schema.TaggedError<UnknownCountry>()("UnknownCountry", { code: Schema.String }) {}

/** What is asked for: its key, and how results are written down. */
class Country extends Persistable.Class<{ payload: { readonly code: string } }>()("Country", {
  primaryKey: ({ code }) => code,
  success: Schema.String,
  error: UnknownCountry
}) {}

const names: Readonly<Record<string, string>> = { GB: "United Kingdom", DE: "Germany" }

const inProcess = (name: string, codes: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const countries = yield* PersistedCache.make(
      ({ code }: Country) =>
        Effect.andThen(
          Console.log(`${name} process: looking up ${code}`),
          names[code] === undefined ? Effect.fail(new UnknownCountry({ code })) : Effect.succeed(names[code])
        ),
      {
        storeId: "countries",
        // Failures are kept, too, for a shorter time.
        timeToLive: (exit) => Exit.isSuccess(exit) ? "1 day" : "30 seconds"
      }
    )
    for (const code of codes) {
      const said = yield* countries.get(new Country({ code })).pipe(
        Effect.catchTag("UnknownCountry", () => Effect.succeed("unknown"))
      )
      yield* Console.log(`${name} process: ${code} is ${said}`)
    }
  }).pipe(Effect.scoped, Effect.provide(NatsPersistence.layer({ bucket: "cache" })))

const program = Effect.gen(function*() {
  const server = yield* TestNatsServer.make({ jetstream: true })
  // Two connections with caches of their own, as two processes have them.
  const Live = () => Layer.fresh(Layer.provide(JetStream.layer(), NatsClient.layer({ servers: server.url })))
  yield* Effect.provide(inProcess("first", ["GB", "GB"]), Live())
  yield* Effect.provide(inProcess("second", ["GB", "XX"]), Live())
}).pipe(Effect.scoped)

NodeRuntime.runMain(program)
