/** Object stores, with those of nats.js as the other side: what one puts the other reads. */
import { assert, it } from "@effect/vitest"
import { Objm } from "@nats-io/obj"
import { connect } from "@nats-io/transport-node"
import { Cause, Deferred, Duration, Effect, Exit, Fiber, Stream } from "effect"
import { JetStream, ObjectStore } from "effect-nats/jetstream"
import { rawApi, withJetStream } from "../fixtures/jetStream.ts"
import { bytesOf, chunksIn, collected, inPieces, makeStore } from "../fixtures/objects.ts"
import { keepingLogs } from "../fixtures/processing.ts"

const theirsOn = (url: string) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.promise(() => connect({ servers: url })),
      (connection) => Effect.promise(() => connection.close())
    ),
    (connection) => new Objm(connection)
  )

it.live("what one side puts the other one reads, whatever its size: bytes, headers, metadata, links, deletions", () =>
  Effect.gen(function*() {
    const { js, server } = yield* withJetStream()
    const objm = yield* theirsOn(server.url)
    const store = yield* makeStore(js, "files")
    const their = yield* Effect.promise(() => objm.open("files"))
    const chunk = 1024
    for (const size of [0, 1, chunk - 1, chunk, chunk + 1, 5 * 1024 * 1024]) {
      const bytes = bytesOf(size)
      const chunkSize = size > 10 * chunk ? 128 * chunk : chunk
      const info = yield* store.put("ours", inPieces(bytes, 50_001), {
        chunkSize,
        description: `of ${size}`,
        headers: { "Content-Type": "text/csv", Tags: ["a", "b"] },
        metadata: { owner: "us" }
      })
      assert.strictEqual(info.size, size)
      assert.strictEqual(info.chunks, Math.ceil(size / chunkSize))
      const read = yield* Effect.promise(() => their.getBlob("ours"))
      assert.isTrue(Buffer.from(read!).equals(bytes), `theirs reads ours of ${size}`)
      const theirInfo = (yield* Effect.promise(() => their.info("ours")))!
      assert.strictEqual(theirInfo.description, `of ${size}`)
      assert.strictEqual(theirInfo.digest, info.digest)
      assert.deepStrictEqual(theirInfo.metadata, { owner: "us" })
      assert.deepStrictEqual(theirInfo.headers!.values("Tags"), ["a", "b"])

      yield* Effect.promise(() =>
        their.putBlob(
          { name: "theirs", description: "theirs", metadata: { a: "b" }, options: { max_chunk_size: chunkSize } },
          bytes
        )
      )
      assert.isTrue((yield* collected(store.get("theirs"))).equals(bytes), `ours reads theirs of ${size}`)
      const ofTheirs = yield* store.info("theirs")
      assert.deepStrictEqual(
        [ofTheirs.size, ofTheirs.description, ofTheirs.metadata, ofTheirs.digest],
        [size, "theirs", { a: "b" }, info.digest]
      )
    }

    yield* Effect.promise(async () => their.link("their link", (await their.info("ours"))!))
    assert.strictEqual((yield* store.getBytes("their link")).length, 5 * 1024 * 1024)
    yield* store.link("our link", yield* store.info("theirs"))
    assert.strictEqual((yield* Effect.promise(() => their.getBlob("our link")))!.length, 5 * 1024 * 1024)
    yield* store.updateMeta("theirs", { description: "changed" })
    assert.strictEqual((yield* Effect.promise(() => their.info("theirs")))!.description, "changed")

    yield* store.delete("ours")
    assert.isTrue((yield* Effect.promise(() => their.info("ours")))!.deleted)
    assert.isNull(yield* Effect.promise(() => their.getBlob("ours")))
    yield* Effect.promise(() => their.delete("theirs"))
    assert.strictEqual((yield* Effect.flip(store.getBytes("theirs")))._tag, "ObjectNotFound")
    const names = yield* Stream.runCollect(store.list())
    assert.deepStrictEqual(names.map(({ name }) => name).toSorted(), ["our link", "their link"])
    const theirNames = yield* Effect.promise(() => their.list())
    assert.deepStrictEqual(theirNames.map(({ name }) => name).toSorted(), ["our link", "their link"])
  }))

