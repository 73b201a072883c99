/**
 * Runs effect's own suites of its stores against the stores of this package, where a copy of effect's repository is at
 * hand. Nothing of it is kept here: the files are read from the pinned commit into `.cache/upstream` for the run.
 *
 *   node scripts/upstream.mjs ../effect             a git directory or a work tree; or EFFECT_REPOSITORY
 *   node scripts/upstream.mjs ../effect --only PersistedQueue
 *   NATS_SERVER=$(node scripts/natsServer.mjs 2.10) node scripts/upstream.mjs ../effect
 *
 * The contracts have changed between the pinned commit and the installed effect: what only has another name now is renamed
 * while a file is read, other cases are in `differing` with the reason. Any other failure ends this with 1. Each suite also
 * runs against the store in memory of the installed effect, and where that fails too it is told.
 */
import * as childProcess from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { SetupError, shown, tell } from "./run.mjs"

/** 4.0.0-rc.111, of 22 August 2026. Modules stood under `effect/unstable` there. */
const pinned = "1144032cedda7b5eacc1ebf980d06957c7a59ddf"

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..")
const into = path.join(root, ".cache", "upstream")

const unit = "packages/effect/test/unstable/persistence"
const cluster = "packages/platform/node/test/cluster"

/** Text that has to be there: where it is not, the pinned commit has moved and this script has to follow. */
const replaced = (text, from, to) => {
  if (typeof from === "string" ? !text.includes(from) : !from.test(text)) {
    throw new SetupError(`The suite at ${pinned} has no ${from}. Bring scripts/upstream.mjs to the pinned commit.`)
  }
  return typeof from === "string" ? text.replaceAll(from, to) : text.replace(from, to)
}

const entry = (imported, call) => `
import { suite } from "./${imported}"
import { layers } from "./stores.ts"
suite(layers.name, layers.${call})
`

/** `Encoding` is gone. */
const keyValueStore = (read) =>
  replaced(
    replaced(read(`${unit}/KeyValueStoreTest.ts`), "import { Effect, Encoding }", "import { Effect }"),
    "Encoding.encodeBase64(bytes)",
    "Buffer.from(bytes).toString(\"base64\")"
  )

/** Attempts count from 1 and a retry waits now, and `maxAttempts` is given to the queue. */
const persistedQueue = (read) => {
  let text = read(`${unit}/PersistedQueueTest.ts`)
  text = replaced(
    text,
    "import { Effect, Fiber, Latch, Layer, Schema }",
    "import { Effect, Fiber, Latch, Layer, Schedule, Schema }"
  )
  text = replaced(text, "assert.strictEqual(attempts, 1)", "assert.strictEqual(attempts, 2)")
  text = replaced(
    text,
    "name: \"test-queue-c\",",
    "name: \"test-queue-c\",\n          retrySchedule: Schedule.recurs(9),"
  )
  return replaced(text, "name: \"test-queue-exhausted\",", "name: \"test-queue-exhausted\",\n          maxAttempts: 1,")
}

/** The cases that ask a storage for messages, each on a storage of its own: `truncate` has nothing to do then. */
const messageStorage = (read) => {
  let text = read(`${cluster}/SqlMessageStorage.integration.test.ts`)
  text = replaced(text, /import \{ SqliteClient \}.*\n/, "")
  text = replaced(text, /import \{ SqlClient \}.*\n/, "")
  text = replaced(text, /import \{ MysqlContainer \}.*\n/, "")
  text = replaced(
    text,
    /import \{ PgContainer \}.*\n/,
    "import { eachOnItsOwn, makeEncoded, SqlClient, StorageLayer } from \"./stores.ts\"\n"
  )
  text = replaced(text, /,\n {2}SqlMessageStorage\n/, "\n")
  text = replaced(text, "SqlMessageStorage.makeEncoded()", "makeEncoded()")
  text = replaced(text, /const StorageLayer = [\s\S]*?\n\)\n/, "")
  text = replaced(text, /const truncate = [\s\S]*?\n\}\)\n/, "const truncate = Effect.void\n")
  text = replaced(text, /\(\[\n {4}\["pg"[\s\S]*?\] as const\)/, "([[\"store\", Layer.empty]] as const)")
  text = replaced(text, /it\.layer\(StorageLayer\.pipe[\s\S]*?\}\)\(label, /, "eachOnItsOwn(label, ")
  text = replaced(
    text,
    /Effect\.provide\(StorageLayer\.pipe\(\s*Layer\.provideMerge\(SqliteLayer\)\s*\)\)/,
    "Effect.provide(StorageLayer())"
  )
  return replaced(text, /const SqliteLayer = [\s\S]*$/, "")
}

