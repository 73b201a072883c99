/** The page of the shop's gateway, while its fleet is under light load: `node examples/shop.ts --stay`. */
import { assert, layer } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { spawn } from "node:child_process"
import { once } from "node:events"
import * as path from "node:path"
import { Browser } from "../fixtures/browser.ts"
import { until } from "../fixtures/following.ts"
import { evaluated, overflow, said, tables, tiles } from "../fixtures/shownPage.ts"

const example = path.resolve(import.meta.dirname, "../../examples/shop.ts")

/** The program, and where its gateway listens. It is stopped as by Ctrl-C, which it has to end by. */
class Shop extends Context.Service<Shop, { readonly url: string }>()("test/Shop") {
  static readonly layer = Layer.effect(
    Shop,
    Effect.gen(function*() {
      const child = yield* Effect.acquireRelease(
        Effect.sync(() => spawn(process.execPath, [example, "--stay"], { stdio: ["ignore", "pipe", "inherit"] })),
        (child) =>
          Effect.promise(async () => {
            const ended = child.exitCode === null ? once(child, "exit") : Promise.resolve([child.exitCode])
            child.kill("SIGINT")
            const late = setTimeout(() => child.kill("SIGKILL"), 20_000)
            const [code] = await ended
            clearTimeout(late)
            assert.strictEqual(code, 130)
          })
      )
      let output = ""
      child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text))
      const listening = /^The gateway listens at (\S+)$/m
      yield* until(Effect.sync(() => listening.test(output)))
      return { url: listening.exec(output)![1] }
    })
  )
}

const opened = Effect.fnUntraced(function*(options = {}) {
  const page = yield* (yield* Browser).newPage(options)
  const { url } = yield* Shop
  yield* Effect.promise(() => page.page.goto(url))
  yield* until(Effect.map(said(page), (text) => text.startsWith("Live, ")))
  return page
})

layer(Layer.merge(Browser.layer, Shop.layer), { excludeTestServices: true, timeout: "60 seconds" })(
  "the page of the shop",
  (it) => {
    it.effect("has services, instances, connections, streams, consumers and workflows of the whole fleet", () =>
      Effect.gen(function*() {
        const page = yield* opened()
        // One order in ten is declined, which is an error of payments.
        yield* until(
          Effect.map(
            tables(page),
            ({ Services, Workflows }) =>
              Services.some((row) => row["Service"] === "payments" && Number(row["Errors"]) > 0) && Workflows.length > 0
          )
        )
        const { Connections, Consumers, Instances, Services, Streams, Workflows } = yield* tables(page)
        assert.deepStrictEqual(Services.map(({ Endpoint, Instances, Service }) => [Service, Endpoint, Instances]), [
          ["payments", "charge", "1"],
          ["stock", "left", "2"],
          ["stock", "release", "2"],
          ["stock", "reserve", "2"]
        ])
        assert.deepStrictEqual(Instances.map(({ Service, Version }) => [Service, Version]), [
          ["payments", "1.0.0"],
          ["stock", "1.0.0"],
          ["stock", "1.0.0"]
        ])
        assert.deepStrictEqual(Connections.map(({ Client, State }) => [Client, State]), [
          ["customers", "Connected"],
          ["gateway", "Connected"],
          ["orders-1", "Connected"],
          ["payments-1", "Connected"],
          ["stock-1", "Connected"],
          ["stock-2", "Connected"]
        ])
        assert.deepStrictEqual(Streams.map(({ Stream }) => Stream), ["CLUSTER_shop", "PLACED"])
        const shipping = Consumers.find(({ Consumer }) => Consumer === "shipping")!
        assert.strictEqual(shipping["Stream"], "PLACED")
        assert.match(shipping["Lag"], /^\d+$/)
        assert.strictEqual(Workflows[0]["Workflow"], "PlaceOrder")
        assert.deepStrictEqual(page.problems(), [])
      }))

    it.effect("changes by itself: rates, and what has become of orders", () =>
      Effect.gen(function*() {
        const page = yield* opened()
        yield* evaluated(page, "window.isTheSame = true")
        const complete = Effect.map(tables(page), ({ Workflows }) => Number(Workflows[0]?.["Complete"] ?? 0))
        const before = yield* complete
        const rates = new Set<string>()
        yield* until(Effect.gen(function*() {
          const { "Requests/s": rate } = yield* tiles(page)
          if (Number(rate) > 0) rates.add(rate)
          return rates.size >= 3 && (yield* complete) > before
        }))
        assert.isTrue(yield* evaluated<boolean>(page, "window.isTheSame"))
        assert.deepStrictEqual(page.problems(), [])
      }))

    it.effect("fits a window of any width, in light and in dark", () =>
      Effect.gen(function*() {
        const looks = [
          { width: 1280, height: 900, colorScheme: "light", name: "shop-light" },
          { width: 1280, height: 900, colorScheme: "dark", name: "shop-dark" },
          { width: 360, height: 740, colorScheme: "light", name: "shop-phone" },
          { width: 768, height: 1024, colorScheme: "dark", name: "shop-tablet" }
        ] as const
        const colours = yield* Effect.forEach(looks, ({ name, ...options }) =>
          Effect.gen(function*() {
            const page = yield* opened(options)
            // Some history, for the lines that are drawn of it.
            yield* until(evaluated<boolean>(
              page,
              `(document.querySelector("polyline")?.getAttribute("points") ?? "").split(" ").length > 5`
            ))
            yield* page.screenshot(name)
            assert.strictEqual(yield* overflow(page), 0, name)
            assert.deepStrictEqual(page.problems(), [])
            return yield* evaluated<string>(page, "getComputedStyle(document.body).backgroundColor")
          }), { concurrency: "unbounded" })
        assert.strictEqual(colours[0], colours[2])
        assert.strictEqual(colours[1], colours[3])
        assert.notStrictEqual(colours[0], colours[1])
      }))
  }
)
