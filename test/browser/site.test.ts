/** The site of the documentation, as a reader has it. */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as path from "node:path"
import type { Page as PuppeteerPage } from "puppeteer-core"
import { publicPaths } from "../../scripts/publicPaths.mjs"
import { Browser, type PageOptions } from "../fixtures/browser.ts"
import { errorTags } from "../fixtures/errorTags.ts"
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

/** What the page has on screen, in the place of the selector. */
const textOf = (page: PuppeteerPage, selector: string): Promise<string> =>
  page.$eval(selector, (element) => (element as HTMLElement).innerText)

/** Waits for the heading of the page that a click leads to. */
const awaitTitle = (page: PuppeteerPage, title: string): Promise<unknown> =>
  page.waitForFunction((wanted) => document.querySelector("h1")?.textContent?.trim().startsWith(wanted), {}, title)

/** Waits for something that a click has brought, until it stands still, as a click lands where a thing was. */
const awaitStill = async (page: PuppeteerPage, selector: string): Promise<void> => {
  await page.waitForSelector(selector, { visible: true })
  await page.waitForFunction(() => document.getAnimations().every(({ playState }) => playState !== "running"))
}

interface Seen {
  readonly page: string
  readonly sideways: number
  readonly ids: ReadonlyArray<string>
  readonly links: ReadonlyArray<string>
  readonly title: string
  readonly words: number
}

