/** A get gives what was put, to its last byte, or says what is wrong. */
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Stream } from "effect"
import { type NatsClient } from "effect-nats"
import { type ObjectStore } from "effect-nats/jetstream"
import { rawApi, withJetStream } from "../fixtures/jetStream.ts"
import { bytesOf, collected, inPieces, makeStore } from "../fixtures/objects.ts"

const MiB = 1024 * 1024

/** Reads an object and does something when its first bytes are there. */
const readWith = <A, E>(store: ObjectStore.ObjectStore, name: string, then: Effect.Effect<A, E>) => {
  let isFirst = true
  return collected(Stream.tap(store.get(name), () => {
    if (!isFirst) return Effect.void
    isFirst = false
    return Effect.orDie(then)
  }))
}

const consumersOf = (nats: NatsClient.NatsClient, store: string) =>
  Effect.map(rawApi(nats, `STREAM.INFO.OBJ_${store}`), (answer): number => answer["state"].consumer_count)

// Before 2.10 a server does not answer the pull whose chunks went, and two heartbeats are missed: each has its own time.
for (
  const [what, change] of [
    ["replaced", (store: ObjectStore.ObjectStore) => store.put("report", inPieces(bytesOf(9 * MiB), MiB))],
    ["deleted", (store: ObjectStore.ObjectStore) => store.delete("report")]
  ] as const
) {
  it.live(`an object that is ${what} while it is read says so, can be tried again, and never ends well`, () =>
    Effect.gen(function*() {
      const { js, nats } = yield* withJetStream()
      const store = yield* makeStore(js, "files")
      yield* store.put("report", bytesOf(9 * MiB))
      const changed = yield* Effect.flip(readWith<unknown, unknown>(store, "report", change(store)))
      assert(changed._tag === "ObjectChanged", changed._tag)
      assert.isTrue(changed.isRetryable)
      assert.strictEqual(yield* consumersOf(nats, "files"), 0)
    }))
}

it.live("an object that has lost a chunk, or whose record is not its own, says so and never ends well", () =>
  Effect.gen(function*() {
    const { js, nats } = yield* withJetStream()
    const store = yield* makeStore(js, "files")
    const bytes = bytesOf(9 * MiB)
    const { id } = yield* store.put("report", bytes)
    const last = yield* rawApi(nats, "STREAM.MSG.GET.OBJ_files", { last_by_subj: `$O.files.C.${id}` })
    yield* rawApi(nats, "STREAM.MSG.DELETE.OBJ_files", { seq: last["message"].seq - 3 })
    const damaged = yield* Effect.flip(store.getBytes("report"))
    assert.strictEqual(damaged._tag, "ObjectDigestMismatch")
    assert.include(damaged.message, `${9 * MiB - 128 * 1024} of its ${9 * MiB} bytes`)

    const info = yield* store.put("small", "right")
    const subject = `$O.files.M.${Buffer.from("small").toString("base64")}`
    const told = yield* rawApi(nats, "STREAM.MSG.GET.OBJ_files", { last_by_subj: subject })
    const record = Buffer.from(told["message"].data, "base64").toString()
    yield* nats.request(subject, record.replace(info.digest!.slice(10, 20), "AAAAAAAAAA"))
    const wrong = yield* Effect.flip(store.getText("small"))
    assert.strictEqual(wrong._tag, "ObjectDigestMismatch")
    assert.include(wrong.message, "its digest differs")
    // Written as other clients do: not padded, and in the other alphabet.
    const standard = info.digest!.slice("SHA-256=".length).replaceAll("-", "+").replaceAll("_", "/").replaceAll("=", "")
    yield* nats.request(subject, record.replace(info.digest!, `SHA-256=${standard}`))
    assert.strictEqual(yield* store.getText("small"), "right")

    yield* nats.request(subject, "nonsense")
    assert.strictEqual((yield* Effect.flip(store.getText("small")))._tag, "InvalidObjectInfo")
    assert.strictEqual((yield* Effect.flip(store.info("small")))._tag, "InvalidObjectInfo")
    assert.deepStrictEqual((yield* Stream.runCollect(store.list())).map(({ name }) => name), ["report"])
    yield* store.put("small", "right again")
    assert.strictEqual(yield* store.getText("small"), "right again")
    assert.strictEqual(yield* consumersOf(nats, "files"), 0)
  }))

it.live("a get goes on through a restart and a kill of the server", () =>
  Effect.gen(function*() {
    const { js, nats, server } = yield* withJetStream()
    const store = yield* makeStore(js, "files", { storage: "file" })
    const bytes = bytesOf(10 * MiB)
    yield* store.put("report", inPieces(bytes, MiB))
    assert.isTrue((yield* readWith(store, "report", server.restart)).equals(bytes))
    assert.isTrue((yield* readWith(store, "report", Effect.andThen(server.kill, server.restart))).equals(bytes))
    assert.isTrue((yield* readWith(store, "report", nats.reconnect)).equals(bytes))
  }))

it.live("who stops early leaves no consumer, a slow reader is waited for, and a drain of the client is no end of an object", () =>
  Effect.gen(function*() {
    const { js, nats } = yield* withJetStream()
    const store = yield* makeStore(js, "files")
    const bytes = bytesOf(10 * MiB)
    yield* store.put("report", inPieces(bytes, MiB))
    yield* Stream.runDrain(Stream.take(store.get("report"), 3))
    assert.strictEqual(yield* consumersOf(nats, "files"), 0)

    const isRead = yield* Deferred.make<void>()
    const before = (yield* nats.stats).bytesIn
    const reading = yield* Effect.forkChild(Effect.exit(
      readWith(store, "report", Effect.andThen(Deferred.succeed(isRead, undefined), Effect.never))
    ))
    yield* Deferred.await(isRead)
    for (let i = 0; i < 50; i++) yield* nats.rtt
    // The window, what it may go over, and headers.
    assert.isBelow((yield* nats.stats).bytesIn - before, 6 * MiB)
    yield* Fiber.interrupt(reading)
    yield* nats.flush
    assert.strictEqual(yield* consumersOf(nats, "files"), 0)

    const cut = yield* Effect.exit(readWith(store, "report", Effect.forkDetach(nats.drain)))
    if (Exit.isSuccess(cut)) assert.isTrue(cut.value.equals(bytes))
    else assert.include(String(cut.cause), "ConnectionClosed")
  }))
