/**
 * Operator mode: users are JWTs. A creds file, its text, or JWT and seed apart; then one that expired and one revoked.
 *
 *   node examples/jwt-creds.ts
 *
 * Prints:
 *   the path of a creds file: connected as alice
 *   the text of a creds file: connected as alice
 *   a JWT and its seed: connected as alice
 *   an expired JWT: CredentialsExpired: The JWT from … expired at …: issue a new one.
 *   after the revocation: AuthorizationViolation: nats://127.0.0.1:… refused a credentials file: …
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Effect, FileSystem, Redacted } from "effect"
import { type NatsAuth, NatsClient } from "effect-nats"
import { TestNatsServer, TestOperator } from "effect-nats/testing"

const program = Effect.gen(function*() {
  // `nsc` makes all of this on a command line.
  const operator = yield* TestOperator.make()
  const orders = yield* operator.account("ORDERS")
  const alice = yield* orders.user("alice")
  const server = yield* TestNatsServer.make({ operator: operator.setup(orders) })

  const attempt = (title: string, auth: NatsAuth.Input) =>
    Effect.gen(function*() {
      yield* NatsClient.make({ servers: server.url, auth })
      const [connection] = yield* server.connz
      const user = connection.authorized_user === alice.publicKey ? "alice" : "somebody else"
      yield* Console.log(`${title}: connected as ${user}`)
    }).pipe(
      Effect.scoped,
      Effect.catchTag(
        ["AuthorizationViolation", "CredentialsExpired"],
        (error) => Console.log(`${title}: ${error._tag}: ${error.message}`)
      )
    )

  const fs = yield* FileSystem.FileSystem
  const path = `${yield* fs.makeTempDirectoryScoped()}/alice.creds`
  yield* fs.writeFileString(path, alice.creds, { mode: 0o600 })

  // The file is read again before every dial: replace it, and the next connection uses the new one.
  yield* attempt("the path of a creds file", { _tag: "CredsFile", path })
  yield* attempt("the text of a creds file", { _tag: "Creds", creds: Redacted.make(alice.creds) })
  yield* attempt("a JWT and its seed", {
    _tag: "Jwt",
    jwt: Redacted.make(alice.jwt),
    seed: Redacted.make(alice.seed)
  })

  // Found before anything is dialled.
  const expired = yield* orders.user("alice", { nkey: alice, expired: true })
  yield* attempt("an expired JWT", { _tag: "Creds", creds: Redacted.make(expired.creds) })

  const withoutAlice = yield* orders.revoke(alice)
  yield* server.reload({ operator: operator.setup(withoutAlice) })
  yield* attempt("after the revocation", { _tag: "CredsFile", path })
}).pipe(Effect.scoped, Effect.provide(NodeServices.layer))

NodeRuntime.runMain(program)
