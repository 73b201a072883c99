/**
 * Finds a nats-server, and fetches one where the machine has none. Nothing here needs root.
 *
 * Order: NATS_SERVER, the project's cache, PATH (2.10 or newer), the distribution's archive, Homebrew.
 * Run by itself it prints the path of the server in use, and with a series (`node scripts/natsServer.mjs 2.9`) that of the
 * newest cached server of that series.
 */
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { findArchive, toDeb822 } from "./aptSources.mjs"
import { capture, run, SetupError, tell } from "./run.mjs"

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..")
const cache = path.join(root, ".cache", "nats-server")

/** The oldest server that the suite passes on, and the oldest one that is used without being asked for. */
const supported = "2.9.0"
const preferred = "2.10.0"

/** What the suite is also run on: by series, with the Debian suite that has it. */
const olderServers = [{ series: "2.9", suite: "bookworm" }, { series: "2.10", suite: "trixie" }]

const compare = (a, b) => a.localeCompare(b, "en", { numeric: true })

const versionOf = async (file) => {
  const output = await capture(file, ["--version"])
  return output === undefined ? undefined : /^nats-server:?\s+v?(\d+\.\d+\.\d+\S*)/m.exec(output)?.[1]
}

const isFile = (file) => {
  try {
    fs.accessSync(file, fs.constants.X_OK)
    return fs.statSync(file).isFile()
  } catch {
    return false
  }
}

const executable = process.platform === "win32" ? "nats-server.exe" : "nats-server"

const fromEnvironment = async () => {
  const file = process.env.NATS_SERVER
  if (file === undefined || file === "") return undefined
  const remedy = "Set it to the path of a nats-server binary, or unset it to use another one."
  if (!fs.existsSync(file)) throw new SetupError(`NATS_SERVER is "${file}", but there is no such file. ${remedy}`)
  const version = isFile(file) ? await versionOf(path.resolve(file)) : undefined
  if (version === undefined) {
    throw new SetupError(`NATS_SERVER is "${file}", which does not run as a nats-server. ${remedy}`)
  }
  if (compare(version, supported) < 0) {
    throw new SetupError(`NATS_SERVER is "${file}", version ${version}; at least ${supported} is needed. ${remedy}`)
  }
  return { path: path.resolve(file), version, from: "NATS_SERVER" }
}

const cached = () =>
  (fs.existsSync(cache) ? fs.readdirSync(cache) : [])
    .filter((name) => /^\d/.test(name) && isFile(path.join(cache, name, executable)))
    .toSorted(compare)
    .map((version) => ({ path: path.join(cache, version, executable), version, from: "the project's cache" }))

const fromCache = () => cached().findLast(({ version }) => compare(version, preferred) >= 0)

const toldAbout = new Set()

const fromPath = async () => {
  for (const directory of (process.env.PATH ?? "").split(path.delimiter)) {
    const file = path.join(directory, executable)
    if (directory === "" || !isFile(file)) continue
    const version = await versionOf(file)
    if (version !== undefined && compare(version, preferred) >= 0) return { path: file, version, from: "PATH" }
    if (toldAbout.has(file)) continue
    toldAbout.add(file)
    tell(`nats-server: ${file} is ${version ?? "not usable"}; ${preferred} or newer is wanted, looking further`)
  }
  return undefined
}

/** A copy beside the target and a rename, so that nobody ever sees half a file. */
const keep = async (file, from) => {
  const version = await versionOf(file)
  if (version === undefined) return undefined
  const target = path.join(cache, version, executable)
  const partial = `${target}.${process.pid}`
  fs.mkdirSync(path.dirname(target), { recursive: true })
  fs.copyFileSync(file, partial)
  fs.chmodSync(partial, 0o755)
  fs.renameSync(partial, target)
  return { path: target, version, from }
}

const findUnpacked = (directory) =>
  ["usr/bin", "usr/sbin", "usr/local/bin"].map((bin) => path.join(directory, bin, executable)).find(isFile)

const warnings = (text) => {
  const lines = text.split("\n").filter((line) => /^[WE]:/.test(line))
  return lines.length === 0 ? undefined : lines.join("\n")
}

