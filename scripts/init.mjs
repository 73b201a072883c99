/**
 * Makes a project with the command of the packed package, as a user does in an empty directory, and uses it: its packages
 * are installed, its types checked, its tests run, and its program is started beside a nats-server, asked and ended. There is
 * no Docker in it: the lines of the Dockerfile are followed in a directory, and what its CMD says is started there.
 *
 *   node scripts/init.mjs
 */
import * as fs from "node:fs"
import * as net from "node:net"
import * as os from "node:os"
import * as path from "node:path"
import { buildImage, readDockerfile } from "./dockerfile.mjs"
import { findServer } from "./natsServer.mjs"
import { packInto } from "./packed.mjs"
import { run, SetupError, shown, tell } from "./run.mjs"
import { start, stopStarted } from "./started.mjs"

const name = "orders"
const timeLimit = 120_000

const directory = fs.mkdtempSync(path.join(os.tmpdir(), "effect-nats-init-"))
const at = (...names) => path.join(directory, ...names)

/**
 * The environment of a user: this Node and npm, and nothing that `npm run` or this repository adds, in which a tool could
 * be found that the project lacks.
 */
const environment = () => {
  fs.mkdirSync(at("bin"))
  fs.symlinkSync(process.execPath, at("bin", "node"))
  const places = (process.env.PATH ?? "").split(path.delimiter).filter((each) => !each.includes("node_modules"))
  const kept = Object.entries(process.env).filter(([key]) =>
    !/^(?:NATS_|npm_package_|npm_lifecycle_|npm_config_local_prefix$|npm_config_(?:global_)?prefix$|INIT_CWD$|PORT$|GREETING$)/i
      .test(key)
  )
  return { ...Object.fromEntries(kept), NO_COLOR: "1", PATH: [at("bin"), ...places].join(path.delimiter) }
}

const env = environment()

const attempt = async (what, command, args, { cwd, more = {} }) => {
  const { code, output } = await run(command, args, { cwd, env: { ...env, ...more }, timeout: timeLimit })
  if (code !== 0) throw new SetupError(`${what} fails (exit code ${code}):\n${output.trim()}`)
  return output
}

const npmFlags = ["--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error"]

const must = (holds, problem) => {
  if (!holds) throw new SetupError(problem)
}

/** Says how long a step took. */
const step = async (what, work) => {
  const since = performance.now()
  const result = await work()
  console.log(`ok    ${what} (${((performance.now() - since) / 1000).toFixed(1)} s)`)
  return result
}

