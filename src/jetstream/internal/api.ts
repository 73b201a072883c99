/**
 * Requests to JetStream's API: JSON over `$JS.API.*`, with its errors told apart by number.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { hasProperty } from "effect/Predicate"
import { type Connection, connectionOf } from "../../internal/operations/connectionOf.ts"
import { sleep } from "../../internal/operations/sending.ts"
import { shownProblem } from "../../internal/protocol/shown.ts"
import type { PublishMeter } from "../../internal/telemetry/publishMetrics.ts"
import type { NatsClient } from "../../NatsClient.ts"
import type { NoResponders, RequestError } from "../../NatsError.ts"
import type { NatsMessage } from "../../NatsMessage.ts"
import type { JetStream } from "../JetStream.ts"
import {
  type ApiError,
  InvalidAnswer,
  JetStreamApiError,
  JetStreamNotEnabled,
  JetStreamUnavailable
} from "../JetStreamError.ts"
import { parseExact, stringifyExact } from "./exactJson.ts"
import { AckReader } from "./pubAck.ts"

/** An answer of the API that is no error. */
export type Answer = Readonly<Record<string, unknown>>

/** What an API request can fail with where the error has a meaning for the request itself. */
export type ErrorTable<E> = Readonly<Record<number, (error: JetStreamApiError) => E>>

export interface CallOptions<E> {
  readonly timeout?: Duration.Input | undefined
  /** By `err_code`: what is a tag of its own for this request. */
  readonly errors?: ErrorTable<E> | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
}

/** A leader that has just died answers nothing, and what failed for that is told at once. */
const mostPatienceMillis = 1_000

/** When a request that only reads is sent once more, the first time and in the end. */
const askedAgainMillis = 250
const lastAskedAgainMillis = 1_000

/**
 * What only reads, asked again while there is no answer: servers that elect a leader drop what they are asked.
 * The first answer is taken, also a late one to what was asked first, which alone decides when it is too late.
 */
export const askedAgain = <A, E extends { readonly _tag: string }>(
  connection: Connection,
  asked: Effect.Effect<A, E>
): Effect.Effect<A, E> => {
  const orNever = Effect.catchIf(asked, ({ _tag }) => _tag === "RequestTimedOut", () => Effect.never)
  const after = (millis: number): Effect.Effect<A, E> =>
    Effect.andThen(
      sleep(connection, millis),
      Effect.suspend(() => Effect.raceFirst(orNever, after(Math.min(millis * 2, lastAskedAgainMillis))))
    )
  return Effect.raceFirst(asked, after(askedAgainMillis))
}

/** The API of the server at hand. */
export const ownPrefix = "$JS.API"

/** JetStream of one client: where it is asked, and what its server can do. */
export class Api {
  readonly nats: NatsClient
  readonly connection: Connection
  /** `$JS.API`, or `$JS.<domain>.API`, or what the account imports it as. */
  readonly prefix: string
  readonly domain: string | undefined
  private readonly timeout: Duration.Input | undefined
  readonly acks = new AckReader()
  /** Absent where the client counts nothing. */
  readonly meter: PublishMeter | undefined

  constructor(
    nats: NatsClient,
    prefix: string,
    domain: string | undefined,
    timeout: Duration.Input | undefined,
    meter?: PublishMeter | undefined
  ) {
    this.meter = meter
    this.nats = nats
    this.connection = connectionOf(nats)
    this.prefix = prefix
    this.domain = domain
    this.timeout = timeout
  }

  /** How long an answer is waited for, in milliseconds. */
  get timeoutMillis(): number {
    const { timeout } = this
    return timeout === undefined ? this.connection.settings.requestTimeoutMillis : Duration.toMillis(timeout)
  }

  /** How long an answer is waited for that only names a failure, in milliseconds. */
  get patienceMillis(): number {
    return Math.min(this.timeoutMillis, mostPatienceMillis)
  }

  /** Whether it is not JetStream of the server at hand that is asked. */
  get isElsewhere(): boolean {
    return this.prefix !== ownPrefix
  }

  /**
   * The level of the server at hand (ADR-44), 0 before there were levels. The stream's leader can be an older server: see
   * `level.ts`, which also knows that of a domain.
   */
  get level(): number {
    return this.connection.info?.api_lvl ?? 0
  }

  /**
   * Asks `STREAM.INFO.ORDERS` and the like, whose first tokens name it in spans and errors. Names in it have been checked:
   * see `names.ts`.
   */
  call<E = never>(
    name: string,
    body?: object | undefined,
    options?: CallOptions<E>
  ): Effect.Effect<Answer, ApiError | E> {
    const request = nameOf(name)
    const asked = this.nats.request(`${this.prefix}.${name}`, body === undefined ? "" : stringifyExact(body), {
      timeout: options?.timeout ?? this.timeout,
      headers: options?.headers,
      subjectTemplate: `${this.prefix}.${request}`
    })
    return (request.endsWith("INFO") ? askedAgain(this.connection, asked) : asked).pipe(
      Effect.catch((error): Effect.Effect<never, ApiError> => this.answerless(error)),
      Effect.flatMap((reply): Effect.Effect<Answer, ApiError | E> => {
        const answer = readAnswer(request, reply.text)
        if (answer instanceof InvalidAnswer) return Effect.fail(answer)
        const { error } = answer
        if (error === undefined) return Effect.succeed(answer)
        const refused = this.refusal(request, error)
        const own = options?.errors?.[refused.errCode]
        return Effect.fail(own === undefined ? commonError(refused) : own(refused))
      })
    )
  }

