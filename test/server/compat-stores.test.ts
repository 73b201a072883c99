/** `@nats-io/kv`, `@nats-io/obj` and `@nats-io/services` on a connection over a client. */
import { assert, it } from "@effect/vitest"
import { type KvEntry, Kvm } from "@nats-io/kv"
import type { NatsConnection } from "@nats-io/nats-core"
import { Objm } from "@nats-io/obj"
import { Svcm } from "@nats-io/services"
import { Effect } from "effect"
import { TestNatsServer } from "effect-nats/testing"
import { createHash, randomBytes } from "node:crypto"
import { connectCompat } from "../fixtures/recordedConnection.ts"

const collect = async <A>(all: AsyncIterable<A>, count = Infinity): Promise<Array<A>> => {
  const taken: Array<A> = []
  for await (const each of all) {
    taken.push(each)
    if (taken.length === count) break
  }
  return taken
}

const told = ({ key, operation, value }: KvEntry): string => `${key} ${operation} ${new TextDecoder().decode(value)}`

const rejects = async (promise: Promise<unknown>): Promise<boolean> => {
  try {
    await promise
    return false
  } catch {
    return true
  }
}

it.layer(TestNatsServer.layer({ jetstream: true }), { timeout: "30 seconds", excludeTestServices: true })(
  "stores and services",
  (it) => {
    const works = (title: string, body: (nc: NatsConnection) => Promise<void>): void => {
      it.effect(title, () =>
        Effect.scoped(Effect.gen(function*() {
          const server = yield* TestNatsServer.TestNatsServer
          const { missing, nc } = yield* connectCompat({ servers: server.url })
          yield* Effect.promise(() => body(nc))
          assert.deepStrictEqual([...missing], [])
        })))
    }

    works("key-value: put, get, create, update, history, keys, delete, purge, watch, status", async (nc) => {
      const kvm = new Kvm(nc)
      const kv = await kvm.create("config", { history: 5 })
      assert.strictEqual(await kv.put("a", "1"), 1)
      assert.strictEqual((await kv.get("a"))?.string(), "1")
      assert.isNull(await kv.get("missing"))
      assert.isTrue(await rejects(kv.create("a", "x")))
      assert.strictEqual(await kv.create("b", "1"), 2)
      assert.strictEqual(await kv.update("a", "2", 1), 3)
      assert.isTrue(await rejects(kv.update("a", "x", 1)))
      assert.deepStrictEqual((await collect(await kv.history({ key: "a" }), 2)).map(told), ["a PUT 1", "a PUT 2"])
      assert.sameMembers(await collect(await kv.keys()), ["a", "b"])
      const watch = await kv.watch()
      const initial = await collect(watch, 2)
      assert.deepStrictEqual(initial.map(told), ["b PUT 1", "a PUT 2"])
      const updates = await kv.watch({ include: "updates" as never })
      const following = collect(updates, 3)
      // First, as 2.9 passes over what it has not given yet when a key is purged.
      await kv.purge("a")
      await kv.put("c", "1")
      await kv.delete("c")
      assert.deepStrictEqual((await following).map(told), ["a PURGE ", "c PUT 1", "c DEL "])
      assert.strictEqual((await kv.status()).bucket, "config")
      assert.isTrue(await kv.destroy())
    })

    works("object store: 5 MB in chunks and back, info, list, delete", async (nc) => {
      const store = await new Objm(nc).create("files")
      const bytes = randomBytes(5 * 1024 * 1024)
      const readable = new ReadableStream<Uint8Array>({
        start: (controller) => {
          for (let at = 0; at < bytes.length; at += 100_000) controller.enqueue(bytes.subarray(at, at + 100_000))
          controller.close()
        }
      })
      const put = await store.put({ name: "big", options: { max_chunk_size: 128 * 1024 } }, readable)
      assert.deepStrictEqual([put.size, put.chunks], [bytes.length, 40])
      const got = await store.get("big")
      const hash = createHash("sha256")
      for await (const chunk of got!.data as unknown as AsyncIterable<Uint8Array>) hash.update(chunk)
      assert.isNotOk(await got!.error)
      assert.strictEqual(hash.digest("hex"), createHash("sha256").update(bytes).digest("hex"))
      assert.strictEqual((await store.info("big"))?.size, bytes.length)
      assert.deepStrictEqual((await store.list()).map(({ name }) => name), ["big"])
      assert.isTrue((await store.delete("big")).success)
      assert.isNull(await store.get("big"))
    })

    // The library has a nats-core of its own beneath it: what it takes of the connection is no question of classes.
    works("a micro service with an endpoint answers requests and `$SRV.PING`, and stops", async (nc) => {
      const services = new Svcm(nc as unknown as ConstructorParameters<typeof Svcm>[0])
      const service = await services.add({ name: "sums", version: "1.0.0" })
      service.addEndpoint("sum", (error, message) => {
        if (error) throw error
        const numbers = message.json<ReadonlyArray<number>>()
        if (numbers.length === 0) message.respondError(400, "nothing to add")
        else message.respond(String(numbers.reduce((a, b) => a + b)))
      })
      assert.strictEqual((await nc.request("sum", "[1,2,3]")).string(), "6")
      const refused = await nc.request("sum", "[]")
      assert.strictEqual(refused.headers?.get("Nats-Service-Error-Code"), "400")
      const client = services.client({ strategy: "count", maxWait: 2000, maxMessages: 1 })
      const [ping] = await collect(await client.ping("sums"))
      assert.deepStrictEqual([ping.name, ping.id], ["sums", service.info().id])
      const [stats] = await collect(await client.stats("sums"))
      assert.strictEqual(stats.endpoints?.[0].num_requests, 2)
      // Of those who do not say how many there are: until nothing more comes.
      const all = await collect(await services.client({ strategy: "stall", maxWait: 2000 }).ping())
      assert.lengthOf(all, 1)
      await service.stop()
      assert.isTrue(await rejects(nc.request("sum", "[1]")))
    })
  }
)