const messageCases = (read) => {
  let text = read(`${cluster}/MessageStorageTest.ts`)
  text = replaced(text, /const MemoryLayer = [\s\S]*?\n\)\n/, "import { StorageLayer } from \"./stores.ts\"\n")
  return replaced(text, "Effect.provide(MemoryLayer)", "Effect.provide(StorageLayer())")
}

/** The two cases that are not about SQL. */
const runnerStorage = (read) => {
  const text = read(`${cluster}/SqlRunnerStorage.integration.test.ts`)
  const [cases] = /it\.effect\("getRunners"[\s\S]*?(?=\n {4}\}\)\n)/.exec(text) ?? []
  if (cases === undefined) throw new SetupError(`The suite of runner storage has no getRunners at ${pinned}.`)
  // Machine ids are small numbers; SQL's begin at 1, those in memory at 0.
  let body = replaced(cases, "expect(machineId).toEqual(1)", "expect(machineId).toBeLessThan(2)")
  // Who has no address, or gave it back, takes no lock here: the case asks for locks after another one has unregistered.
  body = replaced(
    body,
    "let acquired = yield*",
    `yield* storage.register(Runner.make({ address: runnerAddress1, groups: ["default"], weight: 1 }), true)
        let acquired = yield*`
  )
  return `
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { Runner, RunnerAddress, RunnerStorage, ShardId } from "effect/cluster"
import { layers } from "./stores.ts"
const runnerAddress1 = RunnerAddress.make("localhost", 1234)
describe("RunnerStorage", () => {
  it.layer(layers.runnerStorage)("store", (it) => {
    ${body}
  })
})
`
}

const suites = {
  KeyValueStore: (read) => ({
    "KeyValueStoreTest.ts": keyValueStore(read),
    "run.test.ts": entry("KeyValueStoreTest.ts", "keyValueStore")
  }),
  PersistedCache: (read) => ({
    "PersistedCacheTest.ts": read(`${unit}/PersistedCacheTest.ts`),
    "run.test.ts": entry("PersistedCacheTest.ts", "persistence")
  }),
  PersistedQueue: (read) => ({
    "PersistedQueueTest.ts": persistedQueue(read),
    "run.test.ts": entry("PersistedQueueTest.ts", "persistedQueue")
  }),
  RateLimiter: (read) => ({
    "run.test.ts": `import { rateLimiter } from "./stores.ts"\n` +
      replaced(read(`${unit}/RateLimiter.test.ts`), "RateLimiter.layerStoreMemory", "rateLimiter()")
  }),
  RunnerStorage: (read) => ({ "run.test.ts": runnerStorage(read) }),
  MessageStorage: (read) => ({
    "MessageStorageTest.ts": messageCases(read),
    "run.test.ts": messageStorage(read)
  })
}

/** What the suites find as `stores.ts`: the stores under test by the names that the entries above use. */
const shared = `
import { describe, it } from "@effect/vitest"
import { NodeCrypto } from "@effect/platform-node"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as MessageStorage from "effect/cluster/MessageStorage"
import * as ShardingConfig from "effect/cluster/ShardingConfig"
import * as Snowflake from "effect/cluster/Snowflake"

/** What the suites ask of SQL: a statement for time to pass. Whatever else they read is a table. */
export const SqlClient = {
  SqlClient: Effect.succeed((parts) =>
    parts[0] === "SELECT 1"
      ? Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 5)))
      : Effect.die("reads a table of SQL")
  )
}

const storage = (layer) =>
  layer.pipe(Layer.provideMerge(Snowflake.layerGenerator), Layer.provide([ShardingConfig.layerDefaults, NodeCrypto.layer]))

export const StorageLayer = () => storage(messageStorage())

export const eachOnItsOwn = (name, cases) =>
  describe(name, () =>
    cases({ effect: (title, body) => it.effect(title, () => body().pipe(Effect.provide(StorageLayer()))) }))

let count = 0
const nextName = () => \`upstream\${process.pid}x\${++count}\`
`

