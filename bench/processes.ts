/**
 * The processes of a run: the servers, the load, and one measured process for each sample.
 */
import { type ChildProcess, fork, spawn, spawnSync } from "node:child_process"
import * as Net from "node:net"
import * as path from "node:path"
import type { Run } from "./cases.ts"
import type { Sample } from "./workload.ts"

/** URLs. A server that no chosen run needs is not started. */
export interface Servers {
  readonly scripted: string
  readonly real: string
  readonly jetstream: string
}

const here = import.meta.dirname
const at = (name: string): string => path.join(here, name)

const children = new Set<ChildProcess>()

const owned = <P extends ChildProcess>(child: P): P => {
  children.add(child)
  child.once("exit", () => children.delete(child))
  return child
}

/** Ends every process that was started here. */
export const stopAll = (): void => {
  for (const child of children) child.kill("SIGKILL")
}

const nextMessage = <A>(child: ChildProcess, what: string): Promise<A> =>
  new Promise((resolve, reject) => {
    const exited = (code: number | null): void => reject(new Error(`${what} ended with ${code}`))
    child.once("exit", exited)
    child.once("message", (message) => {
      child.off("exit", exited)
      resolve(message as A)
    })
  })

const exit = (child: ChildProcess): Promise<void> =>
  child.exitCode !== null || child.signalCode !== null
    ? Promise.resolve()
    : new Promise((resolve) => child.once("exit", () => resolve()))

const forked = (file: string, args: ReadonlyArray<string>): ChildProcess => owned(fork(at(file), [...args]))

/** The load generator as a server of its own. Gives its URL. */
export const startScripted = async (): Promise<string> => {
  const { port } = await nextMessage<{ readonly port: number }>(forked("load.ts", ["serve"]), "the scripted server")
  return `nats://127.0.0.1:${port}`
}

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = Net.createServer().listen(0, "127.0.0.1", () => {
      const address = server.address()
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0))
    })
  })

/** Gives its port. */
const startServer = async (binary: string, args: ReadonlyArray<string>): Promise<number> => {
  const port = await freePort()
  const server = owned(
    spawn(binary, ["-a", "127.0.0.1", "-p", String(port), ...args], { stdio: ["ignore", "ignore", "pipe"] })
  )
  await new Promise<void>((resolve, reject) => {
    let log = ""
    server.stderr?.on("data", (text: Buffer) => {
      log += text.toString()
      if (log.includes("Server is ready")) resolve()
    })
    server.once("error", reject)
    server.once("exit", () => reject(new Error(`the server ended:\n${log}`)))
  })
  return port
}

/** A real server with the load generator as a client of it. Gives its URL. */
export const startReal = async (binary: string): Promise<string> => {
  const port = await startServer(binary, [])
  await nextMessage(forked("load.ts", ["client", String(port)]), "the load generator")
  return `nats://127.0.0.1:${port}`
}

/** A real server with JetStream, and the streams that are worked on. Gives its URL; `directory` is for its files. */
export const startJetStream = async (binary: string, directory: string): Promise<string> => {
  const url = `nats://127.0.0.1:${await startServer(binary, ["-js", "-sd", directory])}`
  const { setUp } = await import("./jetStreamSetup.ts")
  await setUp(url)
  return url
}

/** Whether this machine counts instructions for `perf stat`. */
export const countsInstructions = (): boolean => {
  const { status, stderr } = spawnSync("perf", ["stat", "-x,", "-e", "instructions", "true"], { encoding: "utf8" })
  return status === 0 && Number.parseInt(stderr, 10) > 0
}

/** Counts the instructions of a process, user and kernel, all threads, until it is stopped. */
const count = async (pid: number): Promise<() => Promise<number>> => {
  const perf = owned(
    spawn("perf", ["stat", "-x,", "-e", "instructions", "-D", "-1", "--control", "fd:3,4", "-p", String(pid)], {
      stdio: ["ignore", "ignore", "pipe", "pipe", "pipe"]
    })
  )
  let output = ""
  perf.stderr?.on("data", (text: Buffer) => {
    output += text.toString()
  })
  const control = perf.stdio[3] as Net.Socket
  const answers = perf.stdio[4] as Net.Socket
  const enabled = new Promise<void>((resolve) => answers.once("data", () => resolve()))
  control.write("enable\n")
  await Promise.race([enabled, exit(perf)])
  return async () => {
    perf.kill("SIGINT")
    await exit(perf)
    // One line for each kind of core.
    const counts = [...output.matchAll(/^([\d.]+),/gm)].map(([, value]) => Number(value))
    if (counts.length === 0) throw new Error(`perf did not count: ${output}`)
    return counts.reduce((sum, value) => sum + value)
  }
}

/** One sample, from a process of its own. */
export const measure = async (
  run: Run,
  servers: Servers,
  instructions: boolean
): Promise<Sample> => {
  if (run.imports !== undefined) {
    const child = forked("imported.mjs", run.imports)
    const sample = await nextMessage<Sample>(child, "a measured process")
    await exit(child)
    return sample
  }
  const { job } = run
  if (job === undefined || run.server === "none") throw new Error("a run without a job")
  const child = forked("measured.ts", [servers[run.server], JSON.stringify(job)])
  await nextMessage(child, "a measured process")
  const stop = instructions ? await count(child.pid!) : undefined
  const result = nextMessage<Sample>(child, "a measured process")
  child.send("go")
  const sample = await result
  const counted = await stop?.()
  child.send("end")
  await exit(child)
  return counted === undefined ? sample : { ...sample, instructions: counted / job.count }
}
