// @ts-check
/**
 * The Chromium without a window that looks at pages in tests: that of `CHROMIUM`, of the project's own cache or of `PATH`,
 * else one of the distribution's archive. It is fetched by apt, which checks it, with directories of its own, and comes with
 * the shared libraries that this machine lacks. Nothing here needs root, and nothing is written outside the cache.
 *
 * Run by itself it prints the path of the browser in use.
 */
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { releaseSources, toDeb822 } from "../src/cli/internal/server/aptSources.mjs"
import { withArrivals } from "../src/cli/internal/server/caches.mjs"
import { lastLines, warnings } from "../src/cli/internal/server/distribution.mjs"
import { ownApt } from "../src/cli/internal/server/ownApt.mjs"
import { capture, run, SetupError, shown, tell } from "./run.mjs"

/**
 * A browser that runs on this machine, and what its environment has to have.
 *
 * @typedef {{ path: string, version: string, from: string, env: Record<string, string> }} Chromium
 */

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..")
const cache = { directory: path.join(root, ".cache", "chromium"), name: "the project's cache" }

/** What is fetched. Fonts come along in any case, so that pages have the same measures on every machine. */
const wanted = ["chromium-headless-shell", "fonts-dejavu-core"]

/** What browsers are called. A script of Debian's package stands between, and the program is the better process. */
const names = [
  "/usr/lib/chromium/chromium-headless-shell",
  "chrome-headless-shell",
  "chromium",
  "chromium-browser",
  "google-chrome",
  "google-chrome-stable"
]

/** What packages depend on that a browser without a window never uses: it counts as installed, with all that it needs. */
const unused = ["x11-utils", "xdg-utils"]

/** What cannot stand beside that of the machine. */
const onlyOnce = ["libc6"]

const remedy = "Set CHROMIUM to the path of a Chromium or Chrome, then run the command again."

/**
 * @param {string} file
 * @param {Record<string, string>} [env]
 */
const ask = (file, env) => run(file, ["--version"], { env: { ...process.env, ...env }, timeout: 30_000 })

/**
 * The browser at a path, if it runs.
 *
 * @param {string} file
 * @param {string} from
 * @param {Record<string, string>} [env]
 * @returns {Promise<Chromium | undefined>}
 */
const browserAt = async (file, from, env = {}) => {
  if (!fs.existsSync(file)) return undefined
  const { code, output } = await ask(file, env)
  const version = code === 0 ? /\bChrom\D*(\d+(?:\.\d+)+)/.exec(output)?.[1] : undefined
  return version === undefined ? undefined : { path: file, version, from, env }
}

/** @param {string} directory */
const libraryDirectories = (directory) => {
  const inside = ["lib", "usr/lib"].map((name) => path.join(directory, name)).filter((each) => fs.existsSync(each))
  const files = inside.flatMap((parent) =>
    fs.readdirSync(parent, { recursive: true, encoding: "utf8" }).map((name) => path.join(parent, name))
  )
  const found = new Set(files.filter((file) => /\.so(\.|$)/.test(file)).map((file) => path.dirname(file)))
  return [...found].filter((each) => path.basename(each) !== "chromium")
}

/**
 * The browser in a directory into which its packages were unpacked.
 *
 * @param {string} directory
 * @param {string} from
 */
const unpackedAt = (directory, from) => {
  const libraries = [...libraryDirectories(directory), process.env.LD_LIBRARY_PATH].filter((each) => each)
  return browserAt(path.join(directory, "usr/lib/chromium/chromium-headless-shell"), from, {
    FONTCONFIG_FILE: path.join(directory, "fonts.conf"),
    XDG_CACHE_HOME: path.join(directory, "cache"),
    ...(libraries.length === 0 ? {} : { LD_LIBRARY_PATH: libraries.join(":") })
  })
}

/** @returns {Promise<Chromium | undefined>} */
const findCached = async () => {
  const versions = (fs.existsSync(cache.directory) ? fs.readdirSync(cache.directory) : [])
    .filter((name) => /^\d/.test(name))
    .toSorted((a, b) => b.localeCompare(a, "en", { numeric: true }))
  for (const version of versions) {
    const found = await unpackedAt(path.join(cache.directory, version), cache.name)
    if (found !== undefined) return found
  }
  return undefined
}

const findOnPath = async () => {
  const directories = (process.env.PATH ?? "").split(path.delimiter).filter((each) => path.isAbsolute(each))
  for (const name of names) {
    for (const file of new Set(directories.map((directory) => path.resolve(directory, name)))) {
      const found = await browserAt(file, "this machine")
      if (found !== undefined) return found
    }
  }
  return undefined
}

/**
 * What can be found at once, without fetching anything.
 *
 * @returns {Promise<Chromium | undefined>}
 */
