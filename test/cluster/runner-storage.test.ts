/** Runners and locks in JetStream: whose a lock is, and who may change it. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Exit, Fiber, Stream } from "effect"
import { NatsHeaders } from "effect-nats"
import { NatsClusterError } from "effect-nats/cluster"
import { JetStreamStream } from "effect-nats/jetstream"
import { TestNatsServer } from "effect-nats/testing"
import { ShardId } from "effect/cluster"
import { TestClock } from "effect/testing"
import { KnownRunners } from "../../src/cluster/internal/knownRunners.ts"
import { LockWatch } from "../../src/cluster/internal/lockWatch.ts"
import { makeAheadClock } from "../fixtures/aheadClock.ts"
import { until } from "../fixtures/following.ts"
import { connectJetStream } from "../fixtures/jetStream.ts"
import { on } from "../fixtures/keyValue.ts"
import { acquireAll, names, runnerOf, type RunnerStore, runnerStore, shardsUpTo } from "../fixtures/runnerStores.ts"

const server = TestNatsServer.make({ jetstream: true })

const shards = shardsUpTo(3)

/** What has a short lease waits for an answer for a part of it: on a busy machine it asks again. */
const insisting = <A, E>(asked: Effect.Effect<A, E>): Effect.Effect<A> => Effect.eventually(asked)

/** For what must not expire in a test, however slow the machine is. */
const long = { lease: "60 seconds" } as const

/** Runs with a clock that `later` puts forward by so much that what was confirmed is confirmed anew. */
const passing = <A, E, R>(test: (later: Effect.Effect<void>) => Effect.Effect<A, E, R>) =>
  Effect.flatMap(makeAheadClock, (clock) => Effect.provideService(test(clock.forward(8_000)), Clock.Clock, clock))

const stream = "CLUSTER_test"

/** What the stream has, by another connection. */
const looking = (url: string) =>
  Effect.map(connectJetStream({ url } as TestNatsServer.TestNatsServer), ({ js, nats }) => ({
    nats,
    last: (subject: string) =>
      on(js, JetStreamStream.get(stream, { last: subject }, { consistent: true })).pipe(
        Effect.map((message): JetStreamStream.StoredMessage | undefined => message),
        Effect.catchTag("MessageNotFound", () => Effect.undefined)
      ),
    lastSequence: Effect.map(on(js, JetStreamStream.info(stream)), ({ state }) => state.lastSequence),
    purge: (filter: string) => on(js, JetStreamStream.purge(stream, { filter })),
    publish: (subject: string, value: object) => js.publish(subject, JSON.stringify(value))
  }))

const lockOf = (id: number) => `test.s.l.default.${id}`

