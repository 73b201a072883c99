/** Runners of workflows that are killed, as processes. */
import { assert, describe, it } from "@effect/vitest"
import { type Context, Effect, Fiber, Layer, Option } from "effect"
import { NatsCluster, NatsWorkflows } from "effect-nats/cluster"
import { TestNatsServer } from "effect-nats/testing"
import { ClusterWorkflowEngine } from "effect/cluster"
import { spawn } from "node:child_process"
import * as path from "node:path"
import { createInterface } from "node:readline"
import { built } from "../fixtures/clusters.ts"
import { Watched } from "../fixtures/following.ts"
import { connectJetStream } from "../fixtures/jetStream.ts"
import { on } from "../fixtures/keyValue.ts"
import { jetStreamOf } from "../fixtures/places.ts"
import { Job, prefix, shardingConfig } from "../fixtures/workflowJobs.ts"

const file = path.join(import.meta.dirname, "../fixtures/workflowProcess.ts")

class Said extends Watched {
  readonly lines: Array<string> = []

  add(line: string) {
    this.lines.push(line)
    this.changed()
  }

  of(start: string): ReadonlyArray<string> {
    return this.lines.filter((line) => line.startsWith(start))
  }
}

/** A process of its own, killed when the scope closes. */
const started = (url: string, name: string, mode = "") =>
  Effect.gen(function*() {
    const child = yield* Effect.acquireRelease(
      Effect.sync(() => spawn(process.execPath, [file, url, name, mode], { stdio: ["ignore", "pipe", "inherit"] })),
      (running) => Effect.sync(() => running.kill("SIGKILL"))
    )
    const said = new Said()
    const gone = new Promise<void>((resolve) => child.once("close", () => resolve()))
    createInterface({ input: child.stdout }).on("line", (line) => said.add(line))
    const end = (signal: NodeJS.Signals) =>
      Effect.andThen(Effect.sync(() => child.kill(signal)), Effect.promise(() => gone))
    yield* said.until(({ lines }) => lines.includes("ready"))
    return { said, end, goOn: Effect.sync(() => child.kill("SIGCONT")) }
  })

const setting = Effect.gen(function*() {
  const { url } = yield* TestNatsServer.make({ jetstream: true })
  const { context } = yield* built(
    ClusterWorkflowEngine.layer.pipe(
      Layer.provideMerge(NatsCluster.layerClientOnly({ prefix, shardingConfig })),
      Layer.provide(jetStreamOf(url, "caller"))
    )
  )
  return {
    url,
    as: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.provideContext(effect, context as Context.Context<R>)
  }
})

describe("a killed runner", () => {
  it.live(
    "whose activity hung leaves a run that the next one completes, and every call for it is answered",
    () =>
      Effect.gen(function*() {
        const { as, url } = yield* setting
        const one = yield* started(url, "one", "hangs")
        const ids = ["a", "b", "c"]
        const calls = yield* Effect.forkScoped(as(
          Effect.forEach([...ids, ...ids], (id) => Job.execute({ id }), { concurrency: "unbounded" })
        ))
        yield* one.said.until((said) => said.of("hangs").length === 3)
        const two = yield* started(url, "two")
        yield* one.end("SIGKILL")
        const results = yield* Fiber.join(calls)
        assert.deepStrictEqual(results, [...ids, ...ids].map(() => ["two", "two"]))
        for (const id of ids) {
          assert.lengthOf(two.said.of(`first of ${id}`), 1)
          assert.lengthOf(two.said.of(`second of ${id}`), 1)
        }
      }),
    90_000
  )

  it.live(
    "in the middle of sleeps that end while no runner is there runs no stored activity again",
    () =>
      Effect.gen(function*() {
        const { as, url } = yield* setting
        const one = yield* started(url, "one")
        const ids = Array.from({ length: 20 }, (_, id) => `job ${id}`)
        yield* as(Effect.forEach(ids, (id) => Job.execute({ id }, { discard: true }), { concurrency: 10 }))
        yield* one.said.until((said) => said.of("first").length === ids.length)
        // Some may have been killed before their result was stored: nobody has it.
        yield* one.end("SIGKILL")
        const two = yield* started(url, "two")
        const results = yield* as(Effect.forEach(ids, (id) => Job.execute({ id }), { concurrency: "unbounded" }))
        for (const [index, id] of ids.entries()) {
          const [first = "", second = ""] = results[index]!
          assert.lengthOf(two.said.of(`first of ${id}`).filter((line) => line.endsWith(id)), first === "two" ? 1 : 0)
          const seconds = [...one.said.of("second"), ...two.said.of("second")].filter((line) => line.endsWith(` ${id}`))
          assert.include(["one", "two"], second)
          assert.isAtLeast(seconds.length, 1)
        }
      }),
    90_000
  )
})

