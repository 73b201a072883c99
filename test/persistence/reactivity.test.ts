/** Invalidations over processes: which keys agree, what is invalidated when messages were missed, and what fails nothing. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { NatsClient } from "effect-nats"
import { NatsReactivity } from "effect-nats/persistence"
import { TestNatsServer } from "effect-nats/testing"
import type { Reactivity } from "effect/reactivity"
import { until } from "../fixtures/following.ts"

const connect = (url: string, options: NatsClient.Options = {}) =>
  NatsClient.make({ servers: url, reconnect: { initialDelay: "10 millis" }, ...options })

/** A process: a client of its own, and what it has heard. */
const processOn = (url: string, options: NatsClient.Options = {}) =>
  Effect.gen(function*() {
    const nats = yield* connect(url, options)
    const reactivity = yield* Effect.provideService(NatsReactivity.make(), NatsClient.NatsClient, nats)
    const heard: Array<string> = []
    const hear = (name: string, keys: Parameters<Reactivity.Reactivity["invalidate"]>[0]) => {
      reactivity.registerUnsafe(keys, () => heard.push(name))
    }
    return { nats, reactivity, heard, hear }
  })

describe("what one process invalidates", () => {
  it.live("is invalidated in the others, whatever its keys are, and once where it was done", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      const [one, two] = [yield* processOn(server.url), yield* processOn(server.url)]
      const all: Record<string, Parameters<Reactivity.Reactivity["invalidate"]>[0]> = {
        text: ["users"],
        number: [7],
        bigint: [8n],
        boolean: [true],
        nothing: [null],
        structure: [{ a: 1, b: [2, { c: "x" }] }],
        date: [new Date(0)],
        map: [new Map([["a", 1]])],
        id: { users: [1] },
        structuredId: { orders: [{ id: 1 }] },
        surrogate: ["\ud800"]
      }
      for (const [name, keys] of Object.entries(all)) {
        one.hear(name, keys)
        two.hear(name, keys)
        one.hear("other", ["other"])
        two.hear("other", ["other"])
        one.heard.length = 0
        two.heard.length = 0
        // A copy, so that no object is the same.
        yield* one.reactivity.invalidate(structuredClone(keys))
        yield* until(Effect.sync(() => two.heard.includes(name)))
        assert.strictEqual(one.heard.filter((each) => each === name).length, 1, name)
        assert.strictEqual(two.heard.filter((each) => each === name).length, 1, name)
        assert.isFalse(two.heard.includes("other"))
      }
    }))
})
