/**
 * A client described by environment variables.
 *
 *   node examples/env-config.ts
 *
 * The variables are set inside of the program here, by a ConfigProvider; without it they are those of the process.
 *
 * Prints:
 *   NATS_URL, NATS_NAME, NATS_USER, NATS_PASSWORD: the server knows this client as "orders", user "john"
 *   ORDERS_NATS_URL, ORDERS_NATS_USER, ORDERS_NATS_PASSWORD: the server knows this client as "unnamed", user "john"
 *   NATS_URL, NATS_USER, NATS_TOKEN, NATS_CONNECT_TIMEOUT: NatsConfigError with 2 problems
 *   all together: must name one way to authenticate: NATS_USER, NATS_TOKEN are of different ones
 *   NATS_CONNECT_TIMEOUT: must be a duration, such as "5 seconds" or a number of milliseconds
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { ConfigProvider, Console, Effect } from "effect"
import { NatsClient, NatsLayer } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"

type Variables = Readonly<Record<string, string>>

const program = Effect.gen(function*() {
  const server = yield* TestNatsServer.make({ users: [{ user: "john", password: "johnpassword" }] })

  const whoAmI = Effect.gen(function*() {
    const nats = yield* NatsClient.NatsClient
    yield* nats.flush
    const [{ authorized_user, name = "unnamed" }] = yield* server.connz
    return `the server knows this client as "${name}", user "${authorized_user}"`
  })

  const run = (layer: ReturnType<typeof NatsLayer.fromEnv>, variables: Variables) =>
    whoAmI.pipe(
      Effect.provide(layer),
      Effect.catchTag("NatsConfigError", ({ _tag, problems }) =>
        Effect.succeed([
          `${_tag} with ${problems.length} problems`,
          ...problems.map(({ path, problem }) => `  ${path === "" ? "all together" : path}: ${problem}`)
        ].join("\n"))),
      Effect.flatMap((line) => Console.log(`${Object.keys(variables).join(", ")}: ${line}`)),
      Effect.provide(ConfigProvider.layer(ConfigProvider.fromUnknown(variables)))
    )

  yield* run(NatsLayer.fromEnv(), {
    NATS_URL: server.url,
    NATS_NAME: "orders",
    NATS_USER: "john",
    NATS_PASSWORD: "johnpassword"
  })

  // For a process with several connections:
  yield* run(NatsLayer.fromEnv({ prefix: "ORDERS_NATS" }), {
    ORDERS_NATS_URL: server.url,
    ORDERS_NATS_USER: "john",
    ORDERS_NATS_PASSWORD: "johnpassword"
  })

  // Every mistake is named before anything is dialled.
  yield* run(NatsLayer.fromEnv(), {
    NATS_URL: server.url,
    NATS_USER: "john",
    NATS_TOKEN: "s3cr3t",
    NATS_CONNECT_TIMEOUT: "soon"
  })
}).pipe(Effect.scoped)

NodeRuntime.runMain(program)
