/**
 * What the ends of one client's parts wait has one deadline: they do not add up, whatever state they are in. Clients, handlers
 * and measure have one clock, which does not count what a busy machine takes away.
 */
import { NodeFileSystem } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Exit, FileSystem, Layer, Logger, Schema, Scope } from "effect"
import { NatsClient, NatsListener, NatsRecorder, SubjectSchema } from "effect-nats"
import { NatsRpc, NatsService } from "effect-nats/service"
import { TestNatsProxy, TestNatsServer } from "effect-nats/testing"
import { Rpc, RpcClient, RpcGroup, RpcSerialization, RpcServer } from "effect/rpc"
import { until } from "../fixtures/following.ts"
import { steadily } from "../fixtures/steadyClock.ts"

const drainMillis = 800
/** With the last second, and as much for the turns between: four parts that add up take longer. */
const limit = drainMillis + 1_000 + 800

const Work = RpcGroup.make(Rpc.make("work", { success: Schema.String }))
const job = (n: number) => SubjectSchema.makeRequest(`job.${n}`, { payload: Schema.Unknown, success: Schema.String })

/** What a part is given: its client, and what its handlers do. */
interface Situation {
  readonly nats: NatsClient.NatsClient
  readonly handler: Effect.Effect<void>
}

interface Part {
  readonly open: (situation: Situation) => Effect.Effect<unknown, unknown, Scope.Scope>
  /** Who asks it, so that each of its handlers runs. Absent: it has none. */
  readonly ask?: (other: NatsClient.NatsClient) => Effect.Effect<unknown, unknown, Scope.Scope>
  readonly handlers?: number
}

const times = (n: number): ReadonlyArray<number> => Array.from({ length: n }, (_, i) => i)

const publishEach = (n: number, subject: string) => (other: NatsClient.NatsClient) =>
  Effect.forEach(times(n), (i) => other.publish(`${subject}.${i}`, "1", { reply: "nobody" }), { discard: true })

const withNats = (nats: NatsClient.NatsClient) => Effect.provideService(NatsClient.NatsClient, nats)

const consumes = (n: number): Part => ({
  open: ({ handler, nats }) =>
    Effect.andThen(
      Effect.forEach(times(n), (i) =>
        Effect.forkScoped(nats.consume(`consume${n}.${i}`, () => handler), { startImmediately: true })),
      nats.flush
    ),
  ask: publishEach(n, `consume${n}`),
  handlers: n
})

const listeners = (n: number): Part => ({
  open: ({ handler, nats }) =>
    withNats(nats)(
      Effect.forEach(times(n), (i) => NatsListener.make(`listen${n}.${i}`, () => handler, { drainTimeout: "1 minute" }))
    ),
  ask: publishEach(n, `listen${n}`),
  handlers: n
})

const rpcServer = ({ handler, nats }: Situation) =>
  Layer.build(
    RpcServer.layer(Work).pipe(
      Layer.provide(Work.toLayer({ work: () => Effect.as(handler, "done") })),
      Layer.provide(NatsRpc.layerServerProtocol({ subject: "rpc" })),
      Layer.provide([RpcSerialization.layerJson, Layer.succeed(NatsClient.NatsClient, nats)])
    )
  )

const rpcClient = (nats: NatsClient.NatsClient) =>
  NatsRpc.makeClientProtocol({ subject: "rpc" }).pipe(
    withNats(nats),
    Effect.provide(RpcSerialization.layerJson),
    Effect.flatMap((protocol) => Effect.provideService(RpcClient.make(Work), RpcClient.Protocol, protocol))
  )

const service = ({ handler, nats }: Situation) =>
  NatsService.make(Work, { name: "service", version: "1.0.0" }).pipe(
    Effect.provide(Work.toLayer({ work: () => Effect.as(handler, "done") })),
    withNats(nats)
  )

