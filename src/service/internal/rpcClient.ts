/**
 * The client's side of the transport: its calls, and the servers that have them. See `rpcWire.ts` for what is sent.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { RpcClientError } from "effect/rpc/RpcClientError"
import { constEof, type FromClientEncoded, type FromServerEncoded, type RequestEncoded } from "effect/rpc/RpcMessage"
import type * as RpcSerialization from "effect/rpc/RpcSerialization"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { rpcServerEndHeader } from "../../internal/protocol/headerNames.ts"
import type { NatsClient } from "../../NatsClient.ts"
import {
  ConnectionClosed,
  ConnectionLost,
  NoResponders,
  type PermissionsViolation,
  type SubscriptionLimitExceeded
} from "../../NatsError.ts"
import type { NatsMessage } from "../../NatsMessage.ts"
import type { StatusEvent } from "../../NatsStatus.ts"
import { neverThrowingCodecs } from "./rpcCodec.ts"
import {
  clientError,
  type LossReason,
  protocolError,
  reasonOf,
  type RpcFailure,
  RpcServerLost,
  type Unsent
} from "./rpcFailure.ts"
import { Frames, withoutSpans } from "./rpcFrames.ts"
import { Inbox, type InboxReader } from "./rpcInbox.ts"
import { type Call, Calls, type Link } from "./rpcLinks.ts"
import { callsPerPing, decodeBeat, encodeBeat, pingToken } from "./rpcWire.ts"

export interface ClientSettings {
  readonly subject: string
  readonly pingInterval: Duration.Duration
  readonly maxPingOut: number
}

export type WriteResponse = (clientId: number, response: FromServerEncoded) => Effect.Effect<void>

export class Client implements InboxReader {
  readonly inbox: string
  readonly answers: Inbox
  private readonly nats: NatsClient
  private readonly settings: ClientSettings
  private readonly scope: Scope.Scope
  private readonly writeResponse: WriteResponse
  private readonly frames: Frames
  private readonly calls: Calls
  private readonly dieExit: (encodedDefect: unknown) => Effect.Effect<unknown, Schema.SchemaError>
  private sequence = 0
  private orphans: Array<Call> = []
  private isConnected = true
  private isClosed = false

  constructor(
    nats: NatsClient,
    inbox: string,
    serialization: RpcSerialization.RpcSerialization["Service"],
    settings: ClientSettings,
    scope: Scope.Scope,
    writeResponse: WriteResponse
  ) {
    this.nats = nats
    this.settings = settings
    this.scope = scope
    this.writeResponse = writeResponse
    this.inbox = inbox
    this.answers = new Inbox(inbox, nats, scope)
    this.frames = new Frames(serialization)
    this.calls = new Calls(() => new Frames(serialization))
    const codecFor = neverThrowingCodecs(serialization.codecFor)
    const decodeDefect = Schema.decodeUnknownEffect(codecFor(Schema.Defect()))
    // No call's own schema is needed for a defect: RpcServer does the same for calls that it does not know.
    const encodeExit = Schema.encodeUnknownEffect(
      codecFor(Schema.Exit(Schema.Never, Schema.Never, Schema.Defect()))
    )
    this.dieExit = (defect) => Effect.flatMap(decodeDefect(defect), (defect) => encodeExit(Exit.die(defect)))
  }

  send(clientId: number, message: FromClientEncoded): Effect.Effect<void, RpcClientError> {
    switch (message._tag) {
      case "Request":
        return this.request(clientId, message)
      case "Ack":
        return this.ack(message)
      case "Interrupt":
        return this.interrupt(message)
      default:
        return Effect.void
    }
  }

  // Waits for the end of the call: what goes wrong with this call alone can then fail this call alone.
  private request(clientId: number, message: RequestEncoded): Effect.Effect<void, RpcClientError> {
    return Effect.suspend(() => {
      if (this.isClosed) return Effect.fail(clientError(new ConnectionClosed({})))
      if (!this.answers.isOpen) {
        return Effect.andThen(Effect.mapError(this.answers.open(this), clientError), this.request(clientId, message))
      }
      const frame = this.encode(message)
      if (typeof frame !== "string" && !(frame instanceof Uint8Array)) return Effect.fail(frame)
      const call = this.calls.open(clientId, message.id)
      const reply = `${this.inbox}.${call.number}`
      return this.publish(this.settings.subject, frame, reply).pipe(
        Effect.matchCauseEffect({
          onFailure: (cause) => {
            this.calls.remove(call)
            return Effect.mapError(Effect.failCause(cause), clientError)
          },
          onSuccess: () => {
            call.isSent = true
            return Effect.callback<void, RpcClientError>((resume) => {
              call.onEnd((failure) => resume(failure === undefined ? Exit.void : Exit.fail(failure)))
            })
          }
        }),
        Effect.onInterrupt(() => {
          // Nothing was sent, so nothing is to be interrupted.
          if (!call.isSent) this.calls.remove(call)
          return Effect.void
        })
      )
    })
  }

  private ack(message: Extract<FromClientEncoded, { readonly _tag: "Ack" }>): Effect.Effect<void, RpcClientError> {
    return Effect.suspend(() => {
      const call = this.calls.of(message.requestId)
      if (call?.link === undefined) return Effect.void
      return Effect.map(this.follow(call.link, message, call), () => {
        call.acks++
      })
    })
  }

  private interrupt(
    message: Extract<FromClientEncoded, { readonly _tag: "Interrupt" }>
  ): Effect.Effect<void, RpcClientError> {
    return Effect.suspend(() => {
      const call = this.calls.of(message.requestId)
      if (call === undefined) return Effect.void
      if (call.link === undefined) {
        call.isInterrupted = true
        return Effect.void
      }
      this.calls.remove(call)
      return this.follow(call.link, message)
    })
  }

  private encode(message: FromClientEncoded): string | Uint8Array | RpcClientError {
    try {
      return this.frames.encode(message) ?? protocolError("The message cannot be encoded", message._tag)
    } catch (cause) {
      return protocolError("The message cannot be encoded", cause)
    }
  }

  /** Sends to the one server that has the call. With a call, a server that is gone is heard of at once. */
  private follow(link: Link, message: FromClientEncoded, call?: Call): Effect.Effect<void, RpcClientError> {
    const frame = this.encode(message)
    if (typeof frame !== "string" && !(frame instanceof Uint8Array)) return Effect.fail(frame)
    const reply = call === undefined ? undefined : `${this.inbox}.${call.number}`
    return Effect.mapError(this.publish(link.subject, frame, reply), clientError)
  }

  private publish(subject: string, frame: string | Uint8Array, reply?: string): Effect.Effect<void, Unsent> {
    // Without headers none can be refused.
    return withoutSpans(this.nats.publish(subject, frame, { reply })) as Effect.Effect<void, never>
  }

  /** Of the inbox. */
  onRefused(error: PermissionsViolation | SubscriptionLimitExceeded): Effect.Effect<void> {
    return Effect.andThen(Effect.sync(() => this.failAll(error)), this.releaseOrphans)
  }

  private readonly releaseOrphans: Effect.Effect<void> = Effect.suspend(() => {
    const orphans = this.orphans
    this.orphans = []
    return Effect.forEach(orphans, (call) => this.abandon(call), { discard: true })
  })

  /** Tells a server that nobody waits for a call. What is lost of it, the server finds out by the pings. */
  private release(link: Link, requestId: string | number): Effect.Effect<void> {
    return Effect.ignore(this.follow(link, { _tag: "Interrupt", requestId }))
  }

  onMessage(message: NatsMessage): Effect.Effect<void> {
    const token = message.subject.slice(this.inbox.length + 1)
    if (token.startsWith(pingToken)) return this.onPong(Number(token.slice(pingToken.length)), message)
    const call = this.calls.byNumber.get(Number(token))
    const { reply } = message
    const isEmpty = message.data.length === 0
    if (reply === undefined && isEmpty) return call === undefined ? Effect.void : this.onNobody(call)
    const link = reply === undefined ? undefined : this.calls.linkOf(reply)
    if (call !== undefined && link !== undefined) this.calls.attach(call, link)
    if (isEmpty) return call?.isInterrupted === true ? this.abandon(call) : Effect.void
    const decoded = (link?.frames ?? this.frames).decode<FromServerEncoded>(message)
    if ("problem" in decoded) {
      if (call === undefined) return Effect.void
      this.fail(call, protocolError("The answer cannot be decoded", decoded.problem))
      return link === undefined ? Effect.void : this.release(link, call.requestId)
    }
    const { frames } = decoded
    if (call?.isInterrupted === false && frames[0]._tag === "Exit") {
      // The server has ended. That its handler was interrupted is not what the caller is to see.
      const word = message.header(rpcServerEndHeader)
      if (word !== undefined) {
        this.lost(call, reasonOf(word))
        return Effect.void
      }
    }
    return frames.length === 1
      ? this.onResponse(frames[0], call, link)
      : Effect.forEach(frames, (frame) => this.onResponse(frame, call, link), { discard: true })
  }

  private onResponse(
    response: FromServerEncoded,
    call: Call | undefined,
    link: Link | undefined
  ): Effect.Effect<void> {
    switch (response._tag) {
      case "Chunk": {
        if (call === undefined) return link === undefined ? Effect.void : this.release(link, response.requestId)
        if (call.isInterrupted) return this.abandon(call)
        call.chunks++
        // A reader that is slow holds up its own stream, not the answers of others. The next chunk comes after the ack.
        return Effect.asVoid(
          Effect.forkIn(this.writeResponse(call.client, response), this.scope, { startImmediately: true })
        )
      }
      case "Exit":
        return call === undefined ? Effect.void : this.onExit(call, response)
      case "Defect":
        if (call === undefined) return Effect.void
        return Effect.matchEffect(this.dieExit(response.defect), {
          onFailure: (error) => Effect.sync(() => this.fail(call, protocolError("A defect cannot be decoded", error))),
          onSuccess: (exit) =>
            this.onExit(call, {
              _tag: "Exit",
              requestId: call.requestId,
              exit: exit as Extract<FromServerEncoded, { readonly _tag: "Exit" }>["exit"]
            })
        })
      default:
        return Effect.void
    }
  }

  private onExit(call: Call, response: FromServerEncoded): Effect.Effect<void> {
    this.calls.remove(call)
    if (call.isInterrupted) return Effect.void
    call.end()
    return this.writeResponse(call.client, response)
  }

  private abandon(call: Call): Effect.Effect<void> {
    this.calls.remove(call)
    return call.link === undefined ? Effect.void : this.release(call.link, call.requestId)
  }

  private fail(call: Call, error: RpcClientError): void {
    this.calls.remove(call)
    call.end(error)
  }

  private lost(call: Call, reason: LossReason): void {
    this.fail(call, clientError(new RpcServerLost({ subject: this.settings.subject, reason })))
  }

  // Of a request: no server is there. Of a follow-up: the server is gone, or does not know the call any more.
  private onNobody(call: Call): Effect.Effect<void> {
    const { link } = call
    if (link === undefined) {
      this.fail(call, clientError(new NoResponders({ subject: this.settings.subject })))
      return Effect.void
    }
    this.lost(call, "forgotten")
    return this.ping(link)
  }

  private unlink(link: Link, reason: LossReason): void {
    this.calls.unlink(link)
    const calls = [...link.calls]
    for (const call of calls) this.lost(call, reason)
  }

  private onPong(number: number, message: NatsMessage): Effect.Effect<void> {
    return Effect.suspend(() => {
      const link = this.calls.linkNumbered(number)
      if (link === undefined) return Effect.void
      if (message.data.length === 0) {
        this.unlink(link, "gone")
        return Effect.void
      }
      const pong = decodeBeat(message.text)
      const pinged = pong === undefined ? undefined : link.pinged.get(pong.sequence)
      if (pong === undefined || pinged === undefined) return Effect.void
      link.unanswered = 0
      link.pinged.delete(pong.sequence)
      return Effect.forEach(this.calls.lostBy(pinged, pong.calls), (call) => {
        this.lost(call, "incomplete")
        return this.release(link, call.requestId)
      }, { discard: true })
    })
  }

  private ping(link: Link): Effect.Effect<void> {
    return Effect.suspend(() => {
      link.unanswered++
      const calls = [...link.calls]
      const groups = Math.max(1, Math.ceil(calls.length / callsPerPing))
      return Effect.forEach(Array.from({ length: groups }, (_, i) => i), (i) => {
        const group = calls.slice(i * callsPerPing, (i + 1) * callsPerPing)
        const sequence = this.sequence++
        link.pinged.set(sequence, group)
        const beat = encodeBeat({ sequence, calls: group.map((call) => [call.number, call.acks] as const) })
        const reply = `${this.inbox}.${pingToken}${link.number}`
        return Effect.ignore(this.publish(`${link.subject}.${pingToken}`, beat, reply))
      }, { discard: true })
    })
  }

  readonly beat: Effect.Effect<void> = Effect.suspend(() => {
    // While there is no connection nobody can answer, and the calls in flight have failed.
    if (!this.isConnected) return Effect.void
    this.calls.round++
    const calls = this.calls.all
    for (const call of calls) {
      if (call.link === undefined && call.isSent && this.calls.round - call.round > this.settings.maxPingOut) {
        this.lost(call, "unclaimed")
      }
    }
    return Effect.forEach(this.calls.allLinks, (link) => {
      if (link.unanswered >= this.settings.maxPingOut) {
        this.unlink(link, "silent")
        return Effect.void
      }
      link.pinged.clear()
      return this.ping(link)
    }, { discard: true })
  })

  onStatus(event: StatusEvent): Effect.Effect<void> {
    switch (event._tag) {
      case "Disconnected": {
        this.isConnected = false
        // Answers may have been lost with the connection.
        this.failAll(new ConnectionLost({ reason: event.reason }))
        return Effect.void
      }
      case "Connected": {
        if (this.isConnected) return Effect.void
        this.isConnected = true
        return Effect.andThen(
          this.releaseOrphans,
          Effect.forEach(this.calls.allLinks, (link) => {
            link.unanswered = 0
            return this.ping(link)
          }, { discard: true })
        )
      }
      case "Closed":
        this.failAll(new ConnectionClosed(event.reason === undefined ? {} : { reason: event.reason }))
        return Effect.void
      default:
        return Effect.void
    }
  }

  /** The server says nothing more of a message that it has not passed on. */
  readonly onDenied = (errorFor: (subject: string) => PermissionsViolation | undefined): void => {
    const ofAll = errorFor(this.settings.subject)
    for (const call of this.calls.all) {
      const isUnclaimed = call.isSent && call.link === undefined
      const error = (isUnclaimed ? ofAll : undefined) ?? errorFor(`${this.inbox}.${call.number}`)
      if (error !== undefined) this.fail(call, clientError(error))
    }
  }

  private failAll(failure: RpcFailure): void {
    const error = clientError(failure)
    // A caller that is told may call again at once; that call is not meant.
    const calls = this.calls.all
    for (const call of calls) {
      if (!call.isSent) continue
      call.end(error)
      // Its server is told when it comes to be known.
      call.isInterrupted = true
      if (call.link === undefined) continue
      this.orphans.push(call)
      this.calls.remove(call)
    }
  }

  /** The calls of a generated client that is closed. */
  forget(clientId: number): Effect.Effect<void> {
    return Effect.suspend(() =>
      Effect.forEach(this.calls.all.filter((call) => call.client === clientId), (call) => {
        if (call.link !== undefined) return this.abandon(call)
        call.isInterrupted = true
        return Effect.void
      }, { discard: true })
    )
  }

  /** Takes leave of the servers, so that they release what they have of this client. */
  readonly leave: Effect.Effect<void> = Effect.suspend(() => {
    this.isClosed = true
    const calls = this.calls.all
    for (const call of calls) call.end(clientError(new ConnectionClosed({})))
    return !this.isConnected ? Effect.void : Effect.andThen(
      Effect.forEach(calls, (call) => this.abandon(call), { discard: true }),
      Effect.forEach(this.calls.allLinks, (link) => Effect.ignore(this.follow(link, constEof)), { discard: true })
    )
  })
}