/** What a store outside is given with a write: it refuses one that is smaller than another that it has seen. */
const tokenOf = (line: string | undefined): number => Number(line?.split(" ").at(-1))

describe("a stopped runner", () => {
  it.live(
    "whose step another one has done stores no result of it when it goes on, and has the smaller token",
    () =>
      Effect.gen(function*() {
        const { as, url } = yield* setting
        const one = yield* started(url, "one", "stops")
        const executionId = yield* as(Job.execute({ id: "a" }, { discard: true }))
        yield* one.said.until((said) => said.of("stops").length === 1)
        const two = yield* started(url, "two")
        const expected = ["one", "two"]
        assert.deepStrictEqual(yield* as(Job.execute({ id: "a" })), expected)
        yield* one.goOn
        yield* one.said.until((said) => said.of("writes second of a").length === 1)
        const [early, late] = [one, two].map(({ said }) => tokenOf(said.of("writes second of a")[0]))
        assert.isBelow(early!, late!)
        // It is asked again, so that all is over that it had begun.
        let other = 0
        while (one.said.of("first of other").length === 0) {
          yield* as(Job.execute({ id: `other ${other++}` }, { discard: true }))
          yield* Effect.sleep("100 millis")
        }
        assert.deepStrictEqual(yield* as(Job.execute({ id: "a" })), expected)
        const { js } = yield* connectJetStream({ url } as TestNatsServer.TestNatsServer)
        const history = yield* on(js, NatsWorkflows.history({ prefix, workflow: Job._tag, executionId, payload: true }))
        const activities = Option.getOrThrow(history).steps.filter(({ kind }) => kind === "activity")
        assert.deepStrictEqual(activities.map(({ exit, name }) => [name, exit]), [
          ["first", { _tag: "Success", value: "one" }],
          ["second", { _tag: "Success", value: "two" }]
        ])
        assert.lengthOf(two.said.of("second of a"), 1)
        assert.lengthOf(two.said.of("first of a"), 0)
      }),
    90_000
  )
})

describe("a cron job", () => {
  it.live(
    "goes on after each restart, by kill and by an orderly stop, and no tick comes twice",
    () =>
      Effect.gen(function*() {
        const { url } = yield* setting
        const ticks: Array<{ readonly tick: string; readonly isLastOfKilled: boolean }> = []
        for (const signal of ["SIGKILL", "SIGTERM", "SIGKILL"] as const) {
          const runner = yield* started(url, "one", "cron")
          yield* runner.said.until((said) => said.of("tick").length >= 2)
          yield* runner.end(signal)
          const own = runner.said.of("tick")
          for (const [index, tick] of own.entries()) {
            ticks.push({ tick, isLastOfKilled: signal === "SIGKILL" && index === own.length - 1 })
          }
        }
        // One that was handled and not stored yet when its process was killed is handled again.
        const seen = new Set<string>()
        for (const { tick, isLastOfKilled } of ticks) {
          assert.isFalse(seen.has(tick), tick)
          if (!isLastOfKilled) seen.add(tick)
        }
      }),
    120_000
  )
})
