/**
 * Many messages into streams: written in a row, so many of them on their way at a time, and their acknowledgements in the
 * order of the messages. No fiber, timer or entry is made for a message.
 *
 * The window is a ring. `head` is the first message whose outcome nobody has taken, `done` the first that has none, `tail`
 * the next one to be written; a place is free again when its outcome is taken, so that a slow reader holds the writer back.
 */
import type * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Tracer from "effect/Tracer"
import { isNoResponders, type Numbered, type PendingError } from "../../internal/delivery/requests.ts"
import { available, drained, empty, payloadProblem, sleep, within } from "../../internal/operations/sending.ts"
import { invalidSubject } from "../../internal/subject/invalid.ts"
import { subjectProblem } from "../../internal/subject/rules.ts"
import { monotonicMillis } from "../../internal/telemetry/monotonic.ts"
import type { PublishMeter } from "../../internal/telemetry/publishMetrics.ts"
import { withTrace } from "../../internal/telemetry/traceContext.ts"
import { type ConnectionClosed, type ConnectionLost, RequestTimedOut } from "../../NatsError.ts"
import { NoStreamForSubject } from "../JetStreamError.ts"
import type { Api } from "./api.ts"
import { type AnyPublishError, refused, strange, unanswered, unknown } from "./outcome.ts"
import { checkMessage, prepare } from "./outgoing.ts"
import { type ReadAck, Refusal } from "./pubAck.ts"
import { neverWritten, problemNow } from "./publish.ts"
import type { OutgoingMessage, PubAck } from "./publishTypes.ts"

type Session = NonNullable<Api["connection"]["session"]>

/** The acknowledgements of messages in a row. */
export type Acks = Arr.NonEmptyReadonlyArray<PubAck>

export interface WindowOptions {
  /** Messages that may be on their way, and taken by nobody. */
  readonly inFlight: number
  /** Another one is written while their bytes are below this. */
  readonly inFlightBytes: number
  /** For each message: the wait for a connection, and that for its answer. */
  readonly timeoutMillis: number
  /** The span that the messages carry. */
  readonly span?: Tracer.Span | undefined
  /** What counts the messages. Absent where nobody does, or somebody else. */
  readonly meter: PublishMeter | undefined
  /** How an answer is read, where it is not always a `PubAck`. */
  readonly read?: ((chunk: Buffer, start: number, end: number) => ReadAck) | undefined
}

/** Why a message cannot be written now: there is no connection, or it has too much to send. */
const blocked = Symbol("blocked")

const nextPowerOfTwo = (least: number): number => 2 ** Math.ceil(Math.log2(least))

export class AckWindow implements Numbered {
  private head = 0
  private done = 0
  private tail = 0
  /** On their way, or taken by nobody. */
  private bytes = 0
  /** The first message in order that failed. */
  private failure: AnyPublishError | undefined
  /** No more is to be written: one has failed, or nobody waits for it. */
  private stopped = false

  private readonly mask: number
  private readonly messages: Array<OutgoingMessage | undefined>
  private readonly outcomes: Array<PubAck | AnyPublishError | undefined>
  private readonly sizes: Float64Array
  private readonly written: Float64Array
  private readonly heard: Float64Array
  private readonly started: Array<bigint | undefined>
  /** Answers that were none of JetStream's. */
  private readonly problems = new Map<number, string>()

  /** What is to be written next, and where in it. */
  private chunk: ReadonlyArray<OutgoingMessage> = []
  private at = 0
  /** Whoever waits until that is written. */
  private writer: (() => void) | undefined
  /** Whoever waits for outcomes. */
  private reader: (() => void) | undefined

  private readonly api: Api
  private readonly options: WindowOptions
  private readonly read: (chunk: Buffer, start: number, end: number) => ReadAck
  private readonly replies: string
  private readonly traced: Uint8Array | undefined
  private checked: string | undefined = undefined
  /** Lets go of the answers. */
  readonly forget: () => void

  constructor(api: Api, options: WindowOptions) {
    this.api = api
    this.options = options
    const places = nextPowerOfTwo(options.inFlight)
    this.mask = places - 1
    this.messages = Array.from({ length: places })
    this.outcomes = Array.from({ length: places })
    this.started = Array.from({ length: places })
    this.sizes = new Float64Array(places)
    this.written = new Float64Array(places)
    this.heard = new Float64Array(places)
    this.read = options.read ?? ((chunk, start, end) => api.acks.read(chunk, start, end))
    this.traced = options.span === undefined ? undefined : withTrace(undefined, options.span)
    const { forget, replies } = api.connection.mux.addNumbered(this)
    this.replies = replies
    this.forget = () => {
      forget()
      this.stopped = true
      this.abandon()
    }
  }

  /** Messages that were written, and those that could not be. */
  get count(): number {
    return this.tail
  }

  /** Outcomes that were taken. */
  get taken(): number {
    return this.head
  }

  /** Nothing is on its way. */
  private get isSettled(): boolean {
    return this.done === this.tail
  }

  // Writing