  /** Acknowledges on the subject of a message, and waits for the server's answer. */
  requestAck(subject: string): Effect.Effect<unknown, RequestError> {
    return this.nats.request(subject, "+ACK", { timeout: this.timeout, subjectTemplate: "$JS.ACK" })
  }

  /**
   * Asks what answers with a message and not with JSON, such as `DIRECT.GET`. `request` names it in spans. Nobody answers
   * where the stream has no direct gets, or is not there.
   */
  ask(
    name: string,
    payload: string,
    request: string
  ): Effect.Effect<NatsMessage, Exclude<ApiError, JetStreamNotEnabled> | NoResponders> {
    return Effect.catchEager(
      this.nats.request(`${this.prefix}.${name}`, payload, {
        timeout: this.timeout,
        subjectTemplate: `${this.prefix}.${request}`
      }),
      (error): Effect.Effect<never, Exclude<ApiError, JetStreamNotEnabled> | NoResponders> =>
        error._tag === "NoResponders" ? Effect.fail(error) : failUnlessOurs(error)
    )
  }

  /** The same client's API under another prefix: that of the account or the domain which a mirror comes from. */
  under(prefix: string): Api {
    return prefix === this.prefix ? this : new Api(this.nats, prefix, undefined, this.timeout)
  }

  /** The `error` of an answer. Its text is what a person may see. */
  refusal(request: string, error: unknown): JetStreamApiError {
    const numberIn = (field: string): number =>
      hasProperty(error, field) && typeof error[field] === "number" ? error[field] : 0
    const description = hasProperty(error, "description") && typeof error.description === "string"
      ? error.description
      : "no description"
    return new JetStreamApiError({
      request,
      errCode: numberIn("err_code"),
      code: numberIn("code"),
      description: this.shown(description)
    })
  }

  /** Words of the server, as a person may see them. */
  shown(text: string): string {
    return this.connection.filter.shown(text, shownProblem)
  }

  private answerless(error: RequestError): Effect.Effect<never, ApiError> {
    return error._tag === "NoResponders"
      ? Effect.fail(new JetStreamNotEnabled(this.domain === undefined ? {} : { domain: this.domain }))
      : failUnlessOurs(error)
  }
}

type OurFault = "InvalidSubject" | "InvalidPayload" | "InvalidHeader" | "HeadersNotSupported"

const ourFaults: ReadonlySet<string> = new Set<OurFault>([
  "InvalidSubject",
  "InvalidPayload",
  "InvalidHeader",
  "HeadersNotSupported"
])

/**
 * Fails with it, and dies of what would be a fault of this module: the subject is made of checked names, the payload is
 * text, and headers are sent to servers that have levels.
 */
export const failUnlessOurs = <E extends { readonly _tag: string }>(
  error: E
): Effect.Effect<never, Exclude<E, { readonly _tag: OurFault }>> =>
  ourFaults.has(error._tag)
    ? Effect.die(error)
    : Effect.fail(error as Exclude<E, { readonly _tag: OurFault }>)

/** Of all API errors, what has a tag whatever was asked. */
export const commonError = (error: JetStreamApiError): ApiError => {
  const { description, errCode } = error
  if (notEnabled.has(errCode)) return new JetStreamNotEnabled({})
  return isUnavailable(errCode) ? new JetStreamUnavailable({ errCode, description }) : error
}

/** Not enabled on the server, not enabled for the account. */
const notEnabled = new Set([10076, 10039])

/**
 * Temporarily unavailable, not the leader, no quorum, insufficient resources of the cluster, the server is not ready, stream
 * offline, consumer offline.
 */
const unavailable = new Set([10008, 10009, 10004, 10118, 10119])

/** Whether an `err_code` is the server's word that it cannot do it just now. */
export const isUnavailable = (errCode: number): boolean => unavailable.has(errCode)

/** The part of a request's name that is not of the user's making: `STREAM.INFO`, `CONSUMER.MSG.NEXT`. */
const nameOf = (name: string): string => {
  const tokens = name.split(".")
  const own = tokens.findIndex((token) => !words.has(token))
  return own < 0 ? name : tokens.slice(0, own).join(".")
}

const words = new Set(
  (
    "INFO STREAM CONSUMER CREATE UPDATE DELETE NAMES LIST PURGE MSG GET NEXT DIRECT DURABLE LEADER STEPDOWN PAUSE RESET UNPIN " +
    "SNAPSHOT RESTORE PEER REMOVE ACCOUNT META SERVER"
  ).split(" ")
)

const readAnswer = (request: string, text: string): Answer | InvalidAnswer => {
  let parsed: unknown
  try {
    parsed = parseExact(text)
  } catch {
    return new InvalidAnswer({ request, problem: text === "" ? "it is empty" : "it is not JSON" })
  }
  return typeof parsed === "object" && parsed !== null && !Array.isArray(parsed)
    ? parsed as Answer
    : new InvalidAnswer({ request, problem: "it is JSON, and no object" })
}

/** A function and not the API itself, so that no inspection of the service goes into it. */
export const ApiKey: unique symbol = Symbol.for("effect-nats/jetstream/api")

/** Throws for what is no JetStream of ours. */
export const apiOf = (js: JetStream): Api => {
  if (hasProperty(js, ApiKey) && typeof js[ApiKey] === "function") return js[ApiKey]() as Api
  throw new TypeError("this JetStream has no client: make it with JetStream.make or a layer, or copy such a one")
}