it.live("an object has any name that is text, and what is none is told before anything is sent", () =>
  Effect.gen(function*() {
    const { js } = yield* withJetStream()
    const store = yield* makeStore(js, "files")
    for (const name of ["a", "2026/july.csv", "über", "日本", "a b.*>", "€".repeat(300)]) {
      yield* store.put(name, name)
      assert.strictEqual(yield* store.getText(name), name)
    }
    for (const name of ["", "\ud800", "x".repeat(1025), 5 as unknown as string]) {
      const error = yield* Effect.flip(store.put(name, "x"))
      assert.strictEqual(error._tag, "InvalidObjectName")
      assert.strictEqual((yield* Effect.flip(store.getText(name)))._tag, "InvalidObjectName")
      assert.strictEqual((yield* Effect.flip(store.link("l", { store: "files", name })))._tag, "InvalidObjectName")
    }
    for (const name of ["a.b", "", "a b", "ü", "x".repeat(252)]) {
      const error = yield* Effect.flip(Effect.provideService(ObjectStore.open(name), JetStream.JetStream, js))
      assert.strictEqual(error._tag, "InvalidName")
      assert.strictEqual((yield* Effect.flip(store.link("l", { store: name })))._tag, "InvalidName")
    }
  }))

it.live("links are followed, and one that leads nowhere, round in a circle or to a whole store says so", () =>
  Effect.gen(function*() {
    const { js } = yield* withJetStream()
    const files = yield* makeStore(js, "files")
    const other = yield* makeStore(js, "other")
    yield* other.put("target", "there")
    yield* files.link("across", { store: "other", name: "target" })
    assert.strictEqual(yield* files.getText("across"), "there")
    assert.deepStrictEqual((yield* files.info("across")).link, { store: "other", name: "target" })
    const { info } = yield* files.open("across")
    assert.deepStrictEqual([info.store, info.name], ["other", "target"])
    yield* other.put("target", "there anew")
    assert.strictEqual(yield* files.getText("across"), "there anew")

    yield* files.link("store", { store: "other" })
    assert.strictEqual((yield* Effect.flip(files.getText("store")))._tag, "InvalidObjectLink")
    assert.strictEqual(
      (yield* Effect.flip(files.link("again", { store: "files", name: "across" })))._tag,
      "InvalidObjectLink"
    )
    assert.strictEqual(
      (yield* Effect.flip(files.link("nowhere", { store: "files", name: "none" })))._tag,
      "ObjectNotFound"
    )
    assert.strictEqual((yield* Effect.flip(files.link("nowhere", { store: "gone" })))._tag, "ObjectStoreNotFound")
    yield* files.put("object", "x")
    assert.strictEqual(
      (yield* Effect.flip(files.link("object", { store: "other", name: "target" })))._tag,
      "ObjectExists"
    )

    // A link that leads to an object which becomes a link.
    yield* files.link("one", { store: "files", name: "object" })
    yield* files.delete("object")
    yield* other.link("two", { store: "other", name: "target" })
    yield* files.put("object", "x")
    yield* other.put("back", "x")
    yield* files.link("one", { store: "other", name: "back" })
    yield* other.delete("back")
    yield* other.link("back", yield* files.put("last", "x"))
    yield* files.delete("last")
    yield* files.link("last", { store: "files", name: "object" })
    assert.strictEqual(yield* files.getText("one"), "x")
    yield* files.delete("last")
    assert.strictEqual((yield* Effect.flip(files.getText("one")))._tag, "ObjectNotFound")
  }))

it.live("what is told of an object changes without its bytes, and its name, too, but not to one that is taken", () =>
  Effect.gen(function*() {
    const { js, nats } = yield* withJetStream()
    const store = yield* makeStore(js, "files")
    const put = yield* store.put("a", "bytes", { description: "one", headers: { A: "1" }, metadata: { b: "2" } })
    const updated = yield* store.updateMeta("a", { metadata: { c: "3" } })
    assert.deepStrictEqual([updated.description, updated.headers, updated.metadata], ["one", { A: ["1"] }, { c: "3" }])
    assert.isAbove(updated.revision, put.revision)
    yield* store.put("taken", "x")
    assert.strictEqual((yield* Effect.flip(store.updateMeta("a", { name: "taken" })))._tag, "ObjectExists")
    assert.strictEqual((yield* Effect.flip(store.updateMeta("none", { description: "x" })))._tag, "ObjectNotFound")

    const renamed = yield* store.updateMeta("a", { name: "b" })
    assert.strictEqual(renamed.id, put.id)
    assert.strictEqual(yield* store.getText("b"), "bytes")
    assert.strictEqual((yield* Effect.flip(store.info("a")))._tag, "ObjectNotFound")
    // The former name has nothing to do with the object any more.
    assert.isFalse(yield* store.delete("a"))
    yield* store.put("a", "another")
    assert.strictEqual(yield* store.getText("b"), "bytes")
    assert.strictEqual(Object.keys(yield* chunksIn(nats, "files")).length, 3)
  }))

