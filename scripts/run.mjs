/** Child processes and progress lines of the set-up. */
import { spawn } from "node:child_process"

/** Something the reader has to do; it is shown without a stack. */
export class SetupError extends Error {}

/** Progress goes to stderr: stdout belongs to the program that runs after the set-up. */
export const tell = (line) => process.stderr.write(`${line}\n`)

const running = new Set()

/** For a set-up that is told to stop: nothing it started goes on without it. */
export const stopChildren = () => {
  for (const child of running) child.kill("SIGTERM")
}

/**
 * Runs a command to its end. What it prints is shown if `show` is set, and given back in any case.
 *
 * @returns {Promise<{ code: number, output: string }>}
 */
export const run = (command, args, { cwd, env, show = false } = {}) =>
  new Promise((resolve) => {
    let output = ""
    // npm is a script on Windows, which only a shell can start.
    const shell = process.platform === "win32"
    const child = spawn(command, args, { cwd, env: env ?? process.env, stdio: ["ignore", "pipe", "pipe"], shell })
    running.add(child)
    const onData = (chunk) => {
      output += chunk
      if (show) process.stderr.write(chunk)
    }
    child.stdout.on("data", onData)
    child.stderr.on("data", onData)
    const end = (code, text) => {
      running.delete(child)
      resolve({ code, output: text })
    }
    child.on("error", (error) => end(127, error.message))
    child.on("close", (code) => end(code ?? 1, output))
  })

/** What a command prints, or `undefined` where it is missing or fails. */
export const capture = async (command, args) => {
  const { code, output } = await run(command, args)
  return code === 0 ? output : undefined
}