/** In the browser: what a page is like. */
const look = (): Omit<Seen, "page"> => ({
  sideways: document.scrollingElement!.scrollWidth - innerWidth,
  ids: [...document.querySelectorAll("[id]")].map(({ id }) => id),
  links: [...document.querySelectorAll("a[href]")].map((link) => (link as HTMLAnchorElement).href),
  title: document.querySelector("h1")?.textContent?.trim() ?? "",
  words: (document.querySelector("main") ?? document.body).innerText.split(/\s+/).length
})

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
            seen.set(name, { page: name, ...(await page.evaluate(look)) })
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
      const { page, problems } = yield* opened("")
      yield* promised(async () => {
        await page.click(".VPNavBar a[href='/guide/getting-started']")
        await awaitTitle(page, "Getting started")
        await page.click(".VPSidebar a[href='/guide/consumers']")
        await awaitTitle(page, "Consumers")
        assert.strictEqual(await textOf(page, ".VPSidebar .is-active .text"), "Consumers")
        await page.click(".VPDocFooter .pager-link.next")
        await awaitTitle(page, "Key-value")
        await page.click(".VPDocAside a.outline-link")
        await page.waitForFunction(() => location.hash !== "")
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
        await page.click(".VPLocalNav .menu")
        await awaitStill(page, ".VPSidebar.open a[href='/guide/messaging']")
        await page.click(".VPSidebar.open a[href='/guide/messaging']")
        await awaitTitle(page, "Messaging")
        await page.click(".VPNavBarHamburger")
        await awaitStill(page, ".VPNavScreen a[href='/errors/']")
        await page.click(".VPNavScreen a[href='/errors/']")
        await awaitTitle(page, "Errors by tag")
      })
      assert.deepStrictEqual(problems(), [])
    }))

  const searches = [
    { words: "AuthorizationViolation", among: 1, place: "/errors/#authorizationviolation" },
    { words: "lock with a fencing token", among: 3, place: "/key-value" },
    { words: "NATS_URL", among: 5, place: "/guide/" },
    { words: "ack wait", among: 5, place: "consumers" },
    { words: "kubernetes probes", among: 3, place: "/deployment" }
  ]
  for (const { among, place, words } of searches) {
    it.effect(`a search for "${words}" has its page among the first ${among}, and Enter or a click opens it`, () =>
      Effect.gen(function*() {
        const { page, problems, url } = yield* opened("")
        yield* promised(async () => {
          await page.keyboard.down("Control")
          await page.keyboard.press("k")
          await page.keyboard.up("Control")
          await page.waitForSelector(".VPLocalSearchBox input")
          await page.type(".VPLocalSearchBox input", words)
          await page.waitForFunction(
            (wanted) => [...document.querySelectorAll(".VPLocalSearchBox mark")].length > 0 && wanted !== "",
            {},
            words
          )
          const found = await page.$$eval(
            ".VPLocalSearchBox .result",
            (links) => links.map((link) => (link as HTMLAnchorElement).href)
          )
          const first = found.slice(0, among).map((each) => each.slice(url.length - 1))
          const index = first.findIndex((each) => each.includes(place))
          assert.isAtLeast(index, 0, first.join("\n"))
          await page.click(`.VPLocalSearchBox li:nth-child(${index + 1}) .result`)
          await page.waitForFunction((target) => location.href === target, {}, found[index])
        })
        assert.deepStrictEqual(problems(), [])
      }))
  }

  it.effect("the errors are narrowed by a tag or by words, and come back", () =>
    Effect.gen(function*() {
      const { page, problems } = yield* opened("errors/")
      const shown = () =>
        page.$$eval(
          ".error-entry",
          (entries) =>
            entries.filter((each) => (each as HTMLElement).offsetParent !== null).map((each) =>
              each.id || (each as HTMLElement).dataset["tag"]
            )
        )
      yield* promised(async () => {
        const all = await shown()
        await page.type(".error-filter input", "certificate name")
        await page.waitForFunction(
          (count) => document.querySelector(".error-filter [role=status]")!.textContent !== `${count} errors`,
          {},
          all.length
        )
        const some = await shown()
        assert.include(some, "TlsCertificateInvalid")
        assert.isBelow(some.length, 10)
        assert.strictEqual(await textOf(page, ".error-filter [role=status]"), `${some.length} errors`)
        await page.$eval(".error-filter input", (input) => (input as HTMLInputElement).select())
        await page.keyboard.press("Backspace")
        await page.waitForFunction(
          (count) => document.querySelector(".error-filter [role=status]")!.textContent === `${count} errors`,
          {},
          all.length
        )
        assert.deepStrictEqual(await shown(), all)
      })
      assert.deepStrictEqual(problems(), [])
    }))

  for (const colorScheme of ["light", "dark"] as const) {
    it.effect(`it is ${colorScheme} where the system is, the switch turns that, and text stands out in both`, () =>
      Effect.gen(function*() {
        const { page, problems, screenshot } = yield* opened("guide/getting-started", { colorScheme })
        const isDark = () => page.evaluate(() => document.documentElement.classList.contains("dark"))
        yield* promised(async () => {
          assert.strictEqual(await isDark(), colorScheme === "dark")
          assert.deepStrictEqual(await page.evaluate(faint), [])
        })
        yield* screenshot(`site-${colorScheme}`)
        yield* promised(async () => {
          await page.click(".VPNavBar .VPSwitchAppearance")
          await page.waitForFunction(
            (was) => document.documentElement.classList.contains("dark") !== was,
            {},
            colorScheme === "dark"
          )
          assert.deepStrictEqual(await page.evaluate(faint), [])
          await page.reload({ waitUntil: "networkidle0" })
          assert.strictEqual(await isDark(), colorScheme !== "dark")
        })
        assert.deepStrictEqual(problems(), [])
      }))
  }

  it.effect("the reference has every value and type that a module exports", () =>
    Effect.gen(function*() {
      const missing: Array<string> = []
      for (const { file } of publicPaths.filter((each) => path.basename(each.file) !== "index")) {
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

/** In the browser: the words that do not stand out of their ground as much as WCAG 2 asks for (4.5, or 3 where they are large). */
function faint(): ReadonlyArray<string> {
  type Color = readonly [number, number, number, number]
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true })!
  const colorOf = (text: string): Color => {
    canvas.clearRect(0, 0, 1, 1)
    canvas.fillStyle = text
    canvas.fillRect(0, 0, 1, 1)
    const [red = 0, green = 0, blue = 0, alpha = 0] = canvas.getImageData(0, 0, 1, 1).data
    return [red, green, blue, alpha / 255]
  }
  const over = (top: Color, ground: Color): Color => {
    const mixed = [0, 1, 2].map((index) => top[index]! * top[3] + ground[index]! * (1 - top[3]))
    return [mixed[0]!, mixed[1]!, mixed[2]!, 1]
  }
  const groundOf = (element: Element | null): Color => {
    if (element === null) return [255, 255, 255, 1]
    const color = colorOf(getComputedStyle(element).backgroundColor)
    return color[3] === 1 ? color : over(color, groundOf(element.parentElement))
  }
  const brightness = (color: Color): number => {
    const [red, green, blue] = [0, 1, 2].map((index) => {
      const part = color[index]! / 255
      return part <= 0.039_28 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
    })
    return 0.2126 * red! + 0.7152 * green! + 0.0722 * blue!
  }
  const seen: Array<string> = []
  const walker = document.createTreeWalker(document.querySelector(".vp-doc")!, NodeFilter.SHOW_TEXT)
  for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
    const element = node.parentElement!
    if (node.textContent!.trim() === "" || element.offsetParent === null) continue
    const style = getComputedStyle(element)
    if (style.opacity === "0" || element.closest(".header-anchor, .copy, .lang") !== null) continue
    const ground = groundOf(element)
    const [one, other] = [brightness(over(colorOf(style.color), ground)), brightness(ground)]
    const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05)
    if (contrast < (parseFloat(style.fontSize) >= 24 ? 3 : 4.5)) {
      seen.push(`${node.textContent!.trim()}: ${contrast.toFixed(2)}`)
    }
  }
  return seen
}
