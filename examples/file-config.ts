/**
 * A client described by a JSON file.
 *
 *   node examples/file-config.ts
 *
 * Prints:
 *   good.json: connected as john
 *   mistakes.json: NatsConfigError
 *   conectTimeout: this key is not known: did you mean `connectTimeout`?
 *   auth.pass: this key is not known: use `password`
 *   auth.password: is missing
 *   reconnect.maxAttempts: must be a whole number from 1 to 1000000000: for no attempt write `reconnect: false`
 *   no-json.json: NatsConfigError
 *   (file): is not JSON at line 3, column 3, where a comma or } must stand
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Effect, FileSystem } from "effect"
import { NatsClient, NatsLayer } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"

const program = Effect.gen(function*() {
  const server = yield* TestNatsServer.make({ users: [{ user: "john", password: "johnpassword" }] })
  const fs = yield* FileSystem.FileSystem
  const directory = yield* fs.makeTempDirectoryScoped()

  const run = Effect.fnUntraced(function*(name: string, content: string) {
    const path = `${directory}/${name}`
    yield* fs.writeFileString(path, content, { mode: 0o600 })
    yield* Effect.gen(function*() {
      const nats = yield* NatsClient.NatsClient
      yield* nats.flush
      const [connection] = yield* server.connz
      yield* Console.log(`${name}: connected as ${connection.authorized_user}`)
    }).pipe(
      Effect.provide(NatsLayer.fromFile(path)),
      Effect.catchTag("NatsConfigError", ({ _tag, problems }) =>
        Console.log([
          `${name}: ${_tag}`,
          ...problems.map(({ path, problem }) => `  ${path === "" ? "(file)" : path}: ${problem}`)
        ].join("\n")))
    )
  })

  yield* run(
    "good.json",
    `{
  "servers": "${server.url}",
  "name": "orders",
  "auth": { "user": "john", "password": "johnpassword" },
  "connectTimeout": "2 seconds",
  "reconnect": { "maxElapsed": "10 minutes" }
}`
  )
  yield* run(
    "mistakes.json",
    `{
  "servers": "${server.url}",
  "auth": { "user": "john", "pass": "johnpassword" },
  "reconnect": { "maxAttempts": 0 },
  "conectTimeout": "2 seconds"
}`
  )
  yield* run(
    "no-json.json",
    `{
  "servers": "${server.url}"
  "name": "orders"
}`
  )
}).pipe(Effect.scoped, Effect.provide(NodeServices.layer))

NodeRuntime.runMain(program)