const parts: Readonly<Record<string, Part>> = {
  "a consume": consumes(1),
  "four consumes": consumes(4),
  "sixteen consumes": consumes(16),
  "four listeners": listeners(4),
  "sixteen listeners": listeners(16),
  "four typed responders": {
    open: ({ handler, nats }) =>
      withNats(nats)(
        Effect.forEach(times(4), (n) => job(n).respond(() => Effect.as(handler, "done")))
      ),
    ask: publishEach(4, "job"),
    handlers: 4
  },
  "four subscriptions that are drained": {
    open: ({ nats }) =>
      Effect.forEach(
        times(4),
        (i) => Effect.flatMap(nats.subscription(`drained.${i}`), ({ drain }) => Effect.addFinalizer(() => drain))
      )
  },
  "a service": {
    open: service,
    ask: (other) => other.publish("service.work", "null", { reply: "nobody" }),
    handlers: 1
  },
  "an rpc server": {
    open: rpcServer,
    ask: (other) => Effect.flatMap(rpcClient(other), (client) => Effect.forkScoped(Effect.exit(client.work()))),
    handlers: 1
  },
  "a recorder": {
    open: ({ nats }) =>
      Effect.gen(function*() {
        const file = `${yield* (yield* FileSystem.FileSystem).makeTempDirectoryScoped()}/recording.jsonl`
        yield* Layer.build(
          Layer.provide(NatsRecorder.layerFile(file, "recorded.>"), [
            NodeFileSystem.layer,
            Layer.succeed(NatsClient.NatsClient, nats)
          ])
        )
      }).pipe(Effect.provide(NodeFileSystem.layer))
  }
}

/** The parts, one after the other and in layers that are closed side by side. */
const together: Part = {
  open: (situation) =>
    Effect.gen(function*() {
      for (const n of [1, 4]) yield* listeners(n).open(situation)
      yield* consumes(4).open(situation)
      yield* Layer.build(
        Layer.mergeAll(
          NatsListener.layer("merged.0", () => situation.handler),
          NatsListener.layer("merged.1", () => situation.handler),
          Layer.effectDiscard(service(situation)),
          Layer.effectDiscard(rpcServer(situation))
        ).pipe(Layer.provide(Layer.succeed(NatsClient.NatsClient, situation.nats)))
      )
    }),
  ask: (other) =>
    Effect.gen(function*() {
      for (const ask of [publishEach(1, "listen1"), publishEach(4, "listen4"), publishEach(4, "consume4")]) {
        yield* ask(other)
      }
      yield* publishEach(2, "merged")(other)
      yield* other.publish("service.work", "null", { reply: "nobody" })
      yield* parts["an rpc server"].ask!(other)
    }),
  handlers: 13
}

interface State {
  readonly handler: (released: Effect.Effect<void>) => Effect.Effect<void>
  readonly isAsked: boolean
  readonly fault?: (
    server: TestNatsServer.TestNatsServer,
    proxy: TestNatsProxy.TestNatsProxy
  ) => Effect.Effect<void, unknown>
}

const stuck = (): Effect.Effect<never> => Effect.never

const states: Readonly<Record<string, State>> = {
  "idle": { handler: stuck, isAsked: false },
  "with stuck handlers": { handler: stuck, isAsked: true },
  "with handlers that take their time": { handler: () => Effect.sleep(0.9 * drainMillis), isAsked: true },
  "on a link that is half open": { handler: stuck, isAsked: false, fault: (_, proxy) => proxy.swallow() },
  "with stuck handlers on a link that is half open": {
    handler: stuck,
    isAsked: true,
    fault: (_, proxy) => proxy.swallow("toClient")
  },
  "with stuck handlers and a broker that is away": { handler: stuck, isAsked: true, fault: ({ kill }) => kill },
  "with stuck handlers and a broker that is frozen": { handler: stuck, isAsked: true, fault: ({ pause }) => pause },
  "with handlers that cannot be interrupted": {
    handler: (released) => Effect.uninterruptible(released),
    isAsked: true
  }
}

