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
import type * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import type { Input } from "../../NatsHeaders.ts"
import { payloadSize } from "../protocol/writer.ts"
import { ConsumerRelation, PropagationEnabled, type Relation, TracingEnabled } from "./switches.ts"
import { traceLines } from "./traceContext.ts"

const ATTR_SYSTEM = "messaging.system"
const ATTR_OPERATION_NAME = "messaging.operation.name"
const ATTR_OPERATION_TYPE = "messaging.operation.type"
const ATTR_DESTINATION_NAME = "messaging.destination.name"
const ATTR_DESTINATION_TEMPLATE = "messaging.destination.template"
const ATTR_DESTINATION_TEMPORARY = "messaging.destination.temporary"
const ATTR_BODY_SIZE = "messaging.message.body.size"
const ATTR_CONSUMER_GROUP = "messaging.consumer.group.name"
const ATTR_SERVER_ADDRESS = "server.address"
const ATTR_SERVER_PORT = "server.port"
const ATTR_ERROR_TYPE = "error.type"

/** Stands for an inbox: its subject is made up, and of no use to who reads a trace. */
const temporary = "(temporary)"

// Without a template a subject names its spans. After so many subjects it is taken for one that holds ids.
const mostNames = 100

/** What a span tells of a message that is sent. */
export interface SentMessage {
  readonly subject: string
  readonly payload: string | Uint8Array
  readonly headers: Input | undefined
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

type Attributes = Record<string, unknown>

export class Tracing {
  private readonly inboxPrefix: string
  private readonly serverUrl: () => string | undefined
  private readonly names = new Set<string>()
  private server: { readonly url: string; readonly address: string; readonly port: number } | undefined

  constructor(inboxPrefix: string, serverUrl: () => string | undefined) {
    this.inboxPrefix = `${inboxPrefix}.`
    this.serverUrl = serverUrl
  }

  /** Runs a publish or a request inside its span. `send` gets the header lines that carry it, if any are to be sent. */
  send<A, E, R>(
    fiber: Fiber.Fiber<unknown, unknown>,
    operation: "publish" | "request",
    message: SentMessage,
    send: (lines: string | undefined) => Effect.Effect<A, E, R>
  ): Effect.Effect<A, E, R> {
    return Effect.useSpan(
      this.spanName(operation, message.subject, message.template),
      this.sendOptions(operation, message),
      (span) => withErrorType(span, send(linesFor(fiber, span, message.headers)))
    )
  }

  /** A request whose span ends with the scope: for a stream of replies. */
  sendScoped<A, E, R>(
    fiber: Fiber.Fiber<unknown, unknown>,
    operation: "request",
    message: SentMessage,
    send: (lines: string | undefined) => Effect.Effect<A, E, R>
  ): Effect.Effect<A, E, R | Scope.Scope> {
    return Effect.flatMap(
      Effect.makeSpanScoped(
        this.spanName(operation, message.subject, message.template),
        this.sendOptions(operation, message)
      ),
      (span) => withErrorType(span, send(linesFor(fiber, span, message.headers)))
    )
  }

  /** Runs what handles a message inside the span of that. */
  receive<A, E, R>(
    message: ReceivedMessage,
    { queue, relation, template }: ReceiverOptions,
    handle: () => Effect.Effect<A, E, R>
  ): Effect.Effect<A, E, R> {
    const { remote, reply, subject } = message
    const attributes = this.attributes("process", "process", subject, message.payloadSize, template)
    if (queue !== undefined) attributes[ATTR_CONSUMER_GROUP] = queue
    const isLinked = relation === "link" && remote !== undefined
    return Effect.useSpan(
      this.spanName("process", subject, template),
      {
        // An acknowledgement is no answer: what JetStream delivers is consumed.
        kind: reply === undefined || reply.startsWith("$JS.ACK.") ? "consumer" : "server",
        attributes,
        ...(isLinked ? { root: true, links: [{ span: remote, attributes: {} }] } : { parent: remote })
      },
      (span) =>
        withErrorType(
          span,
          // `ParentSpan` is optional in every context: no handler has it among its requirements.
          Effect.provideService(handle(), Tracer.ParentSpan, span) as Effect.Effect<A, E, R>
        )
    )
  }

  private sendOptions(operation: "publish" | "request", message: SentMessage): Tracer.SpanOptionsNoTrace {
    const { payload, subject, template } = message
    return {
      kind: operation === "publish" ? "producer" : "client",
      attributes: this.attributes(operation, "send", subject, payloadSize(payload), template)
    }
  }

  private attributes(
    name: string,
    type: string,
    subject: string,
    size: number,
    template: string | undefined
  ): Attributes {
    const isTemporary = this.isTemporary(subject)
    const attributes: Attributes = {
      [ATTR_SYSTEM]: "nats",
      [ATTR_OPERATION_NAME]: name,
      [ATTR_OPERATION_TYPE]: type,
      [ATTR_DESTINATION_NAME]: isTemporary ? temporary : subject,
      [ATTR_BODY_SIZE]: size
    }
    if (isTemporary) attributes[ATTR_DESTINATION_TEMPORARY] = true
    if (template !== undefined && template !== subject && !isTemporary) attributes[ATTR_DESTINATION_TEMPLATE] = template
    const server = this.currentServer()
    if (server !== undefined) {
      attributes[ATTR_SERVER_ADDRESS] = server.address
      attributes[ATTR_SERVER_PORT] = server.port
    }
    return attributes
  }

  /** Bounded, whatever the subjects are: names are what spans are grouped by. */
  private spanName(operation: string, subject: string, template: string | undefined): string {
    if (this.isTemporary(subject)) return `${operation} ${temporary}`
    if (template !== undefined) return `${operation} ${template}`
    if (!this.names.has(subject)) {
      if (this.names.size >= mostNames) return operation
      this.names.add(subject)
    }
    return `${operation} ${subject}`
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

const linesFor = (
  fiber: Fiber.Fiber<unknown, unknown>,
  span: Tracer.Span,
  headers: Input | undefined
): string | undefined => fiber.getRef(PropagationEnabled) ? traceLines(span, headers) : undefined

const noteError = (span: Tracer.Span, cause: Cause.Cause<unknown>): void => {
  if (Cause.hasInterruptsOnly(cause)) return
  const error = Cause.squash(cause)
  const isNamed = typeof error === "object" && error !== null
  const tag = isNamed && "_tag" in error && typeof error._tag === "string" ? error._tag : undefined
  span.attribute(ATTR_ERROR_TYPE, tag ?? (error instanceof Error ? error.name : "_OTHER"))
}

const withErrorType = <A, E, R>(span: Tracer.Span, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => {
  if (!Exit.isExit(effect)) {
    return Effect.tapCause(effect, (cause) => {
      noteError(span, cause)
      return Effect.void
    })
  }
  if (Exit.isFailure(effect)) noteError(span, effect.cause)
  return effect
}
