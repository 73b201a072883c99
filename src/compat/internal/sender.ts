/**
 * Publishing without waiting, as programs of nats.js do it.
 *
 * What finds a session is written at once, and what is wrong with it is thrown. What has to wait (for a session, by the
 * client's `whileDisconnected`, or for the socket) waits in a row: one fiber for all of it, and nothing overtakes.
 */
import { errors, type PublishOptions } from "@nats-io/nats-core"
import type { Publisher, RequestOne } from "@nats-io/nats-core/internal"
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type { connectionOf } from "../../internal/operations/connectionOf.ts"
import { publishNow } from "../../internal/operations/publish.ts"
import type { NatsClient } from "../../NatsClient.ts"
import { ConnectionClosed, type PublishError, type RequestError } from "../../NatsError.ts"
import type { Input } from "../../NatsHeaders.ts"
import type { NatsMessage } from "../../NatsMessage.ts"
import { errorOf, type Failure } from "./errors.ts"
import { headersOf, replied } from "./messages.ts"

type Connection = ReturnType<typeof connectionOf>

type Publishing = () => Effect.Effect<void, PublishError>

interface Given {
  readonly headers?: Input
  readonly reply?: string
}

interface Waiting {
  readonly publishing: Publishing
  readonly context: Context.Context<never>
}

/** The failure of an exit as nats-core has it. A defect is thrown as it is. */
export const thrownOf = (
  cause: Cause.Cause<Failure>,
  toError: (failure: Failure) => Error
): unknown => {
  const failure = cause.reasons.find(Cause.isFailReason)
  if (failure !== undefined) return toError(failure.error)
  return Cause.hasInterruptsOnly(cause)
    ? new errors.RequestError("connection closed", { cause: new ConnectionClosed({}) })
    : Cause.squash(cause)
}

