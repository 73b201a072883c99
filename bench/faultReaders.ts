/**
 * Readers of a stream under faults: a durable and an ordered one.
 */
import * as Effect from "effect/Effect"
import {
  type Arrival,
  type Attempt,
  checkAtLeastOnce,
  checkOrdered,
  checkPublishes,
  gapsBeside,
  longestDelay,
  type Message
} from "../test/fixtures/history.ts"
import { randomOf } from "../test/fixtures/random.ts"
import { breaking, consumersIn, createConsumer, createStream, insisting, makeRig, readBack } from "./faultRig.ts"
import { heartbeat, type Peer } from "./faultSystems.ts"
import {
  arrivalsOf,
  endOf,
  named,
  opened,
  pause,
  peerOf,
  reasonsOf,
  seconds,
  Timeline,
  until,
  type Workload
} from "./faultWorkload.ts"

/** How long a publish is tried again: under the server's window for duplicates. */
const retryWithin = 60_000

interface Publishing {
  readonly attempts: Array<Attempt>
  readonly done: Promise<void>
}

/** Publishes so many in so much time. With a message id each is tried again until it is stored. */
const publishing = (
  peer: Peer,
  subject: string,
  name: string,
  count: number,
  millis: number,
  deduplicated: boolean
): Publishing => {
  const attempts: Array<Attempt> = []
  const one = async (id: string): Promise<void> => {
    const first = performance.now()
    for (;;) {
      const started = performance.now()
      const outcome = await peer.publish(subject, id, deduplicated)
      attempts.push({ id, deduplicated, started, ended: performance.now(), outcome })
      const isStored = outcome._tag === "stored" || outcome._tag === "duplicate"
      if (isStored || !deduplicated || performance.now() - first > retryWithin) return
      await pause(100)
    }
  }
  const done = (async () => {
    const running = new Set<Promise<void>>()
    const since = performance.now()
    let sent = 0
    while (sent < count) {
      const due = Math.min(count, Math.ceil((performance.now() - since) / millis * count))
      while (sent < due && running.size < 256) {
        const each: Promise<void> = one(`${name}${sent++}`).finally(() => running.delete(each))
        running.add(each)
      }
      await pause(5)
    }
    await Promise.all(running)
  })()
  return { attempts, done }
}

/** Publishers with and without message ids, a durable and an ordered reader; faults all the while. */
export const durable: Workload = (system, given) =>
  Effect.scoped(Effect.gen(function*() {
    const rig = yield* makeRig(3)
    yield* createStream(rig, { name: "FLOW", subjects: ["flow.>"] })
    yield* createConsumer(rig, "FLOW", "worker", { ack_wait: 5_000_000_000 })
    const [writer, reader] = [yield* peerOf(system, rig), yield* peerOf(system, rig)]
    const [durably, inOrder] = [arrivalsOf(), arrivalsOf()]
    const durable = yield* Effect.promise(() => reader.readDurable("FLOW", "worker", durably.take))
    const ordered = yield* Effect.promise(() => reader.readOrdered("FLOW", inOrder.take))
    const first = publishing(writer, "flow.first", "f", 1, 1, true)
    yield* Effect.promise(() => first.done)
    yield* opened(() => durably.all.length > 0 && inOrder.all.length > 0, durable, ordered)
    const most = Math.round(given.publishes * 0.8)
    const sure = publishing(writer, "flow.sure", "a", most, given.time, true)
    const once = publishing(writer, "flow.once", "b", given.publishes - most, given.time, false)
    let isOver = false
    const publishes = Promise.all([sure.done, once.done]).then(() => {
      isOver = true
    })
    const stage = { rig, peer: reader, stream: "FLOW", consumer: "worker", random: randomOf(given.seed) }
    const faults = new Timeline(given)
    yield* breaking(stage, given.isChosen, () => isOver, faults.add)
    yield* Effect.promise(() => publishes)
    const attempts = [...first.attempts, ...sure.attempts, ...once.attempts]
    const stream = yield* readBack(rig, "FLOW")
    const isAll = (arrivals: ReadonlyArray<Arrival>): boolean =>
      new Set(arrivals.map(({ sequence }) => sequence)).size >= stream.length
    const since = performance.now()
    yield* until(() => isAll(durably.all) && isAll(inOrder.all), 60_000)
    const waited = performance.now() - since
    const published = checkPublishes(attempts, stream)
    const once2 = checkAtLeastOnce(durably.all, stream)
    const strict = checkOrdered(inOrder.all, stream)
    const gaps = { durable: gapsBeside(durably.all, attempts), ordered: gapsBeside(inOrder.all, attempts) }
    const ends = [...endOf("durable", durable), ...endOf("ordered", ordered)]
    const left = sure.attempts.length === 0 ? 0 : new Set(sure.attempts.map(({ id }) => id)).size -
      new Set(sure.attempts.flatMap(({ id, outcome }) => "sequence" in outcome ? [id] : [])).size
    const consumers = yield* consumersIn(rig, "FLOW", 2)
    yield* Effect.promise(() => Promise.all([durable.stop(), ordered.stop()]))
    return {
      counts: {
        server: rig.servers[0].version,
        faults: faults.count,
        ...published.counts,
        "given up": left,
        "durable received": once2.counts.received,
        "durable again": once2.counts.again,
        "ordered received": strict.counts.received,
        "longest gap, publisher": faults.at(gaps.durable.publisher),
        "longest gap, durable": faults.at(gaps.durable.reader),
        "longest gap, ordered": faults.at(gaps.ordered.reader),
        "longest delay, durable": faults.at(longestDelay(durably.all, attempts)),
        "longest delay, ordered": faults.at(longestDelay(inOrder.all, attempts)),
        "waited for the last": seconds(waited),
        "consumers in the end": consumers,
        "failures": reasonsOf(attempts)
      },
      violations: [
        ...ends,
        ...named("publish", published),
        ...named("durable", once2),
        ...named("ordered", strict)
      ]
    }
  }))

