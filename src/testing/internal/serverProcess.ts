/**
 * One run of a nats-server, which dies with the process that started it.
 *
 * nats-server does not watch its parent. So it is started by a shell that leaves a watchdog behind and then becomes the
 * server: the pid is the server's own, for signals. The watchdog reads descriptor 3, a pipe held by this process alone:
 * at its end, whatever ended this process, it kills the server and removes its directory. The server is in a session of
 * its own, so that Ctrl-C reaches the program under test and not the server before it.
 */
import * as childProcess from "node:child_process"
import * as Fs from "node:fs"
import type { Writable } from "node:stream"
import type { LogLines } from "./logLines.ts"

const watchdog = [
  "directory=$0",
  "(",
  "trap '' HUP INT TERM",
  "server=$$",
  "while read -r line <&3; do case $line in done) exit 0 ;; exited) server= ;; esac; done",
  "if [ -n \"$server\" ]; then kill -9 \"$server\"; fi",
  "rm -rf \"$directory\" || { sleep 1; rm -rf \"$directory\"; }",
  ") </dev/null >/dev/null 2>&1 &",
  "exec \"$@\" 3<&-"
].join("\n")

/** How a process ended: its exit code, the signal that ended it, or `undefined` when it could not be run at all. */
export interface ServerExit {
  readonly status: number | string | undefined
}

export class ServerProcess {
  readonly pid: number
  exit: ServerExit | undefined = undefined
  private readonly child: childProcess.ChildProcess
  private readonly lifeline: Writable | undefined
  private readonly exitListeners = new Set<(exit: ServerExit) => void>()

  constructor(options: {
    readonly binary: string
    readonly args: ReadonlyArray<string>
    readonly directory: string
    readonly log: LogLines
  }) {
    const { log } = options
    const child = childProcess.spawn("/bin/sh", ["-c", watchdog, options.directory, options.binary, ...options.args], {
      stdio: ["ignore", "pipe", "pipe", "pipe"],
      detached: true
    })
    this.child = child
    this.pid = child.pid ?? -1
    this.lifeline = child.stdio[3] as Writable
    this.lifeline.on("error", () => {})
    // The exit counts once the log is complete. ("close" would wait for descriptor 3, which the watchdog shares.)
    let waitingFor = 3
    let status: number | string | undefined
    const part = (): void => {
      waitingFor -= 1
      if (waitingFor === 0) this.ended(log, status)
    }
    child.stdout!.setEncoding("utf8").on("data", (text: string) => log.feed(text)).on("close", part)
    child.stderr!.setEncoding("utf8").on("data", (text: string) => log.feed(text)).on("close", part)
    child.on("exit", (code, signal) => {
      status = code ?? signal ?? undefined
      part()
    })
  }

  get isRunning(): boolean {
    return this.exit === undefined
  }

  signal(signal: NodeJS.Signals): void {
    if (this.exit === undefined) {
      this.child.kill(signal)
    }
  }

  /**
   * Whether every thread has stopped: SIGSTOP takes effect some time after it was sent. `true` where the system does not
   * show its threads as Linux does.
   */
  get isPaused(): boolean {
    const tasks = `/proc/${this.child.pid}/task`
    try {
      return Fs.readdirSync(tasks).every((task) => {
        // The state follows the name, which is in parentheses and can hold anything.
        const stat = Fs.readFileSync(`${tasks}/${task}/stat`, "latin1")
        return /^[Tt]/.test(stat.slice(stat.lastIndexOf(")") + 2))
      })
    } catch {
      return true
    }
  }

  /** Calls back once, when the process has ended; at once if it has. */
  onExit(listener: (exit: ServerExit) => void): () => void {
    if (this.exit !== undefined) {
      listener(this.exit)
      return () => {}
    }
    this.exitListeners.add(listener)
    return () => {
      this.exitListeners.delete(listener)
    }
  }

  /** Dismisses the watchdog: another one, or nobody, is in charge of the directory now. */
  release(): void {
    this.lifeline?.end("done\n")
  }

  private ended(log: LogLines, status: number | string | undefined): void {
    if (this.exit !== undefined) return
    // The pid may be given to another process from here on.
    if (this.lifeline?.writable === true) this.lifeline.write("exited\n")
    log.flush()
    this.exit = { status }
    for (const listener of this.exitListeners) {
      listener(this.exit)
    }
    this.exitListeners.clear()
  }
}
