/** What the dashboard makes of what others say, of clients in trouble and of the program's own tables; and the page itself. */
import { assert, it } from "@effect/vitest"
import { Effect, Logger, References, Schema } from "effect"
import { NatsClient } from "effect-nats"
import type { NatsDashboard } from "effect-nats/dashboard"
import { TestNatsServer } from "effect-nats/testing"
import { createHash } from "node:crypto"
import { serveDashboard, watch } from "../fixtures/dashboard.ts"
import { withJetStream } from "../fixtures/jetStream.ts"

class Away extends Schema.TaggedError<Away>()("Away", {}) {
  override get message(): string {
    return "the database is away"
  }
}

const hostile = "<script>alert(1)</script>\u202e\u0007\u001b[2J"

it.live("names of others are text, printable and with an end", () =>
  Effect.gen(function*() {
    const { nats, server } = yield* withJetStream()
    const stranger = yield* NatsClient.make({ servers: server.url })
    const endpoint = { name: hostile, subject: "s", num_requests: 1, num_errors: 1, last_error: "500:secret words" }
    yield* Effect.forkScoped(stranger.consume("$SRV.STATS", (message) =>
      message.respond(JSON.stringify({
        type: "io.nats.micro.v1.stats_response",
        name: "n".repeat(5000),
        id: hostile,
        version: hostile,
        started: hostile,
        metadata: { key: hostile },
        endpoints: [endpoint]
      }))))
    const stream = { name: "<b&amp;\"", subjects: ["b"], storage: "memory" }
    yield* stranger.request("$JS.API.STREAM.CREATE.<b&amp;\"", JSON.stringify(stream))
    yield* stranger.flush
    const watching = yield* watch(`${yield* serveDashboard(nats)}/dashboard/events`)
    yield* watching.shows(() => watching.rows("Instances").length === 1)
    const [instance] = watching.rows("Instances")
    const shown = "<script>alert(1)</script>\\u202e\\u0007\\u001b[2J"
    assert.deepInclude(instance, { Instance: shown, Version: shown, Up: null, Requests: 1 })
    assert.isAtMost(String(instance["Service"]).length, 513)
    assert.deepInclude(watching.rows("Services")[0], { Endpoint: shown })
    assert.deepInclude(watching.rows("Streams")[0], { Stream: "<b&amp;\"" })
    assert.notInclude(JSON.stringify(watching.last), "secret words")
  }).pipe(Effect.scoped))

it.live("what repeats a secret of the client is not shown", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make({ users: [{ user: "u", password: "canary-41fe" }] })
    const auth = { user: "u", password: "canary-41fe" }
    const nats = yield* NatsClient.make({ servers: server.url, auth, name: "canary-41fe" })
    const sections = Effect.succeed([{ title: "canary-41fe", columns: ["canary-41fe"], rows: [["canary-41fe"]] }])
    const watching = yield* watch(`${yield* serveDashboard(nats, { sections })}/dashboard/events`)
    yield* watching.more(1)
    assert.notInclude(JSON.stringify(watching.last), "canary")
  }).pipe(Effect.scoped))

it.live("clients have their state and server, and one in trouble why it is not ready; what it cannot ask is told", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make()
    const other = yield* TestNatsServer.make()
    const reconnect = { initialDelay: "10 millis", maxDelay: "10 millis" } as const
    const nats = yield* NatsClient.make({ servers: server.url, name: "own", reconnect })
    const second = yield* NatsClient.make({ servers: other.url, name: "second", reconnect })
    const url = yield* serveDashboard(nats, { clients: [Effect.succeed(second)] })
    const watching = yield* watch(`${url}/dashboard/events`)
    yield* watching.more(1)
    assert.deepStrictEqual(watching.rows("Connections").map(({ Client, Server, State }) => [Client, State, Server]), [
      ["own", "Connected", server.url],
      ["second", "Connected", other.url]
    ])
    assert.isTrue(watching.rows("Connections").every((row) => Number(row["Round trip"]) > 0 && !("Not ready" in row)))
    assert.strictEqual(watching.tile("Connections"), 2)
    yield* other.kill
    yield* watching.shows(() => watching.tile("Connections") === 1)
    const [own, lost] = watching.rows("Connections")
    assert.deepInclude(own, { State: "Connected" })
    assert.match(String(lost["State"]), /^(Disconnected|Reconnecting)$/)
    assert.isString(lost["Not ready"])
    yield* server.kill
    yield* watching.shows(() => watching.table("Services").problem !== undefined)
    assert.strictEqual(watching.table("Services").problem, "the client is not connected")
    assert.strictEqual(watching.table("Streams").problem, "the client is not connected")
    assert.deepStrictEqual([watching.tile("Services"), watching.tile("Lag")], [null, null])
    yield* server.restart
    yield* other.restart
    yield* watching.shows(() => watching.tile("Connections") === 2 && watching.tile("Services") === 0)
  }).pipe(Effect.scoped))

