/** The page of the dashboard in a browser: what it does with what comes, with what others say, and with a lost connection. */
import { assert, layer } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import { NatsClient } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"
import { Browser } from "../fixtures/browser.ts"
import { serveDashboard } from "../fixtures/dashboard.ts"
import { until } from "../fixtures/following.ts"
import { withJetStream } from "../fixtures/jetStream.ts"
import { evaluated, overflow, said, tables, tiles } from "../fixtures/shownPage.ts"

const opened = Effect.fnUntraced(function*(url: string, options = {}) {
  const browser = yield* Browser
  const page = yield* browser.newPage(options)
  yield* Effect.promise(() => page.page.goto(url))
  yield* until(Effect.map(said(page), (text) => text.startsWith("Live, ")))
  return page
})

layer(Browser.layer, { excludeTestServices: true })("the dashboard", (it) => {
  it.effect("the lag of a consumer goes up and down on it, without a reload", () =>
    Effect.gen(function*() {
      const { js, nats } = yield* withJetStream()
      const api = (name: string, body: object) => nats.request(`$JS.API.${name}`, JSON.stringify(body))
      yield* api("STREAM.CREATE.ORDERS", { name: "ORDERS", subjects: ["orders.>"], storage: "memory" })
      yield* api("CONSUMER.DURABLE.CREATE.ORDERS.billing", {
        stream_name: "ORDERS",
        config: { durable_name: "billing", ack_policy: "explicit" }
      })
      const page = yield* opened(`${yield* serveDashboard(nats)}/dashboard`)
      yield* evaluated(page, "window.isTheSame = true")
      const lag = Effect.map(tables(page), ({ Consumers }) => Consumers?.[0]?.["Lag"])
      yield* until(Effect.map(lag, (text) => text === "0"))
      for (let i = 0; i < 1234; i++) yield* js.publish("orders.created", "{}")
      yield* until(Effect.map(lag, (text) => text === "1,234"))
      assert.strictEqual((yield* tiles(page))["Lag"], "1,234")
      yield* api("STREAM.PURGE.ORDERS", {})
      yield* until(Effect.map(lag, (text) => text === "0"))
      assert.isTrue(yield* evaluated<boolean>(page, "window.isTheSame"))
      assert.deepStrictEqual(page.problems(), [])
    }))

  it.effect("names of others are its text, and nothing of them runs or is loaded", () =>
    Effect.gen(function*() {
      const { nats, server } = yield* withJetStream()
      const name = "<img src=/x onerror=\"window.ran=true\"><script>window.ran=true</script>"
      const stranger = yield* NatsClient.make({ servers: server.url })
      yield* Effect.forkScoped(
        stranger.consume("$SRV.STATS", (message) =>
          message.respond(JSON.stringify({
            name,
            id: name,
            version: "</script><h1>",
            endpoints: [{ name, subject: name, num_requests: 3 }]
          }))),
        { startImmediately: true }
      )
      yield* stranger.flush
      const title = "</title><script>window.ran=true</script>"
      const sections = Effect.succeed([{ title: name, columns: [name], rows: [[name]] }])
      const page = yield* opened(`${yield* serveDashboard(nats, { title, sections })}/dashboard`)
      yield* until(Effect.map(tables(page), ({ Instances }) => Instances.length === 1))
      const shown = yield* tables(page)
      assert.deepInclude(shown["Instances"][0], { Service: name, Instance: name, Version: "</script><h1>" })
      assert.deepStrictEqual(shown[name], [{ [name]: name }])
      assert.strictEqual(yield* Effect.promise(() => page.page.title()), title)
      assert.deepStrictEqual(
        yield* evaluated(page, "[document.images.length, document.scripts.length, window.ran === undefined]"),
        [0, 1, true]
      )
      assert.deepStrictEqual(page.problems(), [])
    }))

  it.effect("it says since when it is not connected, and goes on by itself when its program is back", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      const nats = yield* NatsClient.make({ servers: server.url })
      const scope = yield* Effect.flatMap(Effect.scope, Scope.fork)
      const url = yield* Scope.provide(serveDashboard(nats), scope)
      const page = yield* opened(`${url}/dashboard`)
      yield* evaluated(page, "window.isTheSame = true")
      yield* Scope.close(scope, Exit.void)
      yield* until(Effect.map(said(page), (text) => /^Connection lost, since \d+:\d\d:\d\d/.test(text)))
      yield* page.screenshot("dashboard-lost")
      // What was there last stays in sight.
      assert.strictEqual((yield* tiles(page))["Services"], "0")
      yield* serveDashboard(nats, {}, Number(new URL(url).port))
      yield* until(Effect.map(said(page), (text) => text.startsWith("Live, ")))
      assert.isTrue(yield* evaluated<boolean>(page, "window.isTheSame"))
    }))

  it.effect("what is absent is said, in a window of a phone, too", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      const nats = yield* NatsClient.make({ servers: server.url, name: "a-client-with-a-rather-long-name".repeat(4) })
      const row = ["w".repeat(300), 1_234_567, "two words", 0.5]
      const sections = Effect.succeed([{ title: "W".repeat(80), columns: ["a", "b", "c", "d"], rows: [row, row] }])
      const page = yield* opened(`${yield* serveDashboard(nats, { sections })}/dashboard`, { width: 320, height: 640 })
      const text = yield* evaluated<string>(page, "document.body.innerText")
      assert.include(text, "None.")
      assert.include(text, "This account has no JetStream")
      yield* page.screenshot("dashboard-phone")
      assert.strictEqual(yield* overflow(page), 0)
      assert.deepStrictEqual(page.problems(), [])
    }))
})
