/**
 * A work queue: jobs that are stored, shared by workers, tried again, and moved to a dead letter when no try helps. A worker
 * that is told to stop gives back what it has not begun: nothing is lost, and nothing waits.
 *
 *   node examples/work-queue.ts
 *
 * Prints:
 *   6 jobs are stored
 *   anna: resize cat.png
 *   anna is told to stop
 *   ben has 4 of the others after … ms
 *   anna is done with cat.png, and has stopped
 *   dead letter: resize not-a-picture, after 3 deliveries: Unreadable (no picture begins like that)
 *   left in the queue: 0, in the dead letter: 1
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Deferred, Effect, Fiber, Layer, Logger, Schedule, Schema, Stream } from "effect"
import { NatsClient, SubjectSchema } from "effect-nats"
import { JetStream, JetStreamConsumer, JetStreamSchema, JetStreamStream } from "effect-nats/jetstream"
import { TestNatsServer } from "effect-nats/testing"

const Job = SubjectSchema.make("jobs.resize", Schema.Struct({ picture: Schema.String }))

const Jobs = JetStreamStream.make("JOBS", { subjects: ["jobs.>"], retention: "workqueue" })
const Workers = JetStreamConsumer.make(Jobs, "workers", { ackWait: "30 seconds" })
// What is given up stays here until somebody has looked at it.
const Dead = JetStreamStream.make("DEAD", { subjects: ["dead.>"] })

class Unreadable extends Schema.TaggedError<Unreadable>()("Unreadable", { picture: Schema.String }) {
  override get message(): string {
    return "no picture begins like that"
  }
}

const pictures = ["cat.png", "dog.png", "not-a-picture", "owl.png", "fox.png", "elk.png"]

const program = Effect.gen(function*() {
  yield* JetStreamStream.provision([Jobs, Workers, Dead])
  for (const picture of pictures) yield* JetStreamSchema.publish(Job, { picture }, { msgId: picture })
  yield* Console.log(`${pictures.length} jobs are stored`)

  // Anna takes her time, and has the others of her window waiting behind the first job.
  const [begun, finish] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
  const anna = yield* JetStreamSchema.processScoped(Job, Workers, ({ value }) =>
    Effect.gen(function*() {
      yield* Console.log(`anna: resize ${value.picture}`)
      yield* Deferred.succeed(begun, undefined)
      yield* Deferred.await(finish)
    }), { window: 10 })
  yield* Deferred.await(begun)

  const done = new Set<string>()
  const allOthers = yield* Deferred.make<void>()
  yield* JetStreamSchema.processScoped(Job, Workers, ({ value: { picture } }) =>
    Effect.gen(function*() {
      if (!picture.endsWith(".png")) return yield* new Unreadable({ picture })
      if (done.add(picture).size === 4) yield* Deferred.succeed(allOthers, undefined)
    }), { deadLetter: "dead.jobs", maxDeliver: 3, retry: Schedule.exponential("50 millis") })

  yield* Console.log("anna is told to stop")
  const since = performance.now()
  const stopped = yield* Effect.forkChild(anna.stop, { startImmediately: true })
  yield* Deferred.await(allOthers)
  yield* Console.log(`ben has ${done.size} of the others after ${Math.round(performance.now() - since)} ms`)
  yield* Deferred.succeed(finish, undefined)
  yield* Fiber.join(stopped)
  yield* Console.log("anna is done with cat.png, and has stopped")

  yield* JetStreamConsumer.ordered({ stream: "DEAD" }).pipe(
    Stream.take(1),
    Stream.runForEach((message) =>
      Effect.gen(function*() {
        const { picture } = yield* Job.decode(message)
        const [deliveries, error, text] = ["Deliveries", "Error", "Message"].map((name) =>
          message.header(`Dead-Letter-${name}`)
        )
        yield* Console.log(`dead letter: resize ${picture}, after ${deliveries} deliveries: ${error} (${text})`)
      })
    )
  )
  // The dead letter has it before the queue has not.
  const left = yield* Effect.map(JetStreamStream.info("JOBS"), ({ state }) => state.messages).pipe(
    Effect.repeat({ until: (messages) => messages === 0, schedule: Schedule.spaced("5 millis") })
  )
  const { state } = yield* JetStreamStream.info("DEAD")
  yield* Console.log(`left in the queue: ${left}, in the dead letter: ${state.messages}`)
})

const client = Layer.unwrap(Effect.map(TestNatsServer.TestNatsServer, ({ url }) => NatsClient.layer({ servers: url })))

program.pipe(
  Effect.scoped,
  Effect.provide([
    JetStream.layer().pipe(
      Layer.provideMerge(client),
      Layer.provide(TestNatsServer.layer({ jetstream: true }))
    ),
    // The failures of the job that no try helps are logged.
    Logger.layer([])
  ]),
  NodeRuntime.runMain
)
