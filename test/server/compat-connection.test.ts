/** Each member of a nats-core connection over a client, and what its errors lead to. */
import { assert, it } from "@effect/vitest"
import { Empty, errors, headers, type Msg, type NatsConnection, type RequestError } from "@nats-io/nats-core"
import { Feature, NatsConnectionImpl } from "@nats-io/nats-core/internal"
import { Effect } from "effect"
import type { NatsClient } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"
import * as fs from "node:fs"
import * as path from "node:path"
import { inspect } from "node:util"
import { connectCompat } from "../fixtures/recordedConnection.ts"
import { isAtLeast } from "../fixtures/serverVersion.ts"
import { rejection, thrown } from "../fixtures/thrown.ts"

const password = "a-long-password-of-alice"

const permissions = { publish: { deny: ["denied.>"] }, subscribe: { deny: ["denied.>"] } }

const layer = TestNatsServer.layer({ users: [{ user: "alice", password, permissions }] })

/** What the libraries read of a connection, from their code. */
const read = (library: string): ReadonlyArray<string> => {
  const directory = path.resolve(import.meta.dirname, "../../node_modules/@nats-io", library, "lib")
  const code = fs.readdirSync(directory).filter((name) => name.endsWith(".js"))
    .map((name) => fs.readFileSync(path.join(directory, name), "utf8").replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, ""))
    .join("\n")
  return [...code.matchAll(/\bnci?\??\.([_a-zA-Z]+)/g)].map(([, member]) => member)
}

const next = async (messages: AsyncIterable<Msg>, count: number): Promise<Array<string>> => {
  const texts: Array<string> = []
  for await (const message of messages) {
    texts.push(message.string())
    if (texts.length === count) break
  }
  return texts
}

