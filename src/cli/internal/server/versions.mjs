// @ts-check
/** Versions of nats-server: which program has which, and which one is asked for. */
import * as fs from "node:fs"
import { capture } from "./process.mjs"
import { ServerProblem } from "./serverProblem.mjs"

/** The oldest server that this package works with, and the oldest one that is used without being asked for. */
export const supported = "2.9.0"
export const preferred = "2.10.0"

/** What the program is called. */
export const executable = process.platform === "win32" ? "nats-server.exe" : "nats-server"

/** @type {(a: string, b: string) => number} */
const compareNumbers = (a, b) => a.localeCompare(b, "en", { numeric: true })

/**
 * Oldest first. A pre-release (`2.12.0-RC.1`) is older than its release.
 *
 * @type {(a: string, b: string) => number}
 */
export const compare = (a, b) => {
  const [[release, ...rest], [otherRelease, ...otherRest]] = [a.split("-"), b.split("-")]
  const byRelease = compareNumbers(release, otherRelease)
  if (byRelease !== 0 || rest.length === 0 || otherRest.length === 0) return byRelease || otherRest.length - rest.length
  return compareNumbers(rest.join("-"), otherRest.join("-"))
}

/**
 * A series (`2`, `2.15`) or an exact version (`2.15.1`, `v2.15.1`), as it is asked for.
 *
 * @param {string} text
 */
export const parseWanted = (text) => {
  const wanted = /^v?(\d+(?:\.\d+){0,1}|\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?)$/.exec(text.trim())?.[1]
  if (wanted !== undefined) return wanted
  throw new ServerProblem(
    "BadRequest",
    `${JSON.stringify(text.slice(0, 40))} is no version. Give a series as 2.15, or an exact version as 2.15.1.`
  )
}

/**
 * Whether a version is what is wanted: of the series, or this very one.
 *
 * @type {(version: string, wanted: string) => boolean}
 */
export const matches = (version, wanted) =>
  version === wanted || (wanted.split(".").length < 3 && version.startsWith(`${wanted}.`))

/**
 * Whether a version is what is used: that which is wanted, or any that is preferred.
 *
 * @type {(version: string, wanted: string | undefined) => boolean}
 */
export const fits = (version, wanted) =>
  wanted === undefined ? compare(version, preferred) >= 0 : matches(version, wanted)

/** @param {string} file */
export const isProgram = (file) => {
  try {
    fs.accessSync(file, fs.constants.X_OK)
    return fs.statSync(file).isFile()
  } catch {
    return false
  }
}

/** A version becomes the name of a directory: nothing else than a version is one. */
const versionLine = /^nats-server:?\s+v?(\d+\.\d+\.\d+(?:[-+][\w.+-]*)?)\s*$/m

/**
 * What a program says of itself, or `undefined` where it is no nats-server that runs here.
 *
 * @param {string} file
 */
export const versionOf = async (file) => {
  const output = await capture(file, ["--version"], { timeout: 30_000 })
  return output === undefined ? undefined : versionLine.exec(output)?.[1]
}
