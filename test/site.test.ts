/** The site of the documentation as its server gives it, whatever is asked for; its pages are looked at in a browser. */
import { afterAll, assert, beforeAll, expect, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as net from "node:net"
import * as os from "node:os"
import * as path from "node:path"
import { siteBase } from "../scripts/site/base.mjs"
import { makeLinks } from "../scripts/site/links.mjs"
import { serve } from "../scripts/site/serve.mjs"

const directory = fs.mkdtempSync(path.join(os.tmpdir(), "effect-nats-site-"))
const site = path.join(directory, "site")
let served: Awaited<ReturnType<typeof serve>>

beforeAll(async () => {
  fs.mkdirSync(path.join(site, "guide"), { recursive: true })
  fs.writeFileSync(path.join(directory, "secret.html"), "secret")
  fs.writeFileSync(path.join(site, "index.html"), "home")
  fs.writeFileSync(path.join(site, "guide", "errors.html"), "errors")
  served = await serve(site, "/base/")
})

afterAll(async () => {
  await served.stop()
  fs.rmSync(directory, { recursive: true })
})

/** Asks for exactly this, which a client of HTTP would put right. */
const ask = (target: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = net.connect(Number(new URL(served.url).port), "127.0.0.1")
    let text = ""
    socket.setEncoding("utf8").on("data", (part) => text += part)
    socket.on("error", reject).on("close", () => resolve(text))
    socket.write(`GET ${target} HTTP/1.1\r\nhost: site\r\nconnection: close\r\n\r\n`)
  })

it("a page is there by its address, and nothing else is", async () => {
  fs.writeFileSync(path.join(site, "404.html"), "lost")
  assert.match(await ask("/base/"), /^HTTP\/1\.1 200 [^]*\r\n\r\n[^]*home/)
  assert.match(await ask("/base/guide/errors"), /^HTTP\/1\.1 200 [^]*errors/)
  const others = [
    "/",
    "/bas",
    "/base/nothing",
    "/base/../secret",
    "/base/..%2fsecret",
    "/base/%2e%2e%2fsecret.html",
    "/base/%",
    "/base/%zz",
    "/base/%00",
    "//",
    "http://["
  ]
  for (const each of others) assert.match(await ask(each), /^HTTP\/1\.1 404 [^]*lost/, each)
})

it("what is gone while it is asked for ends that answer alone", async () => {
  fs.rmSync(path.join(site, "404.html"))
  await ask("/base/nothing")
  assert.match(await ask("/base/"), /^HTTP\/1\.1 200 /)
})

it("its base may be given without slashes", () => {
  expect(["effect-nats", "/effect-nats", "effect-nats/", "/a/b/", "/", "", undefined].map((each) => siteBase(each)))
    .toStrictEqual([
      "/effect-nats/",
      "/effect-nats/",
      "/effect-nats/",
      "/a/b/",
      "/",
      "/",
      "/"
    ])
})

it("links are led to pages of the site, but for what stands in code", () => {
  const places = new Map([["docs/errors.md", "/guide/errors"]])
  const linked = makeLinks(site, places, new Map(), path.join(directory, "files"))
  const code = ["````md", "```ts", "[a](errors.md)", "```", "[b](errors.md)", "````", "~~~", "[c](errors.md)", "~~~"]
  const text = ["[before](errors.md)", ...code, "`[d](errors.md)` [after](errors.md#here)"].join("\n")
  assert.deepStrictEqual(linked(text, "docs/page.md").split("\n"), [
    "[before](/guide/errors)",
    ...code,
    "`[d](errors.md)` [after](/guide/errors#here)"
  ])
})