it.live("a list of nothing, and of deletions only, ends at once; a watch tells what is there, the marker once, and goes on", () =>
  Effect.gen(function*() {
    const { js, server } = yield* withJetStream()
    const store = yield* makeStore(js, "files", { storage: "file" })
    // No heartbeat is waited for, which comes after five.
    assert.deepStrictEqual(yield* Stream.runCollect(store.list()).pipe(Effect.timeout("4 seconds")), [])
    yield* store.put("a", "1")
    yield* store.delete("a")
    assert.deepStrictEqual(yield* Stream.runCollect(store.list()).pipe(Effect.timeout("4 seconds")), [])
    const deleted = yield* Stream.runCollect(store.list({ includeDeleted: true }))
    assert.deepStrictEqual(deleted.map(({ deleted, name }) => [name, deleted]), [["a", true]])
    yield* store.put("b", "2")

    const seen: Array<string> = []
    const at = new Map<number, Deferred.Deferred<void>>()
    const reached = (length: number) => {
      const latch = at.get(length) ?? Deferred.makeUnsafe<void>()
      at.set(length, latch)
      if (seen.length >= length) Deferred.doneUnsafe(latch, Exit.void)
      return Deferred.await(latch)
    }
    const watching = yield* Effect.forkChild(Effect.flip(Stream.runForEach(store.watch(), (event) =>
      Effect.sync(() => {
        seen.push(event._tag === "InitialDone" ? "marker" : `${event.name}${event.deleted ? " deleted" : ""}`)
        const latch = at.get(seen.length)
        if (latch !== undefined) Deferred.doneUnsafe(latch, Exit.void)
      }))))
    yield* reached(3)
    yield* store.put("c", "3")
    yield* store.delete("b")
    yield* reached(5)
    yield* server.restart
    yield* store.put("d", "4")
    yield* reached(6)
    assert.deepStrictEqual(seen, ["a deleted", "b", "marker", "c", "b deleted", "d"])
    const onlyNew = yield* Stream.runCollect(Stream.take(store.watch({ updatesOnly: true }), 1))
    assert.deepStrictEqual(onlyNew, [{ _tag: "InitialDone" }])

    yield* Effect.provideService(ObjectStore.delete("files"), JetStream.JetStream, js)
    assert.strictEqual((yield* Fiber.join(watching))._tag, "ObjectStoreNotFound")
    for (
      const failing of [
        store.put("x", "1"),
        store.getText("x"),
        Stream.runCollect(store.list()),
        store.status,
        store.seal,
        Effect.provideService(ObjectStore.open("files"), JetStream.JetStream, js)
      ]
    ) {
      assert.strictEqual(
        (yield* Effect.flip<unknown, { readonly _tag: string }, never>(failing))._tag,
        "ObjectStoreNotFound"
      )
    }
  }))

