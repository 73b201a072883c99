/** Programs that a check starts, asks over HTTP and ends. */
import { spawn } from "node:child_process"
import { setTimeout as pause } from "node:timers/promises"
import { SetupError } from "./run.mjs"

/** How long a program may take to become what is waited for, and to end, in milliseconds. */
const timeLimit = 20_000

const started = new Set()

/** Ends all that still runs, at once. */
export const stopStarted = () => {
  for (const child of started) child.kill("SIGKILL")
}

const statusOf = async (url) => {
  try {
    const { status, body } = await fetch(url, { signal: AbortSignal.timeout(2000) })
    await body?.cancel()
    return status
  } catch {
    return undefined
  }
}

/** Starts a program. Whatever fails then has what it printed. */
export const start = (what, command, args, options) => {
  let output = ""
  const child = spawn(command, args, { ...options, stdio: ["ignore", "pipe", "pipe"] })
  started.add(child)
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text) => {
      output += text
    })
  }
  child.on("error", (error) => {
    output += error.message
  })
  const closed = new Promise((resolve) => child.once("close", resolve)).then(() => started.delete(child))
  const hasEnded = () => child.pid === undefined || child.exitCode !== null || child.signalCode !== null
  const failure = (problem) => new SetupError(`${what} ${problem}:\n${output.trim()}`)
  const wait = async (isThere, problem) => {
    const end = performance.now() + timeLimit
    while (!(await isThere())) {
      if (hasEnded()) {
        await closed
        throw failure(`has ended with ${child.signalCode ?? child.exitCode}`)
      }
      if (performance.now() > end) throw failure(problem())
      await pause(25)
    }
  }
  return {
    /** Waits until it has printed a text. */
    printed: (text) => wait(() => output.includes(text), () => `does not print "${text}"`),
    /** Waits until an address answers with a status. */
    until: (url, wanted) => {
      let status
      return wait(
        async () => (status = await statusOf(url)) === wanted,
        () => `answers ${url} with ${status ?? "nothing"}, and not with ${wanted}`
      )
    },
    /** Tells it to end, and waits until it has, with an exit code. */
    terminate: async (wanted) => {
      child.kill("SIGTERM")
      const ended = await Promise.race([closed, pause(timeLimit, "late", { ref: false })])
      if (ended === "late") throw failure("does not end when it is told to")
      if (child.exitCode !== wanted) {
        throw failure(`ends with ${child.signalCode ?? child.exitCode}, and not with ${wanted}`)
      }
    },
    kill: async () => {
      child.kill("SIGKILL")
      await closed
    }
  }
}
