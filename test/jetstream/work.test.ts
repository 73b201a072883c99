/**
 * What becomes of messages whose handlers end in every way, and whose worker is interrupted at every moment: each has one
 * word on the wire. No server: the moments are counted in turns of the scheduler.
 */
import { assert, it } from "@effect/vitest"
import { Cause, Clock, Deferred, Effect, Fiber, Logger, References } from "effect"
import { TestClock } from "effect/testing"
import { Worker, type WorkerOptions } from "../../src/internal/operations/worker.ts"
import { Tracing } from "../../src/internal/telemetry/tracing.ts"
import type { Api } from "../../src/jetstream/internal/api.ts"
import { type MessageSource, PulledMessage } from "../../src/jetstream/internal/message.ts"
import { defaultRetry } from "../../src/jetstream/internal/retryDelay.ts"
import { Work } from "../../src/jetstream/internal/work.ts"
import type { JetStreamMessage } from "../../src/jetstream/JetStreamMessage.ts"
import { keepSpans } from "../fixtures/keptSpans.ts"

type Handler = (message: JetStreamMessage, wire: Wire) => Effect.Effect<unknown, unknown>

const turns = (count: number): Effect.Effect<void> =>
  count === 0 ? Effect.void : Effect.andThen(Effect.yieldNow, Effect.suspend(() => turns(count - 1)))

/** Every way in which a handler ends, and the word that follows where nothing interrupts it. */
const ways: ReadonlyArray<readonly [handler: Handler, word: string]> = [
  [() => Effect.void, "+ACK"],
  [() => turns(2), "+ACK"],
  [() => Effect.fail("no"), "-NAK"],
  [() => Effect.andThen(Effect.yieldNow, Effect.die("no")), "-NAK"],
  [() => {
    throw new Error("no")
  }, "-NAK"],
  [() => Promise.resolve() as never, "-NAK"],
  [() => Effect.interrupt, "-NAK"],
  [() => Effect.uninterruptible(turns(3)), "+ACK"],
  [(message) => message.term("no use"), "+TERM"],
  [(message) => Effect.andThen(message.ack, Effect.fail("behind it")), "+ACK"],
  [(_, wire) => Effect.sync(() => wire.fill()), "+ACK"],
  [(_, wire) => Effect.andThen(Effect.sync(() => wire.fill()), Effect.fail("no")), "-NAK"],
  [(message, wire) => Effect.andThen(Effect.sync(() => wire.fill()), message.ack), "+ACK"]
]

/** What acknowledgements are written to. A full one takes none for some turns, and then again. */
class Wire {
  readonly words = new Map<number, Array<string>>()
  readonly connection: Api["connection"]
  /** What the next looks at it see, whatever it is. */
  looks: Array<boolean> = []
  private isFull = false
  private readonly waiting: Array<() => void> = []

  constructor(clock: Clock.Clock, tracing: Tracing | undefined) {
    const publishTo = (chunk: Buffer, start: number, end: number, payload: Buffer): void => {
      const sequence = Number(chunk.toString("latin1", start, end).split(".")[5])
      const [word] = payload.toString().split(" ")
      this.words.set(sequence, [...this.words.get(sequence) ?? [], word])
    }
    const drained = (resume: () => void): void => {
      this.waiting.push(resume)
    }
    this.connection = {
      session: { writer: { publishTo }, drained },
      isCongested: () => this.looks.shift() ?? this.isFull,
      settings: { clock, tracing },
      messagesOut: 0
    } as never
  }

  fill(): void {
    this.isFull = true
    Effect.runFork(Effect.andThen(turns(3), Effect.sync(() => this.empty())))
  }

  fillForGood(): void {
    this.isFull = true
  }

  empty(): void {
    this.isFull = false
    for (const resume of this.waiting.splice(0)) resume()
  }
}

interface Setting {
  readonly concurrency: number | "unbounded"
  readonly isTraced: boolean
  readonly ackWait?: number
  /** Counts copies, and makes the first delivery the last one. */
  readonly copy?: () => void
  readonly handlers: ReadonlyArray<Handler>
}

