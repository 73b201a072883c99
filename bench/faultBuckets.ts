/**
 * Key-value buckets under faults: compare-and-set, watches, and locks.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import {
  type Attempt,
  checkHoldings,
  checkIncrements,
  checkOrdered,
  checkPublishes,
  gapsBeside,
  type Holding,
  type Increment,
  longestDelay,
  type Message,
  type Observation
} from "../test/fixtures/history.ts"
import { randomOf } from "../test/fixtures/random.ts"
import { consumersIn, createBucket, makeRig, readBack } from "./faultRig.ts"
import type { Bucket } from "./faultSystems.ts"
import {
  arrivalsOf,
  endOf,
  faultsFor,
  longestOf,
  named,
  opened,
  pause,
  peerOf,
  reasonsOf,
  seconds,
  until,
  type Workload
} from "./faultWorkload.ts"

/** Five writers raise fifteen numbers by compare-and-set; a watch looks on. */
export const cas: Workload = (system, given) =>
  Effect.scoped(Effect.gen(function*() {
    const rig = yield* makeRig(3)
    yield* createBucket(rig, "numbers", { max_msgs_per_subject: 1_000_000 })
    const keys = Array.from({ length: 15 }, (_, index) => `n.${index}`)
    const increments: Array<Increment> = []
    const observations: Array<Observation> = []
    const over = new AbortController()
    const writer = async (bucket: Bucket, name: string): Promise<void> => {
      const random = randomOf(given.seed + name.charCodeAt(1))
      while (!over.signal.aborted) {
        const key = keys[Math.floor(random() * keys.length)]
        const read = await bucket.get(key)
        if (read === "failed") {
          await pause(50)
          continue
        }
        const [revision, value] = read === "none" ? [0, 0] : [read.revision, Number(read.value)]
        if (read !== "none") observations.push({ observer: name, key, revision, value })
        const outcome = await bucket.compareAndSet(key, `${value + 1}`, revision)
        increments.push({ key, writer: name, value: value + 1, outcome })
        if (outcome._tag !== "stored" && outcome._tag !== "conflict") await pause(50)
        await pause(2)
      }
    }
    const peers = yield* Effect.forEach(Array.from({ length: 5 }), () => peerOf(system, rig))
    const buckets = yield* Effect.forEach(peers, (peer) => Effect.promise(() => peer.bucket("numbers")))
    const seen: Array<Message> = []
    const watch = yield* Effect.promise(() =>
      buckets[0].watch(({ key, revision, value }) => {
        observations.push({ observer: "watch", key, revision, value: Number(value) })
        seen.push({ sequence: revision, id: value })
      })
    )
    const writing = buckets.map((bucket, index) => writer(bucket, `w${index}`))
    yield* opened(() => seen.length > 0, watch)
    const faults = yield* faultsFor(rig, peers[0], "KV_numbers", given)
    // They go on when it is whole again.
    const written = increments.length
    const storedSince = () => increments.slice(written).filter(({ outcome }) => outcome._tag === "stored").length
    yield* until(() => storedSince() > 100, 20_000)
    over.abort()
    yield* Effect.promise(() => Promise.all(writing))
    const stream = yield* readBack(rig, "KV_numbers")
    const end = new Map(stream.map(({ id, subject }) => [subject.slice("$KV.numbers.".length), Number(id)]))
    yield* until(() => seen.length >= stream.length, 60_000)
    const checked = checkIncrements(increments, observations, end)
    const violations = [
      ...endOf("watch", watch),
      ...named("increments", checked),
      ...named("watch", checkOrdered(seen, stream))
    ]
    yield* Effect.promise(() => watch.stop())
    return {
      counts: { server: rig.servers[0].version, faults: faults.count, ...checked.counts, "watch saw": seen.length },
      violations
    }
  }))

