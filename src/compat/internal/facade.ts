/**
 * What a connection of nats-core has, over a client: the members of its public type, and those that its libraries read
 * without it. What is a promise there is an operation of the client here, run as a part of the fiber that called.
 */
import {
  Empty,
  errors,
  type Msg,
  type MsgHdrs,
  type NatsConnection,
  type Payload,
  type PublishOptions,
  type RequestManyOptions,
  type RequestOptions,
  type Server,
  type ServerInfo,
  type Stats,
  type Status,
  type Subscription,
  type SubscriptionOptions
} from "@nats-io/nats-core"
import {
  type ConnectionClosedListener,
  type Deferred,
  deferred,
  type Features,
  type QueuedIterator,
  type QueuedIteratorImpl,
  type SemVer
} from "@nats-io/nats-core/internal"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { handOver, leave, type Patience, stopOnce } from "../../internal/operations/closing.ts"
import type { connectionOf } from "../../internal/operations/connectionOf.ts"
import { shownName } from "../../internal/protocol/shown.ts"
import { invalidSubject } from "../../internal/subject/invalid.ts"
import { patternProblem, queueProblem } from "../../internal/subject/rules.ts"
import { TracingEnabled } from "../../internal/telemetry/switches.ts"
import type { NatsClient } from "../../NatsClient.ts"
import { ConnectionClosed, type FlushError } from "../../NatsError.ts"
import type { StatusEvent } from "../../NatsStatus.ts"
import { closedError, endErrorOf, errorOf, unsupported } from "./errors.ts"
import { FacadeSubscription, type Wire, WireDelivery } from "./facadeSubscription.ts"
import { request, type Requesting, requestMany } from "./requests.ts"
import { MessagePublisher, Sender, thrownOf } from "./sender.ts"
import { ServerFacts } from "./serverFacts.ts"
import { statusesOf } from "./statuses.ts"
import { StatusFeed } from "./statusFeed.ts"

type Connection = ReturnType<typeof connectionOf>

const blank = /[ \n\r\t]/

/** The request itself knows its time, and is cancelled by it. */
const longestAck = Duration.hours(1)

const inspect = Symbol.for("nodejs.util.inspect.custom")

export class Facade implements NatsConnection {
  readonly options: { readonly inboxPrefix: string; readonly noAsyncTraces: true }
  /** Ends it, as `drain` does: for the scope. */
  readonly finalizer: Effect.Effect<void>

  private readonly client: NatsClient
  private readonly connection: Connection
  private readonly home: Context.Context<never>
  private readonly sender: Sender
  private readonly requesting: Requesting
  private readonly wire: Wire
  private readonly subscriptions = new Set<FacadeSubscription>()
  private readonly feed = new StatusFeed()
  private readonly facts: ServerFacts
  private readonly over: Deferred<void | Error> = deferred()
  private isOver = false
  private isEnding = false
  private readonly stop: Effect.Effect<void>

  constructor(client: NatsClient, connection: Connection, home: Context.Context<never>) {
    this.client = client
    this.connection = connection
    this.home = home
    this.facts = new ServerFacts(connection)
    const { inbox } = connection.settings
    this.options = { inboxPrefix: inbox.slice(0, inbox.lastIndexOf(".")), noAsyncTraces: true }
    this.sender = new Sender(client, connection, home, (error) => this.tellError(error))
    const publisher = new MessagePublisher(
      this.sender,
      // It belongs to the span of what is acknowledged.
      (subject, payload) =>
        Effect.provideService(client.request(subject, payload, { timeout: longestAck }), TracingEnabled, false)
    )
    const isClosed = (): boolean => this.isClosed()
    this.wire = {
      get isClosed() {
        return isClosed()
      },
      publisher,
      open: (subscription) => connection.subscribe((sid, owner) => new WireDelivery(sid, owner, subscription)),
      leave: (delivery) => connection.unsubscribe(delivery),
      drain: (delivery) => this.promise(leave(connection, delivery)),
      limit: ({ sid }, messages) => connection.session?.writer.unsubscribe(sid, messages),
      closed: (subscription) => this.subscriptions.delete(subscription),
      threw: (subscription, error) => this.threw(subscription.getSubject(), error)
    }
    this.requesting = {
      client,
      sender: this.sender,
      publisher,
      inboxPrefix: this.options.inboxPrefix,
      subscribe: (subject, options) => this.subscribe(subject, options)
    }
    const { finalizer, stop } = stopOnce(connection, this, undefined, (patience) => this.ending(patience))
    this.stop = stop
    this.finalizer = finalizer
  }

