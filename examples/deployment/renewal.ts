/**
 * Dials again as soon as the files of a secret were replaced, for who must not go on as who it was: a key that was lost, a
 * certificate whose session may not outlive it. Without it they are read before the next dial, whenever that is.
 *
 * It costs what a lost connection costs: requests in flight fail with `ConnectionLost`, and what is published to a
 * subscription in between is not seen.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { Effect, Fiber, FileSystem, Latch, Layer, Stream } from "effect"
import { NatsClient } from "effect-nats"

/** Watches a directory that a secret is mounted at, until its scope closes or the client ends. */
export const layer = (directory: string) =>
  Layer.effectDiscard(Effect.gen(function*() {
    const nats = yield* NatsClient.NatsClient
    const files = yield* FileSystem.FileSystem
    const watching = yield* Latch.make()
    const watch = yield* files.watch(directory, { onReady: () => watching.openUnsafe() }).pipe(
      // Kubernetes replaces all files of a volume in one step, by this link.
      Stream.filter(({ path }) => path === "..data"),
      Stream.runForEach(() => nats.reconnect),
      Effect.catchTag("ConnectionClosed", () => Effect.void),
      Effect.tapError((error) => Effect.logError("The files of the secret are not watched any more", error)),
      Effect.forkScoped({ startImmediately: true })
    )
    // Nothing is missed from here on. A directory that is not there fails the layer.
    yield* Effect.raceFirst(watching.await, Fiber.join(watch))
  })).pipe(Layer.provide(NodeFileSystem.layer))