export class Sender {
  /** Nothing more is taken. */
  isClosed = false
  private readonly client: NatsClient
  private readonly connection: Connection
  private readonly context: Context.Context<never>
  private readonly report: (error: unknown) => void
  private readonly fork: <A, E>(operation: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
  private readonly fibers = new Set<Fiber.Fiber<unknown, unknown>>()
  private row: Array<Waiting> = []
  private isWaiting = false
  private emptied: Array<() => void> = []

  constructor(
    client: NatsClient,
    connection: Connection,
    context: Context.Context<never>,
    report: (error: unknown) => void
  ) {
    this.client = client
    this.connection = connection
    this.context = context
    this.report = report
    this.fork = Effect.runForkWith(context)
  }

  /** Runs an operation of the client: as a part of the fiber that called, where one did, for spans and what else it has. */
  run<A, E>(
    operation: Effect.Effect<A, E>,
    onExit: (exit: Exit.Exit<A, E>) => void,
    context: Context.Context<never> = this.here
  ): Fiber.Fiber<A, E> {
    const fiber = context === this.context ? this.fork(operation) : Effect.runForkWith(context)(operation)
    const exit = fiber.pollUnsafe()
    if (exit !== undefined) {
      onExit(exit)
      return fiber
    }
    this.fibers.add(fiber)
    fiber.addObserver((exit) => {
      this.fibers.delete(fiber)
      onExit(exit)
    })
    return fiber
  }

  /** A publish of the program. */
  publish(subject: string, payload: string | Uint8Array, options: PublishOptions | undefined): void {
    const given = givenOf(options)
    const kept = this.keep(payload)
    this.send(() => this.client.publish(subject, kept, given))
  }

  /** The answer to a message: an acknowledgement, most of all. It needs no fiber, and has no span of its own. */
  respond(subject: string, payload: string | Uint8Array, options: PublishOptions | undefined): void {
    const given = givenOf(options)
    const kept = this.keep(payload)
    this.send(() => publishNow(this.connection, subject, kept, given, undefined))
  }

  /** Resolves when nothing waits. */
  whenEmpty(): Promise<void> {
    return new Promise((resolve) => {
      if (this.isWaiting) this.emptied.push(resolve)
      else resolve()
    })
  }

  /** Ends what is under way. What waits is not sent: how many. */
  close(): number {
    this.isClosed = true
    const unsent = this.row.length + (this.isWaiting ? 1 : 0)
    this.row = []
    for (const fiber of this.fibers) fiber.interruptUnsafe()
    return unsent
  }

  private get here(): Context.Context<never> {
    return Fiber.getCurrent()?.context ?? this.context
  }

  private send(publishing: Publishing, context?: Context.Context<never>): void {
    if (this.isClosed) throw new errors.ClosedConnectionError()
    if (this.isWaiting) {
      this.row.push({ publishing, context: this.here })
      return
    }
    const outcome = publishing()
    if (outcome === Exit.void) return
    let exit: Exit.Exit<void, PublishError> | undefined = Exit.isExit(outcome)
      ? outcome as Exit.Exit<void, PublishError>
      : undefined
    let isLate = false
    if (exit === undefined) {
      this.run(outcome, (done) => {
        if (isLate) this.goOn(done)
        else exit = done
      }, context)
    }
    isLate = true
    if (exit === undefined) this.isWaiting = true
    else if (Exit.isFailure<void, PublishError>(exit)) throw thrownOf(exit.cause, errorOf)
  }

  // Nobody is there any more to whom a failure could be thrown.
  private goOn(exit: Exit.Exit<void, PublishError>): void {
    this.isWaiting = false
    if (Exit.isFailure(exit) && !this.isClosed) this.report(thrownOf(exit.cause, errorOf))
    const { row } = this
    let next = 0
    for (; next < row.length && !this.isWaiting; next++) {
      try {
        this.send(row[next].publishing, row[next].context)
      } catch (error) {
        this.report(error)
      }
    }
    this.row = row.slice(next)
    if (this.isWaiting) return
    const emptied = this.emptied
    this.emptied = []
    for (const resume of emptied) resume()
  }

  // What waits is not to change under the program's hands.
  private keep(payload: string | Uint8Array): string | Uint8Array {
    if (typeof payload === "string" || !(payload instanceof Uint8Array)) return payload
    const { session } = this.connection
    return session === undefined || session.isFull || this.isWaiting ? new Uint8Array(payload) : payload
  }
}

const givenOf = (options: PublishOptions | undefined): Given | undefined => {
  if (options === undefined) return undefined
  const { reply } = options
  return { ...headersOf(options.headers, options), ...(reply === undefined || reply === "" ? {} : { reply }) }
}

/**
 * What a message has to answer with. `ackAck` of `@nats-io/jetstream` goes further in: it registers a request of
 * nats-core's own and publishes with its token behind `baseInbox` as reply. Here the token is all of the reply, by which
 * the publish is known, and becomes a request of the client.
 */
export class MessagePublisher implements Publisher {
  readonly options = { noAsyncTraces: true }
  readonly muxSubscriptions: { readonly baseInbox: string; readonly cancel: (request: RequestOne) => void }
  readonly request: (request: RequestOne) => RequestOne
  readonly publish: (subject: string, payload: string | Uint8Array, options?: PublishOptions) => void

  constructor(
    sender: Sender,
    ask: (subject: string, payload: string | Uint8Array) => Effect.Effect<NatsMessage, RequestError>
  ) {
    const registered = new Map<string, { readonly request: RequestOne; fiber?: Fiber.Fiber<unknown, unknown> }>()
    this.muxSubscriptions = {
      baseInbox: "",
      cancel: ({ token }) => {
        const { fiber } = registered.get(token) ?? {}
        registered.delete(token)
        fiber?.interruptUnsafe()
      }
    }
    this.request = (request) => {
      registered.set(request.token, { request })
      return request
    }
    this.publish = (subject, payload, options) => {
      const asked = registered.size === 0 || options?.reply === undefined ? undefined : registered.get(options.reply)
      if (asked === undefined) {
        sender.respond(subject, payload, options)
        return
      }
      if (sender.isClosed) throw new errors.ClosedConnectionError()
      asked.fiber = sender.run(ask(subject, payload), (exit) => {
        const { request } = asked
        if (!registered.has(request.token)) return
        if (Exit.isSuccess(exit)) request.resolver(null, replied(exit.value, this))
        else request.resolver(thrownOf(exit.cause, errorOf) as Error, {} as never)
      })
    }
  }
}