  // Publish, subscribe, request

  publish(subject: string, payload: Payload = Empty, options?: PublishOptions): void {
    this.check(subject, false)
    this.sender.publish(subject, payload, options)
  }

  publishMessage({ data, headers, reply, subject }: Msg): void {
    this.publish(subject, data, sending(reply, headers))
  }

  respondMessage({ data, headers, reply }: Msg): boolean {
    if (reply === undefined || reply === "") return false
    this.publish(reply, data, sending(reply, headers))
    return true
  }

  subscribe(subject: string, options: SubscriptionOptions = {}): Subscription {
    this.check(subject, true)
    this.checkPattern(subject, options.queue)
    const subscription = new FacadeSubscription(this.wire, subject, options)
    const { callback, slow } = options
    if (typeof callback !== "function" && typeof slow === "number") {
      subscription.setSlowNotificationFn(
        slow,
        (pending) => this.feed.tell({ type: "slowConsumer", sub: subscription, pending })
      )
    }
    this.subscriptions.add(subscription)
    return subscription
  }

  /** For the consumers of `@nats-io/jetstream`. */
  _resub(subscription: Subscription, subject: string, max?: number): void {
    this.check(subject, true)
    this.checkPattern(subject, undefined)
    if (!(subscription instanceof FacadeSubscription)) {
      throw new errors.InvalidOperationError("the subscription is of another connection")
    }
    subscription.resubscribe(subject, max)
  }

  /** Also while it drains: what handles the rest asks, too. */
  request(subject: string, payload?: Payload, options?: RequestOptions): Promise<Msg> {
    return this.checked(subject, () => request(this.requesting, subject, payload, options))
  }

  requestMany(
    subject: string,
    payload?: Payload,
    options?: Partial<RequestManyOptions>
  ): Promise<QueuedIterator<Msg>> {
    return this.checked(subject, () => requestMany(this.requesting, subject, payload, options))
  }

  /** The account and the user, as the server knows them. */
  async context(): Promise<unknown> {
    const reply = await this.request("$SYS.REQ.USER.INFO")
    return reply.json((key, value) => key === "time" ? new Date(Date.parse(value)) : value)
  }

  // The server

  // `undefined` where there is none: the interface has it as optional.
  get info(): ServerInfo {
    return (this.isClosed() ? undefined : this.facts.info) as ServerInfo
  }

  get features(): Features {
    return this.facts.features
  }

  getServerVersion(): SemVer | undefined {
    return this.isClosed() ? undefined : this.facts.semanticVersion
  }

  getServer(): string {
    return this.facts.address
  }

  getServers(): ReadonlyArray<Server> {
    return this.facts.servers
  }

  setServers(): never {
    throw unsupported("setServers", "give the client its servers in its config (`servers`), and make another client")
  }

  stats(): Stats {
    return this.facts.stats
  }

  flush(): Promise<void> {
    return this.isClosed() ? Promise.reject(this.closedError) : this.promise(this.client.flush)
  }

  rtt(): Promise<number> {
    if (this.isClosed()) return Promise.reject(this.closedError)
    if (this.connection.session === undefined) {
      return Promise.reject(new errors.RequestError("connection disconnected", { cause: this.connection.unavailable }))
    }
    return this.promise(Effect.map(this.client.rtt, Duration.toMillis))
  }

  /** Resolves when the client has another session. Without one it is dialling already. */
  reconnect(): Promise<void> {
    if (this.isClosed()) return Promise.reject(this.closedError)
    if (this.isDraining()) return Promise.reject(new errors.DrainingConnectionError())
    return this.connection.session === undefined ? Promise.resolve() : this.promise(this.client.reconnect)
  }

  // Its life

  status(): QueuedIteratorImpl<Status> {
    return this.feed.open()
  }

  addCloseListener(listener: ConnectionClosedListener): void {
    this.feed.addListener(listener)
  }

  removeCloseListener(listener: ConnectionClosedListener): void {
    this.feed.removeListener(listener)
  }

  isClosed(): boolean {
    return this.isOver || this.connection.ended !== undefined
  }

  isDraining(): boolean {
    return this.isEnding || this.connection.draining
  }

  closed(): Promise<void | Error> {
    return this.over
  }

  async close(): Promise<void> {
    this.end(undefined)
  }

