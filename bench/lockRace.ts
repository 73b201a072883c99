/**
 * Runners that race for the locks of shards, while whoever has the most is killed, cut off, or hears late. Ends with 1 when two
 * relied on one lock at a time, a token did not grow, or a lock of a killed runner was free too late.
 *
 *   node bench/lockRace.ts               10 runners, 300 locks, about a minute of faults
 *   node bench/lockRace.ts --faults 6    shorter
 */
import { TestNatsServer } from "effect-nats/testing"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as References from "effect/References"
import { parseArgs } from "node:util"
import { conflicts, race } from "../test/fixtures/lockHistory.ts"
import { quantile } from "./workload.ts"

const { values: given } = parseArgs({
  options: {
    runners: { type: "string", default: "10" },
    locks: { type: "string", default: "300" },
    faults: { type: "string", default: "27" }
  }
})
const lease = Duration.seconds(2)
const [runners, locks] = [Number(given.runners), Number(given.locks)]

/** The lease, and what it may take to notice its end. */
const mostMillis = Duration.toMillis(lease) + 1_000

const program = Effect.gen(function*() {
  const { port } = yield* TestNatsServer.make({ jetstream: true })
  const since = performance.now()
  const { freed, history } = yield* race({
    port,
    runners,
    locks,
    // Each asks for all that it has not: whoever is left out of what is free takes it up at once.
    most: locks,
    lease,
    faults: Number(given.faults)
  })
  const found = conflicts(history, Duration.toMillis(lease))
  console.log([
    `${runners} runners, ${locks} locks of ${Duration.toSeconds(lease)} s, ${given.faults} faults, ` +
    `${((performance.now() - since) / 1_000).toFixed(0)} s`,
    `  tenures                    ${history.length}`,
    `  had by two at a time       ${found.length}`,
    `  free after a kill, p50     ${quantile(freed, 0.5).toFixed(0)} ms`,
    `  free after a kill, latest  ${(freed.at(-1) ?? 0).toFixed(0)} ms (is to be under ${mostMillis})`,
    ...found.slice(0, 5).map((each) => `    ${each}`)
  ].join("\n"))
  if (found.length > 0 || (freed.at(-1) ?? 0) > mostMillis) process.exitCode = 1
})

await program.pipe(
  Effect.scoped,
  Effect.provideService(References.MinimumLogLevel, "Error"),
  Effect.runPromise
)
