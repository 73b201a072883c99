/** How a service ends: stopped, replaced, cut off, and what becomes of the requests it has. */
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Logger, Scope } from "effect"
import { NatsClient } from "effect-nats"
import { NatsService } from "effect-nats/service"
import { TestNatsServer } from "effect-nats/testing"
import * as childProcess from "node:child_process"
import { once } from "node:events"
import * as path from "node:path"
import { until } from "../fixtures/following.ts"
import { Slow } from "../fixtures/slow.ts"

const numbers = Array.from({ length: 50 }, (_, i) => i)

const connect = Effect.flatMap(TestNatsServer.TestNatsServer, (server) => NatsClient.make({ servers: server.url }))

/** A service whose handlers wait for the gate, on a connection that lives longer than it. */
const slowService = Effect.fnUntraced(function*(name: string, options?: Partial<NatsService.Options>) {
  const nats = yield* connect
  const gate = yield* Deferred.make<void>()
  const scope = yield* Scope.make()
  let running = 0
  let interrupted = 0
  const handlers = Slow.toLayer({
    work: (n) =>
      Effect.suspend(() => {
        running++
        return Effect.as(Deferred.await(gate), n * 2)
      }).pipe(
        Effect.onInterrupt(() =>
          Effect.sync(() => {
            interrupted++
          })
        ),
        Effect.ensuring(Effect.sync(() => {
          running--
        }))
      )
  })
  const service = yield* NatsService.make(Slow, { name, version: "1.0.0", ...options }).pipe(
    Effect.provide(handlers),
    Effect.provideService(NatsClient.NatsClient, nats),
    Scope.provide(scope)
  )
  return {
    service,
    nats,
    gate: Deferred.succeed(gate, undefined),
    close: Scope.close(scope, Exit.void),
    running: Effect.sync(() => running),
    interrupted: Effect.sync(() => interrupted)
  }
})

const ask = (nats: NatsClient.NatsClient, name: string) =>
  NatsService.client(Slow, { name }).pipe(
    Effect.flatMap((slow) => Effect.forEach(numbers, (n) => Effect.result(slow.work(n)), { concurrency: "unbounded" })),
    Effect.provideService(NatsClient.NatsClient, nats),
    Effect.forkChild({ startImmediately: true })
  )

const doubled = numbers.map((n) => n * 2)

const values = <A, E>(results: ReadonlyArray<{ readonly _tag: string; readonly success?: A; readonly failure?: E }>) =>
  results.map((result) => result._tag === "Success" ? result.success : result.failure)

/** The service has left its queue group: nobody else is in it. */
const left = (nats: NatsClient.NatsClient, subject: string) =>
  until(
    Effect.map(Effect.result(nats.request(subject, "1", { timeout: "20 millis" })), (result) =>
      result._tag === "Failure" && result.failure._tag === "NoResponders")
  )

