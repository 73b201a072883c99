/**
 * Two minutes of load under faults: what the package promises is counted, and so is what is left behind.
 *
 *   node bench/soak.ts                          two minutes, about sixty faults
 *   node bench/soak.ts --seconds 20 --seed 7    shorter, and the faults in the order of that seed
 *
 * Two writers publish and ask through a proxy each, with a password that changes; a reader and a responder are connected
 * to the server itself. Held is: what was confirmed reaches the reader, once, but for what an outage of the server takes
 * with it (core NATS promises no more); a request has its own answer or a typed failure, in time; where only the
 * responder is replaced, an answer; no stream and no client ends; the end is in time and leaves nothing.
 *
 * It ends with 1 when one of these was broken, and says which.
 */
import { NatsClient, NatsListener } from "effect-nats"
import { TestNatsProxy, TestNatsServer } from "effect-nats/testing"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { parseArgs } from "node:util"
import { Ledger } from "./soakLedger.ts"

const { values } = parseArgs({ options: { seconds: { type: "string" }, seed: { type: "string" } } })
const seconds = Number(values.seconds ?? 120)
const seed = Number(values.seed ?? Date.now() % 1_000_000)

const drainTimeout = 3_000
const requestTimeout = 1_000
const faultEvery = 1_900

type Client = NatsClient.NatsClient

/** Everything under load, and what the faults act on. */
interface Rig {
  readonly server: TestNatsServer.TestNatsServer
  readonly proxies: ReadonlyArray<TestNatsProxy.TestNatsProxy>
  readonly writers: ReadonlyArray<Client>
  readonly reader: Client
  readonly responder: Client
  readonly ledger: Ledger
  /** Where the writers take their password from, and what the server takes. */
  readonly password: { source: string; server: string }
  /** Starts another instance of the responder and stops the one before. */
  readonly deploy: Effect.Effect<void, unknown>
}

const usersOf = (password: string) => [{ user: "direct", password: "fixed" }, { user: "writer", password }]

const makeRig: Effect.Effect<Rig, unknown, Scope.Scope> = Effect.gen(function*() {
  const scope = yield* Effect.scope
  const password = { source: "p0", server: "p0" }
  const server = yield* TestNatsServer.make({ users: usersOf(password.server) })
  const proxies = [
    yield* TestNatsProxy.make({ port: server.port, record: false }),
    yield* TestNatsProxy.make({ port: server.port, record: false })
  ]
  const ledger = new Ledger()
  const common = {
    drainTimeout,
    pingInterval: "400 millis",
    maxPingOut: 2,
    connectTimeout: "1 second",
    reconnect: { initialDelay: "50 millis", maxDelay: "500 millis" }
  } as const
  const direct = { ...common, servers: server.url, auth: { user: "direct", password: "fixed" } }
  const auth = Effect.sync(() => ({ user: "writer", password: password.source }))
  const open = (name: string, options: NatsClient.Options) =>
    Effect.tap(
      NatsClient.make(options),
      (client) =>
        Effect.forkIn(Effect.onExit(client.closed, (exit) => Effect.sync(() => ledger.ended(name, exit))), scope)
    )
  const reader = yield* open("the reader", direct)
  const responder = yield* open("the responder", direct)
  const writers = [
    yield* open("the first writer", { ...common, servers: proxies[0].url, auth }),
    yield* open("the second writer", { ...common, servers: proxies[1].url, auth, whileDisconnected: { buffer: 1_000 } })
  ]
  const { stream } = yield* reader.subscription("soak.in")
  yield* Stream.runForEach(stream, ({ text }) => Effect.sync(() => ledger.received(text))).pipe(
    Effect.onExit((exit) => Effect.sync(() => ledger.ended("the reader's stream", exit))),
    Effect.forkIn(scope)
  )
  const echo = NatsListener.replying(({ text }) => Effect.as(Effect.sleep(5), text))
  const instance = Effect.gen(function*() {
    const own = yield* Scope.fork(scope)
    yield* NatsListener.make("soak.echo", echo, { queue: "echo", concurrency: 64 }).pipe(
      Effect.provideService(NatsClient.NatsClient, responder),
      Scope.provide(own)
    )
    return own
  })
  let running = yield* instance
  const deploy = Effect.gen(function*() {
    const before = running
    running = yield* instance
    yield* Scope.close(before, Exit.void)
  })
  return { server, proxies, writers, reader, responder, ledger, password, deploy }
})

