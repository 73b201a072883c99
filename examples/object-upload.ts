/**
 * An upload that is longer than memory, read back, replaced, and one that breaks off and leaves the former object.
 *
 *   node examples/object-upload.ts
 *
 * Prints:
 *   put reports/july.csv: 2633345 bytes in 21 chunks
 *   SHA-256=SGYS-J97qgqrqg1JwW1_9amJePDYOjMGxkk18iG9QcM=
 *   read 200000 lines of text/csv
 *   the source broke off: the disk is gone
 *   still there: 2633345 bytes
 *   latest leads to: 2633345 bytes
 *   objects: latest, reports/july.csv
 *   none any more: ObjectNotFound
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Layer, Stream } from "effect"
import { JetStream, ObjectStore } from "effect-nats/jetstream"
import { TestNatsServer } from "effect-nats/testing"

const lines = Stream.range(1, 200_000).pipe(Stream.map((n) => `${n};${n * 2}\n`))

const program = Effect.gen(function*() {
  const store = yield* ObjectStore.create("files")
  const name = "reports/july.csv"

  const info = yield* store.put(name, Stream.encodeText(lines), { headers: { "Content-Type": "text/csv" } })
  yield* Console.log(`put ${name}: ${info.size} bytes in ${info.chunks} chunks`)
  yield* Console.log(info.digest)

  const stored = yield* store.open(name)
  const count = yield* Stream.runCount(Stream.splitLines(Stream.decodeText(stored.stream)))
  yield* Console.log(`read ${count} lines of ${stored.info.headers["Content-Type"]}`)

  const broken = Stream.concat(Stream.encodeText(Stream.take(lines, 100_000)), Stream.fail("the disk is gone"))
  const reason = yield* Effect.flip(store.put(name, broken))
  yield* Console.log(`the source broke off: ${String(reason)}`)
  yield* Console.log(`still there: ${(yield* store.getBytes(name)).length} bytes`)

  yield* store.link("latest", info)
  yield* Console.log(`latest leads to: ${(yield* store.open("latest")).info.size} bytes`)
  const objects = yield* Stream.runCollect(store.list())
  yield* Console.log(`objects: ${objects.map((object) => object.name).toSorted().join(", ")}`)

  yield* store.delete(name)
  yield* Console.log(`none any more: ${(yield* Effect.flip(store.getBytes("latest")))._tag}`)
})

program.pipe(
  Effect.provide(Layer.provide(JetStream.layer(), TestNatsServer.layerClient({ jetstream: true }))),
  NodeRuntime.runMain
)
