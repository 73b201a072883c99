/** Commands with messages, and a server, a right or a reader that is not there. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestNatsProxy, TestNatsServer } from "effect-nats/testing"
import {
  eventually,
  handling,
  mostMemory,
  otherSide,
  running,
  starting,
  subscribed,
  untilSubscribed
} from "../fixtures/messaging.ts"

const password = "s3cr3t"

const users = [
  { user: "reader", password, permissions: { publish: { deny: "closed.>" }, subscribe: { deny: "closed.>" } } },
  { user: "mute", password, permissions: { subscribe: { deny: "_INBOX.>" } } }
]

const server = TestNatsServer.TestNatsServer
const withServer = (options?: TestNatsServer.Options) => Effect.provide(TestNatsServer.layer(options))

/** Waits until the server has answered so many times. */
const pongs = (proxy: TestNatsProxy.TestNatsProxy, count: number) =>
  eventually(Effect.map(proxy.sent("toClient"), (bytes) => bytes.toString().split("PONG").length > count))

it.live("a restart of the server is told, and sub goes on", () =>
  Effect.gen(function*() {
    const { restart } = yield* server
    const nats = yield* otherSide()
    const sub = yield* subscribed(["orders.>", "--raw", "--count", "2"], { env: { NATS_NAME: "sub" } })
    yield* nats.publish("orders.a", "before")
    yield* sub.until((stdout) => stdout === "before\n")
    yield* restart
    yield* sub.until((_, stderr) => stderr.includes("again after"))
    yield* untilSubscribed("sub")
    yield* Effect.retry(nats.publish("orders.b", "after", { confirm: true }), { times: 3 })
    const { code, stderr, stdout } = yield* sub.finished
    assert.deepStrictEqual([code, stdout], [0, "before\nafter\n"])
    assert.match(stderr, /^warning: The connection to NATS was lost: /m)
    assert.match(stderr, /^note: Connected to NATS again after \d/m)
  }).pipe(withServer()))

it.live("a restart of the server between two lines loses none of them", () =>
  Effect.gen(function*() {
    const { port, restart } = yield* server
    const proxy = yield* TestNatsProxy.make({ port })
    const arrived: Array<string> = []
    const nats = yield* otherSide({ name: "reader" })
    yield* handling(nats, "lines", ({ text }) => Effect.sync(() => arrived.push(text)))
    const pub = yield* starting(["pub", "lines", "--lines"], {
      keepsInput: true,
      input: "one\ntwo\n",
      env: { NATS_URL: proxy.url }
    })
    // Of the connect, of the first line and of those behind it.
    yield* pongs(proxy, 3)
    yield* restart
    yield* pub.until((_, stderr) => stderr.includes("again after"))
    yield* untilSubscribed("reader")
    pub.process.stdin!.end("three\nfour")
    const { code, stderr } = yield* pub.finished
    assert.strictEqual(code, 0)
    assert.match(stderr, /Published 4 messages \(15 bytes\) to lines\n$/)
    yield* eventually(Effect.sync(() => arrived.length === 4))
    assert.deepStrictEqual(arrived, ["one", "two", "three", "four"])
  }).pipe(withServer()))

it.live("lines that were on their way when the connection broke are a failure", () =>
  Effect.gen(function*() {
    const { port } = yield* server
    for (const json of [false, true]) {
      const proxy = yield* TestNatsProxy.make({ port })
      const sent = (text: string) => Effect.map(proxy.sent("toServer"), (bytes) => bytes.includes(text))
      const pub = yield* starting(["pub", "lines", "--lines", ...(json ? ["--json"] : [])], {
        keepsInput: true,
        input: "first\n",
        env: { NATS_URL: proxy.url }
      })
      yield* pongs(proxy, 2)
      yield* proxy.swallow("toServer")
      pub.process.stdin!.write("second\nthird\n")
      yield* eventually(sent("third"))
      yield* proxy.drop("RST")
      yield* proxy.heal
      const { code, stderr, stdout } = yield* pub.finished
      assert.strictEqual(code, 7)
      if (json) {
        const lines = stdout.trimEnd().split("\n").map((line) => JSON.parse(line))
        assert.deepStrictEqual(lines[0], { subject: "lines", published: 1, bytes: 5 })
        assert.strictEqual(lines[1].error.tag, "ConnectionLost")
      } else {
        assert.include(stderr, "Published 1 message (5 bytes) to lines\n")
        assert.match(stderr, /^ConnectionLost: /m)
      }
    }
  }).pipe(withServer()))