it.layer(layer, { timeout: "30 seconds", excludeTestServices: true })("a connection over a client", (it) => {
  const works = (
    title: string,
    body: (nc: NatsConnection, nats: NatsClient.NatsClient, version: string) => Promise<void>
  ): void => {
    it.effect(title, () =>
      Effect.scoped(Effect.gen(function*() {
        const server = yield* TestNatsServer.TestNatsServer
        const { made, nats } = yield* connectCompat({ servers: server.url, auth: { user: "alice", password } })
        yield* Effect.promise(() => body(made, nats, server.version))
      })))
  }

  works(
    "has every member that nats-core has, and that its libraries read, but for what marks another thing",
    async (nc) => {
      const own = Object.getOwnPropertyNames(NatsConnectionImpl.prototype)
        .filter((name) => !["constructor", "_check"].includes(name))
      assert.isAbove(own.length, 25)
      const libraries = ["jetstream", "kv", "obj", "services"].flatMap(read)
      assert.includeMembers(libraries, ["request", "_resub", "getServerVersion", "features", "nc"])
      const missing = [...own, ...libraries].filter((name) => !(name in nc))
      assert.deepStrictEqual([...new Set(missing)], ["nc"])
      assert.isFunction(nc[Symbol.asyncDispose])
    }
  )

  works("tells of its server: info, version, features, address, times and counts", async (nc, nats, version) => {
    const internals = nc as unknown as NatsConnectionImpl
    assert.strictEqual(nc.info?.version, version)
    assert.strictEqual(nc.info?.max_payload, 1024 * 1024)
    assert.strictEqual(nc.info?.api_lvl !== undefined, isAtLeast(version, 2, 11))
    const [major, minor, micro] = version.split(".").map(Number)
    assert.deepStrictEqual(internals.getServerVersion(), { major, minor, micro })
    assert.isTrue(internals.features.get(Feature.JS_KV).ok)
    assert.strictEqual(internals.features.get(Feature.JS_BATCH_DIRECT_GET).ok, isAtLeast(version, 2, 11))
    assert.match(nc.getServer(), /^127\.0\.0\.1:\d+$/)
    assert.deepStrictEqual(nc.getServers().map(({ listen }) => listen), [nc.getServer()])
    assert.match(thrown(() => nc.setServers(["127.0.0.1:1"])).message, /setServers .*`servers`/)
    assert.isUndefined(await nc.flush())
    assert.isAtLeast(await nc.rtt(), 0)
    nc.publish("counted", "12345")
    await nc.flush()
    assert.strictEqual(nc.stats().outMsgs, (await Effect.runPromise(nats.stats)).messagesOut)
    if (isAtLeast(version, 2, 10)) {
      const context = await internals.context() as unknown as { data: { user: string } }
      assert.strictEqual(context.data.user, "alice")
    }
  })

  works("publishes with headers, a reply and a trace, and sends on messages as they are", async (nc) => {
    const subscription = nc.subscribe("a")
    const h = headers()
    h.append("Twice", "1")
    h.append("Twice", "2")
    nc.publish("a", "x", { headers: h, reply: "b", traceDestination: "traces", traceOnly: false })
    nc.publish("a", Empty)
    const messages: Array<Msg> = []
    for await (const message of subscription) if (messages.push(message) === 2) break
    const [message, empty] = messages
    assert.deepStrictEqual([message.string(), message.reply, message.sid], ["x", "b", message.sid])
    assert.deepStrictEqual(message.headers?.values("Twice"), ["1", "2"])
    assert.strictEqual(message.headers?.get("Nats-Trace-Dest"), "traces")
    assert.deepStrictEqual(h.keys(), ["Twice"])
    assert.deepStrictEqual([empty.data.length, empty.headers, empty.reply], [0, undefined, ""])

    const sent = nc.subscribe("b", { max: 2 })
    const again = nc.subscribe("a", { max: 1 })
    assert.isTrue(nc.respondMessage(message))
    nc.publishMessage(message)
    nc.publish("b", "end")
    assert.deepStrictEqual(await next(sent, 2), ["x", "end"])
    assert.deepStrictEqual(await next(again, 1), ["x"])
    assert.isFalse(nc.respondMessage(empty))
  })

  works("a subscription has the members of nats-core's, a queue, a maximum, also one that comes later", async (nc) => {
    const some = nc.subscribe("n", { max: 2 })
    const later = nc.subscribe("n")
    const workers = [nc.subscribe("n", { queue: "q" }), nc.subscribe("n", { queue: "q" })]
    const slow: Array<number> = []
    const counted = nc.subscribe("n", { slow: 2 })
    const statuses = nc.status()
    const slowOnes = (async () => {
      for await (const status of statuses) if (status.type === "slowConsumer") slow.push(status.pending)
    })()
    for (let i = 0; i < 3; i++) nc.publish("n", String(i))
    await nc.flush()
    assert.deepStrictEqual([some.getMax(), some.getReceived(), some.getPending()], [2, 2, 2])
    assert.deepStrictEqual(await next(some, 3), ["0", "1"])
    assert.isTrue(some.isClosed())
    assert.strictEqual(workers[0].getReceived() + workers[1].getReceived(), 3)
    later.unsubscribe(5)
    for (let i = 3; i < 9; i++) nc.publish("n", String(i))
    assert.deepStrictEqual(await next(later, 9), ["0", "1", "2", "3", "4"])
    assert.strictEqual(await later.closed, undefined)
    // The server knows: it sends no more.
    for (const each of [...workers, counted]) each.unsubscribe()
    await nc.flush()
    const before = nc.stats().inMsgs
    nc.publish("n", "9")
    await nc.flush()
    assert.strictEqual(nc.stats().inMsgs, before)
    assert.deepStrictEqual([counted.getSubject(), counted.isDraining()], ["n", false])
    await nc.close()
    await slowOnes
    assert.deepStrictEqual(slow, [3])
  })

  works("a subscription that is drained has all that was sent to it, and one with a time ends with it", async (nc) => {
    const subscription = nc.subscribe("d")
    for (let i = 0; i < 100; i++) nc.publish("d", String(i))
    await subscription.drain()
    nc.publish("d", "late")
    assert.lengthOf(await next(subscription, 101), 100)
    assert.isUndefined(await subscription.closed)
    assert.match((await rejection(subscription.drain())).message, /already closed/)
    const waiting = nc.subscribe("nothing", { timeout: 20 })
    assert.instanceOf(await rejection(next(waiting, 1)), errors.TimeoutError)
    assert.instanceOf(await waiting.closed, errors.TimeoutError)
  })

  works("requestMany by each strategy, on the client and on an inbox of its own", async (nc) => {
    for (let i = 0; i < 3; i++) nc.subscribe("many", { callback: (_, message) => void message.respond(String(i)) })
    nc.subscribe("ending", {
      callback: (_, message) => {
        for (const text of ["a", "b", "", "c"]) message.respond(text)
      }
    })
    for (const noMux of [false, true]) {
      const ask = async (subject: string, options: object): Promise<Array<string>> =>
        next(await nc.requestMany(subject, "", { noMux, ...options } as never), 9)
      assert.sameMembers(await ask("many", { strategy: "count", maxMessages: 3, maxWait: 10_000 }), ["0", "1", "2"])
      assert.sameMembers(await ask("many", { strategy: "stall", stall: 500, maxWait: 10_000 }), ["0", "1", "2"])
      assert.sameMembers(await ask("many", { strategy: "timer", maxWait: 1000 }), ["0", "1", "2"])
      assert.deepStrictEqual(await ask("ending", { strategy: "sentinel", maxWait: 10_000 }), ["a", "b"])
      assert.instanceOf(await rejection(ask("nobody", { maxWait: 10_000 })), errors.NoRespondersError)
    }
    assert.instanceOf(await rejection(nc.requestMany("many", "", { maxWait: -1 })), errors.InvalidArgumentError)
  })

  works("errors are nats-core's own, and their cause is that of the client", async (nc) => {
    nc.subscribe("silent", { callback: () => {} })
    const tagOf = (error: Error): unknown => (error.cause as { readonly _tag?: unknown } | undefined)?._tag
    for (const noMux of [false, true]) {
      const late = await rejection(nc.request("silent", "", { timeout: 20, noMux }))
      assert.instanceOf(late, errors.TimeoutError)
      if (!noMux) assert.strictEqual(tagOf(late), "RequestTimedOut")
      const nobody = await rejection(nc.request("nobody", "", { timeout: 10_000, noMux }))
      assert.instanceOf(nobody, errors.RequestError)
      assert.isTrue((nobody as RequestError).isNoResponders())
      if (!noMux) assert.strictEqual(tagOf(nobody.cause as Error), "NoResponders")
    }
    const denied = await rejection(nc.request("denied.a", "", { timeout: 10_000 }))
    assert.instanceOf(denied, errors.RequestError)
    assert.instanceOf(denied.cause, errors.PermissionViolationError)
    assert.strictEqual(tagOf(denied.cause), "PermissionsViolation")

    const subject = thrown(() => nc.publish("a..b"))
    assert.instanceOf(subject, errors.InvalidSubjectError)
    assert.strictEqual(tagOf(subject), "InvalidSubject")
    assert.instanceOf(thrown(() => nc.publish("a b")), errors.InvalidSubjectError)
    assert.instanceOf(thrown(() => nc.subscribe("a", { queue: "q\r\nPUB x 0\r\n" })), errors.InvalidSubjectError)
    assert.instanceOf(await rejection(nc.request("")), errors.InvalidSubjectError)
    const large = thrown(() => nc.publish("a", new Uint8Array(2 * 1024 * 1024)))
    assert.instanceOf(large, errors.InvalidArgumentError)
    assert.strictEqual(tagOf(large), "MaxPayloadExceeded")
    assert.instanceOf(thrown(() => nc.publish("a", { not: "bytes" } as never)), TypeError)
    assert.instanceOf(thrown(() => nc.publish("a", "", { headers: headers(503, "mine") })), errors.InvalidArgumentError)
    const both = await rejection(nc.request("a", "", { timeout: 100, reply: "b" }))
    assert.instanceOf(both, errors.InvalidArgumentError)
    assert.instanceOf(await rejection(nc.request("a", "", { timeout: -1 })), errors.InvalidArgumentError)
  })

  works("what the server refuses of a subscription ends it, and a publish is told by status()", async (nc) => {
    const statuses = nc.status()[Symbol.asyncIterator]()
    const told = new Promise<Error | null>((resolve) => {
      nc.subscribe("denied.called", { callback: (error) => resolve(error) })
    })
    const called = await told
    assert.instanceOf(called, errors.PermissionViolationError)
    assert.deepInclude(called as object, { operation: "subscription", subject: "denied.called" })
    const iterated = nc.subscribe("denied.iterated", { queue: "q" })
    const error = await rejection(next(iterated, 1))
    assert.deepInclude(error as object, { operation: "subscription", subject: "denied.iterated", queue: "q" })
    assert.strictEqual(await iterated.closed, error)
    nc.publish("denied.published")
    const seen: Array<string> = []
    while (seen.length < 3) {
      const { value } = await statuses.next()
      if (value.type === "error") seen.push(`${value.error.operation} ${value.error.subject}`)
    }
    assert.deepStrictEqual(seen, [
      "subscription denied.called",
      "subscription denied.iterated",
      "publish denied.published"
    ])
  })

  works("nothing that a program can print of it has the password", async (nc) => {
    const subscription = nc.subscribe("inspected")
    nc.publish("inspected", "x")
    for await (const message of subscription) {
      const texts = [nc, subscription, message, nc.status()].map((each) =>
        inspect(each, { depth: 20, showHidden: true })
      )
      for (const text of texts) {
        assert.notInclude(text, password)
        assert.notInclude(text, "SecretFilter")
      }
      assert.isBelow(texts[0].length, 1000)
      assert.notInclude(JSON.stringify([nc]), password)
      break
    }
  })
})
