/**
 * Runs the programs of the pages as a reader does who pastes one after the other, on the server of the page: what one
 * leaves there the next one finds. See `docs.mjs`.
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { setTimeout as pause } from "node:timers/promises"
import { fileURLToPath, pathToFileURL } from "node:url"
import { headerOf, kindOf } from "./docsBlocks.mjs"
import { firstMissing } from "./examples.mjs"
import { provideServer } from "./natsServer.mjs"

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..")
const preload = pathToFileURL(path.join(root, "scripts", "docsPort.mjs")).href
const timeLimit = 60_000
const atOnce = 2

/** The server that is started above a line of a page, and what is exported below that. */
const setUpOf = (file, line) => {
  let language = ""
  const lines = fs.readFileSync(path.join(root, file), "utf8").split("\n").slice(0, line - 1).map((each) => {
    const fence = /^```(\w*)/.exec(each)
    if (fence !== null) language = fence[1]
    return language === "sh" ? each : ""
  })
  const at = lines.findLastIndex((each) => /^nats-server( |$)/.test(each))
  if (at < 0) return { env: {} }
  const args = lines[at].replace(/\s+#.*$/, "").split(/\s+/).slice(1)
  const env = {}
  for (const each of lines.slice(at)) {
    if (!each.startsWith("export ")) continue
    for (const [, name, value] of each.replace(/\s+#.*$/, "").matchAll(/([A-Z_]+)=(\S*)/g)) env[name] = value
  }
  return { args, env, at }
}

/** What a program says of itself at its end. */
const promiseOf = (code) => {
  const lines = code.split("\n")
  const at = lines.findLastIndex((line) => /^\/\/ .*\bPrints:$/.test(line))
  const prints = at < 0 ? [] : lines.slice(at + 1).map((line) => line.replace(/^\/\/ {2,}/, "").trim())
  return { prints: prints.filter((line) => line !== ""), endless: /^\/\/ Runs until it is stopped\./m.test(code) }
}

/** A check that is told to stop leaves no server and no program behind. */
const children = new Set()
const spawned = (child) => {
  children.add(child)
  child.on("exit", () => children.delete(child))
  return child
}
process.on("exit", () => {
  for (const child of children) child.kill("SIGKILL")
})
for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143]]) process.on(signal, () => process.exit(code))

const ended = (child) => child.exitCode !== null || child.signalCode !== null

const stopServer = async (child, directory) => {
  if (!ended(child)) {
    child.kill("SIGKILL")
    await once(child, "exit")
  }
  fs.rmSync(directory, { recursive: true, force: true })
}

/** A server on a free port, with the arguments of the page and a folder of its own. */
const startServer = async (binary, args) => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "page-server-"))
  const own = [
    "-a",
    "127.0.0.1",
    "-p",
    "-1",
    "-m",
    "-1",
    "--ports_file_dir",
    directory,
    "-sd",
    path.join(directory, "js")
  ]
  const child = spawned(spawn(binary, [...args, ...own], { stdio: ["ignore", "ignore", "pipe"] }))
  let log = ""
  child.stderr.setEncoding("utf8").on("data", (text) => {
    log += text
  })
  const deadline = performance.now() + timeLimit
  while (performance.now() < deadline && !ended(child)) {
    const name = fs.readdirSync(directory).find((each) => each.endsWith(".ports"))
    const text = name === undefined ? "" : fs.readFileSync(path.join(directory, name), "utf8")
    if (text.endsWith("}")) {
      const { monitoring, nats } = JSON.parse(text)
      return { port: new URL(nats[0]).port, monitor: monitoring[0], stop: () => stopServer(child, directory) }
    }
    await pause(20)
  }
  await stopServer(child, directory)
  throw new Error(`nats-server ${args.join(" ")} does not start:\n${log}`)
}

/** The clients, their subscriptions and messages, by what the server tells. */
const lookAt = async (monitor) => {
  const { connections } = await (await fetch(`${monitor}/connz`)).json()
  const sum = (field) => connections.reduce((total, { [field]: count }) => total + count, 0)
  const subscriptions = sum("subscriptions")
  return { clients: connections.length, subscriptions, doing: [subscriptions, sum("in_msgs"), sum("out_msgs")].join() }
}

const start = (file, { cwd, env }) => {
  const child = spawned(
    spawn(process.execPath, ["--import", preload, file], { cwd, env, stdio: ["ignore", "pipe", "pipe"] })
  )
  const program = { child, output: "", late: false }
  const take = (text) => {
    program.output += text
  }
  child.stdout.setEncoding("utf8").on("data", take)
  child.stderr.setEncoding("utf8").on("data", take)
  const timer = setTimeout(() => {
    program.late = true
    child.kill("SIGKILL")
  }, timeLimit)
  program.end = once(child, "close").then(([code, signal]) => {
    clearTimeout(timer)
    return { code, signal }
  })
  return program
}

/**
 * Waits until an endless program has printed what it promises and is connected, and what it does there has come to rest; one
 * that another one calls listens to something.
 */
const running = async (program, prints, monitor, isCalled) => {
  const seen = []
  while (!ended(program.child)) {
    const { clients, doing, subscriptions } = await lookAt(monitor)
    const isThere = clients > 0 && (!isCalled || subscriptions > 0) &&
      firstMissing(prints, program.output) === undefined
    if (isThere && seen.length >= 3 && seen.slice(-3).every((each) => each === doing)) return
    seen.push(doing)
    await pause(50)
  }
}

/** Waits until the server has forgotten the program before. */
const alone = async (monitor) => {
  while ((await lookAt(monitor)).clients > 0) await pause(20)
}

const stopped = async (program) => {
  program.child.kill("SIGTERM")
  return program.end
}

const problemAfter = ({ late, output }, { code, signal }, { endless, prints }) => {
  if (late) return `did not end within ${timeLimit / 1000} s`
  if (endless ? code !== 0 && code !== 130 : code !== 0) return `ended with ${signal ?? `exit code ${code}`}`
  const missing = firstMissing(prints, output)
  return missing === undefined ? undefined : `did not print (in this order): ${missing}`
}

/** Runs one program, with the one that it wants beside it. Gives what is wrong, with what was printed. */
const check = async (block, { binary, companion, directory, env, server }) => {
  const cwd = fs.mkdtempSync(path.join(os.tmpdir(), "page-"))
  const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("NATS_")))
  const programs = []
  try {
    const promise = promiseOf(block.code)
    if (server === undefined && (promise.endless || companion !== undefined)) {
      return [`${block.file}:${block.line} no line above it starts a nats-server`]
    }
    const begin = (each) => {
      // A program above which no server is started finds none.
      const own = { NATS_SERVER: binary, DOCS_SERVER_PORT: server?.port ?? "1" }
      const all = { ...inherited, ...own, ...env, ...headerOf(each.code).env }
      const program = start(path.join(directory, each.place), { cwd, env: all })
      programs.push(program)
      return program
    }
    const problems = []
    const finish = async (each, program, promise, exit) => {
      const problem = problemAfter(program, await exit, promise)
      if (problem !== undefined) problems.push(`${each.file}:${each.line} ${problem}\n${program.output.trimEnd()}`)
    }
    if (server !== undefined) await alone(server.monitor)
    const beside = companion === undefined ? undefined : begin(companion)
    if (beside !== undefined) await running(beside, [], server.monitor, true)
    const program = begin(block)
    if (promise.endless) await running(program, promise.prints, server.monitor, false)
    await finish(block, program, promise, promise.endless ? stopped(program) : program.end)
    if (beside !== undefined) await finish(companion, beside, promiseOf(companion.code), stopped(beside))
    return problems
  } catch (error) {
    return [`${block.file}:${block.line} ${error.message}`]
  } finally {
    for (const { child } of programs) child.kill("SIGKILL")
    fs.rmSync(cwd, { recursive: true, force: true })
  }
}

/** Runs the programs of a page in their order; a line of the page that starts a server begins anew. */
const checkPage = async (blocks, { besideOf, binary, directory }) => {
  const problems = []
  let server
  let startedAt
  try {
    for (const block of blocks) {
      const { args, at, env } = setUpOf(block.file, block.line)
      if (at !== startedAt) {
        await server?.stop()
        server = await startServer(binary, args)
        startedAt = at
      }
      problems.push(...await check(block, { binary, companion: besideOf(block), directory, env, server }))
    }
  } catch (error) {
    problems.push(`${blocks[0].file}: ${error.message}`)
  } finally {
    await server?.stop()
  }
  return problems
}

const runTests = async (directory, blocks, binary) => {
  if (blocks.length === 0) return []
  const config = path.join(directory, "vitest.config.ts")
  fs.writeFileSync(
    config,
    `import base from "../../vitest.config.ts"
export default { ...base, root: ${JSON.stringify(directory)}, test: { ...base.test, include: ["**/*.test.ts"] } }\n`
  )
  const vitest = path.join(root, "node_modules", "vitest", "vitest.mjs")
  const files = blocks.map(({ place }) => place)
  const env = { ...process.env, NATS_SERVER: binary }
  delete env.EFFECT_NATS_TEST_REPORT
  const child = spawned(spawn(process.execPath, [vitest, "run", "--config", config, ...files], { cwd: directory, env }))
  let output = ""
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text) => {
      output += text
    })
  }
  const [code] = await once(child, "close")
  return code === 0 ? [] : [`the tests of the pages fail:\n${output.trimEnd()}`]
}

/** Runs what can be run of the pages, or of those that are named. */
export const runPages = async (directory, pages, wanted) => {
  const chosen = pages.filter(({ file, info }) =>
    !info.startsWith("no-run") && (wanted.length === 0 || wanted.includes(file))
  )
  const since = performance.now()
  const binary = (await provideServer()).path
  const all = chosen.filter((block) => kindOf(block) === "program")
  const besideOf = (block) => {
    const { companion } = headerOf(block.code)
    return companion && all.find((each) => each.file === block.file && headerOf(each.code).name === companion)
  }
  // One that runs beside another is not run once more by itself.
  const companions = new Set(all.map(besideOf))
  const byPage = Map.groupBy(all.filter((block) => !companions.has(block)), ({ file }) => file)
  // The longest first, so that the workers end together.
  const queue = [...byPage.values()].toSorted((a, b) => b.length - a.length).values()
  const failures = []
  const worker = async () => {
    for (const blocks of queue) failures.push(...await checkPage(blocks, { besideOf, binary, directory }))
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
  const tests = chosen.filter((block) => kindOf(block) === "test")
  failures.push(...await runTests(directory, tests, binary))
  for (const failure of failures) console.error(failure)
  const seconds = ((performance.now() - since) / 1000).toFixed(1)
  console.log(
    `${all.length} programs and ${tests.length} tests of the pages run in ${seconds} s, ${failures.length} failed`
  )
  return failures.length === 0
}
