/**
 * Runs examples and compares what they print with what their header promises.
 *
 * The header comment of `examples/NAME.ts` ends with a line `Prints:` and, below it, lines that must appear on stdout in
 * that order; `…` stands for any text, and other lines may come between. An example must end by itself with exit code 0
 * and leave no process behind.
 *
 *   node scripts/examples.mjs            every example
 *   node scripts/examples.mjs quickstart only this one
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as path from "node:path"
import { setTimeout as pause } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { stripVTControlCharacters } from "node:util"

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..")
const directory = path.join(root, "examples")
const timeLimit = 60_000
const atOnce = 2

/** A program in its parts: the lines of its header above `Prints:` and below it, if that is there, and the code. */
export const partsOf = (source) => {
  const [all = "", header = ""] = /^(?:#!.*\n)?\s*\/\*\*?([\s\S]*?)\*\//.exec(source) ?? []
  const lines = header.split("\n").map((line) => line.replace(/^\s*\* ?/, ""))
  const start = lines.findIndex((line) => line.trim() === "Prints:")
  const code = source.slice(all.length)
  return start < 0
    ? { about: lines, prints: undefined, code }
    : { about: lines.slice(0, start), prints: lines.slice(start + 1), code }
}

/** The promised lines, or `undefined` where the header has none. Exported for the test of this check. */
export const promisedLines = (source) => {
  const { prints } = partsOf(source)
  if (prints === undefined) return undefined
  const lines = prints.map((line) => line.trim()).filter((line) => line !== "" && !line.startsWith("```"))
  return lines.length === 0 ? undefined : lines
}

const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")

/** The first promised line that stdout lacks, or `undefined` if all are there in order. Exported for the same test. */
export const firstMissing = (promised, stdout) => {
  const lines = stripVTControlCharacters(stdout).split("\n").map((line) => line.trim())
  let next = 0
  for (const promise of promised) {
    const pattern = new RegExp(`^${promise.split("…").map(escaped).join(".*")}$`, "u")
    const found = lines.findIndex((line, index) => index >= next && pattern.test(line))
    if (found < 0) return promise
    next = found + 1
  }
  return undefined
}

/** The process group and state of a process, from the fields after the command in parentheses. */
const readGroup = (id) => {
  try {
    const [state, , group] = fs.readFileSync(`/proc/${id}/stat`, "utf8").split(") ").at(-1).split(" ")
    return { state, group: Number(group) }
  } catch {
    return { state: "Z", group: 0 }
  }
}

/** Whether the group has a process that still runs: one that has ended and waits to be collected is none. */
const groupLives = (pid) => {
  try {
    process.kill(-pid, 0)
  } catch {
    return false
  }
  return process.platform !== "linux" || fs.readdirSync("/proc").some((id) => {
    const { state, group } = /^\d+$/.test(id) ? readGroup(id) : { state: "Z", group: 0 }
    return group === pid && state !== "Z"
  })
}

/** A server that was told to stop may take a moment longer than the example that told it. */
const outlives = async (pid) => {
  for (let i = 0; i < 20 && groupLives(pid); i++) await pause(100)
  return groupLives(pid)
}

const killGroup = (pid) => {
  try {
    process.kill(-pid, "SIGKILL")
  } catch {
    // It has ended meanwhile.
  }
}

/** In a process group of its own, so that what an example leaves behind is seen and removed. */
const execute = (file) =>
  new Promise((resolve) => {
    let stdout = ""
    let output = ""
    let timedOut = false
    const child = spawn(process.execPath, [file], { cwd: root, detached: true, stdio: ["ignore", "pipe", "pipe"] })
    const timer = setTimeout(() => {
      timedOut = true
      killGroup(child.pid)
    }, timeLimit)
    child.stdout.setEncoding("utf8").on("data", (text) => {
      stdout += text
      output += text
    })
    child.stderr.setEncoding("utf8").on("data", (text) => {
      output += text
    })
    child.on("exit", async (code, signal) => {
      clearTimeout(timer)
      const closed = once(child, "close")
      const leftBehind = !timedOut && await outlives(child.pid)
      if (leftBehind) killGroup(child.pid)
      await closed
      resolve({ stdout, output, code, signal, timedOut, leftBehind })
    })
  })

const problemOf = (promised, { stdout, code, signal, timedOut, leftBehind }) => {
  if (timedOut) return `did not end within ${timeLimit / 1000} s`
  if (code !== 0) return `ended with ${signal ?? `exit code ${code}`}`
  if (leftBehind) return "left a process behind"
  const missing = firstMissing(promised, stdout)
  return missing === undefined ? undefined : `did not print (in this order): ${missing}`
}

const check = async (name) => {
  const file = path.join(directory, `${name}.ts`)
  if (!fs.existsSync(file)) return { name, problem: "there is no such example" }
  const promised = promisedLines(fs.readFileSync(file, "utf8"))
  if (promised === undefined) return { name, problem: "its header promises nothing: it lacks lines below `Prints:`" }
  const since = performance.now()
  const result = await execute(file)
  return { name, problem: problemOf(promised, result), output: result.output, millis: performance.now() - since }
}

const main = async (names) => {
  const wanted = names.length > 0
    ? names
    : fs.readdirSync(directory).filter((name) => name.endsWith(".ts")).map((name) => path.basename(name, ".ts"))
      .toSorted()
  const queue = wanted.values()
  let failed = 0
  const worker = async () => {
    for (const name of queue) {
      const { problem, output, millis = 0 } = await check(name)
      if (problem === undefined) {
        console.log(`ok    ${name} (${(millis / 1000).toFixed(1)} s)`)
      } else {
        failed++
        console.log(`FAIL  ${name} ${problem}`)
        if (output) console.log(output.trimEnd().replace(/^/gm, "      | "))
      }
    }
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
  console.log(`examples: ${wanted.length - failed} passed, ${failed} failed`)
  if (failed > 0 || wanted.length === 0) process.exitCode = 1
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main(process.argv.slice(2))
