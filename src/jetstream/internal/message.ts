/**
 * A message of a consumer: core's view of the bytes, with what its reply subject tells and its acknowledgements.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { identity } from "effect/Function"
import { Message, type Responder } from "../../internal/delivery/message.ts"
import type { Connection } from "../../internal/operations/connectionOf.ts"
import { bounded, drained, sleep } from "../../internal/operations/sending.ts"
import { shownName } from "../../internal/protocol/shown.ts"
import { monotonicMillis } from "../../internal/telemetry/monotonic.ts"
import { type ConnectionClosed, InvalidSubject, type PermissionsViolation, type RequestError } from "../../NatsError.ts"
import { type AckError, AckLate, AckNotExpected, AckUnconfirmed, AlreadySettled } from "../JetStreamError.ts"
import type { JetStreamMessage } from "../JetStreamMessage.ts"
import { type Delivered, deliveriesIn, parseAckSubject } from "./ackSubject.ts"
import type { Api } from "./api.ts"
import type { Tally } from "./tally.ts"

export type Settled = AlreadySettled["by"]

/** Where messages come from, as their acknowledgements need it. */
export interface MessageSource {
  readonly api: Api
  readonly connection: Connection
  readonly stream: string
  readonly consumer: string
  /** The consumer counts acknowledgements: its policy is not "none". */
  readonly takesAcks: boolean
  /** How long it waits for that of a delivery. */
  ackWaitMillis(deliveries: number): number
  /** What was acknowledged last: what the server refuses is looked for by subject. */
  lastAck: PulledMessage | undefined
  /** Counts what is answered. Absent when nobody asked for that, or the reader counts itself. */
  readonly tally: Tally | undefined
}

const nowhere: Delivered = {
  stream: "",
  consumer: "",
  domain: undefined,
  deliveries: 1,
  sequence: 0,
  consumerSequence: 0,
  nanoseconds: 0n,
  pending: 0
}

const nanosPerMilli = 1_000_000n

/** A message that was given to a reader has been seen when it was looked at, or settled. */
export class PulledMessage extends Message implements JetStreamMessage {
  private readonly source: MessageSource
  /** When it came, or was last said to take longer, in milliseconds of the connection's clock. */
  at: number
  settled: Settled | undefined = undefined
  seen = false
  /** It was given back without an acknowledgement of its own: who has it all the same may settle it. */
  returned = false
  private told: Delivered | undefined = undefined
  /** Read by `follows`, without the rest. -1: not read. */
  private read = -1

  constructor(
    source: MessageSource,
    responder: Responder,
    at: number,
    chunk: Buffer,
    subjectStart: number,
    subjectEnd: number,
    replyStart: number,
    replyEnd: number,
    headerStart: number,
    payloadStart: number,
    payloadEnd: number
  ) {
    super(
      responder,
      chunk,
      subjectStart,
      subjectEnd,
      replyStart,
      replyEnd,
      headerStart,
      payloadStart,
      payloadEnd
    )
    this.source = source
    this.at = at
  }

  // What a reader looks at

  override get subject(): string {
    this.seen = true
    return super.subject
  }

  override get data(): Uint8Array {
    this.seen = true
    return super.data
  }

  override get text(): string {
    this.seen = true
    return super.text
  }

  private get delivered(): Delivered {
    return this.told ??= parseAckSubject(this.ackSubject) ?? nowhere
  }

  get stream(): string {
    return this.delivered.stream
  }

  get consumer(): string {
    return this.delivered.consumer
  }

  get domain(): string | undefined {
    return this.delivered.domain
  }

  get sequence(): number {
    this.seen = true
    return this.streamSequence
  }

  get consumerSequence(): number {
    return this.delivered.consumerSequence
  }

  get deliveries(): number {
    // Each that is handled is asked for it, and for nothing else.
    return this.told?.deliveries ?? deliveriesIn(this.chunk, this.replyStart, this.replyEnd)
  }

  get pending(): number {
    return this.delivered.pending
  }

  get timestampNanos(): bigint {
    return this.delivered.nanoseconds
  }

  get timestampMillis(): number {
    return Number(this.delivered.nanoseconds / nanosPerMilli)
  }

  /** Whether this is not the first delivery. `numberAt`: where in the reply subjects of this consumer the number of it stands. */
  isRedelivered(numberAt: number): boolean {
    const { chunk } = this
    const at = this.replyStart + numberAt
    const isFirst = chunk[at - 1] === DOT && chunk[at] === ONE && chunk[at + 1] === DOT
    return !isFirst && this.deliveries > 1
  }

  /** The same as `sequence`, for who is no reader. */
  get streamSequence(): number {
    return this.read >= 0 ? this.read : this.delivered.sequence
  }