describe.concurrent("a lock", () => {
  it.live("is one runner's until it lets it go, and then another's at once, with a larger token", () =>
    Effect.gen(function*() {
      const { port } = yield* server
      const one = yield* runnerStore(port, "one", long)
      const two = yield* runnerStore(port, "two", long)
      assert.deepStrictEqual(names(yield* one.acquire(shards)), names(shards))
      assert.deepStrictEqual(yield* two.acquire(shards), [])
      assert.deepStrictEqual(names(yield* one.refresh(shards)), names(shards))
      assert.deepStrictEqual(yield* two.refresh(shards), [])
      yield* two.release(shards[0]!)
      yield* two.storage.releaseAll(two.address)
      assert.deepStrictEqual(names(yield* one.refresh(shards)), names(shards))
      yield* one.release(shards[0]!)
      assert.deepStrictEqual(names(yield* two.acquire(shards)), names(shards.slice(0, 1)))
      assert.isAbove(two.fenceOf(shards[0]!)!.sequence, one.fenceOf(shards[0]!)!.sequence)
      assert.deepStrictEqual(names(yield* one.refresh(shards)), names(shards.slice(1)))
      yield* one.storage.releaseAll(one.address)
      assert.deepStrictEqual(names(yield* two.acquire(shards.slice(1))), names(shards.slice(1)))
    }))

  it.live("that is let go is had by who waits for it, without being asked for again", () =>
    Effect.gen(function*() {
      const { port } = yield* server
      const one = yield* runnerStore(port, "one", long)
      const two = yield* runnerStore(port, "two", long)
      yield* one.acquire(shards)
      let got: ReadonlyArray<ShardId.ShardId> = []
      // It waits for a second, which a busy machine can miss.
      for (let tries = 0; tries < 5 && got.length === 0; tries++) {
        yield* one.acquire(shards)
        assert.deepStrictEqual(yield* two.acquire(shards), [])
        const waiting = yield* Effect.forkChild(two.acquire(shards), { startImmediately: true })
        const at = performance.now()
        yield* Effect.forEach(shards, one.release, { concurrency: "unbounded" })
        got = yield* Fiber.join(waiting)
        yield* Effect.log(`had ${Math.round(performance.now() - at)} ms after it was let go`)
      }
      assert.deepStrictEqual(names(got), names(shards))
    }))

  it.live("that expired is not confirmed any more, whatever stands in its place, and is another's at once", () =>
    Effect.gen(function*() {
      const { port, url } = yield* server
      const one = yield* runnerStore(port, "one")
      const two = yield* runnerStore(port, "two", long)
      const { last } = yield* looking(url)
      yield* acquireAll(one, shards)
      // A marker first, and then nothing.
      yield* until(Effect.map(last(lockOf(1)), (message) => message?.data.length === 0))
      assert.deepStrictEqual(yield* insisting(one.refresh(shards)), [])
      assert.deepStrictEqual(names(yield* two.acquire(shards.slice(0, 1))), names(shards.slice(0, 1)))
      yield* until(Effect.map(last(lockOf(3)), (message) => message === undefined))
      assert.deepStrictEqual(yield* insisting(one.refresh(shards.slice(2))), [])
      assert.deepStrictEqual(names(yield* two.acquire(shards.slice(2))), names(shards.slice(2)))
    }))

  it.live("is its owner's while the servers give no answer, for as long as it can be nobody else's", () =>
    Effect.gen(function*() {
      const { port } = yield* server
      const one = yield* runnerStore(port, "one", { lease: "16 seconds" })
      const two = yield* runnerStore(port, "two")
      yield* one.acquire(shards.slice(0, 2))
      yield* insisting(two.acquire(shards.slice(2)))
      yield* Effect.all([one.kill, two.kill])
      // What it never had it does not have, and that the store is well it does not say.
      assert.deepStrictEqual(names(yield* one.refresh(shards)), names(shards.slice(0, 2)))
      assert.strictEqual((yield* Effect.exit(one.refresh([])))._tag, "Failure")
      yield* until(Effect.map(Effect.exit(two.refresh(shards.slice(2))), Exit.isFailure))
      const three = yield* runnerStore(port, "three")
      assert.deepStrictEqual(names(yield* acquireAll(three, shards.slice(2))), names(shards.slice(2)))
    }))

  it.live("is not confirmed when another took it meanwhile, and is not touched by who had it", () =>
    passing((later) =>
      Effect.gen(function*() {
        const { port, url } = yield* server
        const one = yield* runnerStore(port, "one", long)
        const two = yield* runnerStore(port, "two", long)
        const { last, purge } = yield* looking(url)
        yield* one.acquire(shards)
        yield* purge("test.s.l.>")
        yield* later
        // What is not there any more is not there to be confirmed, and is not made anew by it.
        assert.deepStrictEqual(yield* one.refresh(shards.slice(0, 1)), [])
        assert.isUndefined(yield* last(lockOf(1)))
        // Two saw it with the other, and looks once more when it can have expired: a purge tells nobody.
        const third = yield* runnerStore(port, "three", long)
        assert.deepStrictEqual(names(yield* third.acquire(shards)), names(shards))
        yield* later
        assert.deepStrictEqual(yield* one.refresh(shards), [])
        const before = yield* last(lockOf(2))
        yield* one.release(shards[1]!)
        yield* one.storage.releaseAll(one.address)
        assert.deepStrictEqual((yield* last(lockOf(2)))?.sequence, before?.sequence)
        assert.deepStrictEqual(names(yield* third.refresh(shards)), names(shards))
        assert.deepStrictEqual(yield* two.refresh(shards), [])
      })
    ))

  it.live("whose write was stored and not answered is found again: taken, confirmed, or let go", () =>
    passing((later) =>
      Effect.gen(function*() {
        const { port, url } = yield* server
        const one = yield* runnerStore(port, "one", long)
        const { last } = yield* looking(url)
        const shard = shards.slice(0, 1)
        const sequence = Effect.map(last(lockOf(1)), (message) => message?.sequence ?? 0)
        /** Runs it, and loses what the server answers to its first write. */
        const unanswered = <A, E>(operation: Effect.Effect<A, E>) =>
          Effect.gen(function*() {
            const before = yield* sequence
            yield* one.proxy.swallow("toClient")
            const fiber = yield* Effect.forkChild(operation)
            yield* until(Effect.map(sequence, (now) => now > before))
            yield* one.proxy.heal
            yield* one.proxy.drop("RST")
            return yield* Fiber.await(fiber)
          })
        // It fails, or has looked at what became of it.
        yield* unanswered(one.acquire(shard))
        assert.deepStrictEqual(names(yield* one.acquire(shard)), names(shard))
        assert.isDefined(one.fenceOf(shard[0]!))
        yield* later
        yield* unanswered(one.refresh(shard))
        assert.deepStrictEqual(names(yield* one.refresh(shard)), names(shard))
        yield* later
        yield* unanswered(one.refresh(shard))
        yield* one.release(shard[0]!)
        assert.strictEqual((yield* last(lockOf(1)))?.data.length, 0)
        yield* unanswered(one.acquire(shard))
        yield* one.storage.releaseAll(one.address)
        assert.strictEqual((yield* last(lockOf(1)))?.data.length, 0)
      })
    ))

  it.live("whose end nobody was told of is had in time, whatever the clock was set back by meanwhile", () =>
    Effect.gen(function*() {
      const { port, url } = yield* server
      const { purge } = yield* looking(url)
      const one = yield* runnerStore(port, "one", long)
      yield* one.acquire(shards)
      const clock = yield* makeAheadClock
      yield* Effect.gen(function*() {
        const two = yield* runnerStore(port, "two")
        assert.deepStrictEqual(yield* insisting(two.acquire(shards)), [])
        yield* purge(lockOf(1))
        yield* clock.setWall(-3_600_000)
        yield* clock.forward(4_000)
        assert.deepStrictEqual(names(yield* insisting(two.acquire(shards))), names(shards.slice(0, 1)))
      }).pipe(Effect.provideService(Clock.Clock, clock))
    }))

  it.live("is not taken by who has a shorter lease, however long ago its owner was heard of", () =>
    Effect.gen(function*() {
      const { port } = yield* server
      const one = yield* runnerStore(port, "one", long)
      yield* one.acquire(shards)
      const clock = yield* makeAheadClock
      yield* Effect.gen(function*() {
        const two = yield* runnerStore(port, "two")
        assert.deepStrictEqual(yield* insisting(two.acquire(shards)), [])
        yield* clock.forward(10_000)
        assert.deepStrictEqual(yield* insisting(two.acquire(shards)), [])
      }).pipe(Effect.provideService(Clock.Clock, clock))
      assert.deepStrictEqual(names(yield* one.refresh(shards)), names(shards))
    }))

  it.live("is confirmed for each reply if that is a while ago, and many at once cost their runner one heartbeat", () =>
    passing((later) =>
      Effect.gen(function*() {
        const { port, url } = yield* server
        const one = yield* runnerStore(port, "one", long)
        const { lastSequence } = yield* looking(url)
        const many = shardsUpTo(20)
        yield* one.storage.register(runnerOf("one"), true)
        yield* one.acquire(many)
        yield* one.refresh(many)
        const before = yield* lastSequence
        const ofReplies = Effect.map(
          Effect.forEach(many, (shard) => one.refresh([shard]), { concurrency: "unbounded" }),
          (held) => names(held.flat())
        )
        assert.deepStrictEqual(yield* ofReplies, names(many))
        assert.strictEqual(yield* lastSequence, before)
        yield* later
        assert.deepStrictEqual(yield* ofReplies, names(many))
        // One lock each; address and machine id once.
        assert.strictEqual((yield* lastSequence) - before, many.length + 2)
      })
    ))

  it.live("of a group of any name is another one's of no other group", () =>
    Effect.gen(function*() {
      const { port } = yield* server
      const one = yield* runnerStore(port, "one", long)
      const two = yield* runnerStore(port, "two", long)
      const all = ["a", "a.b", "a b", "*", ">", "", "a:1", "\u{1f600}", "\ud83d", "=0061", "x".repeat(300)]
        .map((group) => ShardId.make(group, 1))
      assert.strictEqual((yield* one.acquire(all)).length, all.length)
      assert.strictEqual(new Set(all.map((shard) => one.fenceOf(shard)!.subject)).size, all.length)
      assert.deepStrictEqual(yield* two.acquire(all), [])
    }))
})

