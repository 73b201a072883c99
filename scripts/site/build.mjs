/**
 * Makes the site of the documentation in `.cache/site/out`: static files that need nothing but a web server, and ask nobody
 * else for anything.
 *
 *   npm run site                   makes it
 *   npm run site -- --serve        makes it, and shows it on a free port of this machine until it is stopped
 *   SITE_BASE=/effect-nats/ npm run site   for a place below another address than `/`
 *
 * Its packages (a generator, and a compiler that the reader of doc comments can use) are in a lock of their own here.
 */
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { run, SetupError, shown, tell } from "../run.mjs"
import { siteBase } from "./base.mjs"

const site = path.dirname(fileURLToPath(import.meta.url))
const root = path.resolve(site, "..", "..")
const work = path.join(root, ".cache", "site")

const npm = async () => {
  const lock = fs.readFileSync(path.join(site, "package-lock.json"), "utf8")
  const stamp = path.join(site, "node_modules", ".effect-nats-lock")
  if (fs.existsSync(stamp) && fs.readFileSync(stamp, "utf8") === lock) return
  const args = ["ci", "--no-audit", "--no-fund", "--prefer-offline", "--ignore-scripts", "--loglevel=error"]
  const { code, output } = await run("npm", args, { cwd: site })
  if (code !== 0) throw new SetupError(`the packages of the site cannot be installed:\n${output.trim()}`)
  fs.writeFileSync(stamp, lock)
}

const timed = async (what, task) => {
  const since = performance.now()
  const result = await task()
  tell(`site: ${what} in ${((performance.now() - since) / 1000).toFixed(1)} s`)
  return result
}

const build = async () => {
  await timed("packages", npm)
  // Behind the packages, which it stands on.
  const { writePages } = await import("./pages.mjs")
  const pages = path.join(work, "pages")
  // A build that fails leaves nothing behind that could be taken for its own.
  for (const old of [pages, path.join(work, "out")]) fs.rmSync(old, { recursive: true, force: true })
  await timed("pages written", () => writePages(root, pages, work))
  const vitepress = path.join(site, "node_modules", "vitepress", "bin", "vitepress.js")
  const { code, output } = await timed(
    "built",
    () => run(process.execPath, [vitepress, "build", site], { cwd: root, env: { ...process.env, SITE_WORK: work } })
  )
  if (code !== 0) throw new SetupError(`the site is not built:\n${output.trim()}`)
}

try {
  await build()
  tell(`site: ${path.relative(process.cwd(), path.join(work, "out"))}`)
  if (process.argv.includes("--serve")) {
    const { serve } = await import("./serve.mjs")
    const { url } = await serve(path.join(work, "out"), siteBase(process.env.SITE_BASE))
    tell(`site: ${url} until it is stopped`)
  }
} catch (error) {
  tell(`\nsite: ${shown(error)}`)
  process.exitCode = 1
}