const publishing = ({ ledger }: Rig, writer: Client, name: string): Effect.Effect<never> =>
  Effect.forever(Effect.gen(function*() {
    const claim = ledger.claim(name)
    const exit = yield* Effect.exit(writer.publish("soak.in", claim.id, { confirm: true }))
    ledger.settle(claim, exit)
    yield* Effect.sleep(Exit.isSuccess(exit) ? 1 : 20)
  }))

const asking = ({ ledger }: Rig, caller: Client, name: string, healthy: boolean): Effect.Effect<never> =>
  Effect.forever(Effect.gen(function*() {
    const question = ledger.claim(name)
    const since = performance.now()
    const exit = yield* Effect.exit(caller.request("soak.echo", question.id, { timeout: requestTimeout }))
    ledger.asked(question, Exit.map(exit, ({ text }) => text), performance.now() - since, requestTimeout, healthy)
    yield* Effect.sleep(Exit.isSuccess(exit) ? 2 : 20)
  }))

const load = (rig: Rig): Effect.Effect<void> => {
  const [first, second] = rig.writers
  return Effect.all([
    publishing(rig, first, "a"),
    publishing(rig, first, "b"),
    publishing(rig, second, "c"),
    asking(rig, first, "d", false),
    asking(rig, second, "e", false),
    asking(rig, rig.reader, "f", true)
  ], { concurrency: "unbounded", discard: true })
}

type Fault = (rig: Rig, random: () => number) => Effect.Effect<void, unknown>

const oneOf = <A>(all: ReadonlyArray<A>, random: () => number): A => all[Math.floor(random() * all.length)]

/** A fault of a link, which is whole again after so many milliseconds. */
const link = (act: (proxy: TestNatsProxy.TestNatsProxy) => Effect.Effect<void>, millis = 0): Fault => (rig, random) => {
  const proxy = oneOf(rig.proxies, random)
  return Effect.andThen(act(proxy), Effect.andThen(Effect.sleep(millis), proxy.heal))
}

/** A fault of the server. What was promised before has reached the reader; after it reader and responder are back. */
const outage =
  (act: (server: Rig["server"]) => Effect.Effect<void, unknown>): Fault => ({ ledger, reader, responder, server }) =>
    Effect.gen(function*() {
      yield* ledger.outageBegins
      // Twice: the server reads its clients side by side.
      yield* Effect.andThen(Effect.ignore(reader.flush), Effect.ignore(reader.flush))
      yield* act(server)
      // A flush can end with the session that the fault ends.
      yield* Effect.forEach([reader, responder], (client) => Effect.eventually(client.flush))
      ledger.outageEnds()
    })

let rotations = 0