/** A hundred watches of one client through faults, under steady writes. */
export const watches: Workload = (system, given) =>
  Effect.scoped(Effect.gen(function*() {
    const rig = yield* makeRig(3)
    yield* createBucket(rig, "flags", { max_msgs_per_subject: 1_000_000 })
    const [reader, writer] = [yield* peerOf(system, rig), yield* peerOf(system, rig)]
    const bucket = yield* Effect.promise(() => reader.bucket("flags"))
    const flags = yield* Effect.promise(() => writer.bucket("flags"))
    const seen = Array.from({ length: given.watches }, arrivalsOf)
    const all = yield* Effect.forEach(seen, ({ take }) =>
      Effect.promise(() => bucket.watch(({ revision, value }) => take({ sequence: revision, id: value }))), {
      concurrency: 20
    })
    const over = new AbortController()
    const attempts: Array<Attempt> = []
    const writing = (async () => {
      for (let number = 0; !over.signal.aborted; number++) {
        const started = performance.now()
        const outcome = await flags.put(`k.${number % 20}`, `v${number}`)
        attempts.push({ id: `v${number}`, deduplicated: false, started, ended: performance.now(), outcome })
        await pause(outcome._tag === "stored" ? 20 : 100)
      }
    })()
    yield* opened(() =>
      seen.every(({ all }) =>
        all.length > 0
      ), ...all)
    const faults = yield* faultsFor(rig, reader, "KV_flags", given)
    // They go on when there is something again.
    const written = attempts.length
    yield* until(() => attempts.slice(written).filter(({ outcome }) => outcome._tag === "stored").length > 20, 20_000)
    over.abort()
    yield* Effect.promise(() => writing)
    const stream = yield* readBack(rig, "KV_flags")
    const since = performance.now()
    yield* until(() => seen.every(({ all }) => all.length >= stream.length), 60_000)
    const waited = performance.now() - since
    const violations = [
      ...named("put", checkPublishes(attempts, stream)),
      ...all.flatMap((watch, index) => [
        ...endOf(`watch ${index}`, watch),
        ...named(`watch ${index}`, checkOrdered(seen[index].all, stream))
      ])
    ]
    const gaps = seen.map(({ all }) => gapsBeside(all, attempts))
    const consumers = yield* consumersIn(rig, "KV_flags", given.watches)
    yield* Effect.promise(() => Promise.all(all.map((watch) => watch.stop())))
    return {
      counts: {
        server: rig.servers[0].version,
        faults: faults.count,
        puts: stream.length,
        "longest gap, writer": faults.at(gaps[0].publisher),
        "longest gap, any watch": faults.at(longestOf(gaps.map(({ reader }) => reader))),
        "longest delay, any watch": faults.at(longestOf(seen.map(({ all }) => longestDelay(all, attempts)))),
        "waited for the last": seconds(waited),
        "consumers in the end": consumers,
        "failures": reasonsOf(attempts)
      },
      violations
    }
  }))

const lockTtl = 5_000

/** Five contenders for one lock; who holds it writes its token to a place that remembers the largest. */
export const locks: Workload = (system, given) =>
  Effect.scoped(Effect.gen(function*() {
    const rig = yield* makeRig(3)
    // Before 2.11 keys have no times of their own, and the bucket's is that of the lock.
    const isOld = /^2\.([0-9]|10)\./.test(rig.servers[0].version)
    yield* createBucket(
      rig,
      "locks",
      isOld
        ? { max_age: lockTtl * 1_000_000 }
        : { allow_msg_ttl: true, subject_delete_marker_ttl: 60_000_000_000 }
    )
    const peers = yield* Effect.forEach(Array.from({ length: 5 }), () => peerOf(system, rig))
    const holdings: Array<Holding> = []
    const counts = { held: 0, lost: 0, failed: 0 }
    const over = new AbortController()
    const contender = async (bucket: Bucket, holder: string): Promise<void> => {
      const random = randomOf(given.seed + holder.charCodeAt(1))
      if (bucket.lock === undefined) return
      while (!over.signal.aborted) {
        const outcome = await bucket.lock("only", lockTtl, async (token, lost) => {
          const from = performance.now()
          const isLost = await Promise.race([pause(random() * 1_500).then(() => false), lost.then(() => true)])
          holdings.push({ holder, token, from, to: performance.now() })
          counts.held++
          if (isLost) counts.lost++
        })
        if (outcome === "failed") counts.failed++
        await pause(20 + random() * 50)
      }
    }
    const buckets = yield* Effect.forEach(peers, (peer) => Effect.promise(() => peer.bucket("locks")))
    const contending = buckets.map((bucket, index) => contender(bucket, `c${index}`))
    const faults = yield* faultsFor(rig, peers[0], "KV_locks", given)
    // They go on when it is whole again.
    const taken = counts.held
    yield* until(() => counts.held > taken + 2, 20_000)
    over.abort()
    const ending = yield* Effect.forkChild(Effect.promise(() => Promise.all(contending)))
    yield* Effect.timeoutOption(Fiber.join(ending), "60 seconds")
    const checked = checkHoldings(holdings)
    return {
      counts: { server: rig.servers[0].version, faults: faults.count, ...counts, ...checked.counts },
      violations: named("lock", checked)
    }
  }))
