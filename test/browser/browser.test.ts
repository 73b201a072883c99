import { assert, describe, it, layer } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as fs from "node:fs"
import { Browser, processesOf } from "../fixtures/browser.ts"
import { type Answer, fileServer } from "../fixtures/fileServer.ts"

const html = (body: string): Answer => (_, response) => {
  response.writeHead(200, { "content-type": "text/html; charset=utf-8" }).end(`<!doctype html><title>t</title>${body}`)
}

/** Opens a page that has this body, and waits until it asks for nothing any more. */
const opened = Effect.fnUntraced(function*(body: string, answers: Readonly<Record<string, Answer>> = {}) {
  const server = yield* fileServer({ ...answers, "/": html(body) })
  const browser = yield* Browser
  const made = yield* browser.newPage()
  yield* Effect.promise(() => made.page.goto(server.url, { waitUntil: "networkidle0" }))
  return { ...made, server }
})

layer(Browser.layer, { excludeTestServices: true })("a page in the browser", (it) => {
  it.effect("a page that does nothing wrong has no problems", () =>
    Effect.gen(function*() {
      const { page, problems } = yield* opened("<script>console.log('x'); fetch('/data')</script>", {
        "/data": html("")
      })
      assert.strictEqual(yield* Effect.promise(() => page.title()), "t")
      assert.deepStrictEqual(problems(), [])
    }))

  it.effect("an error in the console is a problem, and a warning is none", () =>
    Effect.gen(function*() {
      const { problems } = yield* opened("<script>console.warn('odd'); console.error('bad', 7)</script>")
      assert.deepStrictEqual(problems(), [{ kind: "console", text: "bad 7" }])
    }))

  it.effect("what is thrown and not caught is a problem, in a promise as well", () =>
    Effect.gen(function*() {
      const { problems } = yield* opened("<script>Promise.reject(new Error('later')); throw new Error('now')</script>")
      assert.deepStrictEqual(problems().map(({ kind, text }) => [kind, /now|later/.exec(text)?.[0]]).toSorted(), [
        ["page", "later"],
        ["page", "now"]
      ])
    }))

  it.effect("a file that is missing is one problem, with its address and status", () =>
    Effect.gen(function*() {
      const { problems, server } = yield* opened("<img src=/missing.png>")
      assert.deepStrictEqual(problems(), [{ kind: "request", text: `GET ${server.url}missing.png: status 404` }])
    }))

  it.effect("an answer that breaks off is a problem", () =>
    Effect.gen(function*() {
      const { problems, server } = yield* opened("<img src=/cut.png>", {
        "/cut.png": (_, response) => response.destroy()
      })
      assert.deepStrictEqual(problems(), [
        { kind: "request", text: `GET ${server.url}cut.png: net::ERR_EMPTY_RESPONSE` }
      ])
    }))

  it.effect("what a page asks of other machines is a problem each, and leaves this machine no way", () =>
    Effect.gen(function*() {
      const { page, problems } = yield* opened(`
        <img src="http://plain.example/a.png?x=1"><img src="https://secret.example/b.png">
        <script>
          window.outcomes = []
          new WebSocket("ws://169.254.0.7/s").onerror = () => outcomes.push("socket")
          new Worker(URL.createObjectURL(new Blob(["fetch('http://worker.example/w').catch(() => postMessage('worker'))"])))
            .onmessage = (event) => outcomes.push(event.data)
          fetch("http://fetched.example/", { mode: "no-cors" }).catch(() => outcomes.push("fetch"))
        </script>`)
      yield* Effect.promise(() => page.waitForFunction("outcomes.length === 3"))
      assert.deepStrictEqual(
        problems().filter(({ kind }) => kind === "elsewhere").map(({ text }) => text).toSorted(),
        [
          "169.254.0.7:80",
          "http://fetched.example/",
          "http://plain.example/a.png?x=1",
          "http://worker.example/w",
          "https://secret.example/b.png"
        ]
      )
      assert.deepStrictEqual(problems().filter(({ kind }) => kind === "request" || kind === "page"), [])
    }))

  it.effect("a page has the width, the height, the colours and the motion that it is asked for", () =>
    Effect.gen(function*() {
      const browser = yield* Browser
      const { page } = yield* browser.newPage({ width: 390, height: 700, colorScheme: "dark", reducedMotion: true })
      const seen = `[innerWidth, innerHeight, matchMedia("(prefers-color-scheme: dark)").matches,
        matchMedia("(prefers-reduced-motion: reduce)").matches]`
      assert.deepStrictEqual(yield* Effect.promise(() => page.evaluate(seen)), [390, 700, true, true])
      const usual = yield* browser.newPage()
      assert.deepStrictEqual(yield* Effect.promise(() => usual.page.evaluate(seen)), [1280, 800, false, false])
    }))

  it.effect("text has fonts on any machine, each kind its own", () =>
    Effect.gen(function*() {
      const { page } = yield* opened(
        ["sans-serif", "serif", "monospace"].map((kind) => `<span style="font: 20px ${kind}">illegible MW</span>`).join(
          ""
        )
      )
      const widths = yield* Effect.promise(() =>
        page.evaluate("[...document.querySelectorAll('span')].map((each) => each.getBoundingClientRect().width)")
      )
      assert.isArray(widths)
      assert.strictEqual(new Set(widths as Array<number>).size, 3)
      assert.isTrue((widths as Array<number>).every((width) => width > 80))
    }))

  it.effect("a screenshot is a picture of the whole page", () =>
    Effect.gen(function*() {
      const { screenshot } = yield* opened("<div style='height: 3000px; background: linear-gradient(red, blue)'>")
      const picture = fs.readFileSync(yield* screenshot("browser-test"))
      assert.strictEqual(picture.subarray(1, 4).toString(), "PNG")
      assert.isAbove(picture.readUInt32BE(20), 3000)
      assert.strictEqual(picture.readUInt32BE(16), 1280)
    }))

  it.effect("pages do not know of each other", () =>
    Effect.gen(function*() {
      const { server } = yield* opened("<script>document.cookie = 'a=1'; localStorage.a = '1'</script>")
      const browser = yield* Browser
      const { page } = yield* browser.newPage()
      yield* Effect.promise(() => page.goto(`${server.url}other`))
      assert.deepStrictEqual(
        yield* Effect.promise(() => page.evaluate("[document.cookie, localStorage.length]")),
        ["", 0]
      )
    }))
})