/** A worker as `process` has it, over so many messages. */
const working = Effect.fnUntraced(function*({ ackWait = 30_000, concurrency, copy, handlers, isTraced }: Setting) {
  const tracing = isTraced ? new Tracing("_INBOX", () => undefined) : undefined
  const wire = new Wire(yield* Clock.Clock, tracing)
  const { connection } = wire
  const api = { connection, level: 1, shown: (text: string) => text } as unknown as Api
  const from = { api, connection, stream: "S", consumer: "C", takesAcks: true, ackWaitMillis: () => ackWait }
  const queue = handlers.map((_, i) => messageOf({ ...from, lastAck: undefined, tally: undefined }, i + 1))
  const work = new Work<unknown, never>({
    api,
    stream: "S",
    consumer: "C",
    template: undefined,
    handler: (message) => handlers[message.sequence - 1](message, wire),
    retry: defaultRetry,
    maxDeliver: copy === undefined ? undefined : 1,
    copy: copy === undefined ? false : () => Effect.sync(copy)
  })
  const done: Array<number> = []
  work.done = ({ streamSequence }) => done.push(streamSequence)
  yield* work.observe
  const options: WorkerOptions<PulledMessage, never> = {
    concurrency,
    handle: work.handle,
    settle: work,
    report: () => Effect.yieldNow,
    oneByOne: true
  }
  const worker = new Worker<PulledMessage, never, never>({
    // In one step with what takes it: between the two a stop interrupts nobody.
    read: (limit) =>
      Effect.succeed(Effect.suspend(() =>
        queue.length === 0
          ? Effect.fail(Cause.Done())
          : Effect.sync(() => queue.splice(0, limit) as [PulledMessage, ...Array<PulledMessage>])
      )),
    takeOne: () => queue.shift(),
    rest: () => queue.splice(0)
  }, options)
  /** Each has had one word, and nobody has any of them. */
  const check = (about: string): void => {
    assert.strictEqual(work.inHand.size, 0, about)
    assert.strictEqual(done.length, work.counts.delivered, about)
    assert.deepStrictEqual(new Set(done).size, done.length, about)
    const { acks, naks, terms } = work.counts
    assert.strictEqual(acks + naks + terms, handlers.length, about)
    for (let i = 1; i <= handlers.length; i++) assert.lengthOf(wire.words.get(i) ?? [], 1, `message ${i} ${about}`)
  }
  return { work, worker, wire, check }
})

const messageOf = (source: MessageSource, sequence: number): PulledMessage => {
  const [subject, reply] = ["s.new", `$JS.ACK.S.C.1.${sequence}.${sequence}.1700000000000000000.0`]
  const chunk = Buffer.from(`${subject}${reply}x`)
  const [behind, end] = [chunk.length - 1, chunk.length]
  return new PulledMessage(
    source,
    {} as never,
    0,
    chunk,
    0,
    subject.length,
    subject.length,
    behind,
    behind,
    behind,
    end
  )
}

