/**
 * A server's directory, ports and current process, and the waiting on its log.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as childProcess from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import type { PackageMissing, TestNatsServerError } from "../TestNatsServerError.ts"
import {
  NatsServerConfigRejected,
  NatsServerExited,
  NatsServerTimedOut,
  NatsServerTooOld
} from "../TestNatsServerError.ts"
import type * as Options from "../TestNatsServerOptions.ts"
import { LogLines } from "./logLines.ts"
import { probablyFreePort } from "./loopback.ts"
import { loadPackage } from "./packages.ts"
import type { Ports } from "./serverConfig.ts"
import { writeConfig } from "./serverConfig.ts"
import { ServerProcess } from "./serverProcess.ts"

const pickPorts = (fixed: Partial<Ports>): Ports => {
  const taken = new Set<number>(Object.values(fixed))
  const pick = (given: number | undefined): number => {
    if (given !== undefined) return given
    const port = probablyFreePort()
    if (taken.has(port)) return pick(undefined)
    taken.add(port)
    return port
  }
  return {
    client: pick(fixed.client),
    monitor: pick(fixed.monitor),
    websocket: pick(fixed.websocket),
    leafnode: pick(fixed.leafnode),
    route: pick(fixed.route)
  }
}

const fixedPorts = (options: Options.Options): Partial<Ports> =>
  options.port === undefined ? {} : { client: options.port }

const features: ReadonlyArray<readonly [feature: string, needs: string]> = [
  ["handshake_first", "2.10.4"],
  ["auth_callout", "2.10.0"],
  ["min_version", "2.10.0"]
]

/** bcrypt is only loaded for a configuration that asks for it. */
const passwordHash = (options: Options.Options): Effect.Effect<(password: string) => string, PackageMissing> => {
  const users = [...options.users ?? [], ...Object.values(options.accounts ?? {}).flatMap((each) => each.users ?? [])]
  const wanted = options.tokenBcrypt === true || users.some((user) => "bcrypt" in user && user.bcrypt === true)
  return wanted
    ? Effect.map(loadPackage("bcryptjs", () => import("bcryptjs")), (bcrypt) => {
      const hashSync = bcrypt.hashSync ?? bcrypt.default.hashSync
      return (password: string) => hashSync(password, 4)
    })
    : Effect.succeed((password) => password)
}

export class RunningServer {
  readonly binary: string
  readonly directory: string
  readonly log: LogLines = new LogLines()
  options: Options.Options
  ports: Ports
  process: ServerProcess | undefined
  private secrets = new Set<string>()
  private files = new Set<string>()

  constructor(binary: string, directory: string, options: Options.Options) {
    this.binary = binary
    this.directory = directory
    this.options = options
    this.ports = pickPorts(fixedPorts(options))
  }

  get startTimeout(): number {
    return Duration.toMillis(this.options.startTimeout ?? "20 seconds")
  }

  get version(): string {
    const line = this.log.lines.findLast((each) => each.includes("[INF]   Version:"))
    return line?.slice(line.lastIndexOf(" ") + 1) ?? "unknown"
  }

  /** Writes the configuration and the files it names. */
  configure(options: Options.Options): Effect.Effect<void, PackageMissing> {
    return Effect.map(passwordHash(options), (hash) => {
      const written = writeConfig(this.directory, this.ports, options, hash)
      for (const secret of written.secrets) this.secrets.add(secret)
      for (const name of this.files) {
        if (!written.files.has(name)) fs.rmSync(path.join(this.directory, name), { force: true })
      }
      this.files = new Set(written.files.keys())
      for (const [name, text] of written.files) {
        fs.writeFileSync(path.join(this.directory, name), text, { mode: 0o600 })
      }
      fs.writeFileSync(path.join(this.directory, "server.conf"), written.config, { mode: 0o600 })
    })
  }

  /** Starts a process with the configuration as it stands, on other ports if these are taken. */
  start(): Effect.Effect<void, TestNatsServerError> {
    const attempt = (left: number): Effect.Effect<void, TestNatsServerError> =>
      Effect.flatMap(this.startOnce(), (outcome) => {
        if (outcome === "ready") return Effect.void
        if (left === 0) return Effect.fail(this.exited("starting"))
        // Other members of a cluster have been told the route port.
        const route = (this.options.cluster?.routes ?? []).length > 0 ? { route: this.ports.route } : {}
        this.ports = pickPorts({ ...fixedPorts(this.options), ...route })
        return Effect.andThen(this.configure(this.options), attempt(left - 1))
      })
    return attempt(this.version === "unknown" ? 20 : 0)
  }

