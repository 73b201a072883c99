/** Who reads the dashboard: nobody, some, one that is slow, and a program that ends meanwhile. */
import { assert, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import { NatsClient } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"
import * as net from "node:net"
import { serveDashboard, watch, Watching } from "../fixtures/dashboard.ts"
import { until } from "../fixtures/following.ts"

/** Counts the questions that services are asked, and is one. */
const counted = Effect.fnUntraced(function*(nats: NatsClient.NatsClient) {
  const asked = { times: 0 }
  yield* Effect.forkScoped(
    nats.consume("$SRV.STATS", (message) => {
      asked.times++
      return message.respond(JSON.stringify({ name: "counting", id: "1", version: "1.0.0", endpoints: [] }))
    }),
    { startImmediately: true }
  )
  yield* nats.flush
  return asked
})

const wide = Array.from({ length: 40 }, () => "x".repeat(512))

/** More than the buffers of sockets take, each time: 4 MiB. */
const big = { title: "Big", columns: wide, rows: Array.from({ length: 200 }, () => wide) }

/** Asks for the events, and reads nothing of them until somebody does. */
const stalled = (url: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const { hostname, port } = new URL(url)
      const socket = net.connect(Number(port), hostname)
      socket.write(`GET /dashboard/events HTTP/1.0\r\nhost: ${hostname}\r\n\r\n`)
      return socket
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )

/** A part of the test, whose readers leave at its end. */
const scoped = <A, E>(effect: Effect.Effect<A, E, Scope.Scope>) => Effect.scoped(effect)

it.live("nothing is asked while nobody reads, before the first reader and after the last", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make()
    const nats = yield* NatsClient.make({ servers: server.url })
    const asked = yield* counted(yield* NatsClient.make({ servers: server.url }))
    const sent = Effect.map(nats.stats, ({ bytesOut }) => bytesOut)
    const before = yield* sent
    const url = `${yield* serveDashboard(nats)}/dashboard`
    yield* Effect.promise(async () => (await fetch(url)).text())
    assert.strictEqual(yield* sent, before)
    yield* scoped(Effect.flatMap(watch(`${url}/events`), (watching) => watching.more(2)))
    assert.isAtLeast(asked.times, 2)
    // That the reader has left is heard of in a moment. That no time brings a question can only be seen by letting some
    // pass: ten periods.
    yield* until(Effect.gen(function*() {
      const then = yield* sent
      yield* Effect.sleep("1 second")
      return then === (yield* sent)
    }))
    const after = asked.times
    yield* scoped(Effect.flatMap(watch(`${url}/events`), (watching) => watching.more(1)))
    assert.isAbove(asked.times, after)
  }).pipe(Effect.scoped))

it.live("one round of questions is for all who read", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make()
    const nats = yield* NatsClient.make({ servers: server.url })
    const asked = yield* counted(yield* NatsClient.make({ servers: server.url }))
    const url = yield* serveDashboard(nats)
    const readers = yield* Effect.all(Array.from({ length: 5 }, () => watch(`${url}/dashboard/events`)))
    yield* Effect.forEach(readers, (each) => each.more(3))
    // Each has each snapshot once, and all have the same ones.
    const [first, ...others] = readers.map(({ snapshots }) => snapshots.map(({ at }) => at).slice(0, 3))
    for (const other of others) assert.deepStrictEqual(other, first)
    assert.isAtMost(asked.times, Math.max(...readers.map(({ snapshots }) => snapshots.length)) + 1)
  }).pipe(Effect.scoped))

it.live("who reads slowly gets the latest, and not all that there was", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make()
    const nats = yield* NatsClient.make({ servers: server.url })
    let looks = 0
    const slow = yield* stalled(yield* serveDashboard(nats, { sections: Effect.sync(() => (looks++, [big])) }))
    yield* until(Effect.sync(() => looks >= 15))
    const read = new Watching()
    slow.setEncoding("utf8").on("data", (text: string) => read.add(text))
    const newest = Date.now()
    yield* read.shows(() => read.last.at >= newest)
    assert.isBelow(read.snapshots.length, 8, `of ${looks}`)
  }).pipe(Effect.scoped))

it.live("an HTTP server that stops does not wait for its readers, however seldom they get something", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make()
    const nats = yield* NatsClient.make({ servers: server.url })
    for (const every of ["100 millis", "1 hour"] as const) {
      const scope = yield* Effect.flatMap(Effect.scope, Scope.fork)
      const url = yield* Scope.provide(serveDashboard(nats, { every }), scope)
      const readers = yield* Effect.all(Array.from({ length: 5 }, () => watch(`${url}/dashboard/events`)))
      yield* Effect.forEach(readers, (each) => each.shows(() => true))
      // It would wait for 20 seconds.
      yield* Effect.timeout(Scope.close(scope, Exit.void), "5 seconds")
      yield* Effect.forEach(readers, (each) => each.until(({ ended }) => ended))
    }
  }).pipe(Effect.scoped))

it.live("an HTTP server that stops does not wait for who does not read", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make()
    const nats = yield* NatsClient.make({ servers: server.url })
    let looks = 0
    const sections = Effect.sync(() => (looks++, [big]))
    const scope = yield* Effect.flatMap(Effect.scope, Scope.fork)
    const url = yield* Scope.provide(serveDashboard(nats, { sections }), scope)
    yield* stalled(url)
    yield* until(Effect.sync(() => looks >= 5))
    yield* Effect.timeout(Scope.close(scope, Exit.void), "5 seconds")
  }).pipe(Effect.scoped))
