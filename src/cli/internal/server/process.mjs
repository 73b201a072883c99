// @ts-check
/** Child processes and progress lines of finding and fetching a server. */
import { spawn } from "node:child_process"
import * as path from "node:path"

/**
 * Progress goes to stderr: stdout belongs to what is printed, or to the program that runs next.
 *
 * @param {string} line
 */
export const tell = (line) => {
  process.stderr.write(`${line}\n`)
}

/** @type {Set<import("node:child_process").ChildProcess>} */
const running = new Set()

/** For a process that is told to stop: nothing it started goes on without it. */
export const stopChildren = () => {
  for (const child of running) child.kill("SIGTERM")
}

/** What a command prints at most, in bytes. One that prints more is not what it is taken for, and is ended. */
const longestOutput = 16 * 2 ** 20

/** How long what a command has started may keep its output open once it has ended itself, in milliseconds. */
const afterExit = 1000

/**
 * Runs a command to its end, for at most `timeout` milliseconds where that is given. What it prints is shown if `show` is set,
 * and given back in any case.
 *
 * @param {string} command
 * @param {ReadonlyArray<string>} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, show?: boolean, timeout?: number }} [options]
 * @returns {Promise<{ code: number, output: string }>}
 */
export const run = (command, args, { cwd, env, show = false, timeout = 0 } = {}) =>
  new Promise((resolve) => {
    let output = ""
    let length = 0
    // npm is a script on Windows, which only a shell can start; a program's own path may have spaces, which a shell splits.
    const shell = process.platform === "win32" && !path.isAbsolute(command)
    const child = spawn(command, args, {
      cwd,
      env: env ?? process.env,
      stdio: ["ignore", "pipe", "pipe"],
      shell,
      timeout,
      killSignal: "SIGKILL"
    })
    running.add(child)
    /** @param {Buffer} chunk */
    const onData = (chunk) => {
      length += chunk.length
      if (length > longestOutput) return void child.kill("SIGKILL")
      output += chunk
      if (show) process.stderr.write(chunk)
    }
    child.stdout.on("data", onData)
    child.stderr.on("data", onData)
    child.on("exit", () => {
      const leave = setTimeout(() => {
        child.stdout.destroy()
        child.stderr.destroy()
      }, child.killed ? 0 : afterExit)
      child.on("close", () => clearTimeout(leave))
    })
    /** @type {(code: number, text: string) => void} */
    const end = (code, text) => {
      running.delete(child)
      resolve({ code, output: text })
    }
    child.on("error", (error) => end(127, error.message))
    child.on("close", (code) => end(code ?? 1, output))
  })

/**
 * What a command prints, or `undefined` where it is missing or fails.
 *
 * @param {string} command
 * @param {ReadonlyArray<string>} args
 * @param {{ timeout?: number }} [options]
 */
export const capture = async (command, args, options) => {
  const { code, output } = await run(command, args, options)
  return code === 0 ? output : undefined
}
