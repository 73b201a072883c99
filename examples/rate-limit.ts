/**
 * One limit over two processes: both take of the same window, whose state is in a bucket.
 *
 *   node examples/rate-limit.ts
 *
 * Prints:
 *   two processes ask 20 times each for 10 in a minute
 *   granted: 10
 *   refused: 30
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Effect, Layer } from "effect"
import { NatsClient } from "effect-nats"
import { JetStream } from "effect-nats/jetstream"
import { NatsRateLimiter } from "effect-nats/persistence"
import { TestNatsServer } from "effect-nats/testing"
import { RateLimiter } from "effect/persistence"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import { fileURLToPath } from "node:url"

const url = process.argv[2]

/** What each process does: it asks, and prints how often it was granted. */
const asking = Effect.gen(function*() {
  const limiter = yield* RateLimiter.RateLimiter
  const take = limiter.consume({ key: "mails", limit: 10, window: "1 minute", onExceeded: "fail" })
  const granted = yield* Effect.forEach(
    Array.from({ length: 20 }),
    () => Effect.match(take, { onSuccess: () => 1, onFailure: () => 0 }),
    { concurrency: 5 }
  )
  yield* Console.log(granted.reduce((sum, one) => sum + one, 0))
}).pipe(
  Effect.provide(
    RateLimiter.layer.pipe(
      Layer.provide(NatsRateLimiter.layerStore({ bucket: "limits" })),
      Layer.provide(JetStream.layer()),
      Layer.provide(NatsClient.layer({ servers: url ?? "nats://127.0.0.1:4222", logStatus: false }))
    )
  )
)

const program = Effect.gen(function*() {
  const server = yield* TestNatsServer.make({ jetstream: true })
  yield* Console.log("two processes ask 20 times each for 10 in a minute")
  const { string } = yield* ChildProcessSpawner.ChildProcessSpawner
  const run = ChildProcess.make(process.execPath, [fileURLToPath(import.meta.url), server.url])
  const said = yield* Effect.all([string(run), string(run)], { concurrency: 2 })
  const granted = said.reduce((sum, text) => sum + Number(text), 0)
  yield* Console.log(`granted: ${granted}`)
  yield* Console.log(`refused: ${40 - granted}`)
}).pipe(Effect.scoped, Effect.provide(NodeServices.layer))

if (url === undefined) NodeRuntime.runMain(program)
else NodeRuntime.runMain(asking)
