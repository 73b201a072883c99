/**
 * `effect-nats server`: a nats-server for tests and CI.
 */
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { UsageError } from "./failure.ts"
import { jsonFlag, switchFlag, textFlag } from "./flags.ts"
import * as Output from "./output.ts"
import type { Server } from "./server/caches.mjs"
import { cachedServers, projectCache, userCache } from "./server/caches.mjs"
import { fromAddress } from "./server/fromAddress.ts"
import { stopChildren } from "./server/process.mjs"
import { provideServer } from "./server/provideServer.mjs"
import { ServerProblem } from "./server/serverProblem.mjs"
import { parseWanted } from "./server/versions.mjs"

/** There is no server to use. */
export class ServerUnavailable extends Schema.TaggedError<ServerUnavailable>()("ServerUnavailable", {
  /** Which of the causes that a `ServerProblem` has. */
  reason: Schema.String,
  /** The sentence. */
  problem: Schema.String,
  /** What can be done; empty where the sentence says it. */
  remedies: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return this.remedies.length === 0 ? this.problem : `${this.problem} You can ${this.remedies.join("; or ")}.`
  }
}

interface Options {
  readonly version: string | undefined
  readonly list: boolean
  readonly from: string | undefined
  readonly sha256: string | undefined
}

const problemOf = ({ message, reason, remedies }: ServerProblem): UsageError | ServerUnavailable =>
  reason === "BadRequest"
    ? new UsageError({ problem: message })
    : new ServerUnavailable({ reason, problem: message, remedies })

/** What is thrown and is no `ServerProblem` is a fault. */
const attempt = <A>(work: (signal: AbortSignal) => Promise<A>): Effect.Effect<A, UsageError | ServerUnavailable> => {
  const failure = (error: unknown): Effect.Effect<never, UsageError | ServerUnavailable> => {
    if (error instanceof ServerProblem) return Effect.fail(problemOf(error))
    throw error
  }
  return Effect.promise((signal) => work(signal).then((found) => Effect.succeed(found), failure)).pipe(
    Effect.flatten,
    // What apt or Homebrew still does has no one to do it for.
    Effect.onInterrupt(() => Effect.sync(stopChildren))
  )
}

const checkOptions = ({ from, list, sha256, version }: Options): Effect.Effect<void, UsageError> => {
  const others = [version, from, sha256].some((value) => value !== undefined)
  if (list && others) {
    return Effect.fail(new UsageError({ problem: "--list stands alone: it shows all that is cached." }))
  }
  if (sha256 === undefined || from !== undefined) return Effect.void
  const problem = "--sha256 is the digest of a file that --from names: give both, or neither."
  return Effect.fail(new UsageError({ problem }))
}

const caches = () => [projectCache(process.cwd()) ?? [], userCache()].flat()

const provide = ({ from, sha256, version }: Options): Effect.Effect<Server, UsageError | ServerUnavailable> =>
  attempt(async (signal) => {
    const wanted = version === undefined ? undefined : parseWanted(version)
    if (from !== undefined) return fromAddress({ from, sha256, wanted, target: userCache(), signal })
    return provideServer({ caches: caches(), target: userCache(), wanted })
  })

export const server = Command.make(
  "server",
  {
    version: textFlag("version", "VERSION", "A series such as 2.15, or an exact version such as 2.15.1"),
    list: switchFlag("list", "Show what is cached, and fetch nothing"),
    from: textFlag("from", "URL", "A file to take it from (https, http, file): a program, a .tar.gz or a .zip"),
    sha256: textFlag("sha256", "HEX", "The SHA-256 that the file of --from must have"),
    json: jsonFlag
  },
  Effect.fn(function*({ json, ...options }) {
    yield* checkOptions(options)
    if (options.list) {
      const servers = caches().flatMap(cachedServers)
      if (json) return yield* Output.json(servers)
      const rows = servers.map(({ from, path, version }) => [version, Output.shown(path), from])
      return yield* Effect.forEach(Output.table(rows), (row) => Output.line(row), { discard: true })
    }
    const found = yield* provide(options)
    yield* json ? Output.json(found) : Output.line(found.path)
  })
).pipe(
  Command.withDescription(
    "Prints the path of a nats-server for tests and CI, fetched into the user's cache where there is none; needs no root"
  ),
  Command.withExamples([
    {
      command: "NATS_SERVER=$(npx effect-nats server) npm test",
      description: "The newest that is there, 2.10 or newer"
    },
    { command: "effect-nats server --version 2.15", description: "One of a series; several stand side by side" },
    {
      command: "effect-nats server --from https://example.com/nats-server.tar.gz --sha256 HEX",
      description: "From a file that you trust by its digest, where no package has one"
    },
    { command: "effect-nats server --list" }
  ])
)
