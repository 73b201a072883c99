import { assert, it } from "@effect/vitest"
import { Cause, Deferred, Effect, ErrorReporter, Exit, Fiber, Layer, Scope, Stream, Tracer } from "effect"
import { NatsClient } from "effect-nats"
import { NatsRpc } from "effect-nats/service"
import { TestNatsServer } from "effect-nats/testing"
import { Rpc, RpcClient, RpcGroup, RpcSerialization, RpcServer } from "effect/rpc"
import { caller, failureIn, failureTag, serve } from "../fixtures/rpcRigs.ts"
import { handlers, Observed, timingLayer, UserRpcs } from "../fixtures/rpcUsers.ts"

const url = Effect.map(TestNatsServer.TestNatsServer, (server) => server.url)
const all = { concurrency: "unbounded" } as const
const names = (count: number) => Array.from({ length: count }, (_, i) => String(i))

it.layer(TestNatsServer.layer(), { timeout: "30 seconds", excludeTestServices: true })("rpc servers", (it) => {
  it.effect("without a server a call fails at once, naming NoResponders and the subject", () =>
    Effect.gen(function*() {
      const { users } = yield* caller(yield* url, { subject: "nobody" })
      const error = yield* Effect.flip(users.Which())
      assert.strictEqual(error._tag, "RpcClientError")
      assert.include(error.message, "NoResponders")
      assert.include(error.message, "\"nobody\"")
      const stream = yield* Effect.exit(Stream.runDrain(users.WhichStream()))
      assert.strictEqual(failureTag(stream), "NoResponders")
    }))

  it.effect("two servers share the calls, and acks and the end of a stream reach the one that has it", () =>
    Effect.gen(function*() {
      const servers = yield* url
      const a = yield* serve(servers, "a", { subject: "two" })
      const b = yield* serve(servers, "b", { subject: "two" })
      const { users } = yield* caller(servers, { subject: "two" })
      const taken = yield* Effect.forEach(
        names(40),
        () => users.WhichStream().pipe(Stream.take(40), Stream.runCollect),
        all
      )
      for (const each of taken) assert.strictEqual(new Set(each).size, 1)
      const at = (name: string) => taken.filter((each) => each[0] === name).length
      assert.isAbove(at("a"), 0)
      assert.isAbove(at("b"), 0)
      yield* a.seen.until("WhichStream ended", at("a"))
      yield* b.seen.until("WhichStream ended", at("b"))
      assert.isBelow(a.seen.count("WhichStream emitted"), at("a") * 250)
    }))

  it.effect("two servers: each interruption reaches the one that has the call", () =>
    Effect.gen(function*() {
      const servers = yield* url
      const [a, b] = [yield* serve(servers, "a", { subject: "stop" }), yield* serve(servers, "b", { subject: "stop" })]
      const { users } = yield* caller(servers, { subject: "stop" })
      const fibers = yield* Effect.forEach(names(20), (id) => Effect.forkChild(users.Wait({ id })))
      const started = (id: string) =>
        Effect.raceFirst(a.seen.until(`Wait ${id} started`, 1), b.seen.until(`Wait ${id} started`, 1))
      yield* Effect.forEach(names(20), started)
      yield* Fiber.interruptAll(fibers)
      const stopped = (id: string) =>
        Effect.raceFirst(a.seen.until(`Wait ${id} interrupted`, 1), b.seen.until(`Wait ${id} interrupted`, 1))
      yield* Effect.forEach(names(20), stopped)
    }))

  it.effect("a request over max_payload fails alone, and names the limit", () =>
    Effect.gen(function*() {
      const servers = yield* url
      const { seen } = yield* serve(servers, "a", { subject: "large" })
      const { users } = yield* caller(servers, { subject: "large" })
      const waiting = yield* Effect.forkChild(users.Wait({ id: "1" }))
      yield* seen.until("Wait 1 started", 1)
      const exit = yield* Effect.exit(users.Echo({ text: "x".repeat(2 * 1024 * 1024) }))
      assert.strictEqual(failureTag(exit), "MaxPayloadExceeded")
      yield* seen.open
      assert.strictEqual(yield* Fiber.join(waiting), "a 1")
    }))

  it.effect("an answer over max_payload is a defect of its call that names the limit, and of no other", () =>
    Effect.gen(function*() {
      const servers = yield* url
      const { seen } = yield* serve(servers, "a", { subject: "huge" })
      const { users } = yield* caller(servers, { subject: "huge" })
      const waiting = yield* Effect.forkChild(users.Wait({ id: "1" }))
      yield* seen.until("Wait 1 started", 1)
      const exit = yield* Effect.exit(users.Repeat({ text: "0123456789abcdef", times: 128 * 1024 }))
      assert(Exit.isFailure(exit))
      assert.isTrue(Cause.hasDies(exit.cause))
      assert.match(String(Cause.squash(exit.cause)), /2097\d+ bytes .* over the server's limit of 1048576/)
      yield* seen.open
      assert.strictEqual(yield* Fiber.join(waiting), "a 1")
    }))

  it.effect("a chunk over max_payload is a defect of its stream, after what came before", () =>
    Effect.gen(function*() {
      const servers = yield* url
      const { seen } = yield* serve(servers, "a", { subject: "chunk" })
      const { users } = yield* caller(servers, { subject: "chunk" })
      const exit = yield* Effect.exit(Stream.runDrain(users.Count({ to: 400_000, each: 400_000 })))
      assert(Exit.isFailure(exit))
      assert.include(String(Cause.squash(exit.cause)), "over the server's limit")
      yield* seen.until("Count ended", 1)
      assert.strictEqual(yield* users.Which(), "a")
    }))

  it.effect("a handler that dies ends the calls of its client at its server only", () =>
    Effect.gen(function*() {
      const servers = yield* url
      const rigs = [yield* serve(servers, "a", { subject: "die" }), yield* serve(servers, "b", { subject: "die" })]
      const one = yield* caller(servers, { subject: "die" })
      const other = yield* caller(servers, { subject: "die" })
      const waiting = yield* Effect.forEach(names(20), (id) => Effect.forkChild(Effect.exit(one.users.Wait({ id }))))
      const theirs = yield* Effect.forkChild(other.users.Wait({ id: "other" }))
      const where = yield* Effect.forEach([...names(20), "other"], (id) =>
        Effect.raceFirst(
          Effect.as(rigs[0].seen.until(`Wait ${id} started`, 1), 0),
          Effect.as(rigs[1].seen.until(`Wait ${id} started`, 1), 1)
        ))
      assert.strictEqual(new Set(where).size, 2)
      assert.isTrue(Exit.isFailure(yield* Effect.exit(one.users.Die())))
      // One of the two servers has ended its calls of this client; which one is the queue group's choice.
      const ended = yield* Effect.raceFirst(
        Effect.as(rigs[0].seen.until(`Wait ${where.indexOf(0)} interrupted`, 1), 0),
        Effect.as(rigs[1].seen.until(`Wait ${where.indexOf(1)} interrupted`, 1), 1)
      )
      for (const rig of rigs) yield* rig.seen.open
      for (const [i, fiber] of waiting.entries()) {
        const exit = yield* Fiber.join(fiber)
        if (where[i] === ended) {
          assert(Exit.isFailure(exit))
          assert.include(String(Cause.squash(exit.cause)), "boom")
        } else {
          assert.strictEqual(failureTag(exit), `success ${"ab"[where[i]]} ${i}`)
        }
      }
      assert.match(yield* Fiber.join(theirs), /other/)
    }))

  it.effect("with disableFatalDefects a handler that dies ends its own call only", () =>
    Effect.gen(function*() {
      const servers = yield* url
      const { seen } = yield* serve(servers, "a", { subject: "mild", disableFatalDefects: true })
      const { users } = yield* caller(servers, { subject: "mild" })
      const waiting = yield* Effect.forkChild(users.Wait({ id: "1" }))
      yield* seen.until("Wait 1 started", 1)
      const exit = yield* Effect.exit(users.Die())
      assert(Exit.isFailure(exit))
      assert.include(String(Cause.squash(exit.cause)), "boom")
      yield* seen.open
      assert.strictEqual(yield* Fiber.join(waiting), "a 1")
    }))

  it.effect("a handler that dies: its caller gets the message without the stack, and the server's reporter is told", () =>
    Effect.gen(function*() {
      const nats = NatsClient.layer({ servers: yield* url })
      const Dying = RpcGroup.make(Rpc.make("die"))
      for (const disableFatalDefects of [false, true]) {
        const subject = `dying-${disableFatalDefects}`
        const reported: Array<unknown> = []
        yield* Layer.build(
          RpcServer.layer(Dying, { disableFatalDefects }).pipe(
            Layer.provide(Dying.toLayer({ die: () => Effect.die(new RangeError("too far")) })),
            Layer.provide(NatsRpc.layerServerProtocol({ subject })),
            Layer.provide([RpcSerialization.layerJson, nats]),
            Layer.provide(ErrorReporter.layer([ErrorReporter.make(({ error }) => void reported.push(error))]))
          )
        )
        const exit = yield* Effect.gen(function*() {
          const client = yield* RpcClient.make(Dying)
          return yield* Effect.exit(client.die())
        }).pipe(
          Effect.scoped,
          Effect.provide(Layer.provide(NatsRpc.layerClientProtocol({ subject }), [RpcSerialization.layerJson, nats]))
        )
        assert(Exit.isFailure(exit))
        const defect = Cause.squash(exit.cause)
        assert(defect instanceof Error)
        assert.strictEqual(`${defect.name}: ${defect.message}`, "RangeError: too far")
        assert.notInclude(defect.stack, "rpc-servers.test")
        assert.deepStrictEqual(reported.map(String), ["RangeError: too far"])
      }
    }))

  it.effect("a shutdown answers what is in flight, takes nothing new, and the other server goes on", () =>
    Effect.gen(function*() {
      const servers = yield* url
      // How long it takes is not what is tested.
      const a = yield* serve(servers, "a", { subject: "leave", nats: { drainTimeout: "10 minutes" } })
      const { users } = yield* caller(servers, { subject: "leave" })
      const waiting = yield* Effect.forEach(names(50), (id) => Effect.forkChild(users.Wait({ id })))
      yield* Effect.forEach(names(50), (id) => a.seen.until(`Wait ${id} started`, 1))
      // It goes on when it is read.
      const counting = yield* users.Count({ to: 200, each: 1 }, { asQueue: true, streamBufferSize: 4 })
      yield* a.seen.until("Count emitted", 4)
      const b = yield* serve(servers, "b", { subject: "leave" })
      const stopping = yield* Effect.forkChild(a.stop, { startImmediately: true })
      yield* a.nats.flush
      for (let i = 0; i < 30; i++) assert.strictEqual(yield* users.Which(), "b")
      yield* a.seen.open
      assert.deepStrictEqual(yield* Effect.forEach(waiting, Fiber.join), names(50).map((id) => `a ${id}`))
      assert.isUndefined(stopping.pollUnsafe())
      assert.strictEqual(yield* Stream.runCount(Stream.fromQueue(counting)), 200)
      yield* Fiber.join(stopping)
      yield* b.stop
      assert.strictEqual(failureTag(yield* Effect.exit(users.Which())), "NoResponders")
    }))

  for (
    const [name, serialization] of [["json", RpcSerialization.layerJson], [
      "binary",
      RpcSerialization.layerSchemaBinary()
    ]] as const
  ) {
    it.effect(`a shutdown interrupts what does not end in time: its callers see a server that is shut down, and can go on (${name})`, () =>
      Effect.gen(function*() {
        const servers = yield* url
        const options = { subject: `late.${name}`, serialization }
        const { seen, stop } = yield* serve(servers, "a", { ...options, drainTimeout: "100 millis" })
        const { users } = yield* caller(servers, options)
        const waiting = yield* Effect.forkChild(Effect.exit(users.Wait({ id: "1" })))
        const streaming = yield* Effect.forkChild(Effect.exit(Stream.runDrain(users.WhichStream())))
        yield* seen.until("Wait 1 started", 1)
        yield* seen.until("WhichStream emitted", 1)
        yield* stop
        assert.strictEqual(seen.count("Wait 1 interrupted"), 1)
        for (const exit of [yield* Fiber.join(waiting), yield* Fiber.join(streaming)]) {
          assert.deepInclude(failureIn(exit), { _tag: "RpcServerLost", reason: "shutdown", isRetryable: true })
        }
        yield* serve(servers, "b", options)
        assert.strictEqual(yield* users.Which(), "b")
      }))
  }

  it.effect("an interruption without a word is one, as a server of 0.1 sends it; a word that is not known is a shutdown", () =>
    Effect.gen(function*() {
      const servers = yield* url
      const { nats, users } = yield* caller(servers, { subject: "old" })
      const answer = (headers: Record<string, string> | undefined) =>
        Effect.gen(function*() {
          const calls = yield* nats.subscription("old", { max: 1 })
          const call = yield* Effect.forkChild(Effect.exit(users.Which()))
          yield* Stream.runForEach(calls.stream, (message) => {
            const { id: requestId } = JSON.parse(message.text) as { readonly id: string }
            const exit = { _tag: "Failure", cause: [{ _tag: "Interrupt", fiberId: null }] }
            return nats.publish(message.reply!, JSON.stringify({ _tag: "Exit", requestId, exit }), {
              headers,
              reply: "old.server.0"
            })
          })
          return yield* Fiber.join(call)
        })
      const plain = yield* answer(undefined)
      assert.isTrue(Exit.isFailure(plain) && Cause.hasInterrupts(plain.cause))
      assert.deepInclude(failureIn(yield* answer({ "Rpc-Server-End": "maintenance" })), {
        _tag: "RpcServerLost",
        reason: "shutdown"
      })
    }))

  it.effect("a handler that interrupts itself is an interruption for its caller, also while the server is shut down", () =>
    Effect.gen(function*() {
      const servers = yield* url
      const Group = RpcGroup.make(Rpc.make("now"), Rpc.make("later"))
      const begun = yield* Deferred.make<void>()
      const gate = yield* Deferred.make<void>()
      const scope = yield* Scope.make()
      yield* Layer.buildWithScope(
        RpcServer.layer(Group).pipe(
          Layer.provide(Group.toLayer({
            now: () => Effect.interrupt,
            later: () =>
              Deferred.succeed(begun, undefined).pipe(
                Effect.andThen(Deferred.await(gate)),
                Effect.andThen(Effect.interrupt)
              )
          })),
          Layer.provide(NatsRpc.layerServerProtocol({ subject: "self" })),
          Layer.provide([RpcSerialization.layerJson, NatsClient.layer({ servers })])
        ),
        scope
      )
      const protocol = yield* NatsRpc.makeClientProtocol({ subject: "self" }).pipe(
        Effect.provideService(NatsClient.NatsClient, yield* NatsClient.make({ servers })),
        Effect.provide(RpcSerialization.layerJson)
      )
      const client = yield* Effect.provideService(RpcClient.make(Group), RpcClient.Protocol, protocol)
      const at = yield* Effect.exit(client.now())
      assert.isTrue(Exit.isFailure(at) && Cause.hasInterrupts(at.cause))
      const later = yield* Effect.forkChild(Effect.exit(client.later()))
      yield* Deferred.await(begun)
      const stopping = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      yield* Deferred.succeed(gate, undefined)
      const exit = yield* Fiber.join(later)
      assert.isTrue(Exit.isFailure(exit) && Cause.hasInterrupts(exit.cause))
      yield* Fiber.join(stopping)
    }))

  it.effect("a server is shut down and another comes: the client's protocol goes on", () =>
    Effect.gen(function*() {
      const servers = yield* url
      const { users } = yield* caller(servers, { subject: "again" })
      for (const name of ["a", "b", "c"]) {
        const { stop } = yield* serve(servers, name, { subject: "again" })
        assert.strictEqual(yield* users.Which(), name)
        yield* stop
      }
    }))

  it.effect("sides that speak different serializations fail the call, and hang nobody", () =>
    Effect.gen(function*() {
      const servers = yield* url
      const binary = RpcSerialization.layerSchemaBinary()
      const toBinary = yield* serve(servers, "a", { subject: "mixed.a", serialization: binary })
      yield* serve(servers, "b", { subject: "mixed.b" })
      const json = yield* caller(servers, { subject: "mixed.a" })
      const other = yield* caller(servers, { subject: "mixed.b", serialization: binary })
      assert.include(failureTag(yield* Effect.exit(json.users.Which())), "cannot be decoded")
      assert.include(failureTag(yield* Effect.exit(other.users.Which())), "cannot be decoded")
      const right = yield* caller(servers, { subject: "mixed.a", serialization: binary })
      assert.strictEqual(yield* right.users.Which(), toBinary.seen.name)
    }))

  it.effect("rubbish on the subject of a service stops nothing", () =>
    Effect.gen(function*() {
      const servers = yield* url
      yield* serve(servers, "a", { subject: "rubbish" })
      const { nats, users } = yield* caller(servers, { subject: "rubbish" })
      const replies = yield* nats.subscription("_INBOX.rubbish.>")
      for (const payload of ["", "{", "[]", "null", "{\"_tag\":\"Request\"}", "{\"_tag\":\"Nothing\"}", "[[]]"]) {
        yield* nats.publish("rubbish", payload, { reply: "_INBOX.rubbish.x.1" })
        yield* nats.publish("rubbish", payload)
      }
      assert.strictEqual(yield* users.Which(), "a")
      yield* replies.unsubscribe
    }))

  it.effect("a subject with a wildcard, or none, is an InvalidSubject before anything is served", () =>
    Effect.gen(function*() {
      const servers = yield* url
      const build = (layer: Layer.Layer<never, unknown>) => Effect.flip(Effect.scoped(Layer.build(layer)))
      const needs = [RpcSerialization.layerJson, NatsClient.layer({ servers })] as const
      for (const subject of ["users.*", "users.>", "", "a b"]) {
        const server = yield* build(
          Layer.effectDiscard(Effect.void).pipe(
            Layer.provide(NatsRpc.layerServerProtocol({ subject })),
            Layer.provide([...needs])
          )
        )
        const client = yield* build(
          Layer.effectDiscard(Effect.void).pipe(
            Layer.provide(NatsRpc.layerClientProtocol({ subject })),
            Layer.provide([...needs])
          )
        )
        for (const error of [server, client]) {
          assert.deepInclude(error, { _tag: "InvalidSubject", what: "subject", subject })
        }
      }
    }))

  it.effect("a call after the protocol's scope has closed fails with ConnectionClosed, and does not hang", () =>
    Effect.gen(function*() {
      const servers = yield* url
      yield* serve(servers, "a", { subject: "outlived" })
      const nats = yield* NatsClient.make({ servers })
      // The layer of the protocol ends with the effect that it is provided to.
      const users = yield* RpcClient.make(UserRpcs).pipe(
        Effect.provide(
          Layer.provide(NatsRpc.layerClientProtocol({ subject: "outlived" }), RpcSerialization.layerJson)
        ),
        Effect.provideService(NatsClient.NatsClient, nats)
      )
      assert.strictEqual(failureTag(yield* Effect.exit(users.Which())), "ConnectionClosed")
    }))

  it.effect("a server forgets an idle client that leaves, at once", () =>
    Effect.gen(function*() {
      const servers = yield* url
      const seen = new Observed("a")
      const nats = yield* NatsClient.make({ servers })
      const protocol = yield* NatsRpc.makeServerProtocol({ subject: "idle", clientTimeout: "1 hour" }).pipe(
        Effect.provideService(NatsClient.NatsClient, nats),
        Effect.provide(RpcSerialization.layerJson)
      )
      yield* Effect.forkScoped(
        RpcServer.make(UserRpcs).pipe(
          Effect.provide([handlers(seen), timingLayer(seen)]),
          Effect.provideService(RpcServer.Protocol, protocol)
        )
      )
      const { stop, users } = yield* caller(servers, { subject: "idle" })
      assert.strictEqual(yield* users.Which(), "a")
      assert.strictEqual((yield* protocol.clientIds).size, 1)
      yield* stop
      yield* Effect.repeat(Effect.andThen(nats.flush, protocol.clientIds), { until: (ids) => ids.size === 0 })
    }))

  it.effect("a call has a span at each side, and its messages have none", () =>
    Effect.gen(function*() {
      const servers = yield* url
      const spans: Array<string> = []
      const tracer = Tracer.make({
        span: (options) => {
          spans.push(`${options.kind} ${options.name}`)
          return new Tracer.NativeSpan(options)
        }
      })
      yield* Effect.gen(function*() {
        yield* serve(servers, "a", { subject: "traced" })
        const { users } = yield* caller(servers, { subject: "traced" })
        yield* users.Which()
        yield* users.WhichStream().pipe(Stream.take(3), Stream.runDrain)
      }).pipe(Effect.withTracer(tracer))
      assert.deepStrictEqual(spans, ["client Which", "server Which", "client WhichStream", "server WhichStream"])
    }))

  it.effect("the subscriptions of both sides go with their scopes", () =>
    Effect.gen(function*() {
      const servers = yield* url
      const nats = yield* NatsClient.make({ servers })
      const scope = yield* Scope.make()
      const make = Effect.andThen(
        NatsRpc.makeServerProtocol({ subject: "scoped" }),
        NatsRpc.makeClientProtocol({ subject: "scoped" })
      )
      yield* make.pipe(
        Effect.provideService(NatsClient.NatsClient, nats),
        Effect.provide(RpcSerialization.layerJson),
        Scope.provide(scope)
      )
      assert.strictEqual((yield* nats.stats).subscriptions, 3)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* nats.stats).subscriptions, 0)
    }))
})