describe("the browser's process", () => {
  it.live("it runs while its scope is open, and is gone with all that it started when that closes", () =>
    Effect.gen(function*() {
      const pid = yield* Effect.scoped(Effect.gen(function*() {
        const browser = yield* Browser.launch
        yield* browser.newPage()
        assert.isAbove(processesOf(browser.pid).length, 1)
        return browser.pid
      }))
      assert.deepStrictEqual(processesOf(pid), [])
    }))

  it.live("it is gone after a failure", () =>
    Effect.gen(function*() {
      let pid = 0
      const exit = yield* Effect.exit(Effect.scoped(Effect.gen(function*() {
        pid = (yield* Browser.launch).pid
        return yield* Effect.fail("no")
      })))
      assert.isTrue(Exit.isFailure(exit))
      assert.isAbove(pid, 0)
      assert.deepStrictEqual(processesOf(pid), [])
    }))

  it.live("it is gone after an interruption", () =>
    Effect.gen(function*() {
      const started = yield* Deferred.make<number>()
      const fiber = yield* Effect.forkChild(Effect.scoped(Effect.gen(function*() {
        const { pid } = yield* Browser.launch
        yield* Deferred.succeed(started, pid)
        return yield* Effect.never
      })))
      const pid = yield* Effect.raceFirst(Deferred.await(started), Fiber.join(fiber))
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(processesOf(pid), [])
    }))

  it.live("the scope closes when the browser was killed before", () =>
    Effect.gen(function*() {
      const pid = yield* Effect.scoped(Effect.gen(function*() {
        const browser = yield* Browser.launch
        yield* browser.newPage()
        process.kill(browser.pid, "SIGKILL")
        return browser.pid
      }))
      assert.deepStrictEqual(processesOf(pid), [])
    }))
})
