/**
 * The servers that stores are compared on: PostgreSQL, Redis and nats-server, each on a free loopback port with its files
 * in a directory that is removed. Nothing here needs root, and nothing needs not to be root.
 */
import { TestNatsServer } from "effect-nats/testing"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as childProcess from "node:child_process"
import * as fs from "node:fs"
import * as Net from "node:net"
import * as os from "node:os"
import * as path from "node:path"

/** What a process needs to reach a server. */
export type StoreServer =
  | { readonly kind: "nats"; readonly servers: ReadonlyArray<string>; readonly replicas: 1 | 3 }
  | { readonly kind: "postgres"; readonly port: number }
  | { readonly kind: "redis"; readonly port: number }

export const freePort: Effect.Effect<number> = Effect.callback<number>((resume) => {
  const server = Net.createServer().listen(0, "127.0.0.1", () => {
    const address = server.address()
    server.close(() => resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0)))
  })
})

/** Servers that refuse to run as root run as nobody then. */
const unprivileged = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {}

const ownDirectory = (name: string): Effect.Effect<string, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const directory = fs.mkdtempSync(path.join(os.tmpdir(), `effect-nats-${name}-`))
      if (unprivileged.uid !== undefined) fs.chownSync(directory, unprivileged.uid, unprivileged.gid)
      return directory
    }),
    (directory) => Effect.sync(() => fs.rmSync(directory, { recursive: true, force: true }))
  )

/** Runs until the scope closes; succeeds when a line of its log has `ready` in it. */
const started = (
  binary: string,
  args: ReadonlyArray<string>,
  ready: string,
  environment: NodeJS.ProcessEnv = {}
): Effect.Effect<void, Error, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() =>
      childProcess.spawn(binary, args, {
        ...unprivileged,
        cwd: os.tmpdir(),
        env: { ...process.env, ...environment },
        stdio: ["ignore", "pipe", "pipe"]
      })
    ),
    (child) =>
      Effect.callback<void>((resume) => {
        if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
        child.once("exit", () => resume(Effect.void))
        // Both end quickly and without waiting for clients: SIGINT is PostgreSQL's fast shutdown.
        child.kill("SIGINT")
      })
  ).pipe(
    Effect.flatMap((child) =>
      Effect.callback<void, Error>((resume) => {
        let log = ""
        const read = (text: Buffer): void => {
          log += text.toString()
          if (log.includes(ready)) {
            log = ""
            resume(Effect.void)
          }
        }
        child.stdout.on("data", read)
        child.stderr.on("data", read)
        child.once("error", (error) => resume(Effect.fail(error)))
        child.once("exit", () => resume(Effect.die(new Error(`${path.basename(binary)} ended:\n${log}`))))
      })
    ),
    Effect.timeoutOrElse({
      duration: "60 seconds",
      orElse: () => Effect.die(new Error(`${path.basename(binary)} did not get ready in a minute`))
    })
  )

const onPath = (name: string): string | undefined =>
  (process.env["PATH"] ?? "").split(path.delimiter).map((each) => path.join(each, name)).find((file) =>
    fs.existsSync(file)
  )

const postgresBinary = (name: string): string | undefined => {
  const versions = "/usr/lib/postgresql"
  const installed = fs.existsSync(versions)
    ? fs.readdirSync(versions).toSorted((a, b) => Number(b) - Number(a)).map((each) =>
      path.join(versions, each, "bin", name)
    )
    : []
  return onPath(name) ?? installed.find((file) => fs.existsSync(file))
}

/** PostgreSQL as it is shipped, with `fsync`: what is committed is on disk. `undefined` where it is not installed. */
export const startPostgres: Effect.Effect<StoreServer | undefined, Error, Scope.Scope> = Effect.gen(function*() {
  const [initdb, postgres] = [postgresBinary("initdb"), postgresBinary("postgres")]
  if (initdb === undefined || postgres === undefined) return undefined
  const directory = yield* ownDirectory("postgres")
  const data = path.join(directory, "data")
  const made = childProcess.spawnSync(
    initdb,
    ["-D", data, "-U", "bench", "--auth=trust", "-E", "UTF8", "--no-locale"],
    {
      ...unprivileged,
      cwd: directory,
      encoding: "utf8"
    }
  )
  if (made.status !== 0) return yield* Effect.die(new Error(`initdb failed:\n${made.stderr}`))
  const port = yield* freePort
  yield* started(
    postgres,
    ["-D", data, "-h", "127.0.0.1", "-p", String(port), "-k", directory],
    "ready to accept connections"
  )
  return { kind: "postgres", port }
})

