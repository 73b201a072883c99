/**
 * Takes elements of a queue until it is ended, several at a time, and prints what it does: a JSON object each line.
 *
 *   node bench/persistence/queueWorker.ts nats://127.0.0.1:4222 '{"queue":"jobs","concurrency":8,"workMillis":20}'
 */
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as PersistedQueue from "effect/persistence/PersistedQueue"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as fs from "node:fs"
import * as process from "node:process"
import * as JetStream from "../../src/jetstream/JetStream.ts"
import * as NatsClient from "../../src/NatsClient.ts"
import * as NatsPersistedQueue from "../../src/persistence/NatsPersistedQueue.ts"

/** What a worker does. */
export interface WorkerOptions {
  readonly prefix?: string | undefined
  readonly queue: string
  readonly lockMillis?: number | undefined
  readonly maxAttempts?: number | undefined
  /** Takes at once. */
  readonly concurrency: number
  /** How long a handler waits. */
  readonly workMillis: number
  /** Of these ids, a handler ends the process as it begins. */
  readonly crashes?: ReadonlyArray<string> | undefined
  /** A handler computes so long without a turn for anybody else. */
  readonly blockMillis?: number | undefined
}

/** What a worker prints. `at`: microseconds of a clock that all processes of the machine share. */
export type WorkerEvent =
  | { readonly type: "ready" }
  | { readonly type: "start"; readonly id: string; readonly attempts: number; readonly at: number }
  | { readonly type: "end"; readonly id: string; readonly attempts: number; readonly at: number }
  | { readonly type: "log"; readonly message: string }

/** At once, so that nothing of it is lost when the process is killed. */
const print = (event: WorkerEvent): void => {
  fs.writeSync(1, `${JSON.stringify(event)}\n`)
}

const nowMicros = (): number => Number(process.hrtime.bigint() / 1_000n)

const program = (url: string, options: WorkerOptions) =>
  Effect.gen(function*() {
    const nats = yield* NatsClient.make({ servers: url.split(","), reconnect: { initialDelay: "20 millis" } })
    const js = yield* Effect.provideService(JetStream.make(), NatsClient.NatsClient, nats)
    const store = yield* Effect.provideService(
      NatsPersistedQueue.makeStore({
        ...(options.prefix === undefined ? {} : { prefix: options.prefix }),
        ...(options.lockMillis === undefined ? {} : { lockExpiration: options.lockMillis })
      }),
      JetStream.JetStream,
      js
    )
    const factory = yield* Effect.provideService(
      PersistedQueue.makeFactory,
      PersistedQueue.PersistedQueueStore,
      store
    )
    const queue = yield* factory.make({
      name: options.queue,
      schema: Schema.Unknown,
      maxAttempts: options.maxAttempts ?? 1_000
    })
    print({ type: "ready" })
    const take = queue.take((_, { attempts, id }) =>
      Effect.gen(function*() {
        print({ type: "start", id, attempts, at: nowMicros() })
        if (options.crashes?.includes(id) === true) process.kill(process.pid, "SIGKILL")
        const until = performance.now() + (options.blockMillis ?? 0)
        while (performance.now() < until);
        yield* Effect.sleep(options.workMillis)
        print({ type: "end", id, attempts, at: nowMicros() })
      })
    )
    yield* Effect.all(Array.from({ length: options.concurrency }, () => Effect.forever(take)), {
      concurrency: "unbounded"
    })
  }).pipe(Effect.scoped)

const printing = Logger.make<unknown, void>(({ logLevel, message }) => {
  if (logLevel !== "Info" && logLevel !== "Debug") print({ type: "log", message: String(message) })
})

const [url, options] = process.argv.slice(2)
if (url !== undefined && options !== undefined) {
  // Whoever started it has it killed.
  process.stdin.on("end", () => process.exit(0)).resume()
  Effect.runFork(
    program(url, JSON.parse(options) as WorkerOptions).pipe(
      Effect.tapCause((cause) => Effect.sync(() => print({ type: "log", message: String(cause) }))),
      // As whoever operates it starts it again.
      Effect.retry(Schedule.spaced("500 millis")),
      Effect.onExit(() => Effect.sync(() => process.exit(1))),
      Effect.provide(Logger.layer([printing]))
    )
  )
}
