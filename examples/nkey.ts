/**
 * An NKey: the server knows a public key, the client signs what the server gives it. No secret crosses the wire.
 *
 *   node examples/nkey.ts
 *
 * Prints:
 *   the server knows the user U…
 *   with the seed of that user: connected, and the server calls it U…
 *   with the seed of another: AuthorizationViolation: nats://127.0.0.1:… refused an NKey: …
 *   with something else than a seed: NatsConfigError: The NATS configuration … auth.seed: …
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Redacted } from "effect"
import { NatsClient } from "effect-nats"
import { TestNatsServer, TestOperator } from "effect-nats/testing"

const program = Effect.gen(function*() {
  // `nk -gen user -pubout` makes such a pair on a command line.
  const pair = yield* TestOperator.nkey()
  const server = yield* TestNatsServer.make({ users: [{ nkey: pair.publicKey }] })
  yield* Console.log(`the server knows the user ${pair.publicKey}`)

  const connect = (seed: string) =>
    NatsClient.make({ servers: server.url, auth: { _tag: "NKey", seed: Redacted.make(seed) } })

  yield* Effect.gen(function*() {
    yield* connect(pair.seed)
    const [connection] = yield* server.connz
    yield* Console.log(`with the seed of that user: connected, and the server calls it ${connection.authorized_user}`)
  }).pipe(Effect.scoped)

  const another = yield* TestOperator.nkey()
  const refused = yield* Effect.flip(connect(another.seed))
  yield* Console.log(`with the seed of another: ${refused._tag}: ${refused.message}`)

  const unusable = yield* Effect.flip(connect(pair.publicKey))
  yield* Console.log(`with something else than a seed: ${unusable._tag}: ${unusable.message}`)
}).pipe(Effect.scoped)

NodeRuntime.runMain(program)
