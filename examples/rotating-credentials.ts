/**
 * Credentials that change while a service runs: `auth` is an Effect, run before every dial.
 *
 *   node examples/rotating-credentials.ts
 *
 * Prints:
 *   dial 1 takes version 1 of the password from the vault
 *   connected
 *   version 2 is in the vault and in the server, which drops version 1
 *   Disconnected, since …
 *   dial 2 takes version 2 of the password from the vault
 *   Connected again
 *   a request on the new connection is answered: pong
 *   the vault is sealed: CredentialsUnavailable: The credentials could not be had from …
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Context, Data, Effect, Fiber, Layer, Redacted, Ref, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"

class VaultSealed extends Data.TaggedError("VaultSealed") {}

/** Where the passwords are kept. */
class Vault extends Context.Service<Vault, {
  readonly password: Effect.Effect<Redacted.Redacted, VaultSealed>
  readonly store: (password: string) => Effect.Effect<void>
  readonly seal: Effect.Effect<void>
}>()("Vault") {
  static readonly layer = Layer.effect(
    Vault,
    Effect.gen(function*() {
      const versions = yield* Ref.make<ReadonlyArray<Redacted.Redacted>>([])
      const sealed = yield* Ref.make(false)
      const dials = yield* Ref.make(0)
      return Vault.of({
        password: Effect.gen(function*() {
          if (yield* Ref.get(sealed)) return yield* new VaultSealed()
          const all = yield* Ref.get(versions)
          const dial = yield* Ref.updateAndGet(dials, (n) => n + 1)
          yield* Console.log(`dial ${dial} takes version ${all.length} of the password from the vault`)
          return all[all.length - 1]
        }),
        store: (password) => Ref.update(versions, (all) => [...all, Redacted.make(password)]),
        seal: Ref.set(sealed, true)
      })
    })
  )
}

const program = Effect.gen(function*() {
  const vault = yield* Vault
  yield* vault.store("spring")
  const server = yield* TestNatsServer.make({ users: [{ user: "john", password: "spring" }] })

  const connect = NatsClient.make({
    servers: server.url,
    auth: Effect.map(Vault.use((vault) => vault.password), (password) => ({ user: "john", password }))
  })
  const nats = yield* connect
  yield* Console.log("connected")
  yield* nats.subscribe("ping").pipe(
    Stream.runForEach((message) => message.respond("pong")),
    Effect.forkScoped({ startImmediately: true })
  )

  const again = yield* nats.status.pipe(
    Stream.tap((event) =>
      event._tag === "Disconnected" ? Console.log(`Disconnected, since ${event.reason.message}`) : Effect.void
    ),
    Stream.takeUntil((event) => event._tag === "Connected" && event.session === 2),
    Stream.runDrain,
    Effect.forkChild({ startImmediately: true })
  )
  yield* Console.log("version 2 is in the vault and in the server, which drops version 1")
  yield* vault.store("summer")
  yield* server.reload({ users: [{ user: "john", password: "summer" }] })
  yield* Fiber.join(again)
  yield* Console.log("Connected again")

  const reply = yield* nats.request("ping")
  yield* Console.log(`a request on the new connection is answered: ${reply.text}`)

  yield* vault.seal
  const unavailable = yield* Effect.flip(connect)
  yield* Console.log(`the vault is sealed: ${unavailable._tag}: ${unavailable.message}`)
}).pipe(Effect.scoped, Effect.provide(Vault.layer))

NodeRuntime.runMain(program)
