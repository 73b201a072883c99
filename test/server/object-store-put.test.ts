/** A put is there as a whole or not at all, whatever ends it. */
import { assert, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { JetStream } from "effect-nats/jetstream"
import { TestNatsProxy, TestNatsServer } from "effect-nats/testing"
import { connectionOf } from "../../src/internal/operations/connectionOf.ts"
import { rawApi, withJetStream } from "../fixtures/jetStream.ts"
import { bytesOf, chunksIn, collected, inPieces, makeStore } from "../fixtures/objects.ts"

const chunkSize = 1024
const former = bytesOf(10 * chunkSize + 7)

it.live("a put that fails or is interrupted leaves nothing, and the former object as it was", () =>
  Effect.gen(function*() {
    const { js, nats } = yield* withJetStream()
    const store = yield* makeStore(js, "files")
    const { id } = yield* store.put("report", inPieces(former, 3000), { chunkSize })
    const isUntouched = Effect.gen(function*() {
      assert.deepStrictEqual(yield* chunksIn(nats, "files"), { [`$O.files.C.${id}`]: 11 })
      assert.isTrue((yield* collected(store.get("report"))).equals(former))
    })
    const pieces = inPieces(bytesOf(40 * chunkSize), chunkSize)

    const failed = yield* Effect.exit(
      store.put("report", Stream.concat(pieces, Stream.fail("the disk is gone" as const)), { chunkSize })
    )
    assert.deepStrictEqual(failed, Exit.fail("the disk is gone" as const))
    yield* isUntouched

    const died = yield* Effect.exit(store.put("report", Stream.concat(pieces, Stream.die("a bug")), { chunkSize }))
    assert.isTrue(Exit.isFailure(died) && Cause.hasDies(died.cause))
    yield* isUntouched

    const isAtItsEnd = yield* Deferred.make<void>()
    const endless = Stream.concat(
      pieces,
      Stream.fromEffect(Effect.andThen(Deferred.succeed(isAtItsEnd, undefined), Effect.never))
    )
    const fiber = yield* Effect.forkChild(store.put("report", endless, { chunkSize }))
    yield* Deferred.await(isAtItsEnd)
    yield* Fiber.interrupt(fiber)
    yield* isUntouched

    const large = yield* Effect.flip(
      store.put("report", pieces, { chunkSize: 2 * 1024 * 1024 }).pipe(
        Effect.andThen(store.put("report", inPieces(bytesOf(3 * 1024 * 1024), 700_000), { chunkSize: 2 * 1024 * 1024 }))
      )
    )
    assert.strictEqual(large._tag, "MaxPayloadExceeded")
  }))

it.live("one name put again and again keeps the chunks of one object, also by many at the same time", () =>
  Effect.gen(function*() {
    const { js, nats } = yield* withJetStream()
    const store = yield* makeStore(js, "files")
    for (let size = 1; size <= 10; size++) {
      yield* store.put("report", inPieces(bytesOf(size * chunkSize), 999), { chunkSize })
    }
    assert.deepStrictEqual(Object.values(yield* chunksIn(nats, "files")), [10])

    const sizes = [1, 2, 3, 4, 5, 6, 7, 8]
    yield* Effect.forEach(
      sizes,
      (size) => store.put("report", inPieces(bytesOf(size * chunkSize), 500), { chunkSize }),
      {
        concurrency: "unbounded"
      }
    )
    const info = yield* store.info("report")
    assert.deepStrictEqual(yield* chunksIn(nats, "files"), { [`$O.files.C.${info.id}`]: info.chunks })
    assert.isTrue((yield* collected(store.get("report"))).equals(bytesOf(info.size)))
    assert.isTrue(yield* store.delete("report"))
    assert.deepStrictEqual(yield* chunksIn(nats, "files"), {})
    assert.isFalse(yield* store.delete("report"))
    assert.strictEqual((yield* Effect.flip(store.info("report")))._tag, "ObjectNotFound")
  }))

it.live("a server that is killed under a put: it fails typed, and after the restart nothing of it is there", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make({ jetstream: true })
    const proxy = yield* TestNatsProxy.make({ port: server.port })
    const nats = yield* NatsClient.make({ servers: proxy.url, reconnect: { initialDelay: "10 millis" } })
    const js = yield* Effect.provideService(JetStream.make(), NatsClient.NatsClient, nats)
    const store = yield* makeStore(js, "files", { storage: "file" })
    const { id } = yield* store.put("report", inPieces(former, 3000), { chunkSize })

    const isSent = yield* Deferred.make<void>()
    const pieces = inPieces(bytesOf(20 * chunkSize), chunkSize)
    const unanswered = Stream.concat(
      Stream.drain(Stream.fromEffect(proxy.swallow("toClient"))),
      Stream.concat(pieces, Stream.fromEffect(Effect.andThen(Deferred.succeed(isSent, undefined), Effect.never)))
    )
    const putting = yield* Effect.forkChild(
      Effect.flip(store.put("report", Stream.concat(pieces, unanswered), { chunkSize }))
    )
    yield* Deferred.await(isSent)
    yield* server.kill
    yield* proxy.drop("RST")
    yield* proxy.heal
    yield* server.restart
    const error = yield* Fiber.join(putting)
    assert.strictEqual(error._tag, "ObjectNotStored")
    assert.isTrue(error._tag === "ObjectNotStored" && error.isRetryable && error.message.includes("put it again"))
    assert.deepStrictEqual(yield* chunksIn(nats, "files"), { [`$O.files.C.${id}`]: 11 })
    assert.isTrue((yield* collected(store.get("report"))).equals(former))
  }))