const quantile = (values: ReadonlyArray<number>, at: number): number => {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * at))] ?? 0
}

/** A server that goes down and comes back, again and again, under readers that wait. */
export const restarts: Workload = (system, given) =>
  Effect.scoped(Effect.gen(function*() {
    const rig = yield* makeRig(1)
    const random = randomOf(given.seed)
    yield* createStream(rig, { name: "FLOW", subjects: ["flow.>"] })
    yield* createConsumer(rig, "FLOW", "worker", { ack_wait: 5_000_000_000 })
    const peer = yield* peerOf(system, rig)
    const [durably, inOrder] = [arrivalsOf(), arrivalsOf()]
    const durable = yield* Effect.promise(() => peer.readDurable("FLOW", "worker", durably.take))
    const ordered = yield* Effect.promise(() => peer.readOrdered("FLOW", inOrder.take))
    const [server] = rig.servers
    const waits: Record<"durable" | "ordered", Array<number>> = { durable: [], ordered: [] }
    const violations: Array<string> = []
    const published: Array<Message> = []
    // What was not answered in time is stored twice, and is read twice.
    const publish = (id: string) => insisting(() => rig.connection.request("flow.r", id, { timeout: 250 }))
    yield* publish("first")
    yield* opened(() => durably.all.length > 0 && inOrder.all.length > 0, durable, ordered)
    for (let round = 0; round < given.restarts; round++) {
      const isKill = random() < 0.5
      yield* isKill ? server.kill : server.stop
      // Now and then for longer than the heartbeats.
      yield* Effect.sleep(random() < 0.05 ? 2_500 : random() * 150)
      yield* server.restart
      // At once, or after a pull has waited for some heartbeats.
      if (random() < 0.05) yield* Effect.sleep(3_500)
      const id = `r${round}`
      const { data } = yield* publish(id)
      const since = performance.now()
      published.push({ sequence: (JSON.parse(new TextDecoder().decode(data)) as { seq: number }).seq, id })
      // What comes again comes behind it.
      const has = ({ all }: typeof durably): boolean => all.slice(-20).some((each) => each.id === id)
      const bothHave = (): boolean => has(durably) && has(inOrder)
      yield* until(bothHave, 60_000)
      for (const [name, { all }] of [["durable", durably], ["ordered", inOrder]] as const) {
        const arrival = all.findLast((each) => each.id === id)
        const wait = arrival === undefined ? Infinity : Math.max(0, arrival.at - since)
        waits[name].push(wait)
        if (wait > 2 * heartbeat) {
          const silence = wait === Infinity ? "more than 60 s" : seconds(wait)
          violations.push(`${name}: restart ${round} (${isKill ? "kill" : "stop"}): silent for ${silence}`)
          given.log(violations.at(-1)!)
        }
      }
      if (round % 50 === 49) given.log(`${round + 1} restarts`)
      if (violations.length >= 40) break
    }
    const stream = yield* readBack(rig, "FLOW")
    violations.push(
      ...endOf("durable", durable),
      ...endOf("ordered", ordered),
      ...named("durable", checkAtLeastOnce(durably.all, stream)),
      ...named("ordered", checkOrdered(inOrder.all, stream))
    )
    const consumers = yield* consumersIn(rig, "FLOW", 2)
    yield* Effect.promise(() => Promise.all([durable.stop(), ordered.stop()]))
    return {
      counts: {
        server: rig.servers[0].version,
        restarts: published.length,
        "durable, median": `${Math.round(quantile(waits.durable, 0.5))} ms`,
        "durable, longest": `${Math.round(Math.max(...waits.durable))} ms`,
        "ordered, median": `${Math.round(quantile(waits.ordered, 0.5))} ms`,
        "ordered, longest": `${Math.round(Math.max(...waits.ordered))} ms`,
        "durable again": durably.all.length - new Set(durably.all.map(({ sequence }) => sequence)).size,
        "consumers in the end": consumers
      },
      violations
    }
  }))