describe.concurrent("a runner", () => {
  it.live("is seen by the others from its registration to its end, with a small machine id of its own", () =>
    Effect.gen(function*() {
      const { port } = yield* server
      const stores = yield* Effect.forEach(["one", "two", "three"], (name) => runnerStore(port, name, long))
      const [one, two, three] = stores as [RunnerStore, RunnerStore, RunnerStore]
      // The address of each is taken, and none is a runner yet.
      assert.deepStrictEqual(yield* one.storage.getRunners, [])
      const ids = yield* Effect.forEach(stores, ({ register }) => register, { concurrency: "unbounded" })
      assert.deepStrictEqual(new Set(ids), new Set([0, 1, 2]))
      const seen = Effect.map(
        one.storage.getRunners,
        (runners) => runners.map(([{ address }, healthy]) => `${address.host} ${healthy}`).toSorted()
      )
      assert.deepStrictEqual(yield* seen, ["one true", "three true", "two true"])
      // Again is no other runner.
      assert.strictEqual(yield* two.register, ids[1]!)
      yield* three.storage.unregister(three.address)
      assert.deepStrictEqual(yield* seen, ["one true", "two true"])
      yield* three.stop
      const four = yield* runnerStore(port, "four", long)
      assert.strictEqual(yield* four.register, ids[2]!)
    }))

  it.live("whose entries ended while nobody could refresh them keeps its shards, its place and its id, as it lives", () =>
    Effect.gen(function*() {
      const { port, url } = yield* server
      const one = yield* runnerStore(port, "one", long)
      const two = yield* runnerStore(port, "two", long)
      const { last, nats, purge } = yield* looking(url)
      const id = yield* one.register
      yield* two.register
      yield* one.acquire(shards)
      const seen = Effect.map(
        two.storage.getRunners,
        (runners) => runners.map(([{ address }]) => address.host).toSorted()
      )
      assert.deepStrictEqual(yield* seen, ["one", "two"])
      // As the transport of a runner answers who asks whether it lives.
      const questions = nats.subscribe("test.x.h.one=003a0")
      const answering = yield* Effect.forkChild(
        Stream.runForEach(questions, ({ reply }) => nats.publish(reply!, "")),
        { startImmediately: true }
      )
      yield* nats.flush
      const end = Effect.andThen(purge("test.s.n.one=003a0"), purge(`test.s.m.${id}`))
      yield* end
      assert.deepStrictEqual(yield* seen, ["one", "two"])
      assert.isUndefined(yield* last("test.s.n.one=003a0"))
      assert.deepStrictEqual(names(yield* one.refresh(shards)), names(shards))
      yield* end
      assert.deepStrictEqual(yield* one.refresh([]), [])
      assert.isDefined(yield* last("test.s.n.one=003a0"))
      assert.isDefined(yield* last(`test.s.m.${id}`))
      assert.strictEqual(yield* one.register, id)
      // Who does not live is gone at once.
      yield* Fiber.interrupt(answering)
      yield* nats.flush
      yield* end
      assert.deepStrictEqual(yield* seen, ["two"])
    }))

  it.live("that another found to be ill is so until it is found to be well, and does not live longer for it", () =>
    Effect.gen(function*() {
      const { port, url } = yield* server
      const one = yield* runnerStore(port, "one", long)
      const two = yield* runnerStore(port, "two")
      const { last } = yield* looking(url)
      yield* one.register
      yield* insisting(two.register)
      const seen = Effect.map(
        one.storage.getRunners,
        (runners) => runners.map(([{ address }, healthy]) => `${address.host} ${healthy}`).toSorted()
      )
      yield* two.kill
      yield* one.storage.setRunnerHealth(two.address, false)
      assert.deepStrictEqual(yield* seen, ["one true", "two false"])
      // Who found it does not say so again, however long its lease is kept.
      const health = yield* last("test.s.h.two=003a0")
      assert.strictEqual(NatsHeaders.get(health!.headers, "Nats-TTL"), "86400s")
      yield* one.storage.setRunnerHealth(two.address, true)
      assert.deepStrictEqual(yield* seen, ["one true", "two true"])
      // It is told again and again, and the key ends all the same.
      yield* until(
        Effect.andThen(
          one.storage.setRunnerHealth(two.address, false),
          Effect.map(last("test.s.n.two=003a0"), (message) => message === undefined || message.data.length === 0)
        )
      )
      assert.deepStrictEqual(yield* seen, ["one true"])
      // Nobody's health is kept for the next one of that name.
      yield* one.storage.setRunnerHealth(two.address, false)
      const next = yield* runnerStore(port, "two", long)
      yield* next.register
      assert.deepStrictEqual(yield* seen, ["one true", "two true"])
    }))

  it.live("with the address of one that lives fails to start and takes nothing", () =>
    Effect.gen(function*() {
      const { port } = yield* server
      const one = yield* runnerStore(port, "same", { lease: "4 seconds" })
      yield* one.register
      yield* one.acquire(shards)
      const living = yield* Effect.forkChild(
        Effect.forever(Effect.andThen(one.refresh(shards), Effect.sleep("200 millis")))
      )
      const error = yield* Effect.flip(runnerStore(port, "same", { lease: "4 seconds" }))
      assert.instanceOf(error, NatsClusterError.RunnerAddressTaken)
      assert.include(error.message, "same:0")
      assert.deepStrictEqual(names(yield* one.refresh(shards)), names(shards))
      yield* Fiber.interrupt(living)
      yield* one.stop
      // Let go in order it is free at once.
      const next = yield* runnerStore(port, "same", long)
      yield* next.register
      assert.strictEqual((yield* next.storage.getRunners).length, 1)
    }))

  it.live("that was killed leaves its address to the next one when its lease is over", () =>
    Effect.gen(function*() {
      const { port } = yield* server
      const one = yield* runnerStore(port, "same")
      yield* insisting(one.register)
      yield* insisting(one.acquire(shards))
      yield* one.kill
      const next = yield* runnerStore(port, "same")
      yield* insisting(next.register)
      assert.deepStrictEqual(names(yield* acquireAll(next, shards)), names(shards))
    }))

  it.live("that was cut off for longer than its lease and finds another with its address takes nothing any more", () =>
    Effect.gen(function*() {
      const { port } = yield* server
      const one = yield* runnerStore(port, "same")
      yield* insisting(one.register)
      yield* insisting(one.acquire(shards.slice(0, 1)))
      yield* one.kill
      const next = yield* runnerStore(port, "same", long)
      yield* next.register
      yield* one.proxy.heal
      yield* until(Effect.map(Effect.exit(one.refresh(shards.slice(0, 1))), Exit.isSuccess))
      assert.deepStrictEqual(yield* insisting(one.refresh(shards.slice(0, 1))), [])
      assert.deepStrictEqual(yield* insisting(one.acquire(shards)), [])
      // It is not told that it is a runner, so that it registers, which fails.
      assert.deepStrictEqual(yield* one.storage.getRunners, [])
      const error = yield* Effect.flip(one.register)
      assert.instanceOf((error.cause as Error).cause, NatsClusterError.RunnerAddressTaken)
      assert.deepStrictEqual(yield* insisting(one.acquire(shards)), [])
      assert.deepStrictEqual(names(yield* acquireAll(next, shards)), names(shards))
      // Where the other has gone, it is one again.
      yield* next.stop
      yield* insisting(one.register)
      assert.strictEqual((yield* one.storage.getRunners).length, 1)
    }))
})

