/**
 * What outlives a session: subscriptions, requests in flight, publishes that wait, state and counters.
 *
 * The supervisor attaches a session when it has one and ends the connection when it gives up; everything here is
 * synchronous, Effects stand only where a caller waits.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as PubSub from "effect/PubSub"
import { type AuthMethod, type ConnectError, StaleConnection } from "../../ConnectError.ts"
import {
  ConnectionClosed,
  ConnectionLost,
  HeadersNotSupported,
  MaxPayloadExceeded,
  type SubscriptionError
} from "../../NatsError.ts"
import type { ConnectionState, StatusEvent } from "../../NatsStatus.ts"
import { afterReadLoop } from "../delivery/afterReadLoop.ts"
import { Deadlines } from "../delivery/deadlines.ts"
import type { Delivery, DeliveryOwner, OverflowPolicy } from "../delivery/delivery.ts"
import type { Responder } from "../delivery/message.ts"
import { RequestMux } from "../delivery/requests.ts"
import { isDispensable } from "../protocol/headers.ts"
import type { ServerInfo } from "../protocol/info.ts"
import type { MessageTarget } from "../protocol/target.ts"
import { increment } from "../telemetry/collector.ts"
import type { Meter } from "../telemetry/meter.ts"
import type { Tracing } from "../telemetry/tracing.ts"
import { SecretFilter } from "../wire/secretFilter.ts"
import type { Session } from "../wire/session.ts"
import { CloseBudget } from "./closeBudget.ts"
import { type Outgoing, sizeOf } from "./outgoing.ts"
import { Parts } from "./parts.ts"
import { type Refusable, Refusals } from "./refusals.ts"

export interface ConnectionSettings {
  /** What the client goes by where several are told apart: printable, with an end. */
  readonly name: string
  /** The inbox of this client: the configured prefix and a part of its own. */
  readonly inbox: string
  readonly whileDisconnected: "wait" | "fail" | { readonly buffer: number }
  /** The client is there before its first session. */
  readonly inBackground: boolean
  /** Also how long a wait that cannot be interrupted bears with a connection on which nothing moves. */
  readonly drainTimeout: Duration.Duration
  /** How long a reply is waited for where nobody says another time. */
  readonly requestTimeoutMillis: number
  readonly clock: Clock.Clock
  readonly fork: (effect: Effect.Effect<void>) => void
  readonly events: PubSub.PubSub<StatusEvent>
  /** Why there is no session before any dial has failed. */
  readonly notYet: () => ConnectError
  readonly responder: Pick<Responder, "publish">
  /** Absent when the client makes no spans. */
  readonly tracing: Tracing | undefined
  /** Whether the configuration asks for the metrics of all that is made on the client. */
  readonly metrics: boolean
  /** Absent when nobody asked for times. */
  readonly meter: Meter | undefined
}

// Above this many unsent bytes a publisher waits for the socket.
const maxBacklog = 8 * 1024 * 1024
const backlogCheckEvery = 1024 * 1024

const muxSid = 1

const defaultMaxPayload = 1024 * 1024

export class Connection implements DeliveryOwner, Refusable {
  session: Session | undefined
  state: ConnectionState = { _tag: "Connecting" }
  /** The latest INFO of any session. */
  info: ServerInfo | undefined
  /** Why there is no session. */
  lostReason: ConnectError | undefined
  /** Set once, when the client has ended for good. */
  ended: ConnectionClosed | undefined
  draining = false
  sessions = 0
  /** How the current session proved who it is. */
  authMethod: AuthMethod | undefined
  messagesOut = 0
  handlerFailures = 0
  /** Open while something was not answered in its time, and nothing else came meanwhile. Whoever watches the session looks. */
  readonly suspicion = Latch.makeUnsafe(false)
  /** What had been heard when a wait in a finalizer gave up: what waits after it does not, until something is heard. */
  stoodStillAt: number | undefined
  /** Sessions after the first by the tag of what ended the one before. */
  readonly reconnectsBy = new Map<string, number>()
  private lastEnd: ConnectError["_tag"] | undefined
  /** Dropped by subscriptions that are closed. */
  readonly pastDropped: Record<OverflowPolicy, number> = { fail: 0, dropNewest: 0, dropOldest: 0 }
  // Of sessions that have ended.
  private pastBytesIn = 0
  private pastBytesOut = 0
  private pastMessagesIn = 0

