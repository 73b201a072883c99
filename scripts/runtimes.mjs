/**
 * Runs a program with the packed package on every runtime that it is said to run on, against real servers, and compares
 * what it prints with what is expected, which is the same for all. It has to end by itself.
 *
 *   node scripts/runtimes.mjs          every runtime
 *   node scripts/runtimes.mjs deno     those whose name begins so
 *
 * The runtimes come by npm, in the versions below, and are kept in `.cache/runtimes`.
 */
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { withLock } from "./lock.mjs"
import { packInto } from "./packed.mjs"
import { capture, run, SetupError, tell } from "./run.mjs"

/** By what npm knows them as. The first is the oldest Node that is supported. */
const pinned = [
  { name: "node", version: "22.19.0" },
  { name: "node", version: "26.9.0" },
  { name: "bun", version: "1.4.5" },
  { name: "deno", version: "2.9.6", args: ["run", "--allow-all", "--no-prompt"] }
]

/** What the program prints on each. */
const expected = [
  "publish and subscribe: one one, two two, three three",
  "a large message: 20000000 characters",
  "request: 42, NoResponders",
  "service: 42, OutOfStock ink",
  "JetStream: work at 1",
  "an NKey: connected",
  "a wrong password: AuthorizationViolation",
  "no server: ConnectionRefused",
  "WebSocket: connected",
  "no TLS: TlsUnavailable",
  "TLS: connected",
  "TLS first: connected",
  "TLS with another authority: TlsCertificateInvalid UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "TLS with no authority: TlsCertificateInvalid UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "TLS with another name: TlsCertificateInvalid ERR_TLS_CERT_ALTNAME_INVALID",
  "TLS with an expired certificate: TlsCertificateInvalid CERT_HAS_EXPIRED",
  "TLS with a self-signed certificate: TlsCertificateInvalid DEPTH_ZERO_SELF_SIGNED_CERT",
  "TLS with a client certificate: connected",
  "TLS without a client certificate: TlsHandshakeRejected",
  "TLS with an authority that is no file: TlsConfigInvalid tls.caFile (/nowhere/ca.pem)",
  "drain: done"
]

/** What a runtime is known to say otherwise, by its name: a code that says less. */
const differing = {
  bun: ["TLS with a self-signed certificate: TlsCertificateInvalid UNABLE_TO_VERIFY_LEAF_SIGNATURE"],
  deno: ["TLS with an expired certificate: TlsCertificateInvalid UNABLE_TO_VERIFY_LEAF_SIGNATURE"]
}

const stepOf = (line) => line.slice(0, line.indexOf(": ") + 2)

const expectedOf = (name) =>
  expected.map((line) => differing[name]?.find((other) => stepOf(other) === stepOf(line)) ?? line)

/** For the whole program on one runtime. */
const timeLimit = 120_000

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..")
const cache = path.join(root, ".cache", "runtimes")
const manifest = JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8"))

const npm = async (what, directory, args) => {
  const flags = ["--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error"]
  const { code, output } = await run("npm", [...args, ...flags], { cwd: directory })
  if (code !== 0) throw new SetupError(`${what}:\n${output.trim()}`)
}

const project = (directory, more) => {
  fs.rmSync(directory, { recursive: true, force: true })
  fs.mkdirSync(directory, { recursive: true })
  fs.writeFileSync(path.join(directory, "package.json"), JSON.stringify({ private: true, type: "module", ...more }))
}

/** Where the runtime is, fetched if it is not there: its binary comes by its package's own install script. */
const provide = async ({ args = [], name, version }) => {
  const directory = path.join(cache, `${name}-${version}`)
  const binary = path.join(directory, "node_modules", ".bin", name)
  const isThere = async () => fs.existsSync(binary) && (await capture(binary, ["--version"])) !== undefined
  if (!(await isThere())) {
    tell(`runtimes: fetching ${name} ${version}`)
    project(directory, { allowScripts: { [name]: true } })
    const install = ["install", "--ignore-scripts=false", "--save-exact", `${name}@${version}`]
    await npm(`${name} ${version} cannot be installed`, directory, install)
    if (!(await isThere())) throw new SetupError(`${name} ${version} does not run on this machine`)
  }
  return { name, title: `${name} ${version}`, command: binary, args }
}

/** Those of earlier pins. */
const dropOthers = () => {
  const kept = new Set(pinned.map(({ name, version }) => `${name}-${version}`))
  for (const entry of fs.readdirSync(cache)) {
    if (!kept.has(entry)) fs.rmSync(path.join(cache, entry), { recursive: true, force: true })
  }
}

/**
 * A project that has the package as npm gives it, and what its program needs. It is nowhere below this one, whose
 * `tsconfig.json` Bun would follow to the sources.
 */
const consumer = async (directory) => {
  project(directory)
  const tarball = await packInto(directory)
  const peers = ["effect", "@effect/platform-node"].map((name) => `${name}@${manifest.peerDependencies[name]}`)
  await npm("the package cannot be installed", directory, ["install", "--ignore-scripts", `./${tarball}`, ...peers])
  const program = path.join(directory, "program.mjs")
  fs.copyFileSync(path.join(root, "scripts", "runtimesProgram.mjs"), program)
  return { directory, program }
}

