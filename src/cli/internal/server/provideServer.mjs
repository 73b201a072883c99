// @ts-check
/**
 * Finds a nats-server, and fetches one where the machine has none. Nothing here needs root.
 *
 * Order: `NATS_SERVER`, the caches, `PATH`, the distribution's archive, Homebrew. Without a wanted version it is the newest
 * one of the first place that has 2.10 or newer. It runs on Node 20 and imports no package, so that a set-up can use it
 * before anything is installed.
 */
import * as fs from "node:fs"
import * as path from "node:path"
import { cachedServers, keep, withArrivals } from "./caches.mjs"
import { fromDistribution, lastLines } from "./distribution.mjs"
import { capture, run, tell } from "./process.mjs"
import { ServerProblem } from "./serverProblem.mjs"
import { compare, executable, fits, isProgram, preferred, supported, versionOf } from "./versions.mjs"

/** @typedef {import("./caches.mjs").Cache} Cache */
/** @typedef {import("./caches.mjs").Server} Server */

const remedyOfVariable = "Set it to the path of a nats-server binary, or unset it to use another one."

/**
 * What `NATS_SERVER` names. It has the last word where no version is asked for, and is one of several places where one is.
 *
 * @param {string | undefined} wanted
 * @returns {Promise<Server | undefined>}
 */
const fromEnvironment = async (wanted) => {
  const file = process.env.NATS_SERVER
  if (file === undefined || file === "") return undefined
  const version = isProgram(file) ? await versionOf(path.resolve(file)) : undefined
  const server = { path: path.resolve(file), version: version ?? "", from: "NATS_SERVER" }
  if (wanted !== undefined) return version !== undefined && fits(version, wanted) ? server : undefined
  const problem = !fs.existsSync(file)
    ? ", but there is no such file"
    : version === undefined
    ? ", which does not run as a nats-server"
    : compare(version, supported) < 0
    ? `, version ${version}; at least ${supported} is needed`
    : undefined
  if (problem === undefined) return server
  throw new ServerProblem("Unusable", `NATS_SERVER is "${file}"${problem}. ${remedyOfVariable}`)
}

/** @type {Set<string>} */
const toldAbout = new Set()

/**
 * @param {string | undefined} wanted
 * @returns {Promise<Server | undefined>}
 */
const fromPath = async (wanted) => {
  for (const directory of (process.env.PATH ?? "").split(path.delimiter)) {
    const file = path.join(directory, executable)
    if (directory === "" || !isProgram(file)) continue
    const version = await versionOf(file)
    if (version !== undefined && fits(version, wanted)) return { path: file, version, from: "PATH" }
    if (toldAbout.has(file)) continue
    toldAbout.add(file)
    const wish = wanted ?? `${preferred} or newer`
    tell(`nats-server: ${file} is ${version ?? "not usable"}; ${wish} is wanted, looking further`)
  }
  return undefined
}

/**
 * What can be had at once, without fetching anything.
 *
 * @param {{ caches: ReadonlyArray<Cache>, wanted?: string | undefined }} request
 * @returns {Promise<Server | undefined>}
 */
export const findServer = async ({ caches, wanted }) =>
  (await fromEnvironment(wanted)) ??
    caches.flatMap((cache) => cachedServers(cache).findLast(({ version }) => fits(version, wanted)) ?? [])[0] ??
    (await fromPath(wanted))

/**
 * @param {Cache} cache
 * @param {string | undefined} wanted
 * @returns {Promise<{ server?: Server | undefined, seen: Array<string> }>}
 */
const fromHomebrew = async (cache, wanted) => {
  if ((await capture("brew", ["--version"])) === undefined) return { seen: [] }
  if (wanted !== undefined) {
    const info = await capture("brew", ["info", "--json=v2", "nats-server"])
    const stable = /"stable":\s*"([^"]+)"/.exec(info ?? "")?.[1]
    if (stable === undefined || !fits(stable, wanted)) {
      return { seen: stable === undefined ? [] : [`${stable} in Homebrew`] }
    }
  }
  tell("nats-server: installing with Homebrew")
  const installed = await run("brew", ["install", "nats-server"])
  const prefix = await capture("brew", ["--prefix", "nats-server"])
  if (installed.code !== 0 || prefix === undefined) {
    tell(`nats-server: Homebrew could not install it:\n    ${lastLines(installed.output)}`)
    return { seen: [] }
  }
  const file = path.join(prefix.trim(), "bin", executable)
  const { server, version } = await withArrivals(
    cache,
    (directory) => keep(cache, directory, file, "Homebrew", (found) => fits(found, wanted))
  )
  return { server, seen: version === undefined ? [] : [`${version} in Homebrew`] }
}

/**
 * @param {Cache} cache
 * @param {string | undefined} wanted
 * @param {ReadonlyArray<string>} seen
 */
const notFound = (cache, wanted, seen) => {
  const go = path.join(cache.directory, "go")
  const name = wanted === undefined ? "nats-server" : `nats-server ${wanted}`
  const has = seen.length === 0 ? "" : ` (there is ${seen.join(", ")})`
  const goVersion = wanted === undefined ? "latest" : `v${wanted}`
  return new ServerProblem("NotFound", `No ${name} was found, and none could be fetched${has}.`, [
    `install nats-server ${wanted ?? "2.10 or newer"} with your system's package manager, so that it is on PATH ` +
    "(macOS: brew install nats-server; Alpine: apk add nats-server; Arch: pacman -S nats-server)",
    "take a release file that you trust: npx effect-nats server --from URL --sha256 HEX, and set NATS_SERVER to what it prints",
    `build it with Go: GOBIN=${go} go install github.com/nats-io/nats-server/v2@${goVersion}, ` +
    `and set NATS_SERVER=${path.join(go, executable)}`,
    "set NATS_SERVER to the path of a nats-server binary you have"
  ])
}

/**
 * A server that is there, or is fetched into `target`.
 *
 * Throws a `ServerProblem`: `Unusable` for a `NATS_SERVER` that is none, `NotFound` where nothing has one.
 *
 * @param {{ caches: ReadonlyArray<Cache>, target: Cache, wanted?: string | undefined }} request
 * @returns {Promise<Server>}
 */
export const provideServer = async ({ caches, target, wanted }) => {
  const found = await findServer({ caches, wanted })
  if (found !== undefined) return found
  const distributed = await fromDistribution(target, wanted)
  if (distributed.server !== undefined) return distributed.server
  const brewed = await fromHomebrew(target, wanted)
  if (brewed.server !== undefined) return brewed.server
  throw notFound(target, wanted, [...distributed.seen, ...brewed.seen])
}
