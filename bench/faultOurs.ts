/**
 * This package under the driver of faults.
 */
import { NatsClient } from "effect-nats"
import { JetStream, JetStreamConsumer, KeyValue } from "effect-nats/jetstream"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { Outcome } from "../test/fixtures/history.ts"
import {
  type Bucket,
  heartbeat,
  type Peer,
  publishTimeout,
  type Reader,
  reconnectDelays,
  type System,
  window
} from "./faultSystems.ts"

type Services = NatsClient.NatsClient | JetStream.JetStream
type Runtime = ManagedRuntime.ManagedRuntime<Services, unknown>

interface Failure {
  readonly _tag: string
  readonly message: string
}

/** What fails by one of these may be stored or not. */
const unknown = new Set(["PublishOutcomeUnknown", "InvalidAnswer", "ConnectionLost", "RequestTimedOut"])

const neverWritten = new Set(["NotPublished", "ConnectionClosed"])

const outcomeOf = (error: Failure): Outcome => ({
  _tag: unknown.has(error._tag) ? "unknown" : neverWritten.has(error._tag) ? "neverWritten" : "refused",
  reason: `${error._tag}${"reason" in error ? ` ${reasonOf(error.reason)}` : ""}`
})

const reasonOf = (reason: unknown): string =>
  typeof reason === "string" ? reason : (reason as { readonly _tag?: string } | undefined)?._tag ?? ""

/** Runs a stream until it ends or is stopped. */
const read = async <A>(
  runtime: Runtime,
  stream: Stream.Stream<A, unknown, Services>,
  each: (value: A) => Effect.Effect<unknown, unknown, Services>
): Promise<Reader> => {
  let ended: string | undefined
  const fiber = runtime.runFork(
    Effect.onExit(Stream.runForEach(stream, each), (exit) =>
      Effect.sync(() => {
        ended = Exit.isSuccess(exit) ? "with success" : Cause.pretty(exit.cause).split("\n")[0]
      }))
  )
  let isStopped = false
  return {
    ended: () => isStopped ? undefined : ended,
    async stop() {
      isStopped = true
      fiber.interruptUnsafe()
      await new Promise((resolve) => fiber.addObserver(resolve))
    }
  }
}

const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

const bucketOf = (runtime: Runtime, kv: KeyValue.KeyValue): Bucket => ({
  get: (key) =>
    runtime.runPromise(
      Effect.match(kv.get(key, { consistent: true }), {
        onFailure: () => "failed" as const,
        onSuccess: Option.match({
          onNone: () => "none" as const,
          onSome: ({ key, revision, value }) => ({ key, revision, value: textOf(value) })
        })
      })
    ),
  compareAndSet: (key, value, revision) =>
    runtime.runPromise(
      Effect.match(
        Effect.timeoutOption(
          revision === 0
            ? Effect.mapError(kv.create(key, value), (error): Failure => error)
            : Effect.mapError(kv.update(key, value, revision), (error): Failure => error),
          "20 seconds"
        ),
        {
          onFailure: (error) => {
            if (error._tag === "KeyAlreadyExists" || error._tag === "WrongLastSequence") {
              return {
                _tag: "conflict"
              } as const
            }
            const { reason, ...outcome } = outcomeOf(error) as { _tag: string; reason: string }
            return { _tag: outcome._tag === "unknown" ? "unknown" : "neverWritten", reason } as const
          },
          onSuccess: Option.match({
            onNone: () => ({ _tag: "unknown", reason: "it took 20 s" }) as const,
            onSome: (revision) => ({ _tag: "stored", revision }) as const
          })
        }
      )
    ),
  put: (key, value) =>
    runtime.runPromise(
      Effect.match(kv.put(key, value), {
        onFailure: outcomeOf,
        onSuccess: (sequence): Outcome => ({ _tag: "stored", sequence })
      })
    ),
  watch: (take) =>
    read(runtime, kv.watch(">", { history: true }), (change) =>
      Effect.sync(() => {
        if (change._tag === "Entry") take({ key: change.key, revision: change.revision, value: textOf(change.value) })
      })),
  async lock(name, ttl, body) {
    const held = KeyValue.lock(kv, name, { ttl }, ({ token }) =>
      Effect.gen(function*() {
        const lost = yield* Deferred.make<void>()
        const isLost = Effect.runPromise(Deferred.await(lost))
        yield* Effect.onInterrupt(Effect.promise(() => body(token, isLost)), () => Deferred.succeed(lost, undefined))
      }))
    const exit = await runtime.runPromiseExit(held)
    return Exit.isSuccess(exit) ? "held" : "failed"
  }
})

const peerOf = (runtime: Runtime): Peer => ({
  server: () =>
    runtime.runPromise(Effect.map(
      Effect.flatMap(NatsClient.NatsClient, ({ state }) => state),
      (state) => state._tag === "Connected" ? state.server : undefined
    )),
  publish: (subject, id, deduplicated) =>
    runtime.runPromise(
      Effect.flatMap(
        JetStream.JetStream,
        (js) => js.publish(subject, id, { timeout: publishTimeout, ...(deduplicated ? { msgId: id } : {}) })
      ).pipe(Effect.match({
        onFailure: outcomeOf,
        onSuccess: ({ duplicate, sequence }): Outcome => ({ _tag: duplicate ? "duplicate" : "stored", sequence })
      }))
    ),
  readDurable: (stream, consumer, take) =>
    read(
      runtime,
      JetStreamConsumer.messages({ stream, consumer, window, heartbeat }),
      (message) =>
        Effect.suspend(() => {
          take({ sequence: message.sequence, id: message.text })
          // What comes too late is delivered again.
          return Effect.ignore(message.ack)
        })
    ),
  readOrdered: (stream, take) =>
    read(
      runtime,
      JetStreamConsumer.ordered({ stream, heartbeat }),
      (message) => Effect.sync(() => take({ sequence: message.sequence, id: message.text }))
    ),
  bucket: async (name) => bucketOf(runtime, await runtime.runPromise(KeyValue.open(name))),
  close: () => runtime.dispose()
})

export const ours: System = {
  name: "ours",
  async open(servers) {
    const runtime = ManagedRuntime.make(
      JetStream.layer({ timeout: publishTimeout }).pipe(Layer.provideMerge(NatsClient.layer({
        servers,
        discoverServers: false,
        pingInterval: "1 second",
        maxPingOut: 2,
        connectTimeout: "2 seconds",
        drainTimeout: "2 seconds",
        reconnect: { initialDelay: reconnectDelays.initial, maxDelay: reconnectDelays.max }
      }))).pipe(Layer.provideMerge(Logger.layer([])))
    )
    await runtime.context()
    return peerOf(runtime)
  }
}