const ofMemory = `
import * as KeyValueStore from "effect/persistence/KeyValueStore"
import * as PersistedQueue from "effect/persistence/PersistedQueue"
import * as Persistence from "effect/persistence/Persistence"
import * as RateLimiter from "effect/persistence/RateLimiter"
import * as RunnerStorage from "effect/cluster/RunnerStorage"
${shared}
const messageStorage = () => Layer.fresh(MessageStorage.layerMemory)
export const makeEncoded = () => Effect.map(MessageStorage.MemoryDriver, ({ encoded }) => encoded)
export const rateLimiter = () => Layer.fresh(RateLimiter.layerStoreMemory)
export const layers = {
  name: "store",
  keyValueStore: KeyValueStore.layerMemory,
  persistence: Persistence.layerMemory,
  persistedQueue: PersistedQueue.layerStoreMemory,
  runnerStorage: RunnerStorage.layerMemory
}
`

const ofNats = `
import { NatsLayer } from "effect-nats"
import { JetStream } from "effect-nats/jetstream"
import * as cluster from "effect-nats/cluster"
import * as persistence from "effect-nats/persistence"
import * as Persistence from "effect/persistence/Persistence"
${shared}
// The connection's own timers are not those of a suite that turns the clock.
const live = Layer.succeed(Clock.Clock, Context.get(Context.empty(), Clock.Clock))
const nats = () =>
  JetStream.layer().pipe(
    Layer.provideMerge(NatsLayer.fromUnknown({ servers: process.env.UPSTREAM_NATS_URL })),
    Layer.provide(live)
  )
const on = (layer) => Layer.provide(layer, nats())
const messageStorage = () => on(cluster.NatsMessageStorage.layer({ prefix: nextName() }))
export const makeEncoded = () => Effect.die("there is no second driver")
export const rateLimiter = () => on(persistence.NatsRateLimiter.layerStore({ bucket: nextName() }))
// Each is looked up when its suite asks for it.
export const layers = {
  name: "store",
  get keyValueStore() {
    return on(persistence.NatsKeyValueStore.layer({ bucket: nextName() }))
  },
  get persistence() {
    return Persistence.layer.pipe(Layer.provide(on(persistence.NatsPersistence.layerBacking({ bucket: nextName() }))))
  },
  get persistedQueue() {
    return on(persistence.NatsPersistedQueue.layerStore({ prefix: nextName() }))
  },
  get runnerStorage() {
    return on(cluster.NatsRunnerStorage.layer({ prefix: nextName() })).pipe(Layer.provide(ShardingConfig.layerDefaults))
  }
}
`

/**
 * Cases that differ by what a store is, and not by a fault. By the last part of their names; what they fail with has to have
 * the text, so that another failure of the same case is not hidden.
 */
const differing = {
  "counts schema decode failures as attempts": {
    failure: "timed out",
    reason: "since 4.1 what does not decode is a dead letter and `take` goes on to the next"
  },
  "hashes primary keys longer than the message_id column": {
    failure: "a table of SQL",
    reason: "reads a table of SQL"
  },
  "keeps primary keys within the column width as plaintext": {
    failure: "a table of SQL",
    reason: "reads a table of SQL"
  },
  "encoded unprocessedMessages fails closed for empty addresses": {
    failure: "no second driver",
    reason: "reads by a second driver of one process; here a process has one"
  },
  "encoded resetAddresses fails closed for an empty address list": {
    failure: "no second driver",
    reason: "claims by a second driver of one process; here a process has one"
  }
}

const config = `
import { mergeConfig } from "vitest/config"
import base from "../../vitest.config.ts"
export default mergeConfig({ ...base, test: { ...base.test, include: [] } }, {
  test: { root: ${JSON.stringify(root)}, dir: ${JSON.stringify(into)}, include: ["**/run.test.ts"], exclude: [] }
})
`

const git = (repository, ...args) =>
  childProcess.spawnSync("git", ["-C", repository, ...args], { encoding: "utf8", maxBuffer: 1e8 })

const reader = (repository) => {
  if (git(repository, "cat-file", "-e", `${pinned}^{commit}`).status !== 0) {
    throw new SetupError(
      `${repository} is no copy of effect's repository that has the commit ${pinned}. Fetch it there.`
    )
  }
  return (file) => {
    const { status, stdout } = git(repository, "show", `${pinned}:${file}`)
    if (status !== 0) throw new SetupError(`${file} is not in ${repository} at ${pinned}.`)
    return stdout.replaceAll("effect/unstable/", "effect/")
  }
}

