/**
 * The end of a service: it takes no more, finishes what it took, answers, and closes, within a deadline.
 *
 *   node examples/graceful-shutdown.ts
 *
 * Prints:
 *   the service has taken a job and is told to stop
 *   status: Draining
 *   a job that comes now: NoResponders
 *   the job is done
 *   status: Closed
 *   the caller has its answer: done
 *   a handler that never ends is given up after 200 ms: the service is closed
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Deferred, Effect, Exit, Fiber, Latch, Layer, Scope, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"

/** A client in a scope of its own, as the layer of a service has. The end of the scope is what SIGTERM leads to. */
const start = Effect.fnUntraced(function*(options: NatsClient.Options) {
  const scope = yield* Scope.make()
  const context = yield* Layer.buildWithScope(NatsClient.layer(options), scope)
  const nats = yield* Effect.provideContext(NatsClient.NatsClient, context)
  return { nats, stop: Scope.close(scope, Exit.void) }
})

const program = Effect.gen(function*() {
  const server = yield* TestNatsServer.make()
  const caller = yield* NatsClient.make({ servers: server.url })

  const service = yield* start({ servers: server.url, drainTimeout: "10 seconds" })
  const taken = yield* Deferred.make<void>()
  const proceed = yield* Latch.make()
  const jobs = yield* service.nats.subscription("jobs", { queue: "workers" })
  yield* Effect.forkScoped(Stream.runForEach(jobs.stream, (message) =>
    Deferred.succeed(taken, undefined).pipe(
      Effect.andThen(proceed.await),
      Effect.andThen(Console.log("the job is done")),
      Effect.andThen(message.respond("done"))
    )))

  const answer = yield* Effect.forkChild(caller.request("jobs"), { startImmediately: true })
  yield* Deferred.await(taken)
  yield* Console.log("the service has taken a job and is told to stop")

  const draining = yield* Latch.make()
  const status = yield* service.nats.status.pipe(
    Stream.filter((event) => event._tag === "Draining" || event._tag === "Closed"),
    Stream.runForEach((event) => Effect.andThen(Console.log(`status: ${event._tag}`), draining.open)),
    Effect.forkChild({ startImmediately: true })
  )
  const stopping = yield* Effect.forkChild(service.stop, { startImmediately: true })
  yield* draining.await

  // The server has heard of it: what others send now goes to another member of the group, or is refused.
  yield* service.nats.flush
  yield* caller.request("jobs").pipe(
    Effect.catchTag("NoResponders", (error) => Console.log(`a job that comes now: ${error._tag}`))
  )
  yield* proceed.open
  yield* Fiber.join(stopping)
  yield* Fiber.join(status)
  yield* Console.log(`the caller has its answer: ${(yield* Fiber.join(answer)).text}`)

  // Whatever is not done within `drainTimeout` is given up. The end never fails and never hangs.
  const stuck = yield* start({ servers: server.url, drainTimeout: "200 millis" })
  const begun = yield* Deferred.make<void>()
  const never = yield* stuck.nats.subscription("never")
  yield* Effect.forkScoped(
    Stream.runForEach(never.stream, () => Effect.andThen(Deferred.succeed(begun, undefined), Effect.never))
  )
  yield* caller.publish("never")
  yield* Deferred.await(begun)
  yield* stuck.stop
  yield* Console.log("a handler that never ends is given up after 200 ms: the service is closed")
}).pipe(Effect.scoped)

NodeRuntime.runMain(program)