/** A part in a state; then how long it takes to close the scope of it and of its client, in milliseconds. */
const closing = (part: Part, state: State) =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make()
    const proxy = yield* TestNatsProxy.make({ port: server.port })
    const other = yield* NatsClient.make({ servers: server.url, drainTimeout: "100 millis" })
    const scope = yield* Scope.make()
    const nats = yield* Scope.provide(
      NatsClient.make({ servers: proxy.url, drainTimeout: drainMillis, reconnect: { maxDelay: "100 millis" } }),
      scope
    )
    const released = yield* Deferred.make<void>()
    let begun = 0
    const handler = Effect.andThen(Effect.sync(() => begun++), state.handler(Deferred.await(released)))
    yield* Scope.provide(part.open({ nats, handler }), scope)
    if (state.isAsked) {
      yield* part.ask?.(other) ?? Effect.void
      yield* until(Effect.sync(() => begun === (part.handlers ?? 0)))
    }
    return Effect.gen(function*() {
      yield* state.fault?.(server, proxy) ?? Effect.void
      const [duration, exit] = yield* Effect.timed(Effect.exit(Scope.close(scope, Exit.void)))
      yield* Deferred.succeed(released, undefined)
      assert.isTrue(Exit.isSuccess(exit), String(exit))
      return Duration.toMillis(duration)
    })
  })

describe("the close of a client has one deadline", () => {
  for (const [how, state] of Object.entries(states)) {
    it.live(how, () =>
      Effect.gen(function*() {
        const all = Object.entries({ ...parts, "all of them": together })
        // RpcServer of Effect waits for its handlers, and has no way to leave one behind.
        const those = how.includes("cannot be interrupted")
          ? all.filter(([name]) => name !== "an rpc server" && name !== "all of them")
          : all
        // All are there before the first is closed: what is measured is the close, and not the start of another server.
        const ready = yield* Effect.forEach(
          those,
          ([name, part]) => Effect.map(closing(part, state), (close) => ({ name, close })),
          { concurrency: 4 }
        )
        const late = yield* Effect.forEach(ready, ({ close, name }) =>
          Effect.map(close, (millis) => millis > limit ? [`${name}: ${Math.round(millis)} ms`] : []), {
          concurrency: 4
        })
        assert.deepStrictEqual(late.flat(), [])
      }).pipe(steadily), 120_000)
  }
})

/** A server, and a client in a scope of its own. */
const opened = (options: NatsClient.Options) =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make()
    const scope = yield* Scope.make()
    const nats = yield* Scope.provide(NatsClient.make({ ...options, servers: server.url }), scope)
    return { nats, server, scope, close: Scope.close(scope, Exit.void) }
  })

/** A listener in a scope of its own that has a message in flight. */
const listening = (nats: NatsClient.NatsClient, subject: string, handler: Effect.Effect<void>, drainTimeout?: number) =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const begun = yield* Deferred.make<void>()
    let isDone = false
    const handle = Deferred.succeed(begun, undefined).pipe(
      Effect.andThen(handler),
      Effect.andThen(Effect.sync(() => {
        isDone = true
      }))
    )
    const listener = yield* NatsListener.make(subject, () => handle, { drainTimeout }).pipe(
      withNats(nats),
      Scope.provide(scope)
    )
    yield* nats.publish(subject)
    yield* Deferred.await(begun)
    return { listener, close: Scope.close(scope, Exit.void), isDone: () => isDone }
  })

const millisOf = (effect: Effect.Effect<unknown>) =>
  Effect.map(Effect.timed(effect), ([duration]) => Duration.toMillis(duration))

