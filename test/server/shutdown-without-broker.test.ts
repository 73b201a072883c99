/** A program that is told to stop while its broker is away stops: whatever is sent in somebody's finalizer is bounded. */
import { NodeFileSystem } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Exit, Fiber, FileSystem, Layer, Schema, Scope, Stream } from "effect"
import { NatsClient, type NatsError, NatsListener, type NatsMessage, NatsRecorder, SubjectSchema } from "effect-nats"
import { NatsRpc, NatsService } from "effect-nats/service"
import { TestNatsProxy, TestNatsServer } from "effect-nats/testing"
import { Rpc, RpcClient, RpcGroup, RpcSerialization, RpcServer } from "effect/rpc"
import * as net from "node:net"
import { listen } from "../../src/testing/internal/loopback.ts"
import { until } from "../fixtures/following.ts"
import { steadily } from "../fixtures/steadyClock.ts"

const patience = "300 millis"

const Slow = Rpc.make("slow", { success: Schema.String })
const Ticks = Rpc.make("ticks", { success: Schema.String, stream: true })
const Group = RpcGroup.make(Slow, Ticks)
const Unary = RpcGroup.make(Slow)

/** What a part needs: its own client, another one, and a way to hold its handlers until the broker is away. */
interface Situation {
  readonly nats: NatsClient.NatsClient
  readonly other: NatsClient.NatsClient
  /** Tells that a handler has begun. */
  readonly begun: Effect.Effect<void>
  /** Waits until the broker is away. */
  readonly away: Effect.Effect<void>
  /** The scope of what is not told to stop. */
  readonly outside: Scope.Scope
}

/** A situation, and what the test does with it. */
const situate = Effect.fnUntraced(function*(nats: NatsClient.NatsClient, other: NatsClient.NatsClient) {
  const begun = yield* Deferred.make<void>()
  const away = yield* Deferred.make<void>()
  const situation: Situation = {
    nats,
    other,
    begun: Effect.asVoid(Deferred.succeed(begun, undefined)),
    away: Deferred.await(away),
    outside: yield* Effect.scope
  }
  return { situation, hasBegun: Deferred.await(begun), tellAway: Deferred.succeed(away, undefined) }
})

type Part = (situation: Situation) => Effect.Effect<unknown, unknown, Scope.Scope>

const withNats = (nats: NatsClient.NatsClient) => Effect.provideService(NatsClient.NatsClient, nats)

/** Waits until a client knows that its connection is gone. */
const disconnected = (nats: NatsClient.NatsClient) => until(Effect.map(nats.state, ({ _tag }) => _tag !== "Connected"))

/** A handler that has begun when the broker goes away, and answers then. */
const handler = ({ away, begun }: Situation) => Effect.as(Effect.andThen(begun, away), "done")

/** Something that a program of the user's does when its scope closes. */
const finalizer =
  (effect: (situation: Situation) => Effect.Effect<unknown, unknown, Scope.Scope>): Part => (situation) =>
    Effect.andThen(
      Effect.addFinalizer(() => Effect.ignore(Effect.scoped(effect(situation)))),
      situation.begun
    )

const asked = (situation: Situation, subject: string) =>
  Effect.forkScoped(Effect.ignore(situation.other.request(subject, "", { timeout: "20 seconds" })))

/** A consumer that has a message to handle. */
const consuming =
  (handle: (situation: Situation, message: NatsMessage.NatsMessage) => Effect.Effect<unknown, unknown>): Part =>
  (situation) =>
    Effect.gen(function*() {
      yield* Effect.forkScoped(
        situation.nats.consume("work", (message) => handle(situation, message)),
        { startImmediately: true }
      )
      yield* situation.nats.flush
      yield* asked(situation, "work")
    })

const listener = (situation: Situation) =>
  withNats(situation.nats)(
    NatsListener.make("work", NatsListener.replying(() => handler(situation)), { drainTimeout: patience })
  )

const service = (situation: Situation) =>
  NatsService.make(Unary, { name: "work", version: "1.0.0", drainTimeout: patience }).pipe(
    Effect.provide(Unary.toLayer({ slow: () => handler(situation) })),
    withNats(situation.nats)
  )

