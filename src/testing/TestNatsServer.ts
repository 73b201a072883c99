/**
 * A real `nats-server` for tests: started on a free loopback port, known to be ready, and gone with its scope.
 *
 * It is for tests and examples: on Linux, and on macOS, where it is not tried. It is not a way to run a server in production. The program is found
 * by the `binary` option, the environment variable `NATS_SERVER`, `.cache/nats-server/<version>/nats-server` in or above
 * the working directory (the newest), the cache that `npx effect-nats server` fills, or `PATH`. Each server has ports and a temporary directory of its own, so that any
 * number run side by side. When its scope closes, or this process ends in whatever way, the server is killed and the
 * directory removed.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { TestNatsServer } from "effect-nats/testing"
 *
 * const program = Effect.gen(function*() {
 *   const server = yield* TestNatsServer.make({ users: [{ user: "john", password: "johnpassword" }] })
 *   yield* Effect.log(`listening on ${server.url}`)
 *   yield* server.reload({ users: [{ user: "john", password: "another" }] })
 *   yield* server.restart
 * }).pipe(Effect.scoped)
 * ```
 *
 * Readiness, reloads and controls are awaited on the server's log in real time; a test's `TestClock` does not hold them.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import type { ConnectError } from "../ConnectError.ts"
import type * as NatsClient from "../NatsClient.ts"
import type { NatsConfigError } from "../NatsConfig.ts"
import { awaitPeers } from "./internal/clusterPeers.ts"
import { controls, end, startedAndConnected } from "./internal/controls.ts"
import { awaitLeader, awaitMembers } from "./internal/leaders.ts"
import type { ConnectionInfo } from "./internal/monitor.ts"
import { RunningServer } from "./internal/runningServer.ts"
import { findBinary } from "./internal/serverBinary.ts"
import type { TestNatsServerError } from "./TestNatsServerError.ts"
import type { Options } from "./TestNatsServerOptions.ts"

export type { ConnectionInfo } from "./internal/monitor.ts"
export * from "./TestNatsServerError.ts"
export type * from "./TestNatsServerOptions.ts"

/**
 * A running test server and its controls.
 *
 * The controls wait until the server has done what they ask, for at most `startTimeout`; interrupting one does not undo
 * it. They fail with `NatsServerExited` when the server is not running. Use one at a time.
 *
 * @category models
 * @since 0.1.0
 */
