/**
 * Makes a fresh clone ready: node modules, a nats-server, and `dist` (which examples import as `effect-nats`).
 *
 * It has no dependencies and runs on Node 20, the one thing it needs besides npm. `npm start` and `npm test` run it first.
 *
 *   node scripts/setup.mjs            everything
 *   node scripts/setup.mjs --package  node modules and dist only
 *   node scripts/setup.mjs --older    everything, and the older servers that the suite is also run on
 *   node scripts/setup.mjs --browser  everything, and the browser of test/browser
 */
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { findChromium, provideChromium } from "./chromium.mjs"
import { withLock } from "./lock.mjs"
import { findServer, hasOlderServers, provideOlderServers, provideServer } from "./natsServer.mjs"
import { capture, run, SetupError, shown, tell } from "./run.mjs"

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..")
const at = (...names) => path.join(root, ...names)
const oldestNode = "22.19.0"

const readText = (file) => {
  try {
    return fs.readFileSync(file, "utf8")
  } catch {
    return undefined
  }
}

const seconds = (since) => `${((performance.now() - since) / 1000).toFixed(1)} s`

// ---------------------------------------------------------------------------------------------------------------------
// node modules
// ---------------------------------------------------------------------------------------------------------------------

/** Whether node_modules holds what package-lock.json says. Packages for other platforms may be missing. */
const hasModules = () => {
  const lock = readText(at("package-lock.json"))
  const installed = readText(at("node_modules", ".package-lock.json"))
  if (lock === undefined) return installed !== undefined
  if (installed === undefined) return false
  const wanted = Object.entries(JSON.parse(lock).packages)
  const present = JSON.parse(installed).packages
  return wanted.every(([name, { version, optional }]) =>
    name === "" || (present[name] === undefined ? optional === true : present[name].version === version)
  )
}

const projectNode = at("node_modules", "node", "bin", process.platform === "win32" ? "node.exe" : "node")

const isOldNode = () => process.versions.node.localeCompare(oldestNode, "en", { numeric: true }) < 0

const hasNode = () => fs.existsSync(projectNode) || !isOldNode()

const installModules = async () => {
  const since = performance.now()
  const command = fs.existsSync(at("package-lock.json")) ? "ci" : "install"
  tell(`node modules: npm ${command} (half a minute or so on a new machine)`)
  // Errors only: npm also complains that the system's Node is too old, which is why the project brings its own.
  const args = [command, "--include=dev", "--no-audit", "--no-fund", "--loglevel=error"]
  const { code } = await run("npm", args, { cwd: root, show: true })
  if (code !== 0) throw new SetupError(`npm ${command} failed (exit ${code}); what it said is above.`)
  // On a system without glibc the project's Node does not run, and the system's own has to do.
  if (fs.existsSync(projectNode) && (await capture(projectNode, ["--version"])) === undefined) {
    fs.rmSync(projectNode)
    fs.rmSync(at("node_modules", ".bin", "node"), { force: true })
  }
  tell(`node modules: installed in ${seconds(since)}`)
}

/** The `node` package fetches its binary in an install script, which `--ignore-scripts` leaves out. */
const installNode = async () => {
  tell(`node: this is ${process.versions.node}, older than ${oldestNode}; fetching the project's own`)
  const { code } = await run("npm", ["rebuild", "node", "--ignore-scripts=false", "--loglevel=error"], {
    cwd: root,
    show: true
  })
  if (code !== 0 || !hasNode()) {
    throw new SetupError(`Node ${oldestNode} or newer is needed. Install it, or run "npm rebuild node" here.`)
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// dist
// ---------------------------------------------------------------------------------------------------------------------

const stampFile = at(".cache", "dist-sources")

const describe = (file) => {
  const { mtimeMs, size } = fs.statSync(file)
  return `${path.relative(root, file)} ${mtimeMs} ${size}`
}

/** Every input of the build with its time and size: a removed source makes dist stale just as a changed one does. */
const describeSources = () => {
  const sources = fs.readdirSync(at("src"), { recursive: true })
    .filter((name) => /\.m?[jt]s$/.test(name))
    .toSorted()
    .map((name) => at("src", name))
  // What `effect-nats init` makes, and with which versions.
  const template = fs.readdirSync(at("examples", "starter"), { recursive: true }).toSorted()
    .map((name) => at("examples", "starter", name))
  return [
    ...sources,
    ...template,
    at("package.json"),
    at("tsconfig.json"),
    at("tsconfig.build.json"),
    at("scripts", "build.mjs"),
    at("scripts", "command.mjs"),
    at("scripts", "notices.mjs"),
    at("scripts", "publicPaths.mjs"),
    at("scripts", "rooms.mjs")
  ].map(describe).join(
    "\n"
  )
}

const hasDist = () => fs.existsSync(at("dist")) && readText(stampFile) === describeSources()

/** Built beside the old one and swapped in, so that a program running meanwhile finds one or the other. */
const buildDist = async () => {
  const since = performance.now()
  const sources = describeSources()
  const next = at("dist.next")
  const old = at("dist.old")
  fs.rmSync(next, { recursive: true, force: true })
  fs.rmSync(old, { recursive: true, force: true })
  const node = fs.existsSync(projectNode) ? projectNode : process.execPath
  const { code, output } = await run(node, [at("scripts", "build.mjs"), next], { cwd: root })
  if (code !== 0) {
    fs.rmSync(next, { recursive: true, force: true })
    throw new SetupError(`dist is not built:\n${output.trim()}`)
  }
  if (fs.existsSync(at("dist"))) fs.renameSync(at("dist"), old)
  fs.renameSync(next, at("dist"))
  fs.rmSync(old, { recursive: true, force: true })
  fs.mkdirSync(path.dirname(stampFile), { recursive: true })
  fs.writeFileSync(stampFile, sources)
  tell(`dist: built in ${seconds(since)}`)
}

// ---------------------------------------------------------------------------------------------------------------------

const setUp = async ({ browser, servers, older }) => {
  const needsServer = async () => servers && (await findServer()) === undefined
  const needsBrowser = async () => browser && (await findChromium()) === undefined
  const isReady = async () =>
    hasModules() && hasNode() && hasDist() && !(await needsServer()) && (!older || hasOlderServers()) &&
    !(await needsBrowser())
  if (!(await isReady())) {
    await withLock(at(".cache", "setup.lock"), async () => {
      if (!hasModules()) await installModules()
      if (!hasNode()) await installNode()
      if (await needsServer()) {
        const server = await provideServer()
        tell(`nats-server: ${server.version} from ${server.from}`)
      }
      if (older) await provideOlderServers()
      if (await needsBrowser()) {
        const since = performance.now()
        const chromium = await provideChromium()
        tell(`chromium: ${chromium.version} from ${chromium.from} in ${seconds(since)}`)
      }
      if (!hasDist()) await buildDist()
    })
  }
  if (servers) {
    const server = await findServer()
    tell(`ready: nats-server ${server.version} from ${server.from}`)
  }
}

const flags = process.argv.slice(2)
const known = ["--package", "--older", "--browser"]
const unknown = flags.filter((flag) => !known.includes(flag))
try {
  if (unknown.length > 0) throw new SetupError(`unknown option ${unknown[0]}; known are ${known.join(", ")}`)
  await setUp({
    browser: flags.includes("--browser"),
    servers: !flags.includes("--package"),
    older: flags.includes("--older")
  })
} catch (error) {
  tell(`\nset-up failed: ${shown(error)}`)
  process.exitCode = 1
}
