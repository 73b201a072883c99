/** Changes of one state by many, where a write is not answered: what a server does at a moment that cannot be chosen is done here. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { NatsError } from "effect-nats"
import { JetStream, JetStreamError, KeyValue } from "effect-nats/jetstream"
import { openCells } from "../../src/persistence/internal/cells.ts"
import { withJetStream } from "../fixtures/jetStream.ts"

const Count = Schema.Struct({ count: Schema.Finite })
type Count = typeof Count.Type

const expiresAt = 2 ** 52

/** Cells whose writes are those of a bucket, changed. */
const counting = (
  change: (write: Effect.Effect<number, never>, subject: string) => Effect.Effect<number, unknown>
) =>
  Effect.gen(function*() {
    const { js } = yield* withJetStream()
    yield* Effect.provideService(KeyValue.create("counts", { keyTtl: true }), JetStream.JetStream, js)
    const bucket = yield* Effect.provideService(openCells("counts"), JetStream.JetStream, js)
    const cells = yield* bucket.cells("count", Count)
    const kv = cells["kv"]
    const changed: Partial<typeof kv> = {
      create: (key, ...rest) => change(kv.create(key, ...rest) as never, key) as never,
      update: (key, ...rest) => change(kv.update(key, ...rest) as never, key) as never
    }
    Object.assign(cells, { kv: { ...kv, ...changed } })
    const add = cells.step<number>("key", (held) => {
      const count = (held?.state.count ?? 0) + 1
      return { answer: count, next: { state: { count }, expiresAt } }
    })
    return { add }
  })

const unanswered = (subject: string) =>
  new JetStreamError.PublishOutcomeUnknown({
    subject,
    reason: new NatsError.RequestTimedOut({ subject, timeoutMillis: 1 })
  })

describe("a step whose write is not answered", () => {
  it.live("is taken once, where the write comes before the next try", () =>
    Effect.gen(function*() {
      let writes = 0
      const { add } = yield* counting((write, subject) =>
        ++writes === 1 ? Effect.andThen(write, Effect.fail(unanswered(subject))) : write
      )
      assert.strictEqual(yield* add, 1)
      assert.strictEqual(yield* add, 2)
    }))

  it.live("is taken once, where the write comes when the next one is on its way already", () =>
    Effect.gen(function*() {
      let held: Effect.Effect<unknown> | undefined
      let writes = 0
      const { add } = yield* counting((write, subject) => {
        if (++writes === 1) {
          held = write
          return Effect.fail(unanswered(subject))
        }
        return writes === 2 ? Effect.andThen(held!, write) : write
      })
      assert.strictEqual(yield* add, 1)
      assert.strictEqual(yield* add, 2)
    }))

  it.live("fails where it is never answered nor stored", () =>
    Effect.gen(function*() {
      const { add } = yield* counting((_, subject) => Effect.fail(unanswered(subject)))
      assert.strictEqual((yield* Effect.flip(add))._tag, "PublishOutcomeUnknown")
    }))
})