export interface TestNatsServer {
  /** `nats://127.0.0.1:<port>`. */
  readonly url: string
  /** The client port. The same over restarts. */
  readonly port: number
  readonly monitoringPort: number
  /** The WebSocket listener's URL, `ws` or `wss`. Only there with the `websocket` option. */
  readonly websocketUrl: string | undefined
  /** The port for leaf nodes. Only there with the `leafnodes` option. */
  readonly leafnodePort: number | undefined
  /** The port for routes. Only there with the `cluster` option. */
  readonly routePort: number | undefined
  /** The server's version, such as `2.10.27`. */
  readonly version: string
  /** The directory of the configuration and of JetStream's files. Removed with the server. */
  readonly directory: string
  /** The current process. Another one after `restart`. */
  readonly pid: Effect.Effect<number>
  readonly isRunning: Effect.Effect<boolean>
  /** All log lines since the first start, over restarts. */
  readonly logs: Effect.Effect<ReadonlyArray<string>>
  /**
   * The first log line that contains the text or matches the pattern: one that is there already, else the next one that
   * comes. `from` skips that many lines (the length of `logs` at some moment means: after that moment).
   */
  readonly awaitLog: (
    pattern: string | RegExp,
    options?: { readonly from?: number | undefined }
  ) => Effect.Effect<string, TestNatsServerError>
  /** The connections that are open now, from the monitoring port. */
  readonly connz: Effect.Effect<ReadonlyArray<ConnectionInfo>, TestNatsServerError>
  /** What the monitoring port answers to a path such as `/varz`, parsed. */
  readonly monitor: (path: string) => Effect.Effect<unknown, TestNatsServerError>
  /**
   * Changes the configuration of the running server (SIGHUP) and waits until it is in force. The given options replace
   * those of the same name, `undefined` removes one; the others stay. A refused configuration fails with
   * `NatsServerConfigRejected`, and the server runs on with what it had. Ports and `name` cannot change.
   */
  readonly reload: (changes: Options) => Effect.Effect<void, TestNatsServerError>
  /** Starts the server again on the same ports with the same files; stops it first (SIGTERM) if it is running. */
  readonly restart: Effect.Effect<void, TestNatsServerError>
  /** Ends the server at once, as a crash would (SIGKILL), and waits until it is gone. */
  readonly kill: Effect.Effect<void>
  /** Ends the server in order (SIGTERM) and waits until it is gone. Nothing to do when it is not running. */
  readonly stop: Effect.Effect<void>
  /** Freezes the server (SIGSTOP) and waits until it has stopped: its sockets stay open and nobody answers. */
  readonly pause: Effect.Effect<void, TestNatsServerError>
  /** Lets a frozen server go on (SIGCONT). */
  readonly resume: Effect.Effect<void, TestNatsServerError>
  /**
   * Sends the server into lame duck mode (SIGUSR2) and waits until it has told its clients to leave. It closes one
   * client a second at the latest and then ends: `awaitExit`.
   */
  readonly lameDuck: Effect.Effect<void, TestNatsServerError>
  /** Waits until the process has ended, and gives its exit code or signal. */
  readonly awaitExit: Effect.Effect<number | string | undefined>
}

/**
 * The service, for programs that are given a server by a layer.
 *
 * @category services
 * @since 0.1.0
 */
export const TestNatsServer: Context.Service<TestNatsServer, TestNatsServer> = Context.Service<TestNatsServer>(
  "effect-nats/testing/TestNatsServer"
)