it.live("the watch of locks has another consumer soon after the server is gone that had it", () =>
  Effect.gen(function*() {
    const { port, url } = yield* server
    const { nats } = yield* connectJetStream({ url } as TestNatsServer.TestNatsServer)
    const heartbeatOf = Effect.fnUntraced(function*(prefix: string, lease: Duration.Input) {
      const asked = yield* Effect.forkChild(
        nats.subscribe(`$JS.API.CONSUMER.MSG.NEXT.CLUSTER_${prefix}.*`).pipe(Stream.take(1), Stream.runCollect),
        { startImmediately: true }
      )
      yield* nats.flush
      yield* runnerStore(port, "one", { prefix, lease })
      const [pull] = yield* Fiber.join(asked)
      return JSON.parse(pull!.text).idle_heartbeat / 1_000_000
    })
    assert.strictEqual(yield* heartbeatOf("short", "4 seconds"), 500)
    assert.strictEqual(yield* heartbeatOf("long", "35 seconds"), 1_000)
  }))

it("a lock that a watch tells of again is held no longer for it", () => {
  const watch = new LockWatch(Duration.seconds(2))
  const held = (sequence: number) => ({ _tag: "Held", sequence, held: { owner: "other" } }) as const
  watch.note("a", held(5), 0)
  watch.note("a", held(5), 2_900)
  watch.note("a", held(4), 2_900)
  assert.isUndefined(watch.expected("a", "own", 3_000))
  assert.strictEqual(watch.expected("a", "own", 3_001), 0)
  watch.note("a", held(6), 2_900)
  assert.isUndefined(watch.expected("a", "own", 5_900))
  watch.noteNow("a", held(6), 5_900)
  assert.isUndefined(watch.expected("a", "own", 8_900))
  assert.strictEqual(watch.expected("a", "own", 8_901), 0)
})