  readonly settings: ConnectionSettings
  readonly mux: RequestMux
  readonly closed = Deferred.makeUnsafe<void, ConnectionClosed>()
  readonly subscriptions = new Map<number, Delivery>()
  /** Nothing more comes for these, and their readers are not done yet. */
  readonly unfinished = new Set<Delivery>()
  /** What its servers say is shown through it, of every session. */
  readonly filter = new SecretFilter()
  readonly refusals = new Refusals(this)
  /** What runs on this connection, for health. */
  readonly parts = new Parts()
  /** What the ends of the parts wait, taken together. */
  readonly budget: CloseBudget
  private readonly held: Array<Outgoing> = []
  private readonly untold: Array<StatusEvent> = []
  private waiting: Array<(exit: Exit.Exit<Session, ConnectionClosed>) => void> = []
  private nextSid = muxSid + 1
  private nextBacklogCheck = backlogCheckEvery

  constructor(settings: ConnectionSettings) {
    this.settings = settings
    this.budget = new CloseBudget(settings.clock, Duration.toMillis(settings.drainTimeout))
    this.mux = new RequestMux(muxSid, settings.inbox, new Deadlines(settings.clock, settings.fork), this)
  }

  // What the supervisor calls

  /** A new session is open. Everything that waits for one goes on. */
  attach(session: Session, authMethod: AuthMethod): void {
    this.session = session
    this.authMethod = authMethod
    this.info = session.info
    this.sessions++
    if (this.lastEnd !== undefined) increment(this.reconnectsBy, this.lastEnd)
    this.nextBacklogCheck = backlogCheckEvery
    this.replay(session)
    queueMicrotask(this.sendHeld)
    // While draining it is there for what handlers answer, and nothing new is taken.
    if (!this.draining) this.setState({ _tag: "Connected", server: session.server, session: this.sessions })
    const waiting = this.waiting
    this.waiting = []
    for (const resume of waiting) resume(Exit.succeed(session))
  }

  /** The client ends for good; without a reason on purpose. */
  end(reason: ConnectError | undefined): void {
    if (this.ended !== undefined) return
    const closed = new ConnectionClosed(reason === undefined ? {} : { reason })
    this.ended = closed
    const session = this.session
    if (session !== undefined) {
      this.retire(session)
      session.close()
    }
    this.mux.failAll(closed)
    for (const subscription of this.subscriptions.values()) {
      this.pastDropped[subscription.settings.overflow] += subscription.dropped
      subscription.end(reason === undefined ? Cause.Done() : closed)
    }
    this.subscriptions.clear()
    const waiting = this.waiting
    this.waiting = []
    for (const resume of waiting) resume(Exit.fail(closed))
    if (this.held.length > 0) this.emit({ _tag: "Undelivered", messages: this.held.length })
    this.held.length = 0
    this.setState(reason === undefined ? { _tag: "Closed" } : { _tag: "Closed", reason })
    Deferred.doneUnsafe(this.closed, reason === undefined ? Exit.void : Exit.fail(closed))
  }

  setState(state: ConnectionState): void {
    this.state = state
    this.emit(state)
  }

  emit(event: StatusEvent): void {
    this.untold.push(event)
    // Those who listen are the user's, and a fiber that is resumed runs at once.
    if (this.untold.length === 1) queueMicrotask(this.tell)
  }

  /** Tells what has happened. Called before the state is read for a new listener, which would get an event twice. */
  readonly tell = (): void => {
    const { events } = this.settings
    for (let event = this.untold.shift(); event !== undefined; event = this.untold.shift()) {
      if (event._tag === "Closed") PubSub.endUnsafe(events, event)
      else PubSub.publishUnsafe(events, event)
    }
  }

