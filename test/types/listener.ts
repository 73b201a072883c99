/** What listeners and recorders need and can fail with. */
import type { FileSystem } from "effect"
import { Effect, Layer, type PlatformError, Schema, Stream } from "effect"
import {
  type ConnectError,
  NatsClient,
  type NatsConfig,
  type NatsError,
  NatsLayer,
  NatsListener,
  NatsRecorder
} from "effect-nats"
import { holds, type Same } from "./assert.ts"

class Missing extends Schema.TaggedError<Missing>()("Missing", {}) {}
class Sold extends Schema.TaggedError<Sold>()("Sold", {}) {}

declare const needs: Effect.Effect<string, Missing, FileSystem.FileSystem>

// The client and what the handler needs; nothing of what the handler fails with.
const one = NatsListener.layer("a", () => needs)
holds<Same<typeof one, Layer.Layer<never, NatsError.HandleError, NatsClient.NatsClient | FileSystem.FileSystem>>>()
const several = NatsListener.layer(["a", "b.*"], (message) => message.respond(message.data), { queue: "q" })
holds<Same<typeof several, Layer.Layer<never, NatsError.HandleError, NatsClient.NatsClient>>>()

// An answering handler keeps its failures, and those of answering.
const answering = NatsListener.replying(() => needs)
holds<Same<Effect.Error<ReturnType<typeof answering>>, Missing | NatsError.RespondError>>()
NatsListener.replying(() => Effect.void)
NatsListener.replying(() => Effect.succeed(new Uint8Array()))
// @ts-expect-error a value is for SubjectSchema
NatsListener.replying(() => Effect.succeed({ total: 1 }))

// Failures of several kinds.
const branches = NatsListener.replying((message) =>
  message.text === "" ? Effect.fail(new Missing()) : message.text === "sold" ? Effect.fail(new Sold()) : Effect.void
)
holds<Same<Effect.Error<ReturnType<typeof branches>>, Missing | Sold | NatsError.RespondError>>()

// A launched program fails with what its layers do and with the end of a listener.
const launched = NatsLayer.launch(Layer.provide(several, NatsClient.layer()))
holds<
  Same<
    typeof launched,
    Effect.Effect<
      never,
      ConnectError.ConnectError | NatsConfig.NatsConfigError | NatsError.HandleError | NatsError.BackgroundEnded
    >
  >
>()

const started = several.pipe(NatsListener.withStartedEvent("started"))
holds<
  Same<typeof started, Layer.Layer<never, NatsError.HandleError | NatsError.PublishError, NatsClient.NatsClient>>
>()

const listener = NatsListener.make("a", () => Effect.void)
holds<Same<Effect.Error<typeof listener>, NatsError.HandleError>>()

const recording = NatsRecorder.layerFile("file", "a")
holds<
  Same<
    typeof recording,
    Layer.Layer<
      never,
      NatsError.SubscribeError | PlatformError.PlatformError,
      NatsClient.NatsClient | FileSystem.FileSystem
    >
  >
>()

const replayed = NatsRecorder.fromFile("file").pipe(NatsRecorder.replay({ timing: "none" }))
holds<
  Same<
    typeof replayed,
    Stream.Stream<
      NatsRecorder.Replayed,
      PlatformError.PlatformError | NatsError.PublishError | NatsError.InvalidOption,
      FileSystem.FileSystem | NatsClient.NatsClient
    >
  >
>()
const inMemory = NatsRecorder.replay(Stream.make({ at: 0, subject: "a", payload: "" }))
holds<Same<Stream.Error<typeof inMemory>, NatsError.PublishError | NatsError.InvalidOption>>()
// @ts-expect-error the pauses are the recorded ones or none
void NatsRecorder.replay(Stream.empty, { timing: "half" })