const rpcServer = (situation: Situation) =>
  Layer.build(
    RpcServer.layer(Group).pipe(
      Layer.provide(Group.toLayer({
        slow: () => handler(situation),
        ticks: () => Stream.concat(Stream.make("first"), Stream.forever(Stream.fromEffect(handler(situation))))
      })),
      Layer.provide(NatsRpc.layerServerProtocol({ subject: "rpc", drainTimeout: patience })),
      Layer.provide([RpcSerialization.layerJson, Layer.succeed(NatsClient.NatsClient, situation.nats)])
    )
  )

const rpcClient = (nats: NatsClient.NatsClient) =>
  Effect.gen(function*() {
    const protocol = yield* NatsRpc.makeClientProtocol({ subject: "rpc" }).pipe(
      withNats(nats),
      Effect.provide(RpcSerialization.layerJson)
    )
    return yield* Effect.provideService(RpcClient.make(Group), RpcClient.Protocol, protocol)
  })

const parts: Readonly<Record<string, Part>> = {
  "consume": consuming((situation, message) => Effect.flatMap(handler(situation), (text) => message.respond(text))),
  "a handler that cannot be interrupted": consuming((situation, message) =>
    Effect.uninterruptible(Effect.flatMap(handler(situation), (text) => message.respond(text)))
  ),
  "a handler that tells its end": consuming((situation) =>
    Effect.ensuring(
      Effect.andThen(situation.begun, Effect.never),
      Effect.ignore(situation.nats.publish("work.ended"))
    )
  ),
  "a listener": (situation) => Effect.andThen(listener(situation), asked(situation, "work")),
  "a listener whose handler tells its end": (situation) =>
    NatsListener.make("work", (message) =>
      Effect.ensuring(
        Effect.andThen(situation.begun, Effect.never),
        Effect.ignore(message.respond("ended"))
      ), { drainTimeout: patience }).pipe(
        withNats(situation.nats),
        Effect.andThen(asked(situation, "work"))
      ),
  "a typed responder": (situation) =>
    SubjectSchema.makeRequest("work", { payload: Schema.Unknown, success: Schema.String })
      .respond(() => handler(situation), { drainTimeout: patience }).pipe(
        withNats(situation.nats),
        Effect.andThen(
          Effect.forkScoped(Effect.ignore(situation.other.request("work", "1", { timeout: "20 seconds" })))
        )
      ),
  "a service": (situation) => Effect.andThen(service(situation), asked(situation, "work.slow")),
  "an rpc server with a call": (situation) =>
    Effect.andThen(
      rpcServer(situation),
      Effect.flatMap(rpcClient(situation.other), (client) => Effect.forkScoped(Effect.exit(client.slow())))
    ),
  "an rpc server with a stream": (situation) =>
    Effect.andThen(
      rpcServer(situation),
      Effect.flatMap(
        rpcClient(situation.other),
        (client) => Effect.forkScoped(Effect.exit(Stream.runDrain(client.ticks())))
      )
    ),
  "an rpc client with a call and a stream": (situation) =>
    Effect.gen(function*() {
      const serving = { ...situation, nats: situation.other, begun: Effect.void, away: Effect.never }
      yield* Scope.provide(rpcServer(serving), situation.outside)
      const client = yield* rpcClient(situation.nats)
      yield* Effect.forkScoped(Effect.exit(client.slow()))
      yield* Effect.forkScoped(Effect.exit(Stream.runForEach(client.ticks(), () => situation.begun)))
    }),
  "a recording": (situation) =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const file = `${yield* fs.makeTempDirectoryScoped()}/recording.jsonl`
      yield* Layer.build(
        Layer.provide(NatsRecorder.layerFile(file, ">"), [
          NodeFileSystem.layer,
          Layer.succeed(NatsClient.NatsClient, situation.nats)
        ])
      )
      yield* situation.begun
    }).pipe(Effect.provide(NodeFileSystem.layer)),
  "a publish in a finalizer": finalizer(({ nats }) => nats.publish("bye")),
  "a publish in a finalizer, behind what the broker does not take": (situation) =>
    Effect.andThen(
      Effect.addFinalizer(() =>
        Effect.ignore(Effect.andThen(
          Effect.forEach(Array.from({ length: 40 }), () => situation.nats.publish("much", new Uint8Array(1_000_000))),
          situation.nats.publish("bye")
        ))
      ),
      situation.begun
    ),
  "a confirmed publish in a finalizer": finalizer(({ nats }) => nats.publish("bye", "", { confirm: true })),
  "a flush in a finalizer": finalizer(({ nats }) => nats.flush),
  "an rtt in a finalizer": finalizer(({ nats }) => nats.rtt),
  "a request in a finalizer": finalizer(({ nats }) => nats.request("bye", "", { timeout: patience })),
  "many replies in a finalizer": finalizer(({ nats }) =>
    Stream.runDrain(nats.requestMany("bye", "", { timeout: patience }))
  ),
  "a subscription in a finalizer": finalizer(({ nats }) => nats.subscription("bye")),
  "a drained subscription in a finalizer": (situation) =>
    Effect.gen(function*() {
      const { drain } = yield* situation.nats.subscription("bye")
      yield* Effect.addFinalizer(() => drain)
      yield* situation.begun
    }),
  "a drain in a finalizer": finalizer(({ nats }) => nats.drain),
  "a typed publish in a finalizer": finalizer(({ nats }) =>
    SubjectSchema.make("bye", Schema.String).publish("x").pipe(withNats(nats))
  ),
  "nothing but a client": ({ begun }) => begun
}