export const findChromium = async () => {
  const named = process.env.CHROMIUM
  if (named === undefined || named === "") return (await findCached()) ?? (await findOnPath())
  const cached = await findCached()
  if (cached?.path === path.resolve(named)) return cached
  const found = await browserAt(path.resolve(named), "CHROMIUM")
  if (found !== undefined) return found
  const why = fs.existsSync(named) ? "does not run and tell its version as one" : "is not there"
  throw new SetupError(`CHROMIUM is to be the path of a Chromium or Chrome, and ${named} ${why}.`)
}

const fontsConfig = `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
  <dir prefix="relative">usr/share/fonts</dir>
  <cachedir prefix="xdg">fontconfig</cachedir>
  <alias><family>sans-serif</family><prefer><family>DejaVu Sans</family></prefer></alias>
  <alias><family>serif</family><prefer><family>DejaVu Serif</family></prefer></alias>
  <alias><family>monospace</family><prefer><family>DejaVu Sans Mono</family></prefer></alias>
  <alias><family>system-ui</family><prefer><family>DejaVu Sans</family></prefer></alias>
</fontconfig>
`

/** What dpkg knows to be installed on this machine. */
const installedHere = () => {
  try {
    return fs.readFileSync("/var/lib/dpkg/status", "utf8")
  } catch {
    return ""
  }
}

/** @param {string} name */
const asInstalled = (name) => `Package: ${name}\nStatus: install ok installed\nArchitecture: all\nVersion: 9999\n`

/**
 * Fetches and unpacks what is missing beside what counts as installed.
 *
 * @param {string} directory
 * @param {string} installed
 * @returns {Promise<{ found?: Chromium, failure: string, final?: boolean }>}
 */
const fetchBeside = async (directory, installed) => {
  const missing = unused.filter((name) => !installed.includes(`Package: ${name}\n`))
  const sources = releaseSources().map((each) => toDeb822(each, each.suite, each.components.join(" ")))
  const status = [installed.trim(), ...missing.map(asInstalled)].filter((each) => each !== "").join("\n\n")
  const options = ownApt(directory, sources.join("\n"), status)
  const updated = await run("apt-get", [...options, "-q", "update"], { cwd: directory })
  if (updated.code !== 0) return { failure: updated.output, final: true }
  const download = ["install", "--download-only", "--no-install-recommends", "--reinstall", "--yes", ...wanted]
  const downloaded = await run("apt-get", [...options, "-q", ...download], { cwd: directory })
  if (downloaded.code !== 0) {
    // An archive out of reach is only a warning of the update, which is then what tells the cause.
    const unreachable = warnings(updated.output)
    return { failure: unreachable ?? downloaded.output, final: unreachable !== undefined }
  }
  const archives = path.join(directory, "cache", "archives")
  const unpacked = path.join(directory, "unpacked")
  fs.mkdirSync(unpacked)
  for (const file of fs.readdirSync(archives).filter((name) => name.endsWith(".deb"))) {
    if (onlyOnce.some((name) => file.startsWith(`${name}_`))) continue
    const { code, output } = await run("dpkg-deb", ["-x", path.join(archives, file), unpacked])
    if (code !== 0) return { failure: output }
  }
  fs.writeFileSync(path.join(unpacked, "fonts.conf"), fontsConfig)
  const arrived = await unpackedAt(unpacked, "the distribution's archive")
  if (arrived === undefined) return { failure: "the browser does not run on this machine" }
  const target = path.join(cache.directory, arrived.version)
  fs.rmSync(target, { recursive: true, force: true })
  fs.renameSync(unpacked, target)
  const found = await unpackedAt(target, arrived.from)
  return found === undefined ? { failure: "the browser does not run from the cache" } : { found, failure: "" }
}

/**
 * What can be found, else one of the distribution's archive, put into the project's cache.
 *
 * @returns {Promise<Chromium>}
 */
export const provideChromium = async () => {
  const present = await findChromium()
  if (present !== undefined) return present
  if (process.platform !== "linux" || (await capture("apt-get", ["--version"])) === undefined) {
    throw new SetupError(`There is no Chromium here, and without apt none is fetched. ${remedy}`)
  }
  if (releaseSources().length === 0) {
    throw new SetupError(`This machine's apt sources name no archive of its own release. ${remedy}`)
  }
  tell("chromium: asking the distribution's archive for it and the libraries that are missing; about 110 MB")
  /** @param {string} installed */
  const fetchTo = (installed) => withArrivals(cache, (directory) => fetchBeside(directory, installed))
  let fetched = await fetchTo(installedHere())
  if (fetched.found === undefined && fetched.final !== true) {
    tell(
      `chromium: not beside what is installed here, so with all that a new machine needs:\n    ${
        lastLines(fetched.failure)
      }`
    )
    fetched = await fetchTo("")
  }
  if (fetched.found !== undefined) return fetched.found
  throw new SetupError(`Chromium could not be fetched:\n    ${lastLines(fetched.failure)}\n${remedy}`)
}

const main = async () => {
  const found = await findChromium()
  if (found === undefined) throw new SetupError("No Chromium here yet; run: node scripts/setup.mjs --browser")
  console.log(found.path)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await main().catch((error) => {
    tell(shown(error))
    process.exitCode = 1
  })
}