  // What the session calls

  target(sid: number): MessageTarget | undefined {
    return sid === muxSid ? this.mux : this.subscriptions.get(sid)
  }

  sessionEnded(session: Session, reason: ConnectError): void {
    if (this.session !== session) return
    this.retire(session)
    this.lostReason = reason
    this.lastEnd = reason._tag
    const lost = new ConnectionLost({ reason })
    this.mux.failAll(lost)
    if (!this.draining) this.setState({ _tag: "Disconnected", server: session.server, reason })
  }

  // Subscriptions

  /** Opens what `make` gives for a number of its own. */
  subscribe<D extends Delivery>(make: (sid: number, owner: DeliveryOwner) => D): D {
    const subscription = make(this.nextSid++, this)
    this.subscriptions.set(subscription.sid, subscription)
    if (this.session !== undefined) open(this.session, subscription)
    return subscription
  }

  unsubscribe(subscription: Delivery): void {
    if (!this.forget(subscription)) return
    this.session?.writer.unsubscribe(subscription.sid, undefined)
  }

  completed(subscription: Delivery): void {
    this.forget(subscription)
  }

  refused(subscription: Delivery, error: SubscriptionError): void {
    this.forget(subscription)
    subscription.end(error)
  }

  overflowed(subscription: Delivery): void {
    this.emit({
      _tag: "Overflow",
      subject: subscription.settings.subject,
      policy: subscription.settings.overflow
    })
  }

  suspect(): void {
    this.suspicion.openUnsafe()
  }

  get tracing(): Tracing | undefined {
    return this.settings.tracing
  }

  publish: Responder["publish"] = (subject, payload, options) =>
    this.settings.responder.publish(subject, payload, options)

  // Publishing

  /** Whether so much is unsent that a publisher has to wait. */
  isCongested(session: Session): boolean {
    if (session.writer.bytesOut < this.nextBacklogCheck) return false
    if (session.backlog > maxBacklog) return true
    this.nextBacklogCheck = session.writer.bytesOut + backlogCheckEvery
    return false
  }

  /** The first session is still to come, and who begins with the client does not wait for it. */
  get isComing(): boolean {
    return this.settings.inBackground && this.sessions === 0 && this.ended === undefined
  }

  /** What the server takes at most, or what one takes that is not configured otherwise. */
  get maxPayload(): number {
    const limit = this.info?.max_payload ?? defaultMaxPayload
    return limit < 0 ? Infinity : limit
  }

  send({ takesHeaders, writer }: Session, { headers, payload, reply, subject }: Outgoing): void {
    // Those that are left out here are dispensable.
    writer.publish(subject, reply, takesHeaders ? headers : undefined, payload)
    this.messagesOut++
  }

  /** The server's limit is kept here: over it the server would close the connection. */
  oversize(
    subject: string,
    headers: Uint8Array | undefined,
    payload: string | Uint8Array
  ): MaxPayloadExceeded | undefined {
    const limit = this.maxPayload
    const headerSize = headers === undefined ? 0 : headers.length
    // No UTF-16 unit needs more than three bytes.
    if (headerSize + (typeof payload === "string" ? payload.length * 3 : payload.length) <= limit) return undefined
    const size = sizeOf({ headers, payload })
    return size > limit ? new MaxPayloadExceeded({ subject, size, limit }) : undefined
  }

  /**
   * Why this server does not take it, without one the server before. Asked again of what has waited: the server that came
   * may take less.
   */
  problemOf(
    session: Session | undefined,
    { given, headers, payload, subject }: Outgoing
  ): HeadersNotSupported | MaxPayloadExceeded | undefined {
    if (headers === undefined || session === undefined || session.takesHeaders) {
      return this.oversize(subject, headers, payload)
    }
    return isDispensable(given)
      ? this.oversize(subject, undefined, payload)
      : new HeadersNotSupported({ server: session.server })
  }