  /** Of its reply subject all up to this name between dots, that of its consumer. `undefined` where it is not there. */
  ackPrefix(name: Buffer): Buffer | undefined {
    const at = this.chunk.indexOf(name, this.replyStart)
    return at < 0 || at + name.length > this.replyEnd
      ? undefined
      : Buffer.from(this.chunk.subarray(this.replyStart, at + name.length))
  }

  /**
   * Whether its reply subject begins so, and it is the delivery of this number: its stream sequence is read on the way. -1 where
   * it is of another consumer, else the number of the delivery.
   */
  follows(prefix: Buffer): number {
    const { chunk, replyEnd, replyStart } = this
    const { length } = prefix
    if (replyStart + length >= replyEnd) return -1
    for (let i = length - 1; i >= 0; i--) if (chunk[replyStart + i] !== prefix[i]) return -1
    let at = replyStart + length
    while (at < replyEnd && chunk[at] !== DOT) at++
    let sequence = 0
    for (at++; at < replyEnd && chunk[at] !== DOT; at++) sequence = sequence * 10 + chunk[at] - ZERO
    let delivery = 0
    for (at++; at < replyEnd && chunk[at] !== DOT; at++) delivery = delivery * 10 + chunk[at] - ZERO
    this.read = sequence
    return delivery
  }

  // Acknowledgements

  get ack(): Effect.Effect<void, AckError> {
    return Effect.suspend(() => this.settle("ack", done))
  }

  /** Acknowledges it, where that is possible without a wait. Whether it did: else `ack` tells what is wrong, or waits. */
  ackAtOnce(): boolean {
    const { connection, takesAcks } = this.source
    const { session } = connection
    if (this.settled !== undefined || !takesAcks || session === undefined || connection.isCongested(session)) {
      return false
    }
    this.settleNow("ack", done)
    return true
  }

  nak(delay?: Duration.Input): Effect.Effect<void, AckError> {
    return Effect.suspend(() => this.settle("nak", delay === undefined ? back : nakBehind(delay)))
  }

  term(reason?: string): Effect.Effect<void, AckError> {
    return Effect.suspend(() => {
      // Servers before 2.11 may take a reason for another word, and do nothing.
      const told = reason !== undefined && reason !== "" && this.source.api.level > 0
      return this.settle("term", Buffer.from(told ? `+TERM ${reason.slice(0, longestReason)}` : "+TERM"))
    })
  }

  get inProgress(): Effect.Effect<void, AckError> {
    return Effect.suspend(() => {
      const refused = this.refused()
      return refused === undefined ? this.send(inProgress) : Exit.fail(refused)
    })
  }

  get ackConfirmed(): Effect.Effect<void, AckError | AckUnconfirmed | PermissionsViolation> {
    return this.tentatively(
      "ack",
      (restore) =>
        Effect.matchEffect(restore(this.source.api.requestAck(this.ackSubject)), {
          onSuccess: () => Effect.void,
          onFailure: (error) => Effect.fail(this.unconfirmed(error))
        })
    )
  }

  /** Its reply subject is that of the acknowledgement. */
  override respond(): Effect.Effect<void, InvalidSubject> {
    const problem = "the message is one of a stream and asks for no reply: acknowledge it with `ack`"
    return Effect.fail(new InvalidSubject({ what: "reply", subject: "", problem }))
  }

  override toJSON(): unknown {
    const { stream, consumer, sequence, deliveries } = this.delivered
    return {
      ...super.toJSON() as object,
      _id: "JetStreamMessage",
      reply: undefined,
      stream: shownName(stream),
      consumer: shownName(consumer),
      sequence,
      deliveries
    }
  }

  /**
   * Gives it back at once, where that is possible without a wait. In the read loop and in finalizers, which nothing can be told.
   */
  giveBack(): void {
    const { connection } = this.source
    if (connection.session === undefined || this.returned || this.settled !== undefined) return
    if (!this.source.takesAcks) return
    // Who has it all the same may settle it: what was done twice is less than what is told wrongly.
    this.returned = true
    this.write(back)
    this.source.tally?.returned()
  }

  /** Begins its `ack_wait` anew, where that is possible without a wait. Whether it did. */
  keep(now: number): boolean {
    const { connection } = this.source
    if (connection.session === undefined || this.settled !== undefined || this.returned) return false
    this.at = now
    this.write(inProgress)
    return true
  }

  get ackSubject(): string {
    return this.chunk.toString("utf8", this.replyStart, this.replyEnd)
  }

  private refused(): AlreadySettled | AckNotExpected | undefined {
    const { settled, source } = this
    if (settled !== undefined) {
      return new AlreadySettled({ stream: source.stream, sequence: this.delivered.sequence, by: settled })
    }
    return source.takesAcks
      ? undefined
      : new AckNotExpected({ stream: source.stream, consumer: this.delivered.consumer })
  }