it.live("what the server does not allow is a PermissionsViolation of each command", () =>
  Effect.gen(function*() {
    const as = (user: string, args: ReadonlyArray<string>) =>
      running(args, { env: { NATS_USER: user, NATS_PASSWORD: password } })
    for (
      const [user, args, operation, subject] of [
        ["reader", ["sub", "open", "closed.a"], "subscribe", "closed.a"],
        ["reader", ["pub", "closed.a", "payload"], "publish", "closed.a"],
        ["reader", ["pub", "closed.a", "payload", "--count", "3"], "publish", "closed.a"],
        ["reader", ["request", "closed.a", "payload"], "publish", "closed.a"],
        ["mute", ["request", "open", "payload"], "subscribe", "_INBOX."]
      ] as const
    ) {
      const { code, stderr, stdout } = yield* as(user, args)
      assert.strictEqual(code, 7, args.join(" "))
      assert.strictEqual(stdout, "")
      assert.include(stderr, `PermissionsViolation: This user may not ${operation} to "${subject}`)
      assert.notMatch(stderr, /Subscribed|Published|payload|s3cr3t/)
    }
    const { code, stdout } = yield* as("reader", ["pub", "closed.a", "payload", "--json"])
    assert.strictEqual(code, 7)
    assert.strictEqual(JSON.parse(stdout).error.tag, "PermissionsViolation")
  }).pipe(withServer({ users })))

it.live("a user who is no longer there ends sub as one who is refused", () =>
  Effect.gen(function*() {
    const { reload } = yield* server
    const sub = yield* subscribed(["open"], {
      env: { NATS_USER: "reader", NATS_PASSWORD: password, NATS_RECONNECT_REFUSAL_TIMEOUT: "1 second" }
    })
    yield* reload({ users: users.slice(1) })
    const { code, stderr } = yield* sub.finished
    assert.strictEqual(code, 6)
    assert.match(stderr, /^warning: The connection to NATS was lost: /m)
    assert.match(
      stderr,
      /^ConnectionClosed: The client has ended and does not dial again: .* refused a user and a password/m
    )
    assert.notInclude(stderr, password)
  }).pipe(withServer({ users })))

it.live("who reads too slowly gets what was kept within a bound, and a SlowConsumer", () =>
  Effect.gen(function*() {
    const { monitor } = yield* server
    const nats = yield* otherSide({ name: "fast" })
    const sub = yield* subscribed(["large", "--raw"], { env: { NATS_NAME: "slow" }, encoding: "latin1" })
    sub.process.stdout!.pause()
    const megabyte = new Uint8Array(1_000_000).fill(0x78)
    for (let i = 0; i < 100; i++) yield* nats.publish("large", megabyte)
    yield* nats.flush
    // It has left the subscription.
    yield* eventually(Effect.map(monitor("/connz"), (connz) => {
      const { connections } = connz as { readonly connections: ReadonlyArray<Record<string, unknown>> }
      return connections.some(({ name, subscriptions }) => name === "slow" && subscriptions === 0)
    }))
    const memory = mostMemory(sub.process.pid)
    if (memory !== undefined) assert.isBelow(memory, 350)
    sub.process.stdout!.resume()
    const { code, stderr, stdout } = yield* sub.finished
    assert.strictEqual(code, 7)
    const complete = stdout.length / 1_000_001
    assert.isTrue(Number.isInteger(complete))
    assert.isAbove(complete, 60)
    assert.isBelow(complete, 100)
    assert.match(stderr, /^SlowConsumer: \d+ messages \(\d+ bytes\) of "large" wait unread, .*what reads this output/m)
    // It keeps what a busy reader has not read yet.
  }).pipe(withServer({ config: "max_pending: 512MB" })))

it.live("a second Ctrl-C ends sub though nobody reads", () =>
  Effect.gen(function*() {
    const nats = yield* otherSide()
    const sub = yield* subscribed(["stuck", "--raw"], { encoding: "latin1" })
    sub.process.stdout!.pause()
    for (let i = 0; i < 10; i++) yield* nats.publish("stuck", new Uint8Array(1_000_000))
    yield* nats.flush
    sub.process.kill("SIGINT")
    // The handler has run when the subscription is gone.
    yield* eventually(
      Effect.map((yield* server).connz, (connections) => connections.every(({ subscriptions }) => subscriptions === 0))
    )
    sub.process.kill("SIGINT")
    const exit = yield* Effect.callback<number | null>((resume) => {
      sub.process.once("exit", (code) => resume(Effect.succeed(code)))
    })
    assert.strictEqual(exit, 130)
  }).pipe(withServer()))