const faults: { readonly [name: string]: Fault } = {
  "connection closed (FIN)": link((proxy) => proxy.drop("FIN")),
  "connection reset (RST)": link((proxy) => proxy.drop("RST")),
  "cut in the middle of a message": link(
    (proxy) =>
      Effect.andThen(proxy.drop(), proxy.cut({ direction: "toServer", bytes: 2_003 }, { how: "RST", times: 1 })),
    1_000
  ),
  "new connections refused": link((proxy) => Effect.andThen(proxy.refuse, proxy.drop("RST")), 700),
  "cut at CONNECT": link((proxy) => Effect.andThen(proxy.cut("onConnect", { times: 3 }), proxy.drop()), 500),
  "half open": link((proxy) => proxy.swallow(), 1_500),
  "half open to the client": link((proxy) => proxy.swallow("toClient"), 1_500),
  "a slow link": link((proxy) => proxy.delay("80 millis"), 1_500),
  "a reconnect that was asked for": ({ writers }, random) => Effect.ignore(oneOf(writers, random).reconnect),
  "another instance of the responder": ({ deploy }) => deploy,
  "the server restarts": outage((server) => server.restart),
  "the server is killed": outage((server) =>
    Effect.andThen(server.kill, Effect.andThen(Effect.sleep("600 millis"), server.restart))
  ),
  "the server stands still": outage((server) =>
    Effect.andThen(server.pause, Effect.andThen(Effect.sleep("1 second"), server.resume))
  ),
  "the password changes, its source later": ({ password, server }) =>
    Effect.gen(function*() {
      password.server = `p${++rotations}`
      yield* server.reload({ users: usersOf(password.server) })
      yield* Effect.sleep("500 millis")
      password.source = password.server
    }),
  "the password changes, its source first": ({ password, server, writers }) =>
    Effect.gen(function*() {
      password.source = `p${++rotations}`
      yield* Effect.timeoutOption(Effect.ignore(writers[0].reconnect), "300 millis")
      password.server = password.source
      yield* server.reload({ users: usersOf(password.server) })
    }),
  "the user is missing for a second": ({ password, server }) =>
    Effect.gen(function*() {
      yield* server.reload({ users: usersOf(password.server).slice(0, 1) })
      yield* Effect.sleep("1 second")
      yield* server.reload({ users: usersOf(password.server) })
    })
}

/** The same numbers for the same seed. */
const randomOf = (seed: number): () => number => {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

/** Every fault once, in an order of chance, then again, until the time is over. */
const breaking = (rig: Rig): Effect.Effect<void, unknown> =>
  Effect.gen(function*() {
    const random = randomOf(seed)
    const until = performance.now() + seconds * 1_000
    let names: Array<string> = []
    while (performance.now() < until) {
      if (names.length === 0) names = Object.keys(faults)
      const [name] = names.splice(Math.floor(random() * names.length), 1)
      const since = performance.now()
      rig.ledger.fault(name)
      yield* faults[name](rig, random)
      yield* Effect.sleep(Math.max(200, faultEvery - (performance.now() - since)))
    }
  })

const soak = Effect.gen(function*() {
  const scope = yield* Scope.make()
  const rig = yield* Scope.provide(makeRig, scope)
  const { ledger } = rig
  const running = yield* Effect.forkChild(load(rig))
  yield* breaking(rig)
  for (const client of [...rig.writers, rig.reader]) {
    const back = yield* Effect.timeoutOption(Effect.eventually(client.flush), "15 seconds")
    if (back._tag === "None") ledger.broken.push("a client did not come back in 15 seconds")
  }
  yield* Fiber.interrupt(running)
  yield* Effect.andThen(rig.reader.flush, rig.reader.flush)
  ledger.closing()
  for (const [name, client] of Object.entries({ first: rig.writers[0], second: rig.writers[1], reader: rig.reader })) {
    const { pendingRequests } = yield* client.stats
    if (pendingRequests > 0) ledger.broken.push(`${name}: ${pendingRequests} requests are still pending`)
  }
  const since = performance.now()
  yield* Scope.close(scope, Exit.void)
  const took = Math.round(performance.now() - since)
  if (took > drainTimeout + 1_000) ledger.broken.push(`the end took ${took} ms`)
  return { ledger, took }
})

const { ledger, took } = await Effect.runPromise(soak)
const rows = (counts: ReadonlyMap<string, number>): string =>
  [...counts].map(([name, count]) => `  ${String(count).padStart(6)}  ${name}`).join("\n")

console.log(`${seconds} seconds, seed ${seed}; faults:\n${rows(ledger.faults)}`)
console.log(`${ledger.confirmed} publishes confirmed, ${ledger.answers} requests answered; failed, as they may:`)
console.log(rows(ledger.failures))
console.log(`the end took ${took} ms`)
for (const words of ledger.broken.slice(0, 20)) console.log(`BROKEN: ${words}`)
if (ledger.broken.length > 0) process.exitCode = 1

// Whatever is left keeps the process alive.
setTimeout(() => {
  console.log(`BROKEN: left: ${process.getActiveResourcesInfo().join(", ")}`)
  process.exit(1)
}, 3_000).unref()
console.log(ledger.broken.length === 0 ? "nothing lost" : `${ledger.broken.length} promises broken`)
