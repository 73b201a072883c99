/** The site of the documentation, as a reader has it. */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as path from "node:path"
import type { Page as PuppeteerPage } from "puppeteer-core"
import { publicModules } from "../../scripts/publicPaths.mjs"
import { Browser, type PageOptions } from "../fixtures/browser.ts"
import { errorTags } from "../fixtures/errorTags.ts"
import * as inPage from "../fixtures/inPage.mjs"
import { hasSiteFile, served, sitePage, sitePages } from "../fixtures/site.ts"

const root = path.resolve(import.meta.dirname, "../..")
const phone = { width: 390, height: 844 } as const

/** A page of the site, open and quiet. */
const opened = Effect.fnUntraced(function*(name: string, options: PageOptions = {}) {
  const url = yield* served
  const made = yield* (yield* Browser).newPage(options)
  yield* Effect.promise(() => made.page.goto(`${url}${name}`, { waitUntil: "networkidle0" }))
  return { ...made, url }
})

const promised = <A>(run: () => Promise<A>): Effect.Effect<A> => Effect.promise(run)

/** Waits for the heading of the page that a click leads to. */
const awaitTitle = (page: PuppeteerPage, title: string): Promise<unknown> =>
  page.waitForFunction(inPage.hasTitle, {}, title)

/** Clicks on what is there, or comes, when nothing moves any more: a click lands where a thing was. */
const click = async (page: PuppeteerPage, selector: string): Promise<void> => {
  await page.waitForSelector(selector, { visible: true })
  await page.waitForFunction(inPage.isStill)
  await page.click(selector)
}

interface Seen {
  readonly page: string
  readonly sideways: number
  readonly ids: ReadonlyArray<string>
  readonly links: ReadonlyArray<string>
  readonly title: string
  readonly words: number
}