/** A way to a server that takes a few megabytes a second in each direction. */
const throttled = Effect.fnUntraced(function*(server: number) {
  const sockets = new Set<net.Socket>()
  yield* Effect.addFinalizer(() => Effect.sync(() => sockets.forEach((socket) => socket.destroy())))
  const slowly = (from: net.Socket, to: net.Socket): void => {
    sockets.add(from)
    from.on("data", (chunk) => {
      to.write(chunk)
      from.pause()
      setTimeout(() => from.resume(), chunk.length / 4_000)
    }).on("error", () => {}).on("close", () => to.destroy())
  }
  const { port } = yield* listen((client) => {
    const upstream = net.connect({ host: "127.0.0.1", port: server })
    slowly(client, upstream)
    slowly(upstream, client)
  }, { allowHalfOpen: false })
  return port
})

describe.concurrent("a program that is told to stop", () => {
  for (const how of ["kill", "pause"] as const) {
    for (const [name, part] of Object.entries(parts)) {
      it.live(`ends while its broker is ${how === "kill" ? "away" : "frozen"}: ${name}`, () =>
        Effect.gen(function*() {
          const server = yield* TestNatsServer.make()
          const options: NatsClient.Options = {
            servers: server.url,
            drainTimeout: patience,
            reconnect: { initialDelay: "20 millis", maxDelay: "50 millis" }
          }
          const scope = yield* Scope.make()
          const nats = yield* Scope.provide(NatsClient.make(options), scope)
          const { hasBegun, situation, tellAway } = yield* situate(nats, yield* NatsClient.make(options))
          yield* Scope.provide(part(situation), scope)
          yield* hasBegun
          yield* server[how]
          if (how === "kill") yield* disconnected(nats)
          yield* tellAway
          const closing = yield* Effect.forkDetach(Scope.close(scope, Exit.void))
          const closed = yield* Effect.timeoutOption(Fiber.await(closing), "15 seconds")
          yield* server.resume.pipe(Effect.ignore)
          assert.strictEqual(closed._tag, "Some", "it has not ended")
        }), 60_000)
    }
  }
})

