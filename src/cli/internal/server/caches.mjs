// @ts-check
/**
 * Where servers are kept: `<cache>/<version>/nats-server`, so that several versions stand side by side.
 *
 * What is fetched arrives in a directory of its own inside the cache and is put in place by a rename, so that nobody ever
 * sees half a server, however many processes fetch at once.
 */
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { ServerProblem } from "./serverProblem.mjs"
import { compare, executable, isProgram, versionOf } from "./versions.mjs"

/**
 * A server that can be started.
 *
 * @typedef {{ readonly path: string, readonly version: string, readonly from: string }} Server
 *
 * Where servers are kept, and how that place is called.
 * @typedef {{ readonly directory: string, readonly name: string }} Cache
 */

/**
 * The directory of the user's cache: in `XDG_CACHE_HOME` where that is an absolute path, else where the system has such
 * things. The test kit has the same rule.
 *
 * @param {{ env: Readonly<Record<string, string | undefined>>, platform: string, home: string }} machine
 */
export const userCacheDirectory = ({ env, home, platform }) => {
  const { join, isAbsolute } = platform === "win32" ? path.win32 : path.posix
  /** @type {(name: string) => string | undefined} */
  const absolute = (name) => isAbsolute(env[name] ?? "") ? env[name] : undefined
  const base = absolute("XDG_CACHE_HOME") ?? (
    platform === "win32"
      ? absolute("LOCALAPPDATA") ?? join(home, "AppData", "Local")
      : platform === "darwin"
      ? join(home, "Library", "Caches")
      : join(home, ".cache")
  )
  return join(base, "effect-nats", "nats-server")
}

/** A user without an entry in the system's list has no home directory. */
const homeDirectory = () => {
  try {
    return os.homedir()
  } catch {
    return "/nonexistent"
  }
}

/**
 * The cache of the user of this process.
 *
 * @returns {Cache}
 */
export const userCache = () => ({
  directory: userCacheDirectory({ env: process.env, platform: process.platform, home: homeDirectory() }),
  name: "the user's cache"
})

/**
 * A project's cache: `.cache/nats-server` of a directory, or of the nearest one above it that has one.
 *
 * @param {string} directory
 * @returns {Cache | undefined}
 */
export const projectCache = (directory) => {
  const cache = path.join(directory, ".cache", "nats-server")
  if (fs.existsSync(cache)) return { directory: cache, name: "the project's cache" }
  const parent = path.dirname(directory)
  return parent === directory ? undefined : projectCache(parent)
}

/**
 * What a cache holds, oldest first.
 *
 * @param {Cache} cache
 * @returns {Array<Server>}
 */
export const cachedServers = ({ directory, name }) =>
  (fs.existsSync(directory) ? fs.readdirSync(directory) : [])
    .filter((version) => /^\d/.test(version) && isProgram(path.join(directory, version, executable)))
    .toSorted(compare)
    .map((version) => ({ path: path.join(directory, version, executable), version, from: name }))

const arriving = ".arriving-"
const abandonedAfter = 60 * 60 * 1000

/** Removes what a process left behind that was killed while it fetched. @param {string} cache */
const removeAbandoned = (cache) => {
  for (const name of fs.readdirSync(cache).filter((each) => each.startsWith(arriving))) {
    const directory = path.join(cache, name)
    const { mtimeMs } = fs.statSync(directory, { throwIfNoEntry: false }) ?? { mtimeMs: Date.now() }
    if (Date.now() - mtimeMs > abandonedAfter) fs.rmSync(directory, { recursive: true, force: true })
  }
}

/**
 * What the system does not let happen in a cache, as a sentence; anything else is a fault.
 *
 * @type {(cache: Cache, error: unknown) => unknown}
 */
const asProblem = ({ directory, name }, error) =>
  error instanceof Error && "syscall" in error && "code" in error
    ? new ServerProblem(
      "CacheUnusable",
      `${directory} (${name}) cannot be used: ${error.syscall} gives ${error.code}. ` +
        "Make it a directory that you may write, or set XDG_CACHE_HOME to one."
    )
    : error

/**
 * Gives a new directory in the cache to what fetches, and removes it when that has ended.
 *
 * @template A
 * @param {Cache} cache
 * @param {(directory: string) => Promise<A>} use
 * @returns {Promise<A>}
 */
export const withArrivals = async (cache, use) => {
  let directory = ""
  const remove = () => {
    if (directory !== "") fs.rmSync(directory, { recursive: true, force: true })
  }
  // A process that is told to stop while it fetches ends without coming back here.
  process.once("exit", remove)
  try {
    fs.mkdirSync(cache.directory, { recursive: true })
    removeAbandoned(cache.directory)
    directory = fs.mkdtempSync(path.join(cache.directory, arriving))
    return await use(directory)
  } catch (error) {
    throw asProblem(cache, error)
  } finally {
    process.off("exit", remove)
    remove()
  }
}

/**
 * Puts a program into the cache, under the version that it tells; `undefined` where it does not run, or has a version that
 * is not accepted.
 *
 * @param {Cache} cache
 * @param {string} directory one that `withArrivals` gave
 * @param {string} file
 * @param {string} from
 * @param {(version: string) => boolean} [accepts]
 * @returns {Promise<{ server?: Server, version?: string }>}
 */
export const keep = async (cache, directory, file, from, accepts = () => true) => {
  const arrived = path.join(directory, executable)
  if (file !== arrived) fs.copyFileSync(file, arrived)
  fs.chmodSync(arrived, 0o755)
  const version = await versionOf(arrived)
  if (version === undefined) return {}
  if (!accepts(version)) return { version }
  const target = path.join(cache.directory, version, executable)
  fs.mkdirSync(path.dirname(target), { recursive: true })
  fs.renameSync(arrived, target)
  return { version, server: { path: target, version, from } }
}