const traced = <A, E, R>(isTraced: boolean, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  isTraced ? Effect.withTracer(effect, keepSpans().tracer) : effect

/** The fewest with which a fiber comes on: one operation, and what the turn costs itself. */
const opsForATurn = 3
const mostMoments = 500

const how = (isTraced: boolean): string => isTraced ? "traced" : "untraced"

const all = ways.map(([handler]) => handler)

for (const isTraced of [false, true]) {
  for (const concurrency of [1, 3, "unbounded"] as const) {
    const form = `with a concurrency of ${concurrency}, ${how(isTraced)}`

    it.effect(`each message has the word that its handler's end asks for, ${form}`, () =>
      traced(
        isTraced,
        Effect.gen(function*() {
          const { check, wire, worker } = yield* working({ concurrency, isTraced, handlers: all })
          yield* worker.run
          check("")
          assert.deepStrictEqual(all.map((_, i) => wire.words.get(i + 1)), ways.map(([, word]) => [word]))
        })
      ))

    it.effect(`each message has one word, at whichever moment the worker begins no other one, ${form}`, () =>
      traced(
        isTraced,
        Effect.gen(function*() {
          for (const [way, handler] of all.entries()) {
            for (let moment = 0, isOver = false; !isOver; moment++) {
              assert.isBelow(moment, mostMoments)
              const handlers = [() => Effect.yieldNow, handler, () => Effect.void]
              const { check, work, worker } = yield* working({ concurrency, isTraced, handlers })
              const fiber = yield* Effect.forkChild(worker.run, { startImmediately: true })
              yield* turns(moment)
              isOver = fiber.pollUnsafe() !== undefined
              worker.halt()
              yield* Fiber.join(fiber)
              work.giveBack(worker.rest())
              check(`way ${way}, after ${moment} turns`)
            }
          }
        })
      ))

    if (isTraced && concurrency === 3) continue
    it.effect(`each message has one word, at whichever moment the worker is interrupted, ${form}`, () =>
      traced(
        isTraced,
        Effect.gen(function*() {
          for (const [way, handler] of all.entries()) {
            let isOver = false
            for (let moment = 0; !isOver; moment++) {
              assert.isBelow(moment, mostMoments)
              const handlers = [() => Effect.yieldNow, handler, () => Effect.void]
              const { check, work, worker } = yield* working({ concurrency, isTraced, handlers })
              // A turn for each operation. Of one that is forked the first turn is that of who forks it.
              const run = concurrency === "unbounded"
                ? worker.run
                : Effect.provideService(worker.run, References.MaxOpsBeforeYield, opsForATurn)
              const fiber = yield* Effect.forkChild(run, { startImmediately: true })
              yield* turns(moment)
              isOver = fiber.pollUnsafe() !== undefined
              yield* Fiber.interrupt(fiber)
              work.giveBack(worker.rest())
              check(`way ${way}, after ${moment} turns`)
            }
          }
        })
      ))
  }

  it.effect(`an acknowledgement that came too late is not sent either when it could be, ${how(isTraced)}`, () =>
    traced(
      isTraced,
      Effect.gen(function*() {
        const full: Handler = (_, wire) => Effect.sync(() => wire.fillForGood())
        const failing: Handler = (_, wire) => Effect.andThen(full(_, wire), Effect.fail("no"))
        const handlers = [full, failing]
        const { wire, work, worker } = yield* working({ concurrency: 1, isTraced, ackWait: 0, handlers })
        const late: Array<unknown> = []
        // It tells of it before anything else can happen.
        const emptying = Logger.make<unknown, void>(({ logLevel }) => {
          late.push(logLevel)
          wire.empty()
        })
        yield* Effect.provide(worker.run, Logger.layer([emptying]))
        assert.deepStrictEqual(late, ["Warn", "Warn"])
        assert.strictEqual(wire.words.size + work.inHand.size, 0)
      })
    ))

  it.effect(`an acknowledgement that waits holds up no interruption, and its message is given back, ${how(isTraced)}`, () =>
    traced(
      isTraced,
      Effect.gen(function*() {
        const waiting: ReadonlyArray<Handler> = [
          (_, wire) => Effect.sync(() => wire.fillForGood()),
          (_, wire) => Effect.andThen(Effect.sync(() => wire.fillForGood()), Effect.fail("no")),
          (message, wire) => Effect.andThen(Effect.sync(() => wire.fillForGood()), message.ack),
          // It has room for a moment, and none any more when something is written.
          (_, wire) =>
            Effect.sync(() => {
              wire.fillForGood()
              wire.looks = [true, true, true, false]
            })
        ]
        for (const handler of waiting) {
          const { check, wire, work, worker } = yield* working({
            concurrency: 1,
            isTraced,
            handlers: [handler, handler]
          })
          const fiber = yield* Effect.forkChild(worker.run, { startImmediately: true })
          yield* turns(10)
          assert.deepStrictEqual([work.inHand.size, wire.words.size], [1, 0])
          yield* Fiber.interrupt(fiber)
          work.giveBack(worker.rest())
          check("")
          assert.deepStrictEqual([...wire.words.values()], [["-NAK"], ["-NAK"]])
        }
      })
    ))

  it.effect(`a handler that outlives the time of a stop has its message given back, once, ${how(isTraced)}`, () =>
    traced(
      isTraced,
      Effect.gen(function*() {
        const finish = yield* Deferred.make<void>()
        const stuck: Handler = () => Effect.uninterruptible(Deferred.await(finish))
        const { check, wire, work, worker } = yield* working({
          concurrency: 2,
          isTraced,
          handlers: [stuck, stuck, stuck]
        })
        const fiber = yield* Effect.forkChild(worker.run, { startImmediately: true })
        yield* Effect.yieldNow
        worker.halt()
        fiber.interruptUnsafe()
        yield* Effect.yieldNow
        // As the engine does when no time is left.
        work.giveBack(work.inHand)
        work.giveBack(worker.rest())
        assert.deepStrictEqual([...wire.words.values()], [["-NAK"], ["-NAK"], ["-NAK"]])
        yield* Deferred.succeed(finish, undefined)
        yield* Fiber.await(fiber)
        check("")
      })
    ))
}

it.effect("a handler that interrupts the fiber it runs in has its message given back, as what is behind it", () =>
  Effect.gen(function*() {
    const itself: Handler = () => Effect.withFiber((fiber) => Effect.sync(() => fiber.interruptUnsafe()))
    for (const concurrency of [1, 2]) {
      const { check, work, worker } = yield* working({
        concurrency,
        isTraced: false,
        handlers: [itself, itself, itself]
      })
      yield* Fiber.await(yield* Effect.forkChild(worker.run))
      work.giveBack(worker.rest())
      check(`with a concurrency of ${concurrency}`)
    }
  }))

it.effect("what its handler has settled is given up by no failure that follows", () =>
  Effect.gen(function*() {
    let copies = 0
    const copy = () => {
      copies++
    }
    const handlers = ways.slice(2, 4).map(([handler]) => handler)
    const failing = yield* working({ concurrency: 1, isTraced: false, copy, handlers })
    yield* failing.worker.run
    failing.check("")
    assert.strictEqual(copies, 2)
    const settled: Handler = (message) => Effect.andThen(message.ack, Effect.fail("behind it"))
    const { check, worker } = yield* working({ concurrency: 1, isTraced: false, copy, handlers: [settled] })
    yield* worker.run
    check("")
    assert.strictEqual(copies, 2)
  }))

it.effect("what a handler has that is neither settled nor given back is told to take longer, when it is old enough", () =>
  Effect.gen(function*() {
    const handlers: ReadonlyArray<Handler> = [
      (message) => Effect.andThen(message.ack, Effect.never),
      () => Effect.never,
      () => Effect.never
    ]
    const { wire, work, worker } = yield* working({ concurrency: 3, isTraced: false, handlers })
    yield* Effect.forkChild(worker.run, { startImmediately: true })
    yield* Effect.yieldNow
    work.giveBack([...work.inHand].slice(1, 2))
    const none = { forEachWaiting: () => {} }
    work.extend(none, 1)
    assert.strictEqual(work.counts.extended, 0)
    yield* TestClock.adjust("1 second")
    work.extend(none, 1_000)
    assert.strictEqual(work.counts.extended, 1)
    assert.deepStrictEqual([1, 2, 3].map((sequence) => wire.words.get(sequence)), [["+ACK"], ["-NAK"], ["+WPI"]])
    work.extend(none, 1_000)
    assert.strictEqual(work.counts.extended, 1)
  }))

it.effect("a handler that throws has its error in its span", () => {
  const { spans, tracer } = keepSpans()
  const thrown: Handler = () => {
    throw new TypeError("no")
  }
  return Effect.withTracer(
    Effect.gen(function*() {
      const { worker } = yield* working({ concurrency: 1, isTraced: true, handlers: [thrown] })
      yield* worker.run
      assert.deepStrictEqual(spans.map(({ attributes }) => attributes.get("error.type")), ["TypeError"])
    }),
    tracer
  )
})