it.live("stores are created, opened, listed, told of, sealed and deleted, and one that differs is told", () =>
  Effect.gen(function*() {
    const { js, nats } = yield* withJetStream()
    const run = <A, E>(effect: Effect.Effect<A, E, JetStream.JetStream>) =>
      Effect.provideService(effect, JetStream.JetStream, js)
    const options = { description: "d", ttl: "7 days", maxBytes: "1 MiB", storage: "memory" } as const
    const store = yield* makeStore(js, "files", options)
    yield* run(ObjectStore.create("files", options))
    const differs = yield* Effect.flip(run(ObjectStore.create("files", { ...options, storage: "file" })))
    assert.strictEqual(differs._tag, "ObjectStoreExists")
    assert.deepStrictEqual(differs._tag === "ObjectStoreExists" ? differs.differences : [], ["storage"])
    const { stream, ...status } = yield* store.status
    assert.strictEqual(stream.name, "OBJ_files")
    assert.deepStrictEqual(status, {
      store: "files",
      description: "d",
      ttl: Duration.days(7),
      maxBytes: 1024 * 1024,
      storage: "memory",
      replicas: 1,
      isSealed: false,
      isCompressed: false,
      objectTtl: false,
      acrossDomains: false,
      bytes: 0,
      metadata: {}
    })
    yield* rawApi(nats, "STREAM.CREATE.NOSTORE", { name: "NOSTORE", subjects: ["no.>"], storage: "memory" })
    yield* makeStore(js, "others")
    const stores = yield* run(Stream.runCollect(ObjectStore.list))
    assert.deepStrictEqual(stores.map(({ store }) => store).toSorted(), ["files", "others"])

    const full = yield* Effect.flip(store.put("large", bytesOf(2 * 1024 * 1024)))
    assert.strictEqual(full._tag, "StreamFull")
    assert.deepStrictEqual(yield* chunksIn(nats, "files"), {})

    yield* store.put("kept", "x")
    const before = Object.keys(yield* chunksIn(nats, "files"))
    yield* store.seal
    yield* store.seal
    const sealed = yield* store.status
    assert.isTrue(sealed.isSealed)
    assert.isUndefined(sealed.ttl)
    // Nothing of it is there, so nothing is said of what was left.
    const { logged, logs } = keepingLogs()
    for (const data of ["x", "", bytesOf(300_000)]) {
      assert.strictEqual((yield* Effect.flip(logged(store.put("more", data))))._tag, "ObjectStoreSealed")
    }
    assert.deepStrictEqual(logs, [])
    assert.deepStrictEqual(Object.keys(yield* chunksIn(nats, "files")), before)
    assert.strictEqual((yield* Effect.flip(run(ObjectStore.create("files", options))))._tag, "ObjectStoreExists")
    yield* run(ObjectStore.open("files"))
    assert.strictEqual((yield* Effect.flip(store.delete("kept")))._tag, "ObjectStoreSealed")
    assert.strictEqual(yield* store.getText("kept"), "x")
    yield* run(ObjectStore.delete("files"))
    assert.strictEqual((yield* Effect.flip(run(ObjectStore.delete("files"))))._tag, "ObjectStoreNotFound")
    for (const wrong of [{ ttl: 0 }, { maxBytes: 0 }, { maxBytes: 1.5 }]) {
      assert.strictEqual((yield* Effect.flip(makeStore(js, "wrong", wrong)))._tag, "InvalidDefinition")
    }
  }))

it.live("what an older server does not know is refused, and no store is left; with it, an object has a time of its own", () =>
  Effect.gen(function*() {
    const { js, nats, server } = yield* withJetStream()
    const minor = Number(server.version.split(".")[1])
    const names = Effect.map(rawApi(nats, "STREAM.NAMES"), ({ streams }): ReadonlyArray<string> => streams ?? [])
    const unsupported = Effect.fnUntraced(function*(options: ObjectStore.StoreOptions, feature: string) {
      const error = yield* Effect.flip(makeStore(js, "new", options))
      assert.strictEqual(error._tag === "UnsupportedByServer" ? error.feature : error._tag, feature)
      assert.deepStrictEqual(yield* names, [])
    })
    if (minor < 10) {
      yield* unsupported({ compression: true }, "compression")
      yield* unsupported({ metadata: { a: "b" } }, "metadata")
      yield* unsupported({ acrossDomains: true }, "subjectTransform")
    } else {
      const store = yield* makeStore(js, "new", { storage: "file", compression: true, metadata: { a: "b" } })
      const { isCompressed, metadata } = yield* store.status
      assert.isTrue(isCompressed)
      assert.deepStrictEqual(metadata, { a: "b" })
      yield* Effect.provideService(ObjectStore.delete("new"), JetStream.JetStream, js)
    }
    if (minor < 11) {
      yield* unsupported({ objectTtl: true }, "ttl")
      const store = yield* makeStore(js, "files")
      assert.strictEqual((yield* Effect.flip(store.put("a", "x", { ttl: "5 seconds" })))._tag, "UnsupportedByServer")
      assert.strictEqual((yield* Effect.flip(store.info("a")))._tag, "ObjectNotFound")
    } else {
      const without = yield* makeStore(js, "without")
      const refused = yield* Effect.flip(without.put("a", "x", { ttl: "5 seconds" }))
      assert.strictEqual(refused._tag, "MessageRefused")
      const store = yield* makeStore(js, "files", { objectTtl: true })
      yield* store.put("short", bytesOf(300_000), { ttl: "1 second" })
      yield* store.put("long", bytesOf(300_000))
      yield* Effect.andThen(Effect.sleep("100 millis"), Effect.exit(store.info("short"))).pipe(
        Effect.repeat({ until: Exit.isFailure })
      )
      // Its chunks go a second after it.
      yield* Effect.andThen(Effect.sleep("100 millis"), chunksIn(nats, "files")).pipe(
        Effect.repeat({ until: (chunks) => Object.keys(chunks).length === 1 })
      )
      assert.strictEqual((yield* store.getBytes("long")).length, 300_000)
      const tooShort = yield* Effect.exit(store.put("short", "x", { ttl: "10 millis" }))
      assert.isTrue(Exit.isFailure(tooShort) && Cause.hasDies(tooShort.cause))
    }
  }))
