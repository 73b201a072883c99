/**
 * The spans of one client's operations, with the attributes that OpenTelemetry gives to messaging.
 *
 * Nothing here is reached while no tracer is installed: the operations ask `isTraced` first, which is one look at the
 * fiber.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import { shownName } from "../protocol/shown.ts"
import { payloadSize } from "../protocol/writer.ts"
import { ConsumerRelation, PropagationEnabled, type Relation, TracingEnabled } from "./switches.ts"

const ATTR_SYSTEM = "messaging.system"
const ATTR_OPERATION_NAME = "messaging.operation.name"
const ATTR_OPERATION_TYPE = "messaging.operation.type"
const ATTR_DESTINATION_NAME = "messaging.destination.name"
const ATTR_DESTINATION_TEMPLATE = "messaging.destination.template"
const ATTR_DESTINATION_TEMPORARY = "messaging.destination.temporary"
const ATTR_BATCH_COUNT = "messaging.batch.message_count"
const ATTR_BODY_SIZE = "messaging.message.body.size"
const ATTR_CONSUMER_GROUP = "messaging.consumer.group.name"
const ATTR_SERVER_ADDRESS = "server.address"
const ATTR_SERVER_PORT = "server.port"
const ATTR_ERROR_TYPE = "error.type"

/** Stands for an inbox: its subject is made up, and of no use to who reads a trace. */
const temporary = "(temporary)"

// Without a template a subject names its spans. After so many subjects it is taken for one that holds ids.
const mostPlaces = 100

/** How spans tell of a subject, made once for each. */
interface Place {
  readonly isTemporary: boolean
  readonly publish: string
  readonly request: string
  readonly process: string
}

const placeOf = (suffix: string, isTemporary = false): Place => ({
  isTemporary,
  publish: `publish${suffix}`,
  request: `request${suffix}`,
  process: `process${suffix}`
})

const unnamed = placeOf("")
const nowhere = placeOf(` ${temporary}`, true)

/** What a span tells of a message that is sent. */
export interface SentMessage {
  readonly subject: string
  readonly payload: string | Uint8Array
  readonly template: string | undefined
}

/** What a span tells of a message that was received. */
export interface ReceivedMessage {
  readonly subject: string
  readonly reply: string | undefined
  readonly payloadSize: number
  /** Read from its headers. */
  readonly remote: Tracer.ExternalSpan | undefined
}

export interface ReceiverOptions {
  readonly template: string | undefined
  readonly queue: string | undefined
  readonly relation: Relation
}

const producer: Tracer.SpanOptionsNoTrace = { kind: "producer" }
const client: Tracer.SpanOptionsNoTrace = { kind: "client" }

export class Tracing {
  private readonly inboxPrefix: string
  private readonly serverUrl: () => string | undefined
  private readonly places = new Map<string, Place>()
  private server: { readonly url: string; readonly address: string; readonly port: number } | undefined

  constructor(inboxPrefix: string, serverUrl: () => string | undefined) {
    this.inboxPrefix = `${inboxPrefix}.`
    this.serverUrl = serverUrl
  }

  /** Runs a publish or a request inside its span. `send` gets the span if headers are to carry it. */
  send<A, E, R>(
    fiber: Fiber.Fiber<unknown, unknown>,
    operation: "publish" | "request",
    message: SentMessage,
    send: (carried: Tracer.Span | undefined) => Effect.Effect<A, E, R>
  ): Effect.Effect<A, E, R> {
    const place = this.place(message.subject, message.template)
    return Effect.useSpan(
      place[operation],
      operation === "publish" ? producer : client,
      (span) => {
        this.describe(span, place, operation, "send", message.subject, payloadSize(message.payload), message.template)
        return withErrorType(span, send(fiber.getRef(PropagationEnabled) ? span : undefined))
      }
    )
  }

  /**
   * The span of many messages that are published one after the other: one for all of them, since one for each would cost
   * more than the messages. It ends with the scope, and tells then how many they were. `carried` is there if headers are
   * to carry it.
   */
  publishMany(
    fiber: Fiber.Fiber<unknown, unknown>,
    scope: Scope.Scope,
    messages: () => number
  ): Effect.Effect<{ readonly span: Tracer.Span; readonly carried: Tracer.Span | undefined }> {
    return Effect.flatMap(Scope.provide(Effect.makeSpanScoped("publish", producer), scope), (span) => {
      span.attribute(ATTR_SYSTEM, "nats")
      span.attribute(ATTR_OPERATION_NAME, "publish")
      span.attribute(ATTR_OPERATION_TYPE, "send")
      this.describeServer(span)
      const carried = fiber.getRef(PropagationEnabled) ? span : undefined
      return Effect.as(
        Scope.addFinalizer(scope, Effect.sync(() => span.attribute(ATTR_BATCH_COUNT, messages()))),
        { span, carried }
      )
    })
  }

  /** A request whose span ends with the scope: for a stream of replies. */
  requestScoped<A, E, R>(
    fiber: Fiber.Fiber<unknown, unknown>,
    message: SentMessage,
    send: (carried: Tracer.Span | undefined) => Effect.Effect<A, E, R>
  ): Effect.Effect<A, E, R | Scope.Scope> {
    const place = this.place(message.subject, message.template)
    return Effect.flatMap(
      Effect.makeSpanScoped(place.request, client),
      (span) => {
        this.describe(span, place, "request", "send", message.subject, payloadSize(message.payload), message.template)
        return withErrorType(span, send(fiber.getRef(PropagationEnabled) ? span : undefined))
      }
    )
  }

