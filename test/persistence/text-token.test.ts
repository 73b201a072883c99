/** Any text as a token: no two have one, each is found again, and the longest ones fit what servers and clients take. */
import { assert, it } from "@effect/vitest"
import { Duration, Effect, Option, Stream } from "effect"
import { NatsKeyValueStore, NatsPersistedQueue, NatsPersistence, NatsRateLimiter } from "effect-nats/persistence"
import { isHashed, longest, textOf, tokenOf } from "../../src/persistence/internal/textToken.ts"
import { withJetStream } from "../fixtures/jetStream.ts"
import { on } from "../fixtures/keyValue.ts"
import { addressOf, exitOf, idsIn, Keyed, requestOf, storageOn } from "../fixtures/messageStorage.ts"
import { isAtLeast } from "../fixtures/serverVersion.ts"
import { anyKey, anyText, strangeKeys } from "../fixtures/strangeKeys.ts"

/** What all clients take in a key (ADR-8), without the dot. */
const takenByAll = /^[-/_=a-zA-Z0-9]+$/

const check = (text: string): string => {
  const token = tokenOf(text)
  assert.match(token, takenByAll)
  assert.isAtMost(token.length, longest)
  assert.strictEqual(textOf(token), isHashed(token) ? undefined : text)
  return token
}

it.prop("of any text, and the text of it", [anyText, anyKey], ([one, other]) => {
  assert.strictEqual(check(one) === check(other), one === other)
})

it("of texts that are alike", () => {
  const long = strangeKeys.filter((text) => text.length > 100)
  const texts = [
    ...strangeKeys,
    ...strangeKeys.map((text) => tokenOf(text)),
    ...strangeKeys.map((text) => `${text}=`),
    ...long.map((text) => `${text.slice(0, -1)}\ud800`),
    ...long.map((text) => `${text.slice(0, -1)}\ud801`)
  ]
  const distinct = [...new Set(texts)]
  assert.strictEqual(new Set(distinct.map(check)).size, distinct.length)
})

it("that was not written here has none", () => {
  for (const token of ["=61", "=0061", "=00E9", "a.b", "a b", "===", "==", "x".repeat(longest + 1)]) {
    assert.isUndefined(textOf(token), token)
  }
})

/** Five that are as long as tokens get, each in a way of its own. */
const [dots, plain, accents, halves, hashedText] = [
  ".".repeat(longest / 5),
  "x".repeat(longest),
  "é".repeat(longest / 5),
  "\ud800".repeat(longest / 5),
  "y z".repeat(5_000)
]

it.live("the longest ones are names of a queue store, of its queues and of elements", () =>
  Effect.gen(function*() {
    const { js, server } = yield* withJetStream()
    if (!isAtLeast(server.version, 2, 11)) return
    for (const prefix of [plain, "x.".repeat(longest / 2 - 1) + "xx", accents, hashedText]) {
      const store = yield* on(js, NatsPersistedQueue.makeStore({ prefix }))
      for (const [name, id] of [[accents, dots], [hashedText, halves], [plain, plain]] as const) {
        const offered = { name, id, element: { n: 1 }, isCustomId: true }
        yield* store.offer(offered)
        const failing = Effect.scoped(
          Effect.andThen(
            store.take({ name, maxAttempts: 1, retryDelay: () => Effect.succeed(Duration.zero) }),
            Effect.fail("no")
          )
        )
        assert.strictEqual(yield* Effect.flip(failing), "no")
        const letters = yield* on(js, Stream.runCollect(NatsPersistedQueue.deadLetters({ prefix, name })))
        assert.deepStrictEqual(letters.map((letter) => [letter.name, letter.id]), [[name, id]])
        assert.isTrue(yield* on(js, NatsPersistedQueue.retryDeadLetter({ prefix, name, id })))
        const taken = yield* Effect.scoped(
          store.take({ name, maxAttempts: 1, retryDelay: () => Effect.succeed(Duration.zero) })
        )
        assert.deepStrictEqual([taken.id, taken.element], [id, { n: 1 }])
        if (isAtLeast(server.version, 2, 12)) {
          yield* store.offer({ ...offered, id: `${id.slice(1)}d`, delay: Duration.hours(1) })
        }
      }
      yield* store.cleanup({ timeToLive: Duration.zero, failedTimeToLive: Duration.zero })
    }
  }), 30_000)

it.live(
  "the longest ones are names of the stores of a bucket with the longest name, and keys",
  () =>
    Effect.gen(function*() {
      const { js, server } = yield* withJetStream()
      const bucket = "b".repeat(252)
      for (const storeId of [dots, plain, hashedText]) {
        const store = yield* on(js, NatsKeyValueStore.make({ bucket, storeId }))
        const backing = yield* on(js, NatsPersistence.makeBacking({ bucket }))
        const values = yield* backing.make(storeId)
        const keys = [dots, plain, accents, halves, hashedText]
        for (const key of keys) {
          yield* store.set(key, key)
          yield* store.modify(key, (text) => `${text}!`)
          yield* values.set(key, { key }, undefined)
        }
        assert.sameMembers([...yield* store.keys], keys)
        assert.deepStrictEqual(
          yield* values.getMany([keys[0]!, ...keys.slice(1)]),
          keys.map((key) => ({ key })) as never
        )
        for (const key of keys) assert.strictEqual(yield* store.get(key), `${key}!`)
        yield* store.clear
      }
      if (!isAtLeast(server.version, 2, 11)) return
      const limits = yield* on(js, NatsRateLimiter.makeStore({ bucket: "l".repeat(252) }))
      for (const key of [dots, plain, accents, halves, hashedText]) {
        const take = { key, tokens: 1, limit: 1, refillRate: Duration.minutes(1) }
        assert.strictEqual((yield* limits.fixedWindow(take))[0], 1)
      }
    }),
  30_000
)

it.live("the longest ones are the prefix of a cluster, types, ids and primary keys", () =>
  Effect.gen(function*() {
    const { js, server } = yield* withJetStream()
    if (!isAtLeast(server.version, 2, 12)) return
    for (const prefix of [plain, accents, hashedText]) {
      const storage = yield* storageOn(js, { prefix })
      for (const [type, entity, key] of [[dots, plain, accents], [hashedText, halves, hashedText]] as const) {
        const address = addressOf(entity, 1, `Workflow/${type}`)
        const request = requestOf({ rpc: Keyed, payload: { key, value: 1 }, address })
        yield* storage.saveRequest(request)
        const id = Option.some(request.envelope.requestId)
        assert.deepStrictEqual(yield* storage.requestIdForPrimaryKey({ address, tag: "Keyed", id: key }), id)
        assert.lengthOf(idsIn(yield* storage.unprocessedMessages([address.shardId])), 1)
        yield* storage.saveReply(exitOf(request, "done"))
        assert.lengthOf(yield* storage.repliesFor([request]), 1)
        assert.deepStrictEqual(yield* storage.requestIdForPrimaryKey({ address, tag: "Keyed", id: key }), id)
      }
    }
  }), 30_000)