/** Servers of every kind, and the files of who connects to them, for as long as the scope is open. */
const rig = async (directory, { Effect, TestCertificates, TestNatsServer, TestOperator }) => {
  const write = (name, text) => {
    const file = path.join(directory, name)
    fs.writeFileSync(file, text, { mode: 0o600 })
    return file
  }
  return Effect.gen(function*() {
    const authority = yield* TestCertificates.authority()
    const other = yield* TestCertificates.authority()
    const names = ["127.0.0.1", "localhost"]
    const client = yield* authority.issue({ commonName: "client", names: [] })
    const pair = yield* TestOperator.nkey()
    const login = { user: "user", password: "right" }
    const users = [login]
    const withTls = (tls) => Effect.map(TestNatsServer.make({ users, tls }), ({ port }) => `nats://localhost:${port}`)
    const certificate = yield* authority.issue({ names })
    const plain = yield* TestNatsServer.make({ users, jetstream: true, websocket: true })
    const gone = yield* Effect.scoped(TestNatsServer.make())
    return {
      ...login,
      url: plain.url,
      webSocket: plain.websocketUrl,
      nowhere: gone.url,
      nkey: (yield* TestNatsServer.make({ users: [{ nkey: pair.publicKey }] })).url,
      seed: pair.seed,
      tls: yield* withTls(certificate),
      tlsFirst: yield* withTls({ ...certificate, handshakeFirst: true }),
      expired: yield* withTls(yield* authority.issue({ names, expired: true })),
      selfSigned: yield* withTls(yield* TestCertificates.selfSigned({ names })),
      mutual: yield* withTls({ ...certificate, ca: authority.cert, verify: true }),
      authorityFile: write("authority.pem", authority.cert),
      otherFile: write("other.pem", other.cert),
      certFile: write("client.pem", client.cert),
      keyFile: write("client-key.pem", client.key)
    }
  })
}

/** Runs the program to its end. */
const execute = ({ args, command, title }, { directory, program }, servers) =>
  new Promise((resolve) => {
    const since = performance.now()
    let stdout = ""
    let stderr = ""
    let timedOut = false
    const child = spawn(command, [...args, program, title.replace(/\W/g, "-")], {
      cwd: directory,
      env: { ...process.env, NO_COLOR: "1", RUNTIMES_RIG: JSON.stringify(servers) },
      stdio: ["ignore", "pipe", "pipe"]
    })
    const timer = setTimeout(() => {
      timedOut = true
      child.kill("SIGKILL")
    }, timeLimit)
    child.stdout.setEncoding("utf8").on("data", (text) => {
      stdout += text
    })
    child.stderr.setEncoding("utf8").on("data", (text) => {
      stderr += text
    })
    const end = (code) => {
      clearTimeout(timer)
      resolve({ stdout, stderr, code, timedOut, seconds: (performance.now() - since) / 1000 })
    }
    child.on("error", (error) => {
      stderr += error.message
      end(undefined)
    })
    child.on("close", end)
  })

/** What differs from what is expected, a line each. */
const differences = (wanted, { code, stderr, stdout, timedOut }) => {
  const lines = stdout.split("\n")
  const found = wanted.filter((line) => !lines.includes(line)).flatMap((line) => {
    const start = lines.findIndex((each) => each.startsWith(stepOf(line)))
    const next = lines.findIndex((each, index) => index > start && wanted.some((one) => each.startsWith(stepOf(one))))
    const said = start < 0 ? "nothing" : lines.slice(start, next < 0 ? undefined : next).join("\n").trim()
    return [`expected ${line}`, said.replace(/^/gm, "     got ")]
  })
  if (timedOut) found.push(`it did not end within ${timeLimit / 1000} s`)
  else if (code !== 0) found.push(`it ended with exit code ${code}`)
  if (stderr.trim() !== "") found.push(`it printed to stderr:\n${stderr.trim()}`)
  return found
}

const main = async (directory, wanted) => {
  const chosen = pinned.filter(({ name, version }) =>
    wanted.length === 0 || wanted.some((each) => `${name} ${version}`.startsWith(each))
  )
  const runtimes = await withLock(path.join(root, ".cache", "runtimes.lock"), async () => {
    fs.mkdirSync(cache, { recursive: true })
    dropOthers()
    const provided = []
    for (const each of chosen) provided.push(await provide(each))
    return provided
  })
  if (wanted.length === 0) {
    runtimes.splice(1, 0, { name: "node", title: `node ${process.versions.node}`, command: process.execPath, args: [] })
  }
  const installed = await consumer(directory)
  const testing = await import("effect-nats/testing")
  const { Effect } = await import("effect")
  const checks = Effect.gen(function*() {
    const servers = yield* yield* Effect.promise(() => rig(installed.directory, { Effect, ...testing }))
    let failed = 0
    for (const runtime of runtimes) {
      const result = yield* Effect.promise(() => execute(runtime, installed, servers))
      const found = differences(expectedOf(runtime.name), result)
      if (found.length > 0) failed++
      console.log(`${found.length === 0 ? "ok   " : "FAIL "} ${runtime.title} (${result.seconds.toFixed(1)} s)`)
      for (const line of found) console.log(line.replace(/^/gm, "      | "))
    }
    return failed
  })
  const failed = await Effect.runPromise(Effect.scoped(checks))
  console.log(`runtimes: ${runtimes.length - failed} passed, ${failed} failed, ${expected.length} steps each`)
  if (failed > 0 || runtimes.length === 0) process.exitCode = 1
}

const directory = fs.mkdtempSync(path.join(os.tmpdir(), "effect-nats-runtimes-"))
try {
  await main(directory, process.argv.slice(2))
} catch (error) {
  tell(error instanceof SetupError ? error.message : error.stack)
  process.exitCode = 1
} finally {
  fs.rmSync(directory, { recursive: true, force: true })
}
