// @ts-check
/** A server from the distribution's archive, by apt with directories of its own. Nothing here needs root. */
import * as fs from "node:fs"
import * as path from "node:path"
import { findArchive, toDeb822 } from "./aptSources.mjs"
import { keep, withArrivals } from "./caches.mjs"
import { ownApt } from "./ownApt.mjs"
import { capture, run, tell } from "./process.mjs"
import { compare, executable, isProgram, matches, supported } from "./versions.mjs"

/** @typedef {import("./caches.mjs").Cache} Cache */
/** @typedef {import("./caches.mjs").Server} Server */
/** @typedef {import("./aptSources.mjs").Source} Source */

/** Suites of Debian that have a series which newer ones have no more. */
const olderSuites = [{ series: "2.9", suite: "bookworm" }, { series: "2.10", suite: "trixie" }]

/** @param {string} directory */
const findUnpacked = (directory) =>
  ["usr/bin", "usr/sbin", "usr/local/bin"].map((bin) => path.join(directory, bin, executable)).find(isProgram)

/**
 * What apt warns of, if it does.
 *
 * @param {string} text
 */
export const warnings = (text) => {
  const lines = text.split("\n").filter((line) => /^[WE]:/.test(line))
  return lines.length === 0 ? undefined : lines.join("\n")
}

/**
 * The end of what a tool said, as it can be shown: without users and passwords of addresses, and in plain characters.
 *
 * @param {string} text
 */
export const lastLines = (text) =>
  text.trim().split("\n").slice(-3).join("\n    ").replace(/\/\/[^/\s@]+@/g, "//").replace(/[^\P{Cc}\n]/gu, "")

/**
 * The versions that the index has, as apt names them, with what nats-server calls them: `2.10.27-1+b3` is 2.10.27.
 *
 * @param {string} policy what `apt-cache madison` prints
 */
export const offeredVersions = (policy) =>
  policy.split("\n").flatMap((line) => {
    const [name, packageVersion] = line.split("|").map((each) => each.trim())
    const version = /^(?:\d+:)?(\d+\.\d+\.\d+)/.exec(packageVersion ?? "")?.[1]
    return name !== "nats-server" || version === undefined ? [] : [{ packageVersion, version }]
  })

/**
 * A server of one suite, in the cache; else why not, and the version that is there instead.
 *
 * @param {Cache} cache
 * @param {string} directory
 * @param {{ archive: Source, component: string, suite: string, wanted: string | undefined }} request
 * @returns {Promise<{ server?: Server, failure?: string, version?: string }>}
 */
const fetchFromSuite = async (cache, directory, { archive, component, suite, wanted }) => {
  /** @type {(...names: Array<string>) => string} */
  const at = (...names) => path.join(directory, ...names)
  fs.mkdirSync(at("unpacked"))
  const options = ownApt(directory, toDeb822(archive, suite, component))
  tell(`nats-server: asking the distribution's archive (suite ${suite}); its index has about 10 MB`)
  const updated = await run("apt-get", [...options, "-q", "update"], { cwd: directory })
  if (updated.code !== 0) return { failure: updated.output }
  let target = "nats-server"
  if (wanted !== undefined) {
    const offered = offeredVersions(
      (await run("apt-cache", [...options, "madison", "nats-server"], { cwd: directory })).output
    )
    const chosen = offered.find(({ version }) => matches(version, wanted))
    if (chosen === undefined && offered.length > 0) {
      return { failure: `only ${offered[0].version}`, version: offered[0].version }
    }
    if (chosen !== undefined) target = `nats-server=${chosen.packageVersion}`
  }
  const downloaded = await run("apt-get", [...options, "-q", "download", target], { cwd: directory })
  // An archive out of reach is only a warning of the update, which is then what tells the cause.
  if (downloaded.code !== 0) return { failure: warnings(updated.output) ?? downloaded.output }
  const archiveFile = fs.readdirSync(directory).find((name) => name.endsWith(".deb"))
  if (archiveFile === undefined) return { failure: "apt-get download left no package" }
  const unpacked = await run("dpkg-deb", ["-x", at(archiveFile), at("unpacked")], { cwd: directory })
  if (unpacked.code !== 0) return { failure: unpacked.output }
  const file = findUnpacked(at("unpacked"))
  if (file === undefined) return { failure: "the package has no nats-server in it" }
  const from = `the distribution's archive, suite ${suite}`
  /** @param {string} found */
  const accepts = (found) => wanted === undefined ? compare(found, supported) >= 0 : matches(found, wanted)
  const { server, version } = await keep(cache, directory, file, from, accepts)
  if (server !== undefined) return { server }
  return version === undefined
    ? { failure: "the binary does not run on this machine" }
    : { failure: `only ${version}`, version }
}

/**
 * The suites to ask, the likeliest first.
 *
 * @param {{ id: string, suites: ReadonlyArray<string> }} found
 * @param {string | undefined} wanted
 */
const suitesFor = ({ id, suites }, wanted) => {
  if (wanted === undefined || id !== "debian") return suites
  const likely = olderSuites.filter(({ series }) => wanted === series || wanted.startsWith(`${series}.`))
  return [...new Set([...likely.map(({ suite }) => suite), ...suites, ...olderSuites.map(({ suite }) => suite)])]
}

/**
 * A server of the distribution's archive, put into the cache. Else the versions that it has, with their suites.
 *
 * @param {Cache} cache
 * @param {string | undefined} wanted
 * @returns {Promise<{ server?: Server, seen: Array<string> }>}
 */
export const fromDistribution = async (cache, wanted) => {
  /** @type {Array<string>} */
  const seen = []
  if (process.platform !== "linux" || (await capture("apt-get", ["--version"])) === undefined) return { seen }
  const found = findArchive()
  if (found === undefined) {
    tell("nats-server: this machine's apt sources name no archive of Debian or Ubuntu")
    return { seen }
  }
  for (const suite of suitesFor(found, wanted)) {
    for (const archive of found.archives) {
      const request = { archive, component: found.component, suite, wanted }
      const { failure, server, version } = await withArrivals(
        cache,
        (directory) => fetchFromSuite(cache, directory, request)
      )
      if (server !== undefined) return { server, seen }
      tell(`nats-server: nothing from suite ${suite}:\n    ${lastLines(failure ?? "")}`)
      if (version === undefined) continue
      seen.push(`${version} in suite ${suite}`)
      break
    }
  }
  return { seen }
}