  /** Runs what handles a message inside the span of that. `more` tells what only the caller knows. */
  receive<A, E, R>(
    message: ReceivedMessage,
    { queue, relation, template }: ReceiverOptions,
    handle: () => Effect.Effect<A, E, R>,
    more?: (span: Tracer.Span) => void
  ): Effect.Effect<A, E, R> {
    const { remote, reply, subject } = message
    // An acknowledgement is no answer: what JetStream delivers is consumed.
    const kind = reply === undefined || reply.startsWith("$JS.ACK.") ? "consumer" : "server"
    const options: Tracer.SpanOptionsNoTrace = relation === "link" && remote !== undefined
      ? { kind, root: true, links: [{ span: remote, attributes: {} }] }
      : { kind, parent: remote }
    const place = this.place(subject, template)
    return Effect.useSpan(place.process, options, (span) => {
      this.describe(span, place, "process", "process", subject, message.payloadSize, template)
      if (queue !== undefined) span.attribute(ATTR_CONSUMER_GROUP, shownName(queue))
      more?.(span)
      const handled: Effect.Effect<A, E, R> = handle()
      // What is done already needs no span around it. `ParentSpan` is optional in every context, and so no requirement.
      const inside = Exit.isExit(handled)
        ? handled
        : Effect.provideService(handled, Tracer.ParentSpan, span) as Effect.Effect<A, E, R>
      return withErrorType(span, inside)
    })
  }

  // Attributes are set one by one: a record of them would be made, read and thrown away for each message.
  private describe(
    span: Tracer.Span,
    place: Place,
    name: string,
    type: string,
    subject: string,
    size: number,
    template: string | undefined
  ): void {
    span.attribute(ATTR_SYSTEM, "nats")
    span.attribute(ATTR_OPERATION_NAME, name)
    span.attribute(ATTR_OPERATION_TYPE, type)
    if (place.isTemporary) {
      span.attribute(ATTR_DESTINATION_NAME, temporary)
      span.attribute(ATTR_DESTINATION_TEMPORARY, true)
    } else {
      span.attribute(ATTR_DESTINATION_NAME, shownName(subject))
      if (template !== undefined && template !== subject) {
        span.attribute(ATTR_DESTINATION_TEMPLATE, shownName(template))
      }
    }
    span.attribute(ATTR_BODY_SIZE, size)
    this.describeServer(span)
  }

  private describeServer(span: Tracer.Span): void {
    const server = this.currentServer()
    if (server !== undefined) {
      span.attribute(ATTR_SERVER_ADDRESS, server.address)
      span.attribute(ATTR_SERVER_PORT, server.port)
    }
  }

  /** How spans tell of a subject. Bounded, whatever the subjects are: names are what spans are grouped by. */
  private place(subject: string, template: string | undefined): Place {
    if (this.isTemporary(subject)) return nowhere
    const known = this.places.get(template ?? subject)
    if (known !== undefined) return known
    const isFull = this.places.size >= mostPlaces
    if (isFull && template === undefined) return unnamed
    const place = placeOf(` ${shownName(template ?? subject)}`)
    if (!isFull) this.places.set(template ?? subject, place)
    return place
  }

  // `_R_` is what a server puts in place of the inbox of another account.
  private isTemporary(subject: string): boolean {
    return subject.startsWith(this.inboxPrefix) || subject.startsWith("_INBOX.") || subject.startsWith("_R_.")
  }

  private currentServer(): { readonly address: string; readonly port: number } | undefined {
    const url = this.serverUrl()
    if (url === undefined) return this.server
    if (this.server?.url !== url) {
      const { hostname, port } = new URL(url)
      this.server = { url, address: hostname.replace(/^\[|\]$/g, ""), port: Number(port) }
    }
    return this.server
  }
}

/**
 * Whether an operation makes a span. The native tracer is what runs when none is installed: its spans go nowhere, so
 * none are made.
 */
export const isTraced = (fiber: Fiber.Fiber<unknown, unknown>): boolean => {
  const { tracer, tracerEnabled } = fiber.cache
  return tracer !== undefined && tracerEnabled && fiber.getRef(TracingEnabled) &&
    !fiber.getRef(Tracer.DisablePropagation)
}

/** How the consumers of a fiber relate to those who send. */
export const relationOf = (fiber: Fiber.Fiber<unknown, unknown>): Relation => fiber.getRef(ConsumerRelation)

const noteError = (span: Tracer.Span, cause: Cause.Cause<unknown>): void => {
  if (Cause.hasInterruptsOnly(cause)) return
  const error = Cause.squash(cause)
  const isNamed = typeof error === "object" && error !== null
  const tag = isNamed && "_tag" in error && typeof error._tag === "string" ? error._tag : undefined
  span.attribute(ATTR_ERROR_TYPE, shownName(tag ?? (error instanceof Error ? error.name : "_OTHER")))
}

/** Tells a span what the effect fails with. */
export const withErrorType = <A, E, R>(span: Tracer.Span, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => {
  if (!Exit.isExit(effect)) {
    return Effect.tapCause(effect, (cause) => {
      noteError(span, cause)
      return Effect.void
    })
  }
  if (Exit.isFailure(effect)) noteError(span, effect.cause)
  return effect
}