it.live("a server that restarts under a put, while nothing is on its way: it goes on, and the object is whole", () =>
  Effect.gen(function*() {
    const { js, nats, server } = yield* withJetStream()
    const store = yield* makeStore(js, "files", { storage: "file" })
    const pieces = inPieces(former, chunkSize)
    const isStored = yield* Deferred.make<void>()
    const goOn = yield* Deferred.make<void>()
    const wait = Stream.drain(
      Stream.fromEffect(Effect.andThen(Deferred.succeed(isStored, undefined), Deferred.await(goOn)))
    )
    const putting = yield* Effect.forkChild(
      store.put("report", pieces.pipe(Stream.concat(wait), Stream.concat(pieces)), { chunkSize })
    )
    yield* Deferred.await(isStored)
    while ((Object.values(yield* chunksIn(nats, "files"))[0] ?? 0) < 10) yield* Effect.yieldNow
    yield* nats.flush
    yield* server.restart
    yield* Deferred.succeed(goOn, undefined)
    assert.strictEqual((yield* Fiber.join(putting)).size, 2 * former.length)
    assert.isTrue((yield* collected(store.get("report"))).equals(Buffer.concat([former, former])))
  }))

it.live("a store that gives sequences anew has lost chunks that it had acknowledged: the put fails, and leaves nothing", () =>
  Effect.gen(function*() {
    const { js, nats } = yield* withJetStream()
    const store = yield* makeStore(js, "files")
    const pieces = inPieces(bytesOf(10 * chunkSize), chunkSize)
    const forget = Effect.gen(function*() {
      while ((Object.values(yield* chunksIn(nats, "files"))[0] ?? 0) < 10) yield* Effect.yieldNow
      yield* nats.flush
      const { config } = yield* rawApi(nats, "STREAM.INFO.OBJ_files")
      yield* rawApi(nats, "STREAM.DELETE.OBJ_files")
      yield* rawApi(nats, "STREAM.CREATE.OBJ_files", config)
    })
    // Of the two halves each is whole.
    const data = pieces.pipe(Stream.concat(Stream.drain(Stream.fromEffect(forget))), Stream.concat(pieces))
    const error = yield* Effect.flip(store.put("report", data, { chunkSize }))
    assert.deepInclude({ ...error }, { _tag: "ObjectNotStored", reason: "lost" })
    assert.deepStrictEqual(yield* chunksIn(nats, "files"), {})
  }))

for (const direction of ["toClient", "toServer"] as const) {
  it.live(`the last word of a put is lost on its way (${direction}): it is told once, and the put succeeds`, () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ jetstream: true })
      const proxy = yield* TestNatsProxy.make({ port: server.port })
      const nats = yield* NatsClient.make({ servers: proxy.url, reconnect: { initialDelay: "10 millis" } })
      const js = yield* Effect.provideService(JetStream.make(), NatsClient.NatsClient, nats)
      const store = yield* makeStore(js, "files")
      yield* store.put("report", inPieces(former, 3000), { chunkSize })

      const connection = connectionOf(nats)
      const send = connection.send.bind(connection)
      const isTold = yield* Deferred.make<void>()
      connection.send = (session, outgoing) => {
        if (outgoing.subject.startsWith("$O.files.M.")) {
          connection.send = send
          Effect.runSync(proxy.swallow(direction))
          Deferred.doneUnsafe(isTold, Effect.void)
        }
        send(session, outgoing)
      }
      const bytes = bytesOf(5 * chunkSize)
      const putting = yield* Effect.forkChild(store.put("report", inPieces(bytes, 777), { chunkSize }))
      yield* Deferred.await(isTold)
      // What was written is on its way to where it is swallowed, or to the server.
      yield* Effect.sleep("50 millis")
      yield* proxy.drop("RST")
      yield* proxy.heal
      const info = yield* Fiber.join(putting)
      assert.deepStrictEqual(yield* chunksIn(nats, "files"), { [`$O.files.C.${info.id}`]: 5 })
      assert.deepStrictEqual({ ...(yield* store.info("report")), modifiedMillis: 0 }, { ...info, modifiedMillis: 0 })
      assert.isTrue((yield* collected(store.get("report"))).equals(bytes))
    }))
}
