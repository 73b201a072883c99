import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Exit, Fiber, Layer, Schema, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { TestNatsProxy, TestNatsServer } from "effect-nats/testing"
import { atOnce } from "../fixtures/dialling.ts"
import { until } from "../fixtures/following.ts"

const users: TestNatsServer.Options = {
  users: [
    { user: "all", password: "pw" },
    {
      user: "narrow",
      password: "pw",
      permissions: { publish: ["open.>", "svc.>"], subscribe: ["open.>", "_INBOX.>"] }
    },
    { user: "no-inbox", password: "pw", permissions: { publish: [">"], subscribe: ["open.>"] } }
  ]
}

const as = (user: string, options?: Partial<NatsClient.Options>) =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.TestNatsServer
    return yield* NatsClient.make({ servers: server.url, auth: { user, password: "pw" }, ...options })
  })

it.layer(TestNatsServer.layer(users), { timeout: "30 seconds", excludeTestServices: true })("a client", (it) => {
  it.effect("receives what is published after a subscription was opened", () =>
    Effect.gen(function*() {
      const nats = yield* as("all")
      const subscription = yield* nats.subscription("orders.*")
      for (const id of ["a", "b", "c"]) yield* nats.publish(`orders.${id}`, id, { headers: { kind: ["x", "y"] } })
      const received = yield* Stream.runCollect(Stream.take(subscription.stream, 3))
      assert.deepStrictEqual(received.map((message) => [message.subject, message.text]), [
        ["orders.a", "a"],
        ["orders.b", "b"],
        ["orders.c", "c"]
      ])
      assert.deepStrictEqual({ ...received[0].headers }, { kind: ["x", "y"] })
      assert.strictEqual(received[0].header("KIND"), "x")
      assert.strictEqual(received[0].reply, undefined)
      assert.deepStrictEqual([...received[0].data], [97])
    }))

  it.effect("answers requests, many at once, each with its own reply", () =>
    Effect.gen(function*() {
      const nats = yield* as("all")
      const service = yield* nats.subscription("echo")
      yield* Effect.forkScoped(
        Stream.runForEach(service.stream, (message) => message.respond(`re: ${message.text}`))
      )
      const replies = yield* Effect.forEach(
        Array.from({ length: 500 }, (_, i) => i),
        (i) => Effect.map(nats.request("echo", String(i)), (reply) => reply.text),
        { concurrency: 100 }
      )
      assert.deepStrictEqual(replies, Array.from({ length: 500 }, (_, i) => `re: ${i}`))
      assert.strictEqual((yield* nats.stats).pendingRequests, 0)
    }))

  it.effect("a request that nobody answers is NoResponders at once", () =>
    Effect.gen(function*() {
      const nats = yield* as("all")
      const error = yield* Effect.flip(nats.request("nobody.home"))
      assert.strictEqual(error._tag, "NoResponders")
    }))

  it.effect("a request that is heard but not answered is RequestTimedOut, and is forgotten", () =>
    Effect.gen(function*() {
      const nats = yield* as("all")
      yield* nats.subscription("deaf")
      const [elapsed, error] = yield* Effect.timed(Effect.flip(nats.request("deaf", "", { timeout: "200 millis" })))
      assert.strictEqual(error._tag, "RequestTimedOut")
      assert.isAtLeast(Duration.toMillis(elapsed), 199)
      assert.strictEqual((yield* nats.stats).pendingRequests, 0)
    }))

  it.effect("a request whose caller is interrupted is forgotten at once", () =>
    Effect.gen(function*() {
      const nats = yield* as("all")
      const heard = yield* nats.subscription("slow")
      const fiber = yield* Effect.forkChild(nats.request("slow"))
      yield* Stream.runHead(heard.stream)
      assert.strictEqual((yield* nats.stats).pendingRequests, 1)
      yield* Fiber.interrupt(fiber)
      assert.strictEqual((yield* nats.stats).pendingRequests, 0)
    }))

  it.effect("a denied publish fails when it is confirmed, and is a status event when it is not", () =>
    Effect.gen(function*() {
      const nats = yield* as("narrow")
      const denied = yield* nats.status.pipe(
        Stream.filter((event) => event._tag === "PermissionDenied"),
        Stream.take(2),
        Stream.runCollect,
        Effect.forkChild({ startImmediately: true })
      )
      const error = yield* Effect.flip(nats.publish("closed.x", "", { confirm: true }))
      assert.strictEqual(error._tag, "PermissionsViolation")
      assert.deepInclude(error, { operation: "publish", subject: "closed.x" })
      yield* nats.publish("closed.y")
      assert.deepStrictEqual((yield* Fiber.join(denied)).map((event) => event.error.subject), ["closed.x", "closed.y"])
      yield* nats.publish("open.x", "", { confirm: true })
    }))

  it.effect("a denied subscription fails by itself, with its queue group, and the others live", () =>
    Effect.gen(function*() {
      const nats = yield* as("narrow")
      const open = yield* nats.subscription("open.a")
      const error = yield* Effect.flip(Effect.scoped(nats.subscription("closed.a", { queue: "q" })))
      assert.strictEqual(error._tag, "PermissionsViolation")
      assert.deepInclude(error, { operation: "subscribe", subject: "closed.a", queue: "q" })
      yield* nats.publish("open.a", "still here")
      const first = yield* Stream.runCollect(Stream.take(open.stream, 1))
      assert.strictEqual(first[0].text, "still here")
    }))

  it.effect("a denied subject of any length is told from an allowed one", () =>
    Effect.gen(function*() {
      const nats = yield* as("narrow")
      const long = `closed.${"x".repeat(1000)}`
      const publish = yield* Effect.flip(nats.publish(long, "", { confirm: true }))
      assert.deepInclude(publish, { _tag: "PermissionsViolation", subject: long })
      const subscribe = yield* Effect.flip(Effect.scoped(nats.subscription(long)))
      assert.deepInclude(subscribe, { _tag: "PermissionsViolation", subject: long })
    }))

  it.effect("a request to a denied subject and one whose inbox is denied are PermissionsViolation, not timeouts", () =>
    Effect.gen(function*() {
      const narrow = yield* as("narrow")
      const publish = yield* Effect.flip(narrow.request("closed.x"))
      assert.deepInclude(publish, { _tag: "PermissionsViolation", operation: "publish", subject: "closed.x" })
      const noInbox = yield* as("no-inbox")
      const inbox = yield* Effect.flip(noInbox.request("svc.x"))
      assert.deepInclude(inbox, { _tag: "PermissionsViolation", operation: "subscribe" })
      const again = yield* Effect.flip(noInbox.request("svc.x"))
      assert.strictEqual(again._tag, "PermissionsViolation")
    }))

  it.effect("nothing invalid is sent: subjects, queue groups, replies and headers are checked", () =>
    Effect.gen(function*() {
      const nats = yield* as("all")
      const fails = <A, E>(effect: Effect.Effect<A, E, never>) => Effect.flip(effect)
      assert.deepInclude(yield* fails(nats.publish("a..b")), { _tag: "InvalidSubject", what: "subject", token: 2 })
      assert.deepInclude(yield* fails(nats.publish("a", "", { reply: "b c" })), {
        _tag: "InvalidSubject",
        what: "reply"
      })
      assert.deepInclude(yield* fails(nats.publish("a", "", { headers: { "x:y": "1" } })), { _tag: "InvalidHeader" })
      assert.deepInclude(yield* fails(nats.request("a.*")), { _tag: "InvalidSubject" })
      assert.deepInclude(yield* fails(Effect.scoped(nats.subscription("a.>.b"))), { _tag: "InvalidSubject" })
      assert.deepInclude(
        yield* fails(Effect.scoped(nats.subscription("a", { queue: "q 1\r\nPUB x 0\r\n\r\n" }))),
        { _tag: "InvalidSubject", what: "queue" }
      )
      yield* nats.flush
    }))

  it.effect("a payload that is neither text nor bytes fails before it is sent, and the connection stays", () =>
    Effect.gen(function*() {
      const nats = yield* as("all")
      const error = yield* Effect.flip(nats.publish("odd", 5 as never))
      assert.deepInclude(error, { _tag: "InvalidPayload", given: "a number" })
      yield* nats.flush
      assert.strictEqual((yield* nats.stats).reconnects, 0)
    }))

  it.effect("a payload over the server's limit fails before it is sent, and the connection stays", () =>
    Effect.gen(function*() {
      const nats = yield* as("all")
      const { max_payload } = yield* nats.serverInfo
      const error = yield* Effect.flip(nats.publish("big", new Uint8Array(max_payload + 1)))
      assert.deepInclude(error, { _tag: "MaxPayloadExceeded", size: max_payload + 1, limit: max_payload })
      yield* nats.publish("big", new Uint8Array(max_payload), { confirm: true })
      assert.strictEqual((yield* nats.stats).reconnects, 0)
    }))

  it.effect("a stalled reader keeps at most its capacity, and the policy says what is lost", () =>
    Effect.gen(function*() {
      const nats = yield* as("all")
      const texts = (stream: Stream.Stream<{ readonly text: string }, unknown>, n: number) =>
        Effect.map(Stream.runCollect(Stream.take(stream, n)), (all) => all.map((message) => message.text))
      const newest = yield* nats.subscription("burst", { capacity: 10, overflow: "dropOldest" })
      const oldest = yield* nats.subscription("burst", { capacity: 10, overflow: "dropNewest" })
      const failing = yield* nats.subscription("burst", { capacity: 10 })
      for (let i = 0; i < 100; i++) yield* nats.publish("burst", String(i))
      yield* nats.flush
      const numbers = (from: number) => Array.from({ length: 10 }, (_, i) => String(from + i))
      assert.deepStrictEqual(yield* texts(newest.stream, 10), numbers(90))
      assert.deepStrictEqual(yield* texts(oldest.stream, 10), numbers(0))
      assert.strictEqual(yield* newest.dropped, 90)
      assert.strictEqual(yield* oldest.dropped, 90)
      const seen: Array<string> = []
      const error = yield* Effect.flip(Stream.runForEach(failing.stream, (message) =>
        Effect.sync(() => {
          seen.push(message.text)
        })))
      assert.deepInclude(error, { _tag: "SlowConsumer", subject: "burst", messages: 10 })
      assert.deepStrictEqual(seen, numbers(0))
    }))

  it.effect("an idle subscription is interrupted at once, also where the server is silent", () =>
    Effect.gen(function*() {
      const proxy = yield* TestNatsProxy.make(yield* TestNatsServer.TestNatsServer)
      const nats = yield* as("all", { servers: proxy.url })
      const fiber = yield* Effect.forkChild(atOnce(Stream.runDrain(nats.subscribe("idle"))))
      yield* nats.flush
      yield* proxy.swallow("toClient")
      // What waited for an answer, or for a time by its clock, would never end.
      yield* Fiber.interrupt(fiber)
      yield* proxy.heal
      yield* nats.flush
      assert.strictEqual((yield* nats.stats).subscriptions, 0)
    }))

  it.effect("unsubscribe lets what was received be read, then the stream ends", () =>
    Effect.gen(function*() {
      const nats = yield* as("all")
      const subscription = yield* nats.subscription("few")
      yield* nats.publish("few", "1")
      yield* nats.publish("few", "2")
      yield* nats.flush
      yield* subscription.unsubscribe
      yield* nats.publish("few", "3")
      yield* nats.flush
      const all = yield* Stream.runCollect(subscription.stream)
      assert.deepStrictEqual(all.map((message) => message.text), ["1", "2"])
    }))

  it.effect("closing waits until the handlers have handled what was received, and sends their answers", () =>
    Effect.gen(function*() {
      const witness = yield* as("all")
      const answers = yield* witness.subscription("answers")
      const handled: Array<string> = []
      const started = yield* Deferred.make<void>()
      yield* Effect.scoped(Effect.gen(function*() {
        const nats = yield* as("all")
        const jobs = yield* nats.subscription("jobs")
        yield* Effect.forkDetach(Stream.runForEach(jobs.stream, (message) =>
          Effect.gen(function*() {
            yield* Deferred.succeed(started, undefined)
            yield* Effect.sleep("5 millis")
            handled.push(message.text)
            yield* nats.publish("answers", message.text)
          })))
        for (let i = 0; i < 20; i++) yield* witness.publish("jobs", String(i))
        yield* Deferred.await(started)
        yield* nats.flush
        yield* nats.drain
      }))
      assert.strictEqual(handled.length, 20)
      const received = yield* Stream.runCollect(Stream.take(answers.stream, 20))
      assert.deepStrictEqual(received.map((message) => message.text), handled)
    }))

  it.effect("after the end every operation says so, and closed succeeds", () =>
    Effect.gen(function*() {
      const nats = yield* as("all")
      const subscription = yield* nats.subscription("x")
      yield* nats.drain
      yield* nats.closed
      for (
        const operation of [
          nats.publish("x"),
          nats.request("x"),
          Effect.scoped(nats.subscription("x")),
          nats.flush,
          nats.rtt,
          nats.reconnect
        ]
      ) {
        const error = yield* Effect.flip(
          operation as Effect.Effect<unknown, { readonly _tag: string; readonly reason?: unknown }>
        )
        assert.strictEqual(error._tag, "ConnectionClosed")
        assert.isUndefined(error.reason)
      }
      assert.deepStrictEqual(yield* Stream.runCollect(subscription.stream), [])
      assert.deepStrictEqual(yield* nats.state, { _tag: "Closed" })
    }))

  it.effect("status starts with the current state, for every consumer, and ends with the client", () =>
    Effect.gen(function*() {
      const nats = yield* as("all")
      const tags = Effect.map(Stream.runCollect(nats.status), (events) => events.map((event) => event._tag))
      const one = yield* Effect.forkChild(tags, { startImmediately: true })
      const two = yield* Effect.forkChild(tags, { startImmediately: true })
      yield* nats.drain
      assert.deepStrictEqual(yield* Fiber.join(one), ["Connected", "Draining", "Closed"])
      assert.deepStrictEqual(yield* Fiber.join(two), ["Connected", "Draining", "Closed"])
    }))

  it.effect("gives inboxes: names under its own prefix that are all different, and that a reply comes to", () =>
    Effect.gen(function*() {
      const nats = yield* as("narrow", { inboxPrefix: "open.replies" })
      const inboxes = yield* Effect.replicateEffect(nats.inbox, 1000)
      assert.strictEqual(new Set(inboxes).size, 1000)
      for (const inbox of inboxes) assert.match(inbox, /^open\.replies\.[0-9a-f]{24}$/)
      // Permissions allow this prefix alone, so what stands in front is the config's and not a default.
      const subscription = yield* nats.subscription(inboxes[0])
      const others = yield* as("all")
      yield* others.publish(inboxes[0], "for you")
      yield* others.publish(inboxes[1], "for nobody")
      yield* others.publish(inboxes[0], "for you, too")
      const replies = yield* Stream.runCollect(Stream.take(subscription.stream, 2))
      assert.deepStrictEqual(replies.map((reply) => reply.text), ["for you", "for you, too"])
      assert.strictEqual((yield* nats.stats).subscriptions, 1)
    }))

  it.effect("gives an inbox also after it has ended: it is a name", () =>
    Effect.gen(function*() {
      const nats = yield* as("all")
      yield* nats.drain
      assert.match(yield* nats.inbox, /^_INBOX\.[0-9a-f]{24}$/)
    }))

  it.effect("reconnect dials again, subscriptions live, and a request in flight is ConnectionLost", () =>
    Effect.gen(function*() {
      const nats = yield* as("all")
      const live = yield* nats.subscription("live")
      const heard = yield* nats.subscription("unanswered")
      const request = yield* Effect.forkChild(Effect.flip(nats.request("unanswered")))
      yield* Stream.runHead(heard.stream)
      yield* nats.reconnect
      const error = yield* Fiber.join(request)
      assert.strictEqual(error._tag, "ConnectionLost")
      yield* nats.publish("live", "again")
      const first = yield* Stream.runCollect(Stream.take(live.stream, 1))
      assert.strictEqual(first[0].text, "again")
      assert.strictEqual((yield* nats.stats).reconnects, 1)
    }))

  it.effect("reconnect is one try where the client does not reconnect by itself", () =>
    Effect.gen(function*() {
      const nats = yield* as("all", { reconnect: false })
      yield* nats.reconnect
      yield* nats.flush
      assert.deepInclude(yield* nats.state, { _tag: "Connected", session: 2 })
    }))

  it.effect("a message that does not fit its schema names the path and keeps the payload out", () =>
    Effect.gen(function*() {
      const nats = yield* as("all")
      const subscription = yield* nats.subscription("typed")
      yield* nats.publish("typed", JSON.stringify({ items: [{ price: 1 }, { price: "canary" }] }))
      yield* nats.publish("typed", "canary {")
      yield* nats.publish("typed", JSON.stringify({ items: [{ price: 2 }] }))
      const [bad, garbage, good] = yield* Stream.runCollect(Stream.take(subscription.stream, 3))
      const Order = Schema.Struct({ items: Schema.Array(Schema.Struct({ price: Schema.Finite })) })
      const error = yield* Effect.flip(bad.decode(Order))
      assert.strictEqual(error.path, "items[1].price")
      assert.notInclude(String(error), "canary")
      assert.notInclude(String(yield* Effect.flip(garbage.decode(Order))), "canary")
      assert.deepStrictEqual(yield* good.decode(Order), { items: [{ price: 2 }] })
    }))
})

describe("the layer", () => {
  it.live("gives a client and closes it with the scope", () =>
    Effect.scoped(Effect.gen(function*() {
      const server = yield* TestNatsServer.make({})
      const program = Effect.gen(function*() {
        const nats = yield* NatsClient.NatsClient
        yield* nats.flush
        return nats
      })
      const nats = yield* Effect.provide(program, NatsClient.layer({ servers: server.url }))
      assert.isTrue(Exit.isSuccess(yield* Effect.exit(nats.closed)))
      // The server sees the end of a connection a moment after the client.
      yield* until(Effect.map(server.connz, (connections) => connections.length === 0))
      const refused = yield* Effect.flip(Layer.build(NatsClient.layer({ servers: "nats://127.0.0.1:1" })))
      assert.strictEqual(refused._tag, "ConnectionRefused")
    })))
})