layer(Browser.layer, { excludeTestServices: true })("the site", (it) => {
  it.effect(
    "every page opens at the width of a phone without an error or a word to others, none scrolls sideways, and every link leads to a page and a heading that are there",
    () =>
      Effect.gen(function*() {
        const pages = sitePages()
        const { page, problems, url } = yield* opened("", phone)
        const seen = new Map<string, Seen>()
        yield* promised(async () => {
          for (const name of pages) {
            await page.goto(`${url}${name}`, { waitUntil: "load" })
            await page.waitForSelector("#app [class]")
            seen.set(name, { page: name, ...(await page.evaluate(inPage.look)) })
          }
        })
        assert.deepStrictEqual(problems(), [])
        assert.isAbove(pages.length, 130)
        const all = [...seen.values()]
        assert.deepStrictEqual(all.filter(({ sideways }) => sideways > 0).map((each) => each.page), [])
        assert.deepStrictEqual(
          all.filter(({ title, words }) => title === "" || words < 20).map((each) => each.page),
          []
        )
        const links = all.flatMap((from) => from.links.map((link) => ({ from: from.page, link })))
        const inside = links.filter(({ link }) => link.startsWith(url))
        assert.isAbove(inside.length, 5_000)
        const dead = inside.filter(({ link }) => {
          const target = new URL(link)
          const name = decodeURIComponent(target.pathname.slice(1))
          const found = seen.get(name)
          if (found === undefined) return !hasSiteFile(name)
          return target.hash !== "" && !found.ids.includes(decodeURIComponent(target.hash.slice(1)))
        })
        assert.deepStrictEqual([...new Set(dead.map(({ from, link }) => `${from}: ${link.slice(url.length)}`))], [])
        const reached = new Set(inside.map(({ link }) => decodeURIComponent(new URL(link).pathname.slice(1))))
        assert.deepStrictEqual(pages.filter((name) => !reached.has(name)), [])
      }),
    120_000
  )

  it.effect("the bar, the list of pages and the page's own links lead from one page to the next", () =>
    Effect.gen(function*() {
      const { page, problems } = yield* opened("", { width: 1600 })
      yield* promised(async () => {
        await click(page, ".VPNavBar a[href='/guide/getting-started']")
        await awaitTitle(page, "Getting started")
        await click(page, ".VPSidebar a[href='/guide/consumers']")
        await awaitTitle(page, "Consumers")
        await page.waitForSelector(".VPSidebar .is-active ::-p-text(Consumers)")
        await click(page, ".VPDocFooter .pager-link.next")
        await awaitTitle(page, "Key-value")
        await click(page, ".VPDocAside a.outline-link")
        await page.waitForFunction("location.hash !== ''")
        await page.goBack()
        await page.goBack()
        await awaitTitle(page, "Consumers")
      })
      assert.deepStrictEqual(problems(), [])
    }))

  it.effect("at the width of a phone the menus open, and lead on", () =>
    Effect.gen(function*() {
      const { page, problems } = yield* opened("guide/errors", phone)
      yield* promised(async () => {
        await click(page, ".VPLocalNav .menu")
        await click(page, ".VPSidebar.open a[href='/guide/messaging']")
        await awaitTitle(page, "Messaging")
        await click(page, ".VPNavBarHamburger")
        await click(page, ".VPNavScreen a[href='/errors/']")
        await awaitTitle(page, "Errors by tag")
      })
      assert.deepStrictEqual(problems(), [])
    }))

  const searches = [
    { words: "AuthorizationViolation", among: 1, place: "/errors/#authorizationviolation" },
    { words: "lock with a fencing token", among: 3, place: "/how-to/elect-a-leader" },
    { words: "NATS_URL", among: 5, place: "/guide/" },
    { words: "ack wait", among: 5, place: "consumers" },
    { words: "kubernetes probes", among: 3, place: "/deployment" }
  ]
  for (const { among, place, words } of searches) {
    it.effect(`a search for "${words}" has its page among the first ${among}, and a click opens it`, () =>
      Effect.gen(function*() {
        const { page, problems, url } = yield* opened("")
        yield* promised(async () => {
          await page.keyboard.down("Control")
          await page.keyboard.press("k")
          await page.keyboard.up("Control")
          await page.waitForSelector(".VPLocalSearchBox input")
          await page.keyboard.sendCharacter(words)
          await page.waitForSelector(".VPLocalSearchBox .result mark")
          const found = await page.evaluate(inPage.found)
          const first = found.slice(0, among).map((each) => each.slice(url.length - 1))
          const index = first.findIndex((each) => each.includes(place))
          assert.isAtLeast(index, 0, first.join("\n"))
          await click(page, `.VPLocalSearchBox li:nth-child(${index + 1}) .result`)
          await page.waitForFunction(`location.href === ${JSON.stringify(found[index])}`)
        })
        assert.deepStrictEqual(problems(), [])
      }))
  }

  it.effect("the errors are narrowed by a tag or by words, and come back", () =>
    Effect.gen(function*() {
      const { page, problems } = yield* opened("errors/")
      const shown = () => page.evaluate(inPage.shownErrors)
      const awaitCount = (count: number) =>
        page.waitForSelector(`.error-filter [role=status]::-p-text(${count} ${count === 1 ? "error" : "errors"})`)
      yield* promised(async () => {
        const all = await shown()
        await awaitCount(all.length)
        await page.type(".error-filter input", "certificate name")
        await page.waitForSelector("[data-tag=NoResponders]", { hidden: true })
        const some = await shown()
        assert.include(some, "TlsCertificateInvalid")
        assert.isBelow(some.length, 10)
        await awaitCount(some.length)
        await page.type(".error-filter input", " no-such-word")
        await page.waitForSelector(".error-filter ::-p-text(None has all of these words)")
        assert.deepStrictEqual(await shown(), [])
        await page.$eval(".error-filter input", inPage.select)
        await page.keyboard.press("Backspace")
        await page.waitForSelector("[data-tag=NoResponders]", { visible: true })
        assert.deepStrictEqual(await shown(), all)
      })
      assert.deepStrictEqual(problems(), [])
    }))

  for (const colorScheme of ["light", "dark"] as const) {
    it.effect(`it is ${colorScheme} where the system is, the switch turns that, and text stands out in both`, () =>
      Effect.gen(function*() {
        const { page, problems, screenshot } = yield* opened("guide/getting-started", { colorScheme })
        const isDark = () => page.evaluate(inPage.isDark)
        yield* promised(async () => {
          assert.strictEqual(await isDark(), colorScheme === "dark")
          assert.deepStrictEqual(await page.evaluate(inPage.faint), [])
        })
        yield* screenshot(`site-${colorScheme}`)
        yield* promised(async () => {
          await click(page, ".VPNavBar .VPSwitchAppearance")
          assert.strictEqual(await isDark(), colorScheme !== "dark")
          await page.waitForFunction(inPage.isStill)
          assert.deepStrictEqual(await page.evaluate(inPage.faint), [])
          await page.reload({ waitUntil: "networkidle0" })
          assert.strictEqual(await isDark(), colorScheme !== "dark")
        })
        assert.deepStrictEqual(problems(), [])
      }))

    it.effect(`text of every kind of page stands out and is large enough on a phone that is ${colorScheme}`, () =>
      Effect.gen(function*() {
        const { page, problems, url } = yield* opened("", { ...phone, colorScheme })
        yield* promised(async () => {
          for (
            const name of ["", "guide/errors", "how-to/process-jobs", "errors/", "api/NatsClient", "examples/shop"]
          ) {
            await page.goto(`${url}${name}`, { waitUntil: "load" })
            assert.deepStrictEqual([name, await page.evaluate(inPage.faint)], [name, []])
            assert.deepStrictEqual([name, await page.evaluate(inPage.small)], [name, []])
          }
        })
        assert.deepStrictEqual(problems(), [])
      }))
  }

  it.effect("the reference has every value and type that a module exports", () =>
    Effect.gen(function*() {
      const missing: Array<string> = []
      for (const { file } of publicModules) {
        const page = sitePage(`api/${file}`)
        const source = fs.readFileSync(path.join(root, "src", `${file}.ts`), "utf8")
        const types = [...source.matchAll(/^export (?:declare )?(?:interface|type|namespace) (\w+)/gm)].map((
          [, name]
        ) => name)
        const values = Object.keys(yield* promised(() => import(path.join(root, "src", `${file}.ts`))))
        for (const name of new Set([...types, ...values])) {
          if (!new RegExp(`<h3[^>]*>(?:<[^>]*>)*(?:<s>)?${name.replaceAll("$", "\\$")}(?:\\(\\))?[\\s<]`).test(page)) {
            missing.push(`${file}: ${name}`)
          }
        }
      }
      assert.deepStrictEqual(missing, [])
    }))

  it.effect("every error has its entry, with what to do and a link to its fields", () =>
    Effect.sync(() => {
      const entries = sitePage("errors/").split("<div class=\"error-entry\"").slice(1)
      const tags = new Set(entries.map((entry) => /data-tag="(\w+)"/.exec(entry)?.[1]))
      assert.deepStrictEqual([...new Set(errorTags)].filter((tag) => !tags.has(tag)), [])
      const bare = entries.filter((entry) => !/What to do:<\/strong> \S/.test(entry) || !/href="\/api\/\w+/.test(entry))
      assert.deepStrictEqual(bare, [])
    }))

  it.effect("every example has its page, with its source and what it prints", () =>
    Effect.sync(() => {
      const names = fs.readdirSync(path.join(root, "examples")).filter((name) => name.endsWith(".ts"))
      const bare = names.filter((name) => {
        const page = sitePage(`examples/${path.basename(name, ".ts")}`)
        return !/id="output"[\s\S]*language-text[\s\S]*id="source"[\s\S]*language-ts/.test(page)
      })
      assert.isAbove(names.length, 50)
      assert.deepStrictEqual(bare, [])
    }))
})