describe("the runners that are known", () => {
  const entry = (token: string, sequence = 1, timestampMillis = 0) => ({
    token,
    sequence,
    timestampMillis,
    held: { owner: token, address: `${token}:1`, runner: token }
  })
  /** Entries last a second; `living` are those that say so when they are asked. */
  const knowing = (living: ReadonlySet<string> = new Set()) => {
    const asked: Array<string> = []
    const known = new KnownRunners(
      (address) =>
        Effect.sync(() => {
          asked.push(address)
          return living.has(address)
        }),
      1_000
    )
    const read = (...found: ReadonlyArray<ReturnType<typeof entry>>) =>
      Effect.map(known.complete(found), (all) => all.map(({ token }) => token).join())
    return { asked, read }
  }

  it.effect("have those that are missed and live, for the time of a lease", () =>
    Effect.gen(function*() {
      const { asked, read } = knowing(new Set(["b:1"]))
      const claimed = { ...entry("claimed"), held: { owner: "c" } as never }
      assert.strictEqual(yield* read(entry("a"), entry("b"), claimed), "a,b")
      assert.deepStrictEqual(asked, [])
      assert.strictEqual(yield* read(), "b")
      yield* TestClock.adjust("999 millis")
      assert.strictEqual(yield* read(), "b")
      // One that comes back has its time anew.
      assert.strictEqual(yield* read(entry("b", 2)), "b")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* read(), "b")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* read(), "")
      assert.deepStrictEqual(new Set(asked), new Set(["a:1", "b:1"]))
    }))

  it.effect("have nobody who is not refreshed and does not live, until it is refreshed", () =>
    Effect.gen(function*() {
      const { asked, read } = knowing(new Set(["a:1"]))
      yield* read(entry("a"), entry("b"))
      yield* TestClock.adjust("999 millis")
      assert.strictEqual(yield* read(entry("a"), entry("b")), "a,b")
      assert.deepStrictEqual(asked, [])
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(yield* read(entry("a"), entry("b")), "a")
      assert.strictEqual(yield* read(entry("a"), entry("b")), "a")
      // Whatever the server's clock says.
      assert.strictEqual(yield* read(entry("a"), entry("b", 2, -9_999)), "a,b")
    }))

  it.effect("have nobody by the old answer of a server that was away", () =>
    Effect.gen(function*() {
      const { read } = knowing()
      yield* read(entry("a", 5, 5_000), entry("b", 6, 5_000))
      assert.strictEqual(yield* read(entry("a", 5, 5_000)), "a")
      yield* TestClock.adjust("500 millis")
      assert.strictEqual(yield* read(entry("a", 7, 5_500), entry("old", 1, 4_000)), "a")
      // It took its name out, and is still asked about by its older entry.
      const out = { ...entry("a", 8, 5_500), held: { owner: "a" } as never }
      assert.strictEqual(yield* read(out), "")
      assert.strictEqual(yield* read(entry("a", 7, 5_500)), "")
      // Who has just begun knows it by the times of the others.
      assert.strictEqual(yield* knowing().read(entry("old", 1, 4_000), entry("a", 7, 5_500)), "a")
    }))
})