it.layer(TestNatsServer.layer(), { timeout: "60 seconds", excludeTestServices: true })("a service that stops", (it) => {
  it.effect("answers fifty slow requests in flight when its scope closes, and takes no new one", () =>
    Effect.gen(function*() {
      const nats = yield* connect
      const slow = yield* slowService("closing")
      const answers = yield* ask(nats, "closing")
      yield* until(Effect.map(slow.running, (running) => running === 50))
      const closed = yield* Effect.forkChild(slow.close, { startImmediately: true })
      yield* left(nats, "closing.work")
      assert.isUndefined(closed.pollUnsafe())
      yield* slow.gate
      assert.deepStrictEqual(values(yield* Fiber.join(answers)), doubled)
      yield* Fiber.join(closed)
      yield* slow.service.ended
      // Nothing of it is left on its connection.
      assert.strictEqual((yield* slow.nats.stats).subscriptions, 0)
    }))

  it.effect("handles what is queued as well", () =>
    Effect.gen(function*() {
      const nats = yield* connect
      const slow = yield* slowService("queued", { concurrency: 2 })
      const answers = yield* ask(nats, "queued")
      yield* until(Effect.map(slow.running, (running) => running === 2))
      yield* nats.flush
      const stopping = yield* Effect.forkChild(slow.service.stop, { startImmediately: true })
      yield* left(nats, "queued.work")
      assert.strictEqual(yield* slow.running, 2)
      yield* slow.gate
      assert.deepStrictEqual(values(yield* Fiber.join(answers)), doubled)
      yield* Fiber.join(stopping)
      yield* slow.close
    }))

  it.effect("interrupts what is not done by the deadline, and answers that and what is queued with 503", () =>
    Effect.gen(function*() {
      const nats = yield* connect
      for (const concurrency of ["unbounded", 2] as const) {
        const name = `late-${concurrency}`
        const slow = yield* slowService(name, { drainTimeout: "50 millis", concurrency })
        const answers = yield* ask(nats, name)
        const most = concurrency === 2 ? 2 : 50
        yield* until(Effect.map(slow.running, (running) => running === most))
        // All of them have come to it: those that are still on their way when its time is over get no answer.
        yield* nats.flush
        yield* slow.nats.flush
        yield* slow.close
        const codes = values(yield* Fiber.join(answers)).map((it) =>
          typeof it === "object" && it._tag === "ServiceError" ? it.code : it
        )
        assert.deepStrictEqual(codes, numbers.map(() => 503))
        assert.deepStrictEqual([yield* slow.running, yield* slow.interrupted], [0, most])
      }
    }))

  it.effect("answers what it has when its client is drained, and ends without a failure", () =>
    Effect.gen(function*() {
      const nats = yield* connect
      const slow = yield* slowService("drained")
      const answers = yield* ask(nats, "drained")
      yield* until(Effect.map(slow.running, (running) => running === 50))
      const drained = yield* Effect.forkChild(slow.nats.drain, { startImmediately: true })
      yield* left(nats, "drained.work")
      yield* slow.gate
      assert.deepStrictEqual(values(yield* Fiber.join(answers)), doubled)
      yield* Fiber.join(drained)
      yield* slow.service.ended
      yield* slow.close
    }))

  it.effect("as a process that gets SIGTERM: fifty slow requests in flight are answered, then it ends", () =>
    Effect.gen(function*() {
      const { url } = yield* TestNatsServer.TestNatsServer
      const nats = yield* connect
      const gate = yield* Deferred.make<void>()
      let asked = 0
      yield* Effect.forkChild(
        nats.consume("gate", (message) => {
          asked++
          return Effect.andThen(Deferred.await(gate), message.respond())
        }, { concurrency: 50 }),
        { startImmediately: true }
      )
      yield* nats.flush
      const program = path.join(import.meta.dirname, "../fixtures/serving.ts")
      const child = yield* Effect.acquireRelease(
        Effect.sync(() =>
          childProcess.spawn(process.execPath, [program, url], { stdio: ["ignore", "pipe", "inherit"] })
        ),
        (child) => Effect.sync(() => child.kill("SIGKILL"))
      )
      let output = ""
      child.stdout.on("data", (data) => {
        output += data
      })
      const ended = once(child, "close")
      yield* until(
        Effect.map(
          Effect.result(nats.request("$SRV.PING.slow", "", { timeout: "1 second" })),
          (it) => it._tag === "Success"
        )
      )
      const answers = yield* ask(nats, "slow")
      yield* until(Effect.sync(() => asked === 50))
      child.kill("SIGTERM")
      yield* left(nats, "slow.work")
      assert.isNull(child.exitCode)
      yield* Deferred.succeed(gate, undefined)
      assert.deepStrictEqual(values(yield* Fiber.join(answers)), doubled)
      yield* Effect.promise(() => ended)
      assert.deepStrictEqual([child.signalCode, output], [null, "ended Failure\n"])
    }))

  it.effect("one of several: the others share the load, and no request is lost while they come and go", () =>
    Effect.gen(function*() {
      const nats = yield* connect
      const served = new Map<string, number>()
      const start = Effect.fnUntraced(function*(id: string) {
        const scope = yield* Scope.make()
        const own = yield* connect
        const handlers = Slow.toLayer({
          work: (n) =>
            Effect.andThen(
              Effect.yieldNow,
              Effect.sync(() => {
                served.set(id, (served.get(id) ?? 0) + 1)
                return n * 2
              })
            )
        })
        yield* NatsService.make(Slow, { name: "rolling", version: "1.0.0" }).pipe(
          Effect.provide(handlers),
          Effect.provideService(NatsClient.NatsClient, own),
          Scope.provide(scope)
        )
        return Scope.close(scope, Exit.void)
      })
      let stopFirst = yield* start("0")
      const slow = yield* NatsService.client(Slow, { name: "rolling" }).pipe(
        Effect.provideService(NatsClient.NatsClient, nats)
      )
      let done = false
      let answered = 0
      const load = yield* Effect.forkChild(Effect.forEach(numbers, (n) =>
        Effect.whileLoop({
          while: () => !done,
          body: () => slow.work(n),
          step: (value) => {
            assert.strictEqual(value, n * 2)
            answered++
          }
        }), { concurrency: "unbounded", discard: true }))
      // A request that is lost ends the load.
      const underLoad = (condition: () => boolean) => Effect.raceFirst(until(Effect.sync(condition)), Fiber.join(load))
      for (let round = 1; round <= 8; round++) {
        const stop = yield* start(String(round))
        const before = answered
        yield* underLoad(() => answered >= before + 500 && (served.get(String(round)) ?? 0) > 0)
        yield* stopFirst
        const after = answered
        yield* underLoad(() => answered >= after + 200)
        stopFirst = stop
      }
      done = true
      yield* Fiber.join(load)
      yield* stopFirst
      assert.strictEqual(served.size, 9)
      assert.strictEqual([...served.values()].reduce((sum, n) => sum + n, 0), answered)
    }))
})

