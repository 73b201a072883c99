/**
 * The work on JetStream with this package, as its users would write it.
 */
import { NatsClient } from "effect-nats"
import { JetStream, JetStreamConsumer, KeyValue, ObjectStore } from "effect-nats/jetstream"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { keysWatched } from "./jetStreamCases.ts"
import { keysOf, readStream, windowOf, writeSubject } from "./jetStreamSetup.ts"
import { Goal, type Job, type Prepared } from "./workload.ts"

type Services = NatsClient.NatsClient | JetStream.JetStream
type Work = (count: number) => Effect.Effect<void, unknown, Services>
type Make = (job: Job) => Effect.Effect<Work, unknown, Services | Scope.Scope>

const payloadOf = ({ size }: Job): Uint8Array => new Uint8Array(size).fill(0x78)

const publishAll: Make = (job) => {
  const message = { subject: writeSubject, payload: payloadOf(job) }
  return Effect.map(
    JetStream.JetStream,
    (js) => (count) =>
      Stream.fromIterable(Array.from({ length: count }, () => message)).pipe(
        (messages) => js.publishAll(messages, { inFlight: job.inFlight }),
        Stream.runDrain
      )
  )
}

/** So many at a time, one after the other in each place. */
const inPlaces = <E, R>(
  { inFlight = 50 }: Job,
  count: number,
  each: (index: number) => Effect.Effect<unknown, E, R>
): Effect.Effect<void, E, R> => {
  let next = 0
  const worker = Effect.whileLoop({ while: () => next < count, body: () => each(next++), step: () => {} })
  return Effect.forEach(Array.from({ length: inFlight }), () => worker, { concurrency: "unbounded", discard: true })
}

const publishEach: Make = (job) => {
  const payload = payloadOf(job)
  return Effect.map(
    JetStream.JetStream,
    (js) => (count) => inPlaces(job, count, () => js.publish(writeSubject, payload))
  )
}

/** The time of a consumer, which is made for it. */
const withConsumer = (
  use: (consumer: string) => Effect.Effect<unknown, unknown, Services>
): Effect.Effect<void, unknown, Services> =>
  Effect.gen(function*() {
    const name = `bench-${process.pid}`
    yield* JetStreamConsumer.create(JetStreamConsumer.make(readStream, name, { memoryStorage: true }))
    yield* use(name)
    yield* JetStreamConsumer.delete({ stream: readStream, consumer: name })
  })

const consumeEach: Make = () => {
  const goal = new Goal()
  return Effect.succeed((count) =>
    withConsumer((consumer) =>
      JetStreamConsumer.messages({ stream: readStream, consumer, window: windowOf }).pipe(
        Stream.take(count),
        Stream.runForEach((message) => {
          goal.take(message.data)
          return message.ack
        })
      )
    )
  )
}

const processEach: Make = () =>
  Effect.succeed((count) =>
    withConsumer((consumer) =>
      Effect.gen(function*() {
        const goal = new Goal()
        const done = goal.next(count)
        yield* Effect.raceFirst(
          JetStreamConsumer.process(
            { stream: readStream, consumer },
            (message) => Effect.sync(() => goal.take(message.data)),
            { concurrency: 1, window: windowOf }
          ),
          Effect.promise(() => done)
        )
      })
    )
  )

const ordered: Make = () => {
  const goal = new Goal()
  return Effect.succeed((count) =>
    JetStreamConsumer.ordered({ stream: readStream }).pipe(
      Stream.take(count),
      Stream.runForEach((message) => Effect.sync(() => goal.take(message.data)))
    )
  )
}

const put: Make = (job) => {
  const payload = payloadOf(job)
  return Effect.map(
    KeyValue.open("BENCH"),
    (kv) => (count) => inPlaces(job, count, (index) => kv.put(keysOf(index), payload))
  )
}

const get: Make = (job) =>
  Effect.map(KeyValue.open("BENCH"), (kv) => (count) => inPlaces(job, count, (index) => kv.get(keysOf(index))))

const watch: Make = () => {
  const goal = new Goal()
  return Effect.map(
    KeyValue.open("KEYS"),
    (kv) => (count) =>
      Effect.forEach(Array.from({ length: Math.ceil(count / keysWatched) }), () =>
        kv.watch(">").pipe(
          Stream.takeUntil((change) => change._tag === "InitialDone"),
          Stream.runForEach((change) =>
            Effect.sync(() => {
              if (change._tag === "Entry") goal.take(change.value)
            })
          )
        ), { discard: true })
  )
}

const objectPart = new Uint8Array(128 * 1024).fill(0x78)

const putObject: Make = ({ size }) =>
  Effect.map(ObjectStore.open("BENCH"), (store) => (count) =>
    Effect.forEach(
      Array.from({ length: count }),
      () =>
        store.put(
          "put-ours",
          Stream.fromIterable(Array.from({ length: size / objectPart.length }, () => objectPart)).pipe(
            // As it comes from a file or a socket.
            Stream.rechunk(1)
          )
        ),
      { discard: true }
    ))

const getObject: Make = () =>
  Effect.map(
    ObjectStore.open("BENCH"),
    (store) => (count) =>
      Effect.forEach(Array.from({ length: count }), () => Stream.runDrain(store.get("get")), { discard: true })
  )

const works: Record<string, Make> = {
  "js-publish-all": publishAll,
  "js-publish-each": publishEach,
  "js-consume-each": consumeEach,
  "hold-js-consume": consumeEach,
  "js-process": processEach,
  "js-ordered": ordered,
  "js-kv-put": put,
  "js-kv-get": get,
  "js-kv-watch": watch,
  "js-object-put": putObject,
  "js-object-get": getObject
}

export const prepare = async (servers: string, job: Job): Promise<Prepared> => {
  const scope = Scope.makeUnsafe()
  const layer = JetStream.layer().pipe(Layer.provideMerge(NatsClient.layer({ servers })))
  const context = await Effect.runPromise(Layer.buildWithScope(layer, scope))
  const services = Context.add(context, Scope.Scope, scope)
  const run = await Effect.runPromise(Effect.provideContext(works[job.work](job), services))
  return {
    run: (count) => Effect.runPromise(Effect.provideContext(run(count), services)),
    close: () => Effect.runPromise(Scope.close(scope, Exit.void))
  }
}