/**
 * Starts a server and succeeds when it accepts clients. It runs until the scope closes.
 *
 * Fails with `NatsServerNotFound`, `NatsServerConfigRejected`, `NatsServerTooOld`, `NatsServerExited`, `PackageMissing` (for
 * `bcrypt` without `bcryptjs`) or, after `startTimeout`, `NatsServerTimedOut`; nothing is left behind then. Interruption at any moment leaves nothing behind.
 * Closing the scope kills the server, waits until it is gone, removes its directory, and never fails.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: (options?: Options) => Effect.Effect<TestNatsServer, TestNatsServerError, Scope.Scope> = Effect
  .fnUntraced(function*(options: Options = {}) {
    const binary = yield* findBinary(options.binary)
    return yield* releasedOnFailure(started(binary, options))
  })

/**
 * A layer of a server that runs as long as the layer. See `make`.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { TestNatsServer } from "effect-nats/testing"
 *
 * const program = Effect.gen(function*() {
 *   const server = yield* TestNatsServer.TestNatsServer
 *   yield* Effect.log(server.url)
 * }).pipe(Effect.provide(TestNatsServer.layer({ token: "s3cr3t" })))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<TestNatsServer, TestNatsServerError> =>
  Layer.effect(TestNatsServer, make(options))

/**
 * A layer of a server and of a client that is connected to it, for testing a service that needs a `NatsClient`. The
 * second argument is the client's options, without `servers`.
 *
 * The client has the real clock, whatever clock the test has: its server answers in real time, and a timeout of a request
 * passes under `it.effect`, too, where a `TestClock` stands still.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { NatsClient } from "effect-nats"
 * import { TestNatsServer } from "effect-nats/testing"
 *
 * const program = Effect.gen(function*() {
 *   const client = yield* NatsClient.NatsClient
 *   yield* client.publish("orders.new", "1")
 * }).pipe(Effect.provide(TestNatsServer.layerClient({ token: "s3cr3t" }, { auth: { token: "s3cr3t" } })))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerClient = <R = never>(
  options?: Options,
  client?: Omit<NatsClient.Options<R>, "servers">
): Layer.Layer<
  TestNatsServer | NatsClient.NatsClient,
  TestNatsServerError | ConnectError | NatsConfigError,
  R
> =>
  Layer.unwrap(Effect.gen(function*() {
    // Loaded here only: a server alone needs no client.
    const { layer: clientLayer } = yield* Effect.promise(() => import("../NatsClient.ts"))
    const connected = Layer.unwrap(
      Effect.map(TestNatsServer, (server) => clientLayer<R>({ ...client, servers: server.url }))
    ).pipe(Layer.provide(Layer.succeed(Clock.Clock, Clock.Clock.defaultValue())))
    return Layer.provideMerge(connected, layer(options))
  }))

/**
 * Starts servers that form one cluster, and succeeds when all know each other and tell their clients so; with
 * `jetstream`, when they also have elected a leader that has all of them. They run until the scope closes. `name` is the
 * cluster's name, default `"test"`; the servers are `<name>-1`, `<name>-2`, … A server that is restarted finds the others
 * again.
 *
 * Fails like `make`, and nothing is left behind then.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { TestNatsServer } from "effect-nats/testing"
 *
 * const program = Effect.gen(function*() {
 *   const servers = yield* TestNatsServer.cluster(3, { jetstream: true })
 *   for (const server of servers) yield* server.restart
 * }).pipe(Effect.scoped)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const cluster: (
  size: number,
  options?: Omit<Options, "cluster" | "port">
) => Effect.Effect<ReadonlyArray<TestNatsServer>, TestNatsServerError, Scope.Scope> = Effect.fnUntraced(
  function*(size: number, options: Omit<Options, "cluster" | "port"> = {}) {
    const binary = yield* findBinary(options.binary)
    return yield* releasedOnFailure(formed(binary, size, options)).pipe(
      // A route port was taken; the next attempt picks others.
      Effect.retry({
        times: 3,
        while: (error) =>
          error._tag === "NatsServerExited" && error.lastLines.some((line) => line.includes("address already in use"))
      })
    )
  }
)

/**
 * What a cluster replicates and what therefore has a leader: a stream, a consumer of it, or, without either, the
 * cluster's own metadata. `account` is that of the stream, default the global account.
 *
 * @category models
 * @since 0.2.0
 */
export interface Replicated {
  readonly stream?: string | undefined
  readonly consumer?: string | undefined
  readonly account?: string | undefined
}

/**
 * The server that leads a stream, a consumer, or the cluster's metadata: of those that run and are not frozen, the one
 * that says so of itself. Of a single server it is that server. Waits until there is one, in real time, for at most
 * `timeout` (20 s by default): `NatsServerTimedOut`.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { TestNatsServer } from "effect-nats/testing"
 *
 * const program = Effect.gen(function*() {
 *   const servers = yield* TestNatsServer.cluster(3, { jetstream: true })
 *   const leader = yield* TestNatsServer.leaderOf(servers, { stream: "ORDERS" })
 *   yield* leader.kill
 *   yield* TestNatsServer.leaderOf(servers, { stream: "ORDERS" }) // another one
 *   yield* leader.restart
 *   yield* TestNatsServer.awaitReplicas(servers, { stream: "ORDERS" })
 * }).pipe(Effect.scoped)
 * ```
 *
 * @category controls
 * @since 0.2.0
 */
export const leaderOf = (
  servers: ReadonlyArray<TestNatsServer>,
  replicated: Replicated = {},
  options: { readonly timeout?: Duration.Input | undefined } = {}
): Effect.Effect<TestNatsServer, TestNatsServerError> =>
  Effect.map(awaitLeader(portsOf(servers), replicated, false, timeoutOf(options)), (index) => servers[index])

/**
 * Waits until the leader says that every replica is there and has what it has: after that any one of them can go down
 * and nothing is lost. In real time, for at most `timeout` (20 s by default): `NatsServerTimedOut`. nats-server 2.9 can leave
 * the replica of a consumer behind for good when its server comes back.
 *
 * @category controls
 * @since 0.2.0
 */