/** apt with directories of its own: it reads the machine's keys and proxies, and writes nothing outside `directory`. */
const fetchFromSuite = async (archive, component, suite) => {
  const directory = path.join(root, ".cache", "apt")
  const at = (...names) => path.join(directory, ...names)
  try {
    // A set-up that was killed leaves its own behind; the lock says that no other one runs now.
    fs.rmSync(directory, { recursive: true, force: true })
    for (const name of ["parts", "preferences", "state/lists/partial", "cache/archives/partial", "unpacked"]) {
      fs.mkdirSync(at(name), { recursive: true })
    }
    fs.writeFileSync(at("parts", "archive.sources"), toDeb822(archive, suite, component))
    fs.writeFileSync(at("state", "status"), "")
    const options = [
      "Dir::Etc::sourcelist=/dev/null",
      `Dir::Etc::sourceparts=${at("parts")}`,
      "Dir::Etc::preferences=/dev/null",
      `Dir::Etc::preferencesparts=${at("preferences")}`,
      `Dir::State=${at("state")}`,
      `Dir::State::status=${at("state", "status")}`,
      `Dir::Cache=${at("cache")}`,
      "Dir::Log=/dev/null",
      "Acquire::Languages=none",
      "Acquire::Retries=2",
      "Acquire::http::Timeout=30",
      "Acquire::https::Timeout=30",
      "APT::Sandbox::User=root"
    ].flatMap((option) => ["-o", option])
    tell(`nats-server: asking the distribution's archive (suite ${suite}); its index has about 10 MB`)
    const updated = await run("apt-get", [...options, "-q", "update"], { cwd: directory })
    if (updated.code !== 0) return { failure: updated.output }
    const downloaded = await run("apt-get", [...options, "-q", "download", "nats-server"], { cwd: directory })
    // An archive out of reach is only a warning of the update, which is then what tells the cause.
    if (downloaded.code !== 0) return { failure: warnings(updated.output) ?? downloaded.output }
    const archiveFile = fs.readdirSync(directory).find((name) => name.endsWith(".deb"))
    if (archiveFile === undefined) return { failure: "apt-get download left no package" }
    const unpacked = await run("dpkg-deb", ["-x", at(archiveFile), at("unpacked")], { cwd: directory })
    if (unpacked.code !== 0) return { failure: unpacked.output }
    const file = findUnpacked(at("unpacked"))
    if (file === undefined) return { failure: "the package has no nats-server in it" }
    const server = await keep(file, `the distribution's archive, suite ${suite}`)
    return server === undefined ? { failure: "the binary does not run on this machine" } : { server }
  } finally {
    fs.rmSync(directory, { recursive: true, force: true })
  }
}

const lastLines = (text) => text.trim().split("\n").slice(-3).join("\n    ")

const fromArchive = async (wanted) => {
  if (process.platform !== "linux" || (await capture("apt-get", ["--version"])) === undefined) return undefined
  const found = findArchive()
  if (found === undefined) {
    tell("nats-server: this machine's apt sources name no archive of Debian or Ubuntu")
    return undefined
  }
  for (const suite of wanted ?? found.suites) {
    for (const archive of found.archives) {
      const { server, failure } = await fetchFromSuite(archive, found.component, suite)
      if (server !== undefined && compare(server.version, supported) >= 0) return server
      tell(`nats-server: nothing from suite ${suite}:\n    ${lastLines(failure ?? `only ${server?.version}`)}`)
    }
  }
  return undefined
}

const fromHomebrew = async () => {
  if ((await capture("brew", ["--version"])) === undefined) return undefined
  tell("nats-server: installing with Homebrew")
  const installed = await run("brew", ["install", "nats-server"], { cwd: root })
  const prefix = await capture("brew", ["--prefix", "nats-server"])
  if (installed.code !== 0 || prefix === undefined) {
    tell(`nats-server: Homebrew could not install it:\n    ${lastLines(installed.output)}`)
    return undefined
  }
  return keep(path.join(prefix.trim(), "bin", executable), "Homebrew")
}

const remedy = `No nats-server was found, and none could be fetched. Do one of these, then run the command again:
  - install nats-server 2.10 or newer with your system's package manager, so that it is on PATH
    (macOS: brew install nats-server; Alpine: apk add nats-server; Arch: pacman -S nats-server), or
  - build it with Go: GOBIN=${path.join(cache, "go")} go install github.com/nats-io/nats-server/v2@latest
    and set NATS_SERVER=${path.join(cache, "go", executable)}, or
  - set NATS_SERVER to the path of a nats-server binary you have.`

/** What can be found at once, without fetching anything. */
export const findServer = async () => (await fromEnvironment()) ?? fromCache() ?? (await fromPath())

export const provideServer = async () => {
  const server = (await findServer()) ?? (await fromArchive()) ?? (await fromHomebrew())
  if (server === undefined) throw new SetupError(remedy)
  return server
}

const missingOlderServers = () =>
  olderServers.filter(({ series }) => !cached().some(({ version }) => version.startsWith(`${series}.`)))

export const hasOlderServers = () => missingOlderServers().length === 0

/** The older servers of the suite, into the project's cache. They come from Debian's archive only. */
export const provideOlderServers = async () => {
  for (const { series, suite } of missingOlderServers()) {
    const server = await fromArchive([suite])
    if (!server?.version.startsWith(`${series}.`)) {
      throw new SetupError(
        `nats-server ${series} could not be fetched. Put one at ${path.join(cache, `${series}.x`, executable)} ` +
          `(with its full version), then run the command again.`
      )
    }
    tell(`nats-server: ${server.version} from ${server.from}`)
  }
}

const main = async (series) => {
  const server = series === undefined
    ? await findServer()
    : cached().findLast(({ version }) => version.startsWith(`${series}.`))
  if (server !== undefined) return console.log(server.path)
  throw new SetupError(`No nats-server ${series ?? ""} here yet; run: node scripts/setup.mjs --older`)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await main(process.argv[2]).catch((error) => {
    tell(error instanceof SetupError ? error.message : error.stack)
    process.exitCode = 1
  })
}