it.layer(Layer.empty, { timeout: "60 seconds", excludeTestServices: true })(
  "a service whose connection breaks",
  (it) => {
    const quick = { initialDelay: "10 millis", maxDelay: "50 millis" } as const
    const handlers = Slow.toLayer({ work: (n) => Effect.succeed(n * 2) })

    it.effect("goes on after a reconnect, with discovery", () =>
      Effect.gen(function*() {
        const server = yield* TestNatsServer.make()
        const nats = yield* NatsClient.make({ servers: server.url, reconnect: quick })
        const caller = yield* NatsClient.make({ servers: server.url, reconnect: quick })
        const service = yield* NatsService.make(Slow, { name: "kept", version: "1.0.0" }).pipe(
          Effect.provide(handlers),
          Effect.provideService(NatsClient.NatsClient, nats)
        )
        assert.strictEqual((yield* caller.request("kept.work", "1")).text, "2")
        yield* server.restart
        const again = Effect.retry(caller.request("kept.work", "2", { timeout: "1 second" }), {
          while: (error) => error.isRetryable
        })
        assert.strictEqual((yield* again).text, "4")
        const ping = yield* caller.request(`$SRV.PING.kept.${service.id}`)
        assert.strictEqual(JSON.parse(ping.text).id, service.id)
        assert.strictEqual((yield* service.stats).endpoints[0].num_errors, 0)
      }))

    it.effect("for good: `run` fails with the cause, and a layer logs it", () =>
      Effect.gen(function*() {
        const server = yield* TestNatsServer.make()
        const client = NatsClient.layer({ servers: server.url, reconnect: { ...quick, maxAttempts: 2 } })
        const logged = yield* Deferred.make<string>()
        const logger = Logger.make(({ cause, logLevel, message }) => {
          const [first] = cause.reasons
          const error = first !== undefined && first._tag === "Fail" ? first.error : undefined
          if (logLevel === "Error" && error instanceof Error && String(message).includes("service")) {
            Deferred.doneUnsafe(logged, Exit.succeed(`${String(message)}: ${error.name}`))
          }
        })
        yield* Layer.build(
          NatsService.layer(Slow, { name: "layered", version: "1.0.0" }).pipe(
            Layer.provide([handlers, client]),
            Layer.provide(Logger.layer([logger]))
          )
        )
        const running = yield* Effect.forkChild(
          NatsService.run(Slow, { name: "run", version: "1.0.0" }).pipe(
            Effect.provide([handlers, client], { local: true })
          ),
          { startImmediately: true }
        )
        const witness = yield* NatsClient.make({ servers: server.url })
        yield* until(Effect.map(Effect.result(witness.request("$SRV.PING.run")), (it) => it._tag === "Success"))
        yield* server.kill
        const error = yield* Effect.flip(Fiber.join(running))
        assert(error._tag === "ConnectionClosed")
        assert.strictEqual(error.reason?._tag, "ConnectionRefused")
        assert.strictEqual(yield* Deferred.await(logged), "A service has ended: ConnectionClosed")
      }))

    it.effect("by a permission that is taken away: `ended` fails with it", () =>
      Effect.gen(function*() {
        const users = (subjects: ReadonlyArray<string>) => [
          { user: "a", password: "a", permissions: { publish: { allow: ">" }, subscribe: { allow: subjects } } }
        ]
        const server = yield* TestNatsServer.make({ users: users([">"]) })
        const nats = yield* NatsClient.make({
          servers: server.url,
          auth: { user: "a", password: "a" },
          reconnect: quick
        })
        const service = yield* NatsService.make(Slow, { name: "denied", version: "1.0.0" }).pipe(
          Effect.provide(handlers),
          Effect.provideService(NatsClient.NatsClient, nats)
        )
        yield* server.reload({ users: users(["_INBOX.>", "$SRV.>"]) })
        const error = yield* Effect.flip(service.ended)
        assert(error._tag === "PermissionsViolation")
        assert.strictEqual(error.subject, "denied.work")
      }))
  }
)