/** The package of Debian, unpacked beside the other servers of the cache. */
const unpackRedis = (): { readonly binary: string; readonly libraries: string } | undefined => {
  const directory = path.join(import.meta.dirname, "..", ".cache", "redis")
  const unpacked = path.join(directory, "unpacked")
  const binary = path.join(unpacked, "usr", "bin", "redis-check-rdb")
  if (!fs.existsSync(binary)) {
    if (onPath("apt-get") === undefined) return undefined
    fs.mkdirSync(directory, { recursive: true })
    const run = (command: string, ...args: ReadonlyArray<string>): boolean =>
      childProcess.spawnSync(command, args, { cwd: directory, stdio: "ignore", timeout: 60_000 }).status === 0
    // The server is the same program as the tools, by another name.
    if (!run("apt-get", "download", "redis-tools", "liblzf1", "libjemalloc2")) return undefined
    for (const name of fs.readdirSync(directory).filter((each) => each.endsWith(".deb"))) {
      if (!run("dpkg-deb", "-x", name, unpacked)) return undefined
    }
    fs.symlinkSync("redis-check-rdb", path.join(path.dirname(binary), "redis-server"))
  }
  const libraries = path.join(unpacked, "usr", "lib")
  const folder = fs.readdirSync(libraries).map((each) => path.join(libraries, each)).find((each) =>
    fs.readdirSync(each).some((file) => file.startsWith("libjemalloc"))
  )
  return { binary: path.join(path.dirname(binary), "redis-server"), libraries: folder ?? libraries }
}

/**
 * Redis that appends each command to its file and syncs once a second. `undefined` where it is neither installed nor to be
 * had.
 */
export const startRedis: Effect.Effect<StoreServer | undefined, Error, Scope.Scope> = Effect.gen(function*() {
  const installed = onPath("redis-server") ?? onPath("valkey-server")
  const found = installed === undefined ? unpackRedis() : { binary: installed, libraries: "" }
  if (found === undefined) return undefined
  const directory = yield* ownDirectory("redis")
  const port = yield* freePort
  const args = ["--bind", "127.0.0.1", "--port", String(port), "--dir", directory, "--appendonly", "yes", "--save", ""]
  yield* started(found.binary, args, "Ready to accept connections", { LD_LIBRARY_PATH: found.libraries })
  return { kind: "redis", port }
})

export interface NatsServers {
  readonly servers: ReadonlyArray<TestNatsServer.TestNatsServer>
  readonly store: StoreServer
}

/** One server after the other is killed, and is there again a second later. */
export const killInTurns = (
  servers: ReadonlyArray<TestNatsServer.TestNatsServer>,
  every: Duration.Input
): Effect.Effect<never, TestNatsServer.TestNatsServerError> =>
  Effect.forever(Effect.forEach(servers, (server) =>
    Effect.gen(function*() {
      yield* Effect.sleep(every)
      yield* server.kill
      yield* Effect.sleep("1 second")
      yield* server.restart
    })))

/** One server, or three that replicate each stream. `sync` makes it sync each message to disk before it confirms it. */
export const startNats = (options: { readonly replicas: 1 | 3; readonly sync?: boolean | undefined }) =>
  Effect.gen(function*() {
    // A block of its own has nothing of that which `jetstream: true` writes.
    const directory = options.sync === true ? yield* ownDirectory("nats") : undefined
    const settings = {
      jetstream: true,
      startTimeout: "60 seconds",
      ...(directory === undefined
        ? {}
        : { config: `jetstream { store_dir: ${JSON.stringify(directory)}, sync_interval: always }` })
    } as const
    const servers = options.replicas === 1
      ? [yield* TestNatsServer.make(settings)]
      : yield* TestNatsServer.cluster(options.replicas, settings)
    const store: StoreServer = { kind: "nats", servers: servers.map(({ url }) => url), replicas: options.replicas }
    return { servers, store } satisfies NatsServers
  })