  /**
   * Writes these as the window allows it. Succeeds when all are written, and never where one of the window has failed.
   */
  writeAll(messages: ReadonlyArray<OutgoingMessage>): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.chunk = messages
      this.at = 0
      return this.go()
    })
  }

  private go(): Effect.Effect<void> {
    const met = this.pump()
    if (met === blocked) return Effect.flatMap(this.unblocked, () => this.go())
    if (this.at >= this.chunk.length && !this.stopped) return Exit.void
    return Effect.callback<void>((resume) => {
      this.writer = () => queueMicrotask(() => resume(Exit.void))
      return Effect.sync(() => {
        this.writer = undefined
      })
    }).pipe(Effect.flatMap(() => this.go()))
  }

  /** Writes what there is and as much as there is room for. */
  private pump(): typeof blocked | undefined {
    const { connection } = this.api
    const { inFlight, inFlightBytes } = this.options
    const { chunk } = this
    const from = this.tail
    let met: typeof blocked | undefined
    while (
      this.at < chunk.length && this.tail - this.head < inFlight && this.bytes < inFlightBytes && !this.stopped
    ) {
      const { session } = connection
      if (session === undefined || connection.isCongested(session)) {
        met = blocked
        break
      }
      if (this.tail === from) connection.ensureInbox(session)
      this.write(session, chunk[this.at++])
    }
    if (this.tail !== from) this.stamp(from)
    return met
  }

  /** When they were written: one look at the clock for all. */
  private stamp(from: number): void {
    const { api, mask } = this
    const { connection } = api
    const { meter } = this.options
    const now = monotonicMillis(connection.settings.clock)
    const started = meter?.now()
    const { heard } = connection
    for (let n = from; n < this.tail; n++) {
      this.written[n & mask] = now
      this.heard[n & mask] = heard
      if (started !== undefined) this.started[n & mask] = started
    }
  }

  private write(session: Session, message: OutgoingMessage): void {
    const { writer } = session
    const before = writer.bytesOut
    // First, as it throws where what came is no message: then there is none in the window either.
    const problem = this.put(session, message, `${this.replies}${this.tail + 1}`)
    this.enter(message, writer.bytesOut - before, problem)
  }

  /** It is the next one: on its way, or with a problem, and then the last. */
  private enter(message: OutgoingMessage, size: number, problem: AnyPublishError | undefined): void {
    const place = this.tail & this.mask
    this.messages[place] = message
    this.sizes[place] = size
    this.bytes += size
    this.started[place] = undefined
    this.options.meter?.flying(1)
    this.tail++
    if (problem === undefined) return
    // What is behind it is not written, and what was written before goes first.
    this.stopped = true
    this.outcomes[place] = problem
    this.advance()
    this.wakeReader()
  }

  private put(session: Session, message: OutgoingMessage, reply: string): AnyPublishError | undefined {
    const { connection } = this.api
    checkMessage(message)
    const { headers, payload = empty, subject } = message
    if (
      headers === undefined && message.msgId === undefined && message.expect === undefined && message.ttl === undefined
    ) {
      if (subject !== this.checked) {
        const problem = subjectProblem(subject)
        if (problem !== undefined) return invalidSubject("subject", subject, problem)
        this.checked = subject
      }
      const block = session.takesHeaders ? this.traced : undefined
      const unfit = payloadProblem(subject, payload) ?? connection.oversize(subject, block, payload)
      if (unfit !== undefined) return unfit
      session.writer.publish(subject, reply, block, payload)
      connection.messagesOut++
      return undefined
    }
    const outgoing = prepare(subject, payload, message, this.options.span)
    if (outgoing instanceof Error) return outgoing
    const problem = problemNow(this.api, outgoing)
    if (problem !== undefined) return problem
    connection.send(session, { ...outgoing, reply })
    return undefined
  }

  /** Until a message can be written. What cannot in its time never is. */
  private get unblocked(): Effect.Effect<void> {
    const { connection } = this.api
    const ready = Effect.suspend(() => available(connection)).pipe(
      Effect.flatMap((session) => connection.isCongested(session) ? drained(session) : Effect.void)
    )
    return Effect.matchEager(within(connection, this.options.timeoutMillis, ready), {
      onSuccess: () => {},
      onFailure: (error) => this.neverWritten(error)
    })
  }

  private neverWritten(error: ConnectionLost | ConnectionClosed): void {
    const message = this.chunk[this.at]
    this.enter(message, 0, neverWritten(message.subject)(error))
  }

  // Answers

  take(number: number, chunk: Buffer, headerStart: number, payloadStart: number, payloadEnd: number): boolean {
    const n = number - 1
    const { mask } = this
    if (n < this.done || n >= this.tail || this.outcomes[n & mask] !== undefined) return false
    const message = this.messages[n & mask]!
    if (isNoResponders(chunk, headerStart, payloadStart, payloadEnd)) {
      this.outcomes[n & mask] = new NoStreamForSubject({ subject: message.subject })
    } else {
      const answer = this.read(chunk, payloadStart, payloadEnd)
      if (typeof answer === "string") {
        this.problems.set(n, answer)
        return false
      }
      this.outcomes[n & mask] = answer instanceof Refusal ? refused(this.api, this.published(message), answer) : answer
    }
    return this.advance()
  }

  private published({ expect, msgId, subject }: OutgoingMessage): Parameters<typeof unknown>[0] {
    return { subject, msgId, expect }
  }

  /** Whether the first without an outcome has got one. */
  private advance(): boolean {
    const { mask, outcomes } = this
    const from = this.done
    while (this.done < this.tail && outcomes[this.done & mask] !== undefined) {
      const outcome = outcomes[this.done & mask]!
      this.counted(outcome, this.done & mask)
      if (this.failure === undefined && outcome instanceof Error) {
        this.failure = outcome
        this.stopped = true
      }
      this.done++
    }
    return this.done !== from
  }

  answer(): void {
    this.wakeReader()
  }

  /** Tells whoever waits for outcomes to look again. */
  wakeReader(): void {
    const { reader } = this
    this.reader = undefined
    reader?.()
  }

  fail(error: PendingError): void {
    this.giveUp(this.tail, (message) => unanswered(this.published(message), error))
  }

  failEach(errorFor: (subject: string) => PendingError | undefined): void {
    this.giveUp(this.tail, (message, n) => {
      const error = errorFor(message.subject) ?? errorFor(`${this.replies}${n + 1}`)
      return error === undefined ? undefined : unanswered(this.published(message), error)
    })
  }

  /** Whatever has no answer by now, and was written before `until`, gets this for an outcome. */
  private giveUp(until: number, outcome: (message: OutgoingMessage, n: number) => AnyPublishError | undefined): void {
    const { mask, outcomes } = this
    for (let n = this.done; n < until; n++) {
      if (outcomes[n & mask] === undefined) outcomes[n & mask] = outcome(this.messages[n & mask]!, n)
    }
    this.advance()
    this.wakeReader()
  }

  /** Gives up, one after the other, what has waited for its time. Runs for as long as the window is used. */
  readonly watch: Effect.Effect<never> = Effect.suspend(() => {
    const { connection } = this.api
    const { timeoutMillis } = this.options
    const now = monotonicMillis(connection.settings.clock)
    const { mask } = this
    let late = this.done
    while (late < this.tail && this.written[late & mask] + timeoutMillis <= now) late++
    if (late > this.done) {
      const first = this.done & mask
      if (this.problems.size === 0) connection.mux.unanswered(this.heard[first])
      this.giveUp(late, (message, n) => this.tooLate(message, n))
    }
    const next = this.isSettled ? timeoutMillis : this.written[this.done & mask] + timeoutMillis - now
    return sleep(connection, Math.max(1, next))
  }).pipe(Effect.forever({ disableYield: true }))

  private tooLate(message: OutgoingMessage, n: number): AnyPublishError {
    const { subject } = message
    const problem = this.problems.get(n)
    if (problem !== undefined) return strange(subject, problem)
    const { timeoutMillis } = this.options
    return unknown(this.published(message), new RequestTimedOut({ subject, timeoutMillis }))
  }

  private counted(outcome: PubAck | AnyPublishError, place: number): void {
    const { meter } = this.options
    if (meter === undefined) return
    meter.flying(-1)
    meter.done(
      outcome instanceof Error ? outcome._tag : outcome.duplicate ? "duplicate" : "success",
      this.started[place]
    )
  }

  private abandon(): void {
    const { meter } = this.options
    if (meter === undefined) return
    for (let n = this.done; n < this.tail; n++) {
      if (this.outcomes[n & this.mask] !== undefined) continue
      meter.flying(-1)
      meter.done("interrupted", undefined)
    }
  }

  // Reading

  /**
   * The next acknowledgements in the order of the messages. Waits for them; `undefined` where nothing is on its way.
   * Fails with the first failure in order, when all that was written behind it has come to its end, too.
   */
  readonly acks: Effect.Effect<Acks | undefined, AnyPublishError> = Effect.suspend(() => {
    if (this.head < this.done) {
      const acks = this.takeNow()
      if (acks !== undefined) return Exit.succeed(acks)
    }
    if (this.isSettled) return this.failure === undefined ? Exit.succeed(undefined) : Exit.fail(this.failure)
    return Effect.flatMap(this.changed, () => this.acks)
  })

  /** Waits until there is something new. */
  readonly changed: Effect.Effect<void> = Effect.callback<void>((resume) => {
    this.reader = () => resume(Exit.void)
    return Effect.sync(() => {
      this.reader = undefined
    })
  })

  private takeNow(): Acks | undefined {
    const { mask, messages, outcomes, sizes } = this
    const acks: Array<PubAck> = []
    while (this.head < this.done) {
      const place = this.head & mask
      const outcome = outcomes[place]!
      if (outcome instanceof Error) break
      acks.push(outcome)
      outcomes[place] = undefined
      messages[place] = undefined
      this.bytes -= sizes[place]
      this.head++
    }
    if (acks.length === 0) return undefined
    if (this.at >= this.chunk.length || this.pump() === blocked || this.at >= this.chunk.length) this.wakeWriter()
    return acks as [PubAck, ...Array<PubAck>]
  }

  private wakeWriter(): void {
    const { writer } = this
    this.writer = undefined
    writer?.()
  }
}