  drain(): Promise<void> {
    if (this.isClosed()) return Promise.reject(this.closedError)
    if (this.isDraining()) return Promise.reject(new errors.DrainingConnectionError())
    // Not among what it ends itself.
    return Effect.runPromiseWith(this.home)(this.stop)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.isClosed()) return
    if (this.isDraining()) await this.closed()
    else await this.drain()
  }

  /** An event of the client. */
  tellEvent(event: StatusEvent): void {
    for (const status of statusesOf(event)) this.feed.tell(status)
  }

  /** The client has ended for good. */
  clientEnded(closed: ConnectionClosed | undefined): void {
    this.end(closed?.reason === undefined ? undefined : endErrorOf(closed.reason))
  }

  toJSON(): unknown {
    return {
      _id: "NatsConnection",
      server: this.getServer(),
      closed: this.isClosed(),
      subscriptions: this.subscriptions.size
    }
  }

  // What is below it knows secrets.
  [inspect](): unknown {
    return this.toJSON()
  }

  // internal

  private get closedError(): Error {
    return closedError(this.connection.ended ?? new ConnectionClosed({}))
  }

  private check(subject: string, opens: boolean): void {
    if (this.isClosed()) throw this.closedError
    if (opens && this.isDraining()) throw new errors.DrainingConnectionError()
    if (typeof subject !== "string" || subject === "" || blank.test(subject)) {
      throw new errors.InvalidSubjectError(subject)
    }
  }

  private checkPattern(subject: string, queue: string | undefined): void {
    const problem = patternProblem(subject)
    if (problem !== undefined) throw errorOf(invalidSubject("pattern", subject, problem))
    const inQueue = queue === undefined || queue === "" ? undefined : queueProblem(queue)
    if (inQueue !== undefined) throw errorOf(invalidSubject("queue", queue!, inQueue))
  }

  private checked<A>(subject: string, ask: () => Promise<A>): Promise<A> {
    try {
      this.check(subject, false)
    } catch (error) {
      return Promise.reject(error)
    }
    return ask()
  }

  private promise<A>(operation: Effect.Effect<A, FlushError>): Promise<A> {
    return new Promise((resolve, reject) => {
      this.sender.run(operation, (exit) => {
        if (Exit.isSuccess(exit)) resolve(exit.value)
        else reject(thrownOf(exit.cause, errorOf))
      })
    })
  }

  private tellError(error: unknown): void {
    this.feed.tell({ type: "error", error: error instanceof Error ? error : new Error(String(error)) })
  }

  /** It stops nothing else: not the read loop, and not the messages behind it. */
  private threw(subject: string, error: unknown): void {
    this.connection.handlerFailures++
    this.tellError(error)
    Effect.runForkWith(this.home)(
      Effect.annotateLogs(Effect.logError("A callback of a subscription has thrown", error), {
        subject: shownName(subject)
      })
    )
  }

  /** No more intake; what has come is handled, what is to be sent is sent. */
  private ending(patience: Patience): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.isClosed()) return Effect.sync(() => this.end(undefined))
      this.isEnding = true
      const handled = Effect.forEach(
        this.subscriptions,
        (subscription) =>
          Effect.promise(() => {
            const handled = subscription.whenHandled()
            return subscription.isClosed() ? handled : subscription.drain().then(() => handled)
          }),
        { concurrency: "unbounded", discard: true }
      )
      return patience.wait(handled).pipe(
        Effect.andThen(patience.linger(Effect.promise(() => this.sender.whenEmpty()))),
        Effect.andThen(handOver(this.connection, patience)),
        Effect.ensuring(Effect.sync(() => this.end(undefined)))
      )
    })
  }

  private end(error: Error | undefined): void {
    if (this.isOver) return
    this.isOver = true
    // What ended the client is behind what they have received: told before anybody hears of the end of the connection.
    if (this.connection.ended !== undefined) { for (const subscription of this.subscriptions) subscription.dispatch() }
    const unsent = this.sender.close()
    if (unsent > 0) {
      const event: StatusEvent = { _tag: "Undelivered", messages: unsent }
      // Whoever listens to this connection hears no more of the client.
      this.tellEvent(event)
      this.connection.emit(event)
    }
    for (const subscription of this.subscriptions) subscription.unsubscribe()
    this.feed.close(error)
    this.over.resolve(error)
  }
}

const sending = (reply: string | undefined, headers: MsgHdrs | undefined): PublishOptions => ({
  ...(reply === undefined ? {} : { reply }),
  ...(headers === undefined ? {} : { headers })
})