  /** Takes a publish for the next session. `false` when the buffer is full. */
  hold(outgoing: Outgoing, limit: number): boolean {
    if (this.held.length >= limit) return false
    this.held.push(outgoing)
    return true
  }

  get isHolding(): boolean {
    return this.held.length > 0
  }

  /** Sends the SUB of the inbox with the first request of a session. */
  ensureInbox(session: Session): void {
    if (this.mux.subscribed) return
    this.mux.subscribed = true
    session.subscribe(this.mux, this.mux.pattern, undefined, 0)
  }

  // Waiting

  /** The current session, or the next one. */
  readonly awaitSession: Effect.Effect<Session, ConnectionClosed> = Effect.suspend(() => {
    if (this.session !== undefined) return Exit.succeed(this.session)
    if (this.ended !== undefined) return Exit.fail(this.ended)
    return Effect.callback<Session, ConnectionClosed>((resume) => {
      const waiter = afterReadLoop(resume)
      this.waiting.push(waiter)
      return Effect.sync(() => {
        const index = this.waiting.indexOf(waiter)
        if (index >= 0) this.waiting.splice(index, 1)
      })
    })
  })

  /** Waits for the end of the client. */
  readonly awaitClosed: Effect.Effect<void, ConnectionClosed> = Effect.suspend(() => Deferred.await(this.closed))

  /** The error of an operation that finds no session, or one that takes nothing more, and may not wait. */
  get unavailable(): ConnectionLost | ConnectionClosed {
    const { session } = this
    const reason = session === undefined
      ? this.lostReason ?? this.settings.notYet()
      : new StaleConnection({ server: session.server })
    return this.ended ?? new ConnectionLost({ reason })
  }

  /** Bytes of all sessions. */
  get bytesIn(): number {
    return this.pastBytesIn + (this.session?.bytesIn ?? 0)
  }

  get bytesOut(): number {
    return this.pastBytesOut + (this.session?.writer.bytesOut ?? 0)
  }

  /** Changes with every byte that goes over the wire, and with every session. */
  get moved(): number {
    return this.sessions + this.bytesIn + this.bytesOut - (this.session?.backlog ?? 0)
  }

  /** Changes with every byte that comes, and with every session. */
  get heard(): number {
    return this.sessions + this.bytesIn
  }

  get messagesIn(): number {
    return this.pastMessagesIn + (this.session?.messagesIn ?? 0)
  }

  // internal

  private forget(subscription: Delivery): boolean {
    if (!this.subscriptions.delete(subscription.sid)) return false
    this.pastDropped[subscription.settings.overflow] += subscription.dropped
    this.unfinished.add(subscription)
    subscription.onFinished(() => this.unfinished.delete(subscription))
    return true
  }

  private retire(session: Session): void {
    this.session = undefined
    this.mux.subscribed = false
    this.pastBytesIn += session.bytesIn
    this.pastBytesOut += session.writer.bytesOut
    this.pastMessagesIn += session.messagesIn
    for (const subscription of this.subscriptions.values()) subscription.confirmed = false
  }

  private replay(session: Session): void {
    for (const subscription of this.draining ? [] : this.subscriptions.values()) {
      subscription.renew?.()
      open(session, subscription)
      subscription.settings.onReplay?.(session.writer)
    }
  }

  // After the subscriptions, so that an answer finds its reader; and after the chunk that has the PONG: a server tells a
  // user's own limit right behind it.
  private readonly sendHeld = (): void => {
    const session = this.session
    if (session === undefined || this.held.length === 0) return
    let messages = 0
    for (const outgoing of this.held) {
      // It was checked against the server before, or none. This one would end the connection for it.
      if (this.problemOf(session, outgoing) === undefined) this.send(session, outgoing)
      else messages++
    }
    this.held.length = 0
    if (messages > 0) this.emit({ _tag: "Undelivered", messages })
  }
}

/** The server counts from the SUB on: on a later session it is told what is left, and gives a queue group's rest to others. */
const open = (session: Session, subscription: Delivery): void =>
  session.subscribe(subscription, subscription.settings.subject, subscription.settings.queue, subscription.left)
