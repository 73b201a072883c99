/**
 * One of several leads: by a lock that expires, whose holder learns in time that it has lost it, and whose token lets the
 * others' work be told from its own.
 *
 *   node examples/leader-election.ts
 *
 * Prints:
 *   node-1 leads with token 1
 *   who leads: node-1
 *   node-1 was interrupted
 *   node-2 leads with token …
 *   a write with an older token is refused: true
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Deferred, Effect, Fiber, Layer, Option, Ref } from "effect"
import { JetStream, KeyValue } from "effect-nats/jetstream"
import { TestNatsServer } from "effect-nats/testing"

const program = Effect.gen(function*() {
  // Where keys have times of their own (2.11), each election takes its own; before, the bucket's `ttl` is that of all.
  const locks = yield* KeyValue.provision("locks", { ttl: "10 seconds" })

  // What is guarded refuses a token below one that it has seen.
  const highest = yield* Ref.make(0)
  const write = (token: number) => Ref.modify(highest, (seen) => token < seen ? [false, seen] : [true, token])

  const node = (holder: string, elected: Deferred.Deferred<number>) =>
    KeyValue.leader(locks, "scheduler", { holder }, ({ token }) =>
      Effect.gen(function*() {
        yield* Console.log(`${holder} leads with token ${token}`)
        yield* write(token)
        yield* Deferred.succeed(elected, token)
        return yield* Effect.never
      }).pipe(Effect.onInterrupt(() => Console.log(`${holder} was interrupted`))))

  const first = yield* Deferred.make<number>()
  const second = yield* Deferred.make<number>()
  const one = yield* Effect.forkChild(node("node-1", first))
  const token = yield* Deferred.await(first)
  const two = yield* Effect.forkChild(node("node-2", second))
  const leader = yield* KeyValue.holder(locks, "scheduler")
  yield* Console.log(`who leads: ${Option.isSome(leader) ? leader.value.holder : "nobody"}`)

  // A deploy: it lets the lock go, and the other one has it at once.
  yield* Fiber.interrupt(one)
  yield* Deferred.await(second)
  yield* Console.log(`a write with an older token is refused: ${!(yield* write(token))}`)
  yield* Fiber.interrupt(two)
}).pipe(Effect.scoped)

program.pipe(
  Effect.provide(Layer.provide(JetStream.layer(), TestNatsServer.layerClient({ jetstream: true }))),
  NodeRuntime.runMain
)
