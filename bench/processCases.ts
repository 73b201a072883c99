/**
 * What a process costs: to connect, to import, and what it keeps in memory.
 */
import { both, type Cases, row, type Run, type Runs } from "./cases.ts"

const effectAlone = ["effect/Effect", "effect/Layer", "effect/Stream", "effect/Schema", "effect/Config"]

const fewer = (runs: Runs): Runs =>
  Object.fromEntries(Object.entries(runs).map(([name, run]): [string, Run] => [name, { ...run, rounds: 3 }]))

const runs: Runs = {
  ...both("connect", "real", "connect", 0, 20, 60),
  ...fewer({
    ...both("unread", "scripted", "hold-unread", 128, 0, 500_000),
    ...both("flow", "scripted", "hold-nothing", 128, 300_000, 1_000_000),
    ...both("idle", "scripted", "hold-idle", 0, 1_000, 10_000),
    ...both("idle, read", "scripted", "hold-idle-read", 0, 1_000, 10_000)
  }),
  "import/raw": { server: "none", imports: ["@nats-io/transport-node"] },
  "import/ours": { server: "none", imports: ["effect-nats"] },
  "import/effect": { server: "none", imports: effectAlone }
}

// The default bound of what may wait unread: 64 MiB.
const bound = 67.1

const memory = [
  row("Unread", "500,000 messages of 128 B, `dropNewest`", "unread/ours", "unread/raw", {
    measure: "held",
    unit: "MB",
    by: "itself",
    target: bound
  }),
  row("Flow", "1,000,000 messages of 128 B", "flow/ours", "flow/raw", {
    measure: "held",
    unit: "MB",
    by: "itself",
    target: 1
  }),
  row("Idle", "a subscription", "idle/ours", "idle/raw", { measure: "heldEach", unit: "KB", target: 2 }),
  row("Idle", "a subscription with a reader, against `for await`", "idle, read/ours", "idle, read/raw", {
    measure: "heldEach",
    unit: "KB",
    target: 2
  }),
  row("Import", "resident memory", "import/ours", "import/raw", {
    measure: "rss",
    unit: "MB",
    by: "difference",
    target: 40
  }),
  row("Import", "resident memory of `effect` alone", "import/effect", "import/raw", {
    measure: "rss",
    unit: "MB",
    by: "difference"
  })
]

const start = [
  row("Connect, real server", "layer build to connected, p50", "connect/ours", "connect/raw", {
    measure: "p50",
    unit: "ms",
    by: "difference",
    target: 5
  }),
  row("Connect, real server", "the first one of a process", "connect/ours", "connect/raw", {
    measure: "first",
    unit: "ms",
    by: "difference"
  }),
  row("Import", "import", "import/ours", "import/raw", { unit: "ms", target: 3 }),
  row("Import", "import of `effect` alone", "import/effect", "import/raw", { unit: "ms" }),
  row("Import", "process start to imported", "import/ours", "import/raw", { measure: "start", unit: "ms" })
]

export const processCases: Cases = {
  runs,
  sections: [{ title: "Memory", rows: memory }, { title: "Connect and start", rows: start }]
}