  private startOnce(): Effect.Effect<"ready" | "port taken", TestNatsServerError> {
    return Effect.suspend(() => {
      const from = this.log.lines.length
      return this.wait<"ready" | "port taken">("starting", (done) => {
        const stopWatching = this.log.watch((line) => {
          if (line.includes("Server is ready")) done(Effect.succeed("ready"))
        })
        const previous = this.process
        const process = new ServerProcess({
          binary: this.binary,
          args: [
            "-c",
            path.join(this.directory, "server.conf"),
            ...(this.options.trace === true ? ["-DV"] : []),
            ...(this.options.args ?? [])
          ],
          directory: this.directory,
          log: this.log
        })
        this.process = process
        previous?.release()
        process.onExit(() => done(this.startFailure(this.log.lines.slice(from))))
        return stopWatching
      })
    })
  }

  private startFailure(lines: ReadonlyArray<string>): Effect.Effect<"port taken", TestNatsServerError> {
    if (lines.some((line) => line.includes("address already in use")) && this.version !== "unknown") {
      return Effect.succeed("port taken")
    }
    const refused = lines.find((line) => line.startsWith("nats-server: "))
    if (refused === undefined) return Effect.fail(this.exited("starting"))
    return this.rejected(refused.slice("nats-server: ".length))
  }

  /** The typed failure for a configuration the server does not take. */
  rejected(problem: string): Effect.Effect<never, NatsServerConfigRejected | NatsServerTooOld> {
    const unknown = /unknown field|unsupported/i.test(problem)
      ? features.find(([feature]) => problem.includes(feature))
      : undefined
    if (unknown === undefined) {
      return Effect.fail(new NatsServerConfigRejected({ problem: this.withoutSecrets(problem) }))
    }
    return Effect.flatMap(
      binaryVersion(this.binary),
      (version) => Effect.fail(new NatsServerTooOld({ feature: unknown[0], needs: unknown[1], version }))
    )
  }

  /** Waits for a callback, for at most the start timeout of real time, whatever clock a test runs on. */
  wait<A>(
    during: string,
    register: (done: (result: Effect.Effect<A, TestNatsServerError>) => void) => () => void
  ): Effect.Effect<A, TestNatsServerError> {
    return Effect.callback<A, TestNatsServerError>((resume) => {
      let settled = false
      let stop = (): void => {}
      const finish = (): void => {
        settled = true
        clearTimeout(timer)
        stop()
      }
      const done = (result: Effect.Effect<A, TestNatsServerError>): void => {
        if (!settled) {
          finish()
          resume(result)
        }
      }
      const timeoutMillis = this.startTimeout
      const timer = setTimeout(
        () => done(Effect.fail(new NatsServerTimedOut({ during, timeoutMillis, lastLines: this.lastLines() }))),
        timeoutMillis
      )
      stop = register(done)
      if (settled) stop()
      return Effect.sync(finish)
    })
  }

  /** Waits for a new log line; fails when the process ends before it. `act` makes the server write it. */
  waitForLine<A>(
    during: string,
    select: (line: string) => Effect.Effect<A, TestNatsServerError> | undefined,
    act: (process: ServerProcess) => void
  ): Effect.Effect<A, TestNatsServerError> {
    return this.wait<A>(during, (done) => {
      const process = this.process
      if (process === undefined || !process.isRunning) {
        done(Effect.fail(this.exited(during)))
        return () => {}
      }
      const stopWatching = this.log.watch((line) => {
        const result = select(line)
        if (result !== undefined) done(result)
      })
      const stopListening = process.onExit(() => done(Effect.fail(this.exited(during))))
      act(process)
      return () => {
        stopWatching()
        stopListening()
      }
    })
  }

  exited(during: string): NatsServerExited {
    const status = this.process?.exit?.status
    return new NatsServerExited({ during, lastLines: this.lastLines(), ...(status === undefined ? {} : { status }) })
  }

  private lastLines(): ReadonlyArray<string> {
    return this.log.lines.slice(-15).map((line) => this.withoutSecrets(line))
  }

  private withoutSecrets(text: string): string {
    let result = text
    for (const secret of this.secrets) {
      if (secret.length >= 3) result = result.replaceAll(secret, "<redacted>")
    }
    return result
  }
}

/** What the program says of itself. */
export const binaryVersion = (binary: string): Effect.Effect<string> =>
  Effect.callback((resume) => {
    const child = childProcess.execFile(binary, ["--version"], (error, stdout) => {
      const version = /v?(\d+\.\d+\.\d+\S*)/.exec(stdout)?.[1]
      resume(Effect.succeed(error !== null || version === undefined ? "unknown" : version))
    })
    return Effect.sync(() => child.kill("SIGKILL"))
  })

/** Waits for the end of a process. */
export const awaitExit = (process: ServerProcess): Effect.Effect<number | string | undefined> =>
  Effect.callback((resume) => {
    const stop = process.onExit((exit) => resume(Effect.succeed(exit.status)))
    return Effect.sync(stop)
  })
