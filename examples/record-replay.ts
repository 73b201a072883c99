/**
 * Traffic recorded to a file, and replayed against the next version of a service.
 *
 *   node examples/record-replay.ts
 *
 * Prints:
 *   recorded: {"at":…,"subject":"prices.get","reply":"_INBOX.…","payload":"pen"}
 *   recorded: {"at":…,"subject":"_INBOX.…","payload":"12"}
 *   5 messages are in the recording
 *   replay.prices.get "pen": 12, as before
 *   replay.prices.get "ink": 8, and it was 7
 *   replay.prices.changed "ink": published
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, FileSystem, Layer, Result, Stream } from "effect"
import { NatsClient, NatsListener, NatsRecorder } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"

const prices = (subject: string, known: Readonly<Record<string, number>>) =>
  NatsListener.layer(subject, NatsListener.replying((message) => Effect.succeed(String(known[message.text]))))

const traffic = Effect.gen(function*() {
  const nats = yield* NatsClient.NatsClient
  yield* nats.request("prices.get", "pen")
  yield* nats.request("prices.get", "ink")
  yield* nats.publish("prices.changed", "ink")
})

const program = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const file = `${yield* fs.makeTempDirectoryScoped()}/prices.jsonl`

  // The answers are messages on the callers' inboxes. When the layer is closed, everything is in the file.
  yield* traffic.pipe(
    Effect.provide(
      prices("prices.get", { pen: 12, ink: 7 }).pipe(
        Layer.provideMerge(NatsRecorder.layerFile(file, ["prices.>", "_INBOX.>"]))
      )
    )
  )
  const lines = (yield* fs.readFileString(file)).trimEnd().split("\n")
  for (const part of ["\"pen\"", "\"12\""]) {
    yield* Console.log(`recorded: ${lines.find((line) => line.endsWith(`${part}}`))}`)
  }
  yield* Console.log(`${lines.length} messages are in the recording`)

  // The next version, under a prefix of its own.
  yield* NatsRecorder.fromFile(file).pipe(
    NatsRecorder.replay({ subject: (subject) => `replay.${subject}`, timing: "none" }),
    Stream.runForEach(({ answer, entry, isSame, recorded, subject }) => {
      const came = answer === undefined
        ? "published"
        : Result.match(answer, { onFailure: (error) => error._tag, onSuccess: (message) => message.text })
      const than = isSame === undefined ? "" : isSame ? ", as before" : `, and it was ${recorded?.payload}`
      return Console.log(`${subject} "${entry.payload}": ${came}${than}`)
    }),
    Effect.provide(prices("replay.prices.get", { pen: 12, ink: 8 }))
  )
}).pipe(Effect.scoped)

const Live = Layer.merge(TestNatsServer.layerClient(), NodeFileSystem.layer)

NodeRuntime.runMain(Effect.provide(program, Live))