// What has not moved for a second is given up: that this process had no turn does not count.
describe("a wait for a connection that is away", () => {
  it.live("ends with ConnectionLost where it cannot be interrupted, and only there, unless it has a time of its own", () =>
    steadily(Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      const nats = yield* NatsClient.make({
        servers: server.url,
        drainTimeout: patience,
        reconnect: { initialDelay: "20 millis", maxDelay: "50 millis" }
      })
      const { stream } = yield* nats.subscription("sent")
      yield* server.kill
      yield* disconnected(nats)
      const waiting = yield* Effect.forkChild(nats.publish("sent", "interruptible"), { startImmediately: true })
      const patient = yield* Effect.forkChild(
        Effect.uninterruptible(nats.publish("sent", "patient", { timeout: "20 seconds" })),
        { startImmediately: true }
      )
      const opening = Effect.asVoid(Effect.scoped(nats.subscription("sent")))
      for (const operation of [nats.publish("sent", "never"), nats.flush, opening]) {
        const error = yield* Effect.flip(
          Effect.uninterruptible<void, NatsError.SubscribeError | NatsError.RespondError, never>(operation)
        )
        assert(error._tag === "ConnectionLost", error._tag)
      }
      yield* server.restart
      yield* Fiber.join(waiting)
      yield* Fiber.join(patient)
      const received = yield* Stream.runCollect(Stream.take(stream, 2))
      assert.sameMembers(received.map(({ text }) => text), ["interruptible", "patient"])
    })))

  it.live("is not waited for again by the next one: finalizers do not add up", () =>
    steadily(Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      const nats = yield* NatsClient.make({ servers: server.url, drainTimeout: "2 seconds" })
      yield* server.pause
      const wait = Effect.ignore(Effect.uninterruptible(Effect.asVoid(nats.flush)))
      const [first] = yield* Effect.timed(wait)
      const [others] = yield* Effect.timed(Effect.forEach([1, 2, 3, 4], () => wait))
      assert.isBelow(Duration.toMillis(others), Duration.toMillis(first))
      yield* server.resume
      // It moves again, and is waited for again.
      yield* nats.flush
      yield* Effect.uninterruptible(nats.flush)
    })))

  it.live("is not given up for a round trip that takes longer than drainTimeout", () =>
    steadily(Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      const link = yield* TestNatsProxy.make({ port: server.port })
      const nats = yield* NatsClient.make({ servers: link.url, drainTimeout: "50 millis" })
      yield* link.delay("100 millis")
      yield* Effect.uninterruptible(nats.flush)
      yield* Effect.uninterruptible(nats.publish("x", "", { confirm: true }))
    })))

  it.live("goes on for as long as something moves: a slow link loses nothing", () =>
    steadily(Effect.gen(function*() {
      const server = yield* TestNatsServer.make()
      const slow = yield* throttled(server.port)
      const witness = yield* NatsClient.make({ servers: server.url })
      const nats = yield* NatsClient.make({ servers: `nats://127.0.0.1:${slow}`, drainTimeout: patience })
      const { drain, stream } = yield* nats.subscription("much")
      // Two seconds and more on the way, of which it may wait for one without a byte.
      for (let i = 0; i < 8; i++) yield* witness.publish("much", new Uint8Array(1_000_000))
      yield* witness.flush
      yield* Effect.uninterruptible(drain)
      assert.strictEqual((yield* Stream.runCollect(stream)).length, 8)
    })))

  // What is bounded must not be lost: these answers are made where nothing can interrupt them.
  const textOf = (situation: Situation, subject: string) =>
    Effect.map(situation.other.request(subject, "", { timeout: "20 seconds" }), ({ text }) => text)
  const answering: Readonly<Record<string, readonly [open: Part, ask: Part]>> = {
    "a service": [service, (situation) => textOf(situation, "work.slow")],
    "a listener": [listener, (situation) => textOf(situation, "work")],
    "an rpc server": [rpcServer, (situation) => Effect.flatMap(rpcClient(situation.other), (client) => client.slow())]
  }
  for (const [name, [open, ask]] of Object.entries(answering)) {
    it.live(`is waited for with an answer, for longer than a shutdown may take: ${name}`, () =>
      steadily(Effect.gen(function*() {
        const server = yield* TestNatsServer.make()
        // Only the one that answers is cut off: what the other one asks and is told is with the server all the time.
        const link = yield* TestNatsProxy.make({ port: server.port })
        const reconnect = { initialDelay: "20 millis", maxDelay: "50 millis" } as const
        const nats = yield* NatsClient.make({ servers: link.url, drainTimeout: patience, reconnect })
        const { hasBegun, situation, tellAway } = yield* situate(nats, yield* NatsClient.make({ servers: server.url }))
        yield* open(situation)
        const asked = yield* Effect.forkScoped(ask(situation))
        yield* hasBegun
        yield* link.refuse
        yield* link.drop()
        yield* disconnected(nats)
        yield* tellAway
        // Longer than anything may take at the end, with nothing to wait for: the answer is on its way.
        yield* Effect.sleep("1500 millis")
        yield* link.heal
        assert.include(String(yield* Fiber.join(asked)), "done")
      })))
  }
})