export const awaitReplicas = (
  servers: ReadonlyArray<TestNatsServer>,
  replicated: Replicated = {},
  options: { readonly timeout?: Duration.Input | undefined } = {}
): Effect.Effect<void, TestNatsServerError> =>
  Effect.asVoid(awaitLeader(portsOf(servers), replicated, true, timeoutOf(options)))

// internal

const portsOf = (servers: ReadonlyArray<TestNatsServer>): ReadonlyArray<number> =>
  servers.map(({ monitoringPort }) => monitoringPort)

const timeoutOf = ({ timeout = "20 seconds" }: { readonly timeout?: Duration.Input | undefined }): number =>
  Duration.toMillis(timeout)

/** What a failed start has acquired is released now, not when the caller's scope closes. */
const releasedOnFailure = <A, E>(acquire: Effect.Effect<A, E, Scope.Scope>): Effect.Effect<A, E, Scope.Scope> =>
  Effect.flatMap(Effect.scope, (outer) =>
    Effect.flatMap(Scope.fork(outer), (scope) =>
      acquire.pipe(
        Scope.provide(scope),
        Effect.onExit((exit) => Exit.isSuccess(exit) ? Effect.void : Scope.close(scope, exit))
      )))

const formed = Effect.fnUntraced(function*(
  binary: string,
  size: number,
  options: Omit<Options, "cluster" | "port">
) {
  const name = options.name ?? "test"
  const routes: Array<string> = []
  const members: Array<RunningServer> = []
  for (let number = 1; number <= size; number++) {
    const member = yield* prepared(binary, { ...options, name: `${name}-${number}`, cluster: { name, routes: [] } })
    routes.push(`nats-route://127.0.0.1:${member.ports.route}`)
    members.push(member)
  }
  for (const member of members) {
    member.options = { ...member.options, cluster: { name, routes } }
    yield* member.configure(member.options)
  }
  yield* Effect.forEach(members, (member) => member.start(), { concurrency: "unbounded", discard: true })
  yield* Effect.forEach(members, (member) => awaitPeers(member, size), { concurrency: "unbounded", discard: true })
  if (options.jetstream !== undefined && options.jetstream !== false) yield* joined(members)
  return members.map(controls)
})

/** All are of the group that has the metadata of JetStream. Who is left out is taken in by another start. */
const joined = (members: ReadonlyArray<RunningServer>): Effect.Effect<void, TestNatsServerError> => {
  const servers = members.map(({ options, ports }) => ({ name: options.name ?? "", port: ports.monitor }))
  return Effect.flatMap(awaitMembers(servers, members[0].startTimeout), (lacking) =>
    lacking.length === 0
      ? Effect.void
      : Effect.andThen(
        Effect.forEach(
          members.filter((_, index) => lacking.includes(servers[index].name)),
          (member) => Effect.andThen(end(member, "SIGTERM"), startedAndConnected(member)),
          { concurrency: "unbounded", discard: true }
        ),
        joined(members)
      ))
}

const started = Effect.fnUntraced(function*(binary: string, options: Options) {
  const server = yield* prepared(binary, options)
  yield* server.configure(options)
  yield* startedAndConnected(server)
  return controls(server)
})

/** A directory and ports, for as long as the scope; nothing runs yet. */
const prepared = Effect.fnUntraced(function*(binary: string, options: Options) {
  const directory = yield* Effect.acquireRelease(
    Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "effect-nats-"))),
    (made) => Effect.sync(() => fs.rmSync(made, { recursive: true, force: true, maxRetries: 3 }))
  )
  return yield* Effect.acquireRelease(Effect.sync(() => new RunningServer(binary, directory, options)), release)
})

const release = (server: RunningServer): Effect.Effect<void> =>
  Effect.andThen(end(server, "SIGKILL"), Effect.sync(() => server.process?.release()))