describe.concurrent("the time of a close", () => {
  it.live("starts anew when none has waited for drainTimeout, and a part that was out of time does not shorten the next", () =>
    steadily(Effect.gen(function*() {
      const { nats } = yield* opened({ drainTimeout: drainMillis })
      yield* (yield* listening(nats, "stuck", Effect.never)).close
      // A second part just behind it has what is left, which is nothing.
      const next = yield* listening(nats, "next", Effect.sleep(0.6 * drainMillis))
      yield* next.close
      assert.isFalse(next.isDone())
      // The time is what is tested.
      yield* Effect.sleep(drainMillis + 50)
      const later = yield* listening(nats, "later", Effect.sleep(0.6 * drainMillis))
      yield* later.close
      assert.isTrue(later.isDone())
    })))

  it.live("does not run while the client lives on: parts that come and go end in time, each of them", () =>
    steadily(Effect.gen(function*() {
      const { nats } = yield* opened({ drainTimeout: drainMillis })
      for (let i = 0; i < 5; i++) {
        const part = yield* listening(nats, `part.${i}`, Effect.sleep(0.6 * drainMillis))
        yield* part.close
        assert.isTrue(part.isDone(), `the part ${i}`)
      }
    })))

  it.live("is not that of a stop that somebody asks for", () =>
    steadily(Effect.gen(function*() {
      const { close, nats } = yield* opened({ drainTimeout: drainMillis })
      for (let i = 0; i < 3; i++) yield* (yield* listening(nats, `stuck.${i}`, Effect.never)).listener.stop
      const part = yield* listening(nats, "part", Effect.sleep(0.6 * drainMillis))
      yield* part.listener.stop
      assert.isTrue(part.isDone())
      assert.isBelow(yield* millisOf(close), drainMillis)
    })))

  it.live("of a part can be shorter than that of the client, and not longer", () =>
    steadily(Effect.gen(function*() {
      const { close, nats } = yield* opened({ drainTimeout: drainMillis })
      const short = yield* listening(nats, "short", Effect.never, 50)
      assert.isBelow(yield* millisOf(short.close), drainMillis)
      const long = yield* listening(nats, "long", Effect.never, 60_000)
      assert.isBelow(yield* millisOf(Effect.andThen(long.listener.stop, close)), limit)
    })))

  it.live("is not waited for by a handler that closes the scope of its own part", () =>
    steadily(Effect.gen(function*() {
      const { nats } = yield* opened({ drainTimeout: "20 seconds" })
      const scope = yield* Scope.make()
      const ended = yield* Deferred.make<void>()
      const handler = Effect.andThen(Scope.close(scope, Exit.void), Deferred.succeed(ended, undefined))
      yield* NatsListener.make("closing", () => handler).pipe(withNats(nats), Scope.provide(scope))
      yield* nats.publish("closing")
      assert.isBelow(yield* millisOf(Deferred.await(ended)), 5_000)
    })))

  it.live("is one for each client", () =>
    steadily(Effect.gen(function*() {
      const [one, other] = [yield* opened({ drainTimeout: drainMillis }), yield* opened({ drainTimeout: drainMillis })]
      yield* (yield* listening(one.nats, "stuck", Effect.never)).close
      const part = yield* listening(other.nats, "part", Effect.sleep(0.6 * drainMillis))
      yield* part.close
      assert.isTrue(part.isDone())
    })))

  it.live("ends for a handler that cannot be interrupted, which is left behind with one Warning", () =>
    steadily(Effect.gen(function*() {
      const warnings: Array<string> = []
      const logger = Logger.make(({ logLevel, message }) => {
        // What the handlers of this test answer in the end comes too late.
        if (logLevel === "Warn" && String(message).includes("behind")) warnings.push(String(message))
      })
      for (const [name, left] of [["a consume", "message"], ["a service", "request"]] as const) {
        yield* Effect.flatten(closing(parts[name], states["with handlers that cannot be interrupted"])).pipe(
          Effect.scoped,
          Effect.provide(Logger.layer([logger]))
        )
        assert.deepStrictEqual(warnings.splice(0), [
          `A ${left} handler does not let itself be interrupted and is left behind`
        ])
      }
    })))

  it.live("ends for credentials that cannot be interrupted", () =>
    steadily(Effect.gen(function*() {
      const released = yield* Deferred.make<void>()
      let begun = 0
      const { close, nats, server } = yield* opened({
        drainTimeout: drainMillis,
        reconnect: { initialDelay: "1 milli" },
        auth: Effect.suspend(() =>
          begun++ === 0
            ? Effect.succeed({ _tag: "Anonymous" } as const)
            : Effect.uninterruptible(Effect.as(Deferred.await(released), { _tag: "Anonymous" } as const))
        )
      })
      yield* server.kill
      yield* until(Effect.map(nats.state, ({ _tag }) => _tag !== "Connected"))
      yield* until(Effect.sync(() => begun > 1))
      assert.isBelow(yield* millisOf(close), limit)
      yield* Deferred.succeed(released, undefined)
    })))
})