  private settle(by: Settled, payload: Buffer): Effect.Effect<void, AckError> {
    const { source } = this
    if (this.settled !== undefined || !source.takesAcks) return Exit.fail(this.refused()!)
    const { connection } = source
    const { session } = connection
    if (session === undefined || connection.isCongested(session)) return this.settleLater(by, payload)
    this.settleNow(by, payload)
    return Exit.void
  }

  private settleNow(by: Settled, payload: Buffer): void {
    this.settled = by
    this.write(payload)
    this.source.tally?.settled(by)
  }

  private settleLater(by: Settled, payload: Buffer): Effect.Effect<void, AckError> {
    return this.tentatively(by, (restore) => this.send(payload, restore))
  }

  /**
   * One that asks meanwhile is told. No interruption comes between the word and what takes it back, nor behind what was
   * written: nobody would settle it any more, or somebody once again.
   */
  private tentatively<E>(
    by: Settled,
    sending: (restore: Restore) => Effect.Effect<void, E>
  ): Effect.Effect<void, E | AlreadySettled | AckNotExpected> {
    return Effect.uninterruptibleMask((restore): Effect.Effect<void, E | AlreadySettled | AckNotExpected> => {
      const refused = this.refused()
      if (refused !== undefined) return Exit.fail(refused)
      this.settled = by
      return Effect.onExit(sending(restore), (exit) => {
        if (Exit.isFailure(exit)) this.settled = undefined
        else this.source.tally?.settled(by)
        return Effect.void
      })
    })
  }

  private send(payload: Buffer, restore: Restore = identity): Effect.Effect<void, AckError> {
    const { connection } = this.source
    const { session } = connection
    if (session === undefined || connection.isCongested(session)) {
      return Effect.flatMap(restore(this.writable), () => this.send(payload, restore))
    }
    this.write(payload)
    return Exit.void
  }

  /** Waits until something can be written, and no longer than the server waits for it. */
  private get writable(): Effect.Effect<void, AckError> {
    const { source } = this
    const { connection } = source
    const wait: Effect.Effect<void, ConnectionClosed> = Effect.suspend(() => {
      const { session } = connection
      if (session === undefined) return Effect.flatMap(connection.awaitSession, () => wait)
      return connection.isCongested(session) ? Effect.flatMap(drained(session), () => wait) : Effect.void
    })
    const left = this.at + source.ackWaitMillis(this.deliveries) - monotonicMillis(connection.settings.clock)
    const late = new AckLate({ stream: source.stream, sequence: this.delivered.sequence })
    return Effect.raceFirst(
      // In a finalizer a wait for a server that is away has an end of its own.
      Effect.catchTag(bounded(connection, wait), "ConnectionLost", () => Effect.fail(late)),
      left > 0 ? Effect.andThen(sleep(connection, left), Effect.fail(late)) : Effect.fail(late)
    )
  }

  /** There is a session. */
  private write(payload: Buffer): void {
    const { source } = this
    const { connection } = source
    source.lastAck = this
    if (payload === inProgress) {
      this.at = monotonicMillis(connection.settings.clock)
      source.tally?.extended()
    }
    connection.session!.writer.publishTo(this.chunk, this.replyStart, this.replyEnd, payload)
    connection.messagesOut++
  }

  private unconfirmed(error: RequestError): AckUnconfirmed | PermissionsViolation | ConnectionClosed {
    switch (error._tag) {
      case "PermissionsViolation":
      case "ConnectionClosed":
        return error
      default:
        return new AckUnconfirmed({
          stream: this.source.stream,
          consumer: this.delivered.consumer,
          sequence: this.delivered.sequence,
          reason: error._tag === "NoResponders"
            ? "noConsumer"
            : error._tag === "ConnectionLost"
            ? "connectionLost"
            : "timeout"
        })
    }
  }
}

/** Makes interruptible again what was. */
type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

const done = Buffer.from("+ACK")
const back = Buffer.from("-NAK")
const inProgress = Buffer.from("+WPI")

const DOT = 0x2e
const ZERO = 0x30
const ONE = 0x31

/** It goes into an advisory of the server, which has no use for a story. */
const longestReason = 1024

/** The server takes whole nanoseconds, which do not fit a number. */
const nakBehind = (delay: Duration.Input): Buffer => {
  const millis = Duration.toMillis(Duration.fromInputUnsafe(delay))
  if (!Number.isFinite(millis)) throw new RangeError("the `delay` of a nak is no finite time")
  const nanos = BigInt(Math.round(millis * 1000)) * 1000n
  return nanos > 0n ? Buffer.from(`-NAK {"delay":${nanos}}`) : back
}