const extract = (read, names) => {
  fs.rmSync(into, { recursive: true, force: true })
  for (const name of names) {
    for (const [store, stores] of [["nats", ofNats], ["memory", ofMemory]]) {
      const folder = path.join(into, store, name)
      fs.mkdirSync(folder, { recursive: true })
      fs.writeFileSync(path.join(folder, "stores.ts"), stores)
      for (const [file, text] of Object.entries(suites[name](read))) fs.writeFileSync(path.join(folder, file), text)
    }
  }
  fs.writeFileSync(path.join(into, "vitest.config.ts"), config)
}

const runSuites = async (url) => {
  const report = path.join(into, "report.json")
  const vitest = path.join(root, "node_modules", "vitest", "vitest.mjs")
  const args = ["run", "--config", path.join(into, "vitest.config.ts"), "--reporter=json", `--outputFile=${report}`]
  const child = childProcess.spawn(process.execPath, [vitest, ...args], {
    cwd: root,
    env: { ...process.env, UPSTREAM_NATS_URL: url },
    stdio: ["ignore", "ignore", "pipe"]
  })
  let errors = ""
  child.stderr.on("data", (text) => {
    errors += text
  })
  await new Promise((resolve) => child.once("exit", resolve))
  if (!fs.existsSync(report)) throw new SetupError(`The suites did not run:\n${errors}`)
  return JSON.parse(fs.readFileSync(report, "utf8"))
}

/** suite → store → case → what it failed with, `undefined` where it passed. */
const outcomes = ({ testResults }) => {
  const all = {}
  for (const { assertionResults, message, name: file } of testResults) {
    const [store, suite] = path.relative(into, file).split(path.sep)
    const cases = (all[suite] ??= { nats: new Map(), memory: new Map() })[store]
    if (assertionResults.length === 0) cases.set("the suite itself", message || "nothing ran")
    for (const { ancestorTitles, failureMessages, status, title } of assertionResults) {
      const failure = status === "passed" ? undefined : failureMessages.join("\n") || status
      cases.set(`${ancestorTitles.length === 0 ? "" : `${ancestorTitles.join(" > ")} > `}${title}`, failure)
    }
  }
  return all
}

const firstLines = (text) => text.split("\n").filter((line) => line.trim() !== "").slice(0, 6).join("\n      ")

const print = (all) => {
  let failed = 0
  for (const [suite, { memory, nats }] of Object.entries(all)) {
    const passed = [...nats.values()].filter((failure) => failure === undefined).length
    console.log(`${suite}: ${passed} of ${nats.size}`)
    for (const [title, failure] of nats) {
      if (failure === undefined) continue
      const known = Object.entries(differing).find(([ending]) => title.endsWith(ending))?.[1]
      if (known !== undefined && failure.includes(known.failure)) {
        console.log(`  differs: ${title}: ${known.reason}`)
        continue
      }
      failed++
      const inMemory = memory.get(title) === undefined ? "" : " (with effect's own store in memory too)"
      console.log(`  FAILED: ${title}${inMemory}\n      ${firstLines(failure)}`)
    }
  }
  return failed
}

const main = async () => {
  const { positionals, values } = parseArgs({ allowPositionals: true, options: { only: { type: "string" } } })
  const repository = positionals[0] ?? process.env.EFFECT_REPOSITORY
  if (repository === undefined) {
    throw new SetupError(
      "Where is a copy of effect's repository? Give its folder: `node scripts/upstream.mjs ../effect`, or set EFFECT_REPOSITORY."
    )
  }
  const names = Object.keys(suites).filter((name) => values.only === undefined || name.includes(values.only))
  if (names.length === 0) {
    throw new SetupError(`No suite has ${values.only} in its name: ${Object.keys(suites).join(", ")}.`)
  }
  extract(reader(path.resolve(repository)), names)
  const { TestNatsServer } = await import("effect-nats/testing")
  const Effect = await import("effect/Effect")
  const { version } = JSON.parse(fs.readFileSync(path.join(root, "node_modules", "effect", "package.json"), "utf8"))
  tell(`effect's suites of 4.0.0-rc.111 (${pinned.slice(0, 7)}), run with effect ${version}`)
  const report = await Effect.runPromise(Effect.scoped(
    TestNatsServer.make({ jetstream: true }).pipe(
      Effect.flatMap(({ url, version }) => {
        tell(`nats-server ${version}`)
        return Effect.promise(() => runSuites(url))
      })
    )
  ))
  if (print(outcomes(report)) > 0) process.exitCode = 1
}

try {
  await main()
} catch (error) {
  console.error(shown(error))
  process.exitCode = 2
}
