/**
 * What a server can be made to do once it is set up: started and ended, reloaded, paused, listened to.
 */
import * as Effect from "effect/Effect"
import type { TestNatsServer } from "../TestNatsServer.ts"
import type { TestNatsServerError } from "../TestNatsServerError.ts"
import type { Options } from "../TestNatsServerOptions.ts"
import { awaitLeafNodes } from "./clusterPeers.ts"
import { matches } from "./logLines.ts"
import { type ConnectionInfo, getJson } from "./monitor.ts"
import { awaitExit, type RunningServer } from "./runningServer.ts"

/** Started, and known to every server that it is a leaf node of. */
export const startedAndConnected = (server: RunningServer): Effect.Effect<void, TestNatsServerError> =>
  Effect.andThen(
    server.start(),
    Effect.suspend(() => awaitLeafNodes(server, server.options.leafnodeOf?.length ?? 0))
  )

/** Ended by the signal, and gone; at once where it is not running. */
export const end = (server: RunningServer, signal: "SIGKILL" | "SIGTERM"): Effect.Effect<void> =>
  Effect.suspend(() => {
    const process = server.process
    if (process === undefined || !process.isRunning) return Effect.void
    process.signal(signal)
    // A frozen server does not hear SIGTERM.
    process.signal("SIGCONT")
    return Effect.asVoid(awaitExit(process))
  })

/** The server as a test has it. */
export const controls = (server: RunningServer): TestNatsServer => {
  const { log, ports } = server
  const websocket = server.options.websocket
  const secure = typeof websocket === "object" && websocket.tls !== undefined

  const reload = (changes: Options): Effect.Effect<void, TestNatsServerError> =>
    Effect.suspend(() => {
      const before = server.options
      const options = { ...before, ...changes }
      return server.configure(options).pipe(
        Effect.andThen(server.waitForLine(
          "reloading",
          (line) => {
            if (line.includes("Reloaded server configuration")) return Effect.void
            const refused = /Failed to reload server configuration: (.*)/.exec(line)
            return refused === null ? undefined : server.rejected(refused[1]!)
          },
          (process) => process.signal("SIGHUP")
        )),
        Effect.andThen(Effect.sync(() => {
          server.options = options
        })),
        Effect.catchTag(["NatsServerConfigRejected", "NatsServerTooOld"], (error) =>
          Effect.andThen(server.configure(before), Effect.fail(error)))
      )
    })

  const awaitLog = (
    pattern: string | RegExp,
    options?: { readonly from?: number | undefined }
  ): Effect.Effect<string, TestNatsServerError> =>
    Effect.suspend(() => {
      const found = log.lines.slice(options?.from ?? 0).find((line) => matches(pattern, line))
      return found === undefined
        ? server.waitForLine(
          `waiting for the log line ${pattern}`,
          (line) => matches(pattern, line) ? Effect.succeed(line) : undefined,
          () => {}
        )
        : Effect.succeed(found)
    })

  const signal = (name: NodeJS.Signals, during: string): Effect.Effect<void, TestNatsServerError> =>
    Effect.suspend(() => {
      const process = server.process
      if (process === undefined || !process.isRunning) return Effect.fail(server.exited(during))
      process.signal(name)
      return Effect.void
    })

  const monitor = (at: string): Effect.Effect<unknown, TestNatsServerError> =>
    server.wait(`reading ${at}`, (done) =>
      getJson(ports.monitor, at, (json) => {
        done(json === undefined ? Effect.fail(server.exited(`reading ${at}`)) : Effect.succeed(json))
      }))

  return {
    url: `nats://127.0.0.1:${ports.client}`,
    port: ports.client,
    monitoringPort: ports.monitor,
    websocketUrl: websocket === undefined || websocket === false
      ? undefined
      : `${secure ? "wss" : "ws"}://127.0.0.1:${ports.websocket}`,
    leafnodePort: server.options.leafnodes === undefined || server.options.leafnodes === false
      ? undefined
      : ports.leafnode,
    routePort: server.options.cluster === undefined ? undefined : ports.route,
    version: server.version,
    directory: server.directory,
    pid: Effect.sync(() => server.process?.pid ?? -1),
    isRunning: Effect.sync(() => server.process?.isRunning === true),
    logs: Effect.sync(() => [...log.lines]),
    awaitLog,
    connz: Effect.map(
      monitor("/connz?auth=1&subs=1&limit=100000"),
      (json) => (json as { readonly connections?: ReadonlyArray<ConnectionInfo> }).connections ?? []
    ),
    monitor,
    reload,
    restart: Effect.andThen(end(server, "SIGTERM"), startedAndConnected(server)),
    kill: end(server, "SIGKILL"),
    stop: end(server, "SIGTERM"),
    pause: Effect.andThen(signal("SIGSTOP", "pausing"), stopped(server)),
    resume: signal("SIGCONT", "resuming"),
    lameDuck: server.waitForLine(
      "entering lame duck mode",
      (line) => line.includes("Entering lame duck mode") ? Effect.void : undefined,
      (process) => process.signal("SIGUSR2")
    ),
    awaitExit: Effect.suspend(() => awaitExit(server.process!))
  }
}

const stopped = (server: RunningServer): Effect.Effect<void> =>
  Effect.callback((resume) => {
    let isWanted = true
    const look = (): void => {
      if (server.process?.isPaused !== false) resume(Effect.void)
      else if (isWanted) setImmediate(look)
    }
    look()
    return Effect.sync(() => {
      isWanted = false
    })
  })