it.live("tables of the program are shown, a failure of theirs by its message, and a defect in the log alone", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make()
    const nats = yield* NatsClient.make({ servers: server.url })
    let now: Effect.Effect<ReadonlyArray<NatsDashboard.Section>, Away> = Effect.succeed([{
      title: "Orders",
      columns: ["State", "Count"],
      rows: [["placed", 7]]
    }])
    const sections = Effect.suspend(() => now)
    const lines: Array<string> = []
    const watching = yield* watch(`${yield* serveDashboard(nats, { sections })}/dashboard/events`).pipe(
      Effect.provide(Logger.layer([Logger.map(Logger.formatJson, (line) => void lines.push(line))]))
    )
    yield* watching.more(1)
    assert.deepStrictEqual(watching.rows("Orders"), [{ State: "placed", Count: 7 }])
    now = Effect.fail(new Away())
    yield* watching.shows(() => watching.table("The program")?.problem === "the database is away")
    assert.isUndefined(watching.table("Services").problem)
    now = Effect.die(new Error("password hunter2"))
    yield* watching.shows(() => watching.table("The program")?.problem === "it died: see the log")
    assert.notInclude(JSON.stringify(watching.snapshots), "hunter2")
    now = Effect.never
    yield* watching.shows(() => watching.table("The program")?.problem === "no answer for 2s")
  }).pipe(Effect.scoped, Effect.provideService(References.MinimumLogLevel, "None")))

it.live("the page is one document that loads nothing else, and its policy allows what is in it alone", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make()
    const nats = yield* NatsClient.make({ servers: server.url })
    const url = yield* serveDashboard(nats, { path: "/", title: "Tom & <Jerry>" })
    const { headers, html, status } = yield* Effect.promise(async () => {
      const { headers, status, text } = await fetch(url).then(async (answer) => ({
        headers: answer.headers,
        status: answer.status,
        text: await answer.text()
      }))
      return { headers, html: text, status }
    })
    assert.strictEqual(status, 200)
    assert.strictEqual(headers.get("content-type"), "text/html; charset=utf-8")
    assert.strictEqual(headers.get("cache-control"), "no-store")
    assert.include(html, "<h1>Tom &#38; &#60;Jerry&#62;</h1>")
    const hashOf = (tag: string) => {
      const [, text] = new RegExp(`<${tag}>([^]*)</${tag}>`).exec(html)!
      return `'sha256-${createHash("sha256").update(text).digest("base64")}'`
    }
    const policy = new Map(
      headers.get("content-security-policy")!.split("; ").map((each) => {
        const [name, ...values] = each.split(" ")
        return [name, values.join(" ")] as const
      })
    )
    assert.strictEqual(policy.get("default-src"), "'none'")
    assert.strictEqual(policy.get("script-src"), hashOf("script"))
    assert.strictEqual(policy.get("style-src"), hashOf("style"))
    assert.strictEqual(policy.get("connect-src"), "'self'")
    assert.deepStrictEqual([...html.matchAll(/https?:\/\/[^"\s]*/g)].map(([url]) => url), [
      "http://www.w3.org/2000/svg",
      "http://www.w3.org/2000/svg"
    ])
    assert.notMatch(html, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(/)
    const events = yield* Effect.promise(() => fetch(`${url}/events`, { method: "HEAD" }))
    assert.deepInclude(Object.fromEntries(events.headers), {
      "content-type": "text/event-stream",
      "cache-control": "no-store"
    })
  }).pipe(Effect.scoped))