const freePort = () =>
  new Promise((resolve, reject) => {
    const server = net.createServer().on("error", reject).listen(0, "127.0.0.1", () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })

const whenReady = async (server) => {
  await server.printed("Server is ready")
  return server
}

const startServer = async (port) => {
  const { path: binary } = await findServer()
  const args = ["--addr", "127.0.0.1", "--port", String(port)]
  return whenReady(start("nats-server", binary, args, { cwd: directory, env }))
}

/** `npm run nats` of the project, as its line says it. */
const startProjectServer = async (project, script, port) => {
  const { path: binary } = await findServer()
  const places = [path.join(project, "node_modules", ".bin"), env.PATH].join(path.delimiter)
  const options = { cwd: project, env: { ...env, PATH: places, NATS_SERVER: binary } }
  return whenReady(start("npm run nats", "sh", ["-c", `${script} --port ${port}`], options))
}

/** Packs the package and has its command make the project, by `npx`. */
const makeProject = async () => {
  fs.mkdirSync(at("tool"))
  fs.mkdirSync(at("work"))
  fs.writeFileSync(at("tool", "package.json"), JSON.stringify({ private: true }))
  const tarball = await step("npm pack", () => packInto(directory))
  await step("effect-nats init", async () => {
    await attempt("npm install of the package", "npm", ["install", "--omit=peer", ...npmFlags, at(tarball)], {
      cwd: at("tool")
    })
    const made = await attempt("init", "npx", ["--no", "--prefix", at("tool"), "effect-nats", "init", name], {
      cwd: at("work")
    })
    must(made.includes("npm test"), `init does not say what is next:\n${made}`)
  })
  return tarball
}

/** The package is not published in this version: the project takes the one that was packed. */
const takePacked = (project, tarball) => {
  const file = path.join(project, "package.json")
  const manifest = JSON.parse(fs.readFileSync(file, "utf8"))
  const [, version] = /-(\d[^/]*)\.tgz$/.exec(tarball)
  must(manifest.dependencies["effect-nats"] === `^${version}`, "the project does not depend on this version")
  manifest.dependencies["effect-nats"] = `file:../${tarball}`
  fs.writeFileSync(file, JSON.stringify(manifest))
  fs.copyFileSync(at(tarball), path.join(project, "..", tarball))
}

/** `.env.example` as its reader copies it, with the addresses of this check. */
const writeVariables = (project, variables) => {
  let text = fs.readFileSync(path.join(project, ".env.example"), "utf8")
  for (const [key, value] of Object.entries(variables)) {
    const line = new RegExp(`^${key}=.*$`, "m")
    must(line.test(text), `.env.example does not set ${key}`)
    text = text.replace(line, `${key}=${value}`)
  }
  fs.writeFileSync(path.join(project, ".env"), text)
}

/** The program answers, tells so, and is counted. */
const useProgram = async (project, program, { greeting, natsUrl, url }) => {
  await program.until(url("/readyz"), 200)
  const command = path.join(project, "node_modules", ".bin", "effect-nats")
  const asked = (...args) => attempt(args.join(" "), command, args, { cwd: project, more: { NATS_URL: natsUrl } })
  const answer = await asked("request", `${name}.greet`, "{\"name\":\"Ada\"}", "--raw")
  must(answer.includes(`{"text":"${greeting}, Ada!"}`), `the service answers ${answer}`)
  const listed = await asked("service", "list")
  must(new RegExp(`^${name} +1\\.0\\.0 +1$`, "m").test(listed), `service list shows\n${listed}`)
  const metrics = await (await fetch(url("/metrics"))).text()
  must(
    new RegExp(`^nats_service_requests_total\\{[^}]*service="${name}"[^}]*\\} 1$`, "m").test(metrics),
    `/metrics has no request of the service:\n${metrics}`
  )
}

/** `npm run nats` and `npm start`, with variables from `.env`. */
const runProject = async (project) => {
  const [natsPort, port] = [await freePort(), await freePort()]
  const natsUrl = `nats://127.0.0.1:${natsPort}`
  const { scripts } = JSON.parse(fs.readFileSync(path.join(project, "package.json"), "utf8"))
  const server = await startProjectServer(project, scripts.nats, natsPort)
  writeVariables(project, { NATS_URL: natsUrl, PORT: port, GREETING: "Good morning" })
  const [command, ...args] = scripts.start.split(" ")
  const program = start("npm start", command, args, { cwd: project, env })
  await useProgram(project, program, {
    greeting: "Good morning",
    natsUrl,
    url: (at) => `http://127.0.0.1:${port}${at}`
  })
  await program.terminate(0)
  await server.kill()
}

/** What the Dockerfile makes, started as it says before there is a server. */
const runImage = async (project, image) => {
  const [natsPort, port] = [await freePort(), await freePort()]
  const natsUrl = `nats://127.0.0.1:${natsPort}`
  const url = (at) => `http://127.0.0.1:${port}${at}`
  const options = { cwd: image.directory, env: { ...env, ...image.variables, NATS_URL: natsUrl, PORT: String(port) } }
  const [command, ...args] = image.command
  const program = start("the image", command, args, options)
  await program.until(url("/livez"), 200)
  await program.until(url("/readyz"), 503)
  const [checking, ...checked] = image.healthCheck
  const { code, output } = await run(checking, checked, { ...options, timeout: timeLimit })
  must(code === 0, `HEALTHCHECK of a living program fails:\n${output}`)
  const server = await startServer(natsPort)
  await useProgram(project, program, { greeting: "Hello", natsUrl, url })
  await program.terminate(0)
  const dead = await run(checking, checked, { ...options, timeout: timeLimit })
  must(dead.code !== 0, "HEALTHCHECK of a program that has ended succeeds")
  await server.kill()
}

const main = async () => {
  const since = performance.now()
  const server = await findServer()
  must(server !== undefined, "There is no nats-server here yet; run: node scripts/setup.mjs")
  const tarball = await makeProject()
  const project = at("work", name)
  takePacked(project, tarball)
  await step("npm install", () => attempt("npm install", "npm", ["install", ...npmFlags], { cwd: project }))
  await step("npm run types", () => attempt("npm run types", "npm", ["run", "types"], { cwd: project }))
  await step("npm test", async () => {
    const output = await attempt("npm test", "npm", ["test"], { cwd: project, more: { NATS_SERVER: server.path } })
    must(/Tests +[1-9]\d* passed \(/.test(output), `npm test runs no tests:\n${output}`)
  })
  await step("npm run nats, npm start", () => runProject(project))
  const image = await step("Dockerfile", () =>
    buildImage(readDockerfile(path.join(project, "Dockerfile")), {
      context: project,
      directory: at("image"),
      // Where package.json of the project says that the package is.
      beside: [at(tarball)],
      execute: (words, cwd) => attempt(words.join(" "), words[0], [...words.slice(1), ...npmFlags], { cwd })
    }))
  must(!fs.existsSync(path.join(image.directory, "node_modules", "vitest")), "the image has what only tests need")
  await step("the image's CMD", () => runImage(project, image))
  console.log(`init: a project is made, tested and run in ${((performance.now() - since) / 1000).toFixed(1)} s`)
}

process.once("exit", () => {
  stopStarted()
  fs.rmSync(directory, { recursive: true, force: true })
})
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, () => process.exit(1))

try {
  await main()
} catch (error) {
  tell(shown(error))
  // What was started still runs.
  process.exit(1)
}
