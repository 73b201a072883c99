/**
 * The server's side of the transport: see `rpcWire.ts` for what is sent.
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Queue from "effect/Queue"
import { type FromClientEncoded, type FromServerEncoded, ResponseDefectEncoded } from "effect/rpc/RpcMessage"
import * as RpcSerialization from "effect/rpc/RpcSerialization"
import type * as RpcServer from "effect/rpc/RpcServer"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { randomToken } from "../../internal/identity/randomToken.ts"
import { asPart, noteEnd, noteStopping, type Part, reportEnd } from "../../internal/operations/background.ts"
import { allOrNothing } from "../../internal/operations/closing.ts"
import { connectionOf } from "../../internal/operations/connectionOf.ts"
import { describeThrown } from "../../internal/payload/decodeProblem.ts"
import { NatsClient, type Subscription } from "../../NatsClient.ts"
import type { PublishError, SubscribeError } from "../../NatsError.ts"
import type { Input } from "../../NatsHeaders.ts"
import type { NatsMessage } from "../../NatsMessage.ts"
import { neverThrowingCodecs } from "./rpcCodec.ts"
import { finishing, handedOver, makeMark } from "./rpcEnds.ts"
import { Frames, handleEach, MalformedFrame, survive, withoutSpans } from "./rpcFrames.ts"
import { HeldCall, type RemoteClient, RemoteClients } from "./rpcRemote.ts"
import { checkSubject, decodeBeat, encodeBeat, pingToken } from "./rpcWire.ts"

export interface ServerSettings {
  readonly subject: string
  readonly queue: string
  readonly clientTimeout: Duration.Duration
  readonly drainTimeout: Duration.Input | undefined
  /** What it is that a handler was interrupted, and not by its client: the answer of the call, or the end of this server. */
  readonly interruption: "answer" | "end"
}

export const serverDefaults = { queue: "rpc", clientTimeout: Duration.seconds(20) } as const

type Handle = (clientId: number, frame: FromClientEncoded) => Effect.Effect<void>

/** A call that takes longer is announced, so that its client knows whom to tell of an interruption. */
const announceAfter = Duration.millis(50)

/** Beats of `clientTimeout` after which a silent client is given up. */
const beats = 4

export const makeServerProtocol = (settings: ServerSettings): Effect.Effect<
  RpcServer.Protocol["Service"],
  SubscribeError,
  NatsClient | RpcSerialization.RpcSerialization | Scope.Scope
> => allOrNothing(openServer(settings))

const openServer = Effect.fnUntraced(function*(settings: ServerSettings): Effect.fn.Return<
  RpcServer.Protocol["Service"],
  SubscribeError,
  NatsClient | RpcSerialization.RpcSerialization | Scope.Scope
> {
  yield* checkSubject(settings.subject)
  const nats = yield* NatsClient
  const serialization = yield* RpcSerialization.RpcSerialization
  const scope = yield* Effect.scope
  const disconnects = yield* Queue.make<number>()
  const server = new Server(nats, serialization, settings, disconnects)
  // It runs when RpcServer has answered for all, those whom it interrupted too.
  yield* Effect.addFinalizer(() => Effect.andThen(handedOver(nats, settings), Effect.sync(() => server.leave())))

  // What must not wait is open before the first call can come. A full buffer loses messages, which the beats find out.
  const follows = yield* asPart(nats.subscription(`${server.base}.>`, { overflow: "dropNewest" }))
  const takeCalls = Scope.provide(
    asPart(nats.subscription(settings.subject, { queue: settings.queue, overflow: "dropNewest" })),
    scope
  )
  let calls: Subscription | undefined = yield* takeCalls
  const one = Semaphore.makeUnsafe(1)

  const run = (handle: Handle): Effect.Effect<never> =>
    Effect.gen(function*() {
      // A server that is run again has left its queue group before.
      const intake = calls ?? (yield* Effect.orDie(takeCalls))
      calls = undefined
      return yield* server.run(handle, intake, follows)
    }).pipe(Effect.scoped, one.withPermits(1))

  return {
    run,
    disconnects,
    send: (clientId, response) => server.send(clientId, response),
    end: (clientId) => Effect.sync(() => server.end(clientId)),
    clientIds: Effect.sync(() => new Set(server.clients.byId.keys())),
    initialMessage: Effect.succeedNone,
    supportsAck: true,
    supportsTransferables: false,
    supportsSpanPropagation: true,
    supportsNotifications: true,
    codecFor: neverThrowingCodecs(serialization.codecFor)
  }
})

class Server {
  /** The subject that only this instance has. */
  readonly base: string
  readonly clients: RemoteClients
  private readonly nats: NatsClient
  private readonly settings: ServerSettings
  private readonly disconnects: Queue.Queue<number>
  private readonly encodeDefect: (defect: unknown) => unknown
  private readonly mark: ReturnType<typeof makeMark>
  private readonly frames: Frames
  private round = 0
  private readonly unannounced = Latch.makeUnsafe(false)
  private waiting: Array<readonly [client: RemoteClient, call: HeldCall]> = []
  private handle: Handle = () => Effect.void
  /** Done when the time of a shutdown is over: what still waits for a connection then is given up. */
  private over = Deferred.makeUnsafe<void>()
  private part: Part | undefined

  constructor(
    nats: NatsClient,
    serialization: RpcSerialization.RpcSerialization["Service"],
    settings: ServerSettings,
    disconnects: Queue.Queue<number>
  ) {
    this.nats = nats
    this.settings = settings
    this.disconnects = disconnects
    this.base = `${settings.subject}.${randomToken(12)}`
    this.frames = new Frames(serialization)
    this.clients = new RemoteClients(this.base, () => new Frames(serialization))
    const codecFor = neverThrowingCodecs(serialization.codecFor)
    this.encodeDefect = Schema.encodeSync(codecFor(Schema.Defect()))
    this.mark = makeMark(codecFor)
  }

  run(
    handle: Handle,
    calls: Subscription,
    follows: Subscription
  ): Effect.Effect<never, never, Scope.Scope> {
    this.handle = handle
    this.over = Deferred.makeUnsafe()
    const fork = <A, E>(effect: Effect.Effect<A, E>) => Effect.forkScoped(Effect.interruptible(effect))
    return Effect.uninterruptibleMask((restore) =>
      Effect.gen({ self: this }, function*() {
        const intake = yield* fork(handleEach(calls.stream, (message) => this.onCall(message)))
        const followUps = yield* fork(handleEach(follows.stream, (message) => this.onFollowUp(message)))
        yield* fork(this.watchClients)
        yield* fork(this.announce)
        this.leave()
        const part = this.part = connectionOf(this.nats).parts.join({ kind: "rpcServer", name: this.settings.subject })
        // One that ended otherwise stays, for health, as long as its protocol does.
        yield* Effect.addFinalizer((exit) =>
          Effect.sync(() => {
            if (Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause)) this.leave()
          })
        )
        return yield* restore(
          // A client that has ended for good ends the server. After an intended close there is nothing more to take, and the calls that are here go on.
          Effect.andThen(
            Effect.all([Fiber.join(intake), Fiber.join(followUps)], { concurrency: "unbounded" }).pipe(
              // Nobody sees what the fiber of an rpc server ends with.
              Effect.tapCause((cause) => this.ended(part, cause)),
              Effect.orDie
            ),
            Effect.never
          )
        ).pipe(
          Effect.onInterrupt(() =>
            Effect.andThen(Effect.sync(() => noteStopping(part)), this.finish(calls, Fiber.await(intake)))
          )
        )
      })
    )
  }

  private finish(calls: Subscription, taken: Effect.Effect<unknown>): Effect.Effect<void> {
    const idle = Effect.callback<void>((resume) => this.clients.whenIdle(() => resume(Effect.void)))
    const handled = Effect.andThen(calls.drain, Effect.andThen(taken, idle))
    return finishing(connectionOf(this.nats), this.settings, handled, idle, () => this.cutOff("shutdown"))
  }

  private ended(part: Part, cause: Cause.Cause<unknown>): Effect.Effect<void> {
    return Effect.suspend(() => {
      noteEnd(part, cause)
      this.cutOff("ended")
      return reportEnd(part, cause)
    })
  }

  /** What is here still is interrupted by RpcServer next. */
  private cutOff(reason: "shutdown" | "ended"): void {
    this.clients.cutOff(reason)
    Deferred.doneUnsafe(this.over, Exit.void)
  }

  leave(): void {
    if (this.part !== undefined) connectionOf(this.nats).parts.leave(this.part)
  }

  private onCall(message: NatsMessage): Effect.Effect<void> {
    const { reply } = message
    if (reply === undefined) return Effect.logDebug("NatsRpc: a call without a reply subject was dropped")
    const dot = reply.lastIndexOf(".")
    const client = this.clients.of(reply.slice(0, dot), this.round)
    const decoded = client.frames.decode<FromClientEncoded>(message)
    if ("problem" in decoded) return this.refuse(reply, client, decoded.problem)
    const { frames } = decoded
    if (frames.length === 1) return this.onRequest(client, reply, reply.slice(dot + 1), frames[0])
    return Effect.forEach(
      frames,
      (frame) => this.onRequest(client, reply, reply.slice(dot + 1), frame),
      { discard: true }
    )
  }

  private onRequest(
    client: RemoteClient,
    reply: string,
    token: string,
    frame: FromClientEncoded
  ): Effect.Effect<void> {
    if (frame._tag !== "Request") return this.handle(client.id, frame)
    if (frame.isNotification === true) return this.handle(client.id, frame)
    // The id of a call that is in flight cannot be told from that call.
    if (client.byRequest.has(frame.id)) return Effect.void
    const call = new HeldCall(frame.id, token, reply, this.round)
    this.clients.hold(client, call)
    return Effect.andThen(
      this.handleCall(client, call, frame),
      Effect.sync(() => {
        if (call.announced || client.byRequest.get(call.requestId) !== call) return
        this.waiting.push([client, call])
        this.unannounced.openUnsafe()
      })
    )
  }

  /** A call that RpcServer does not take, whatever it is that makes it fail, is answered with that. */
  private handleCall(client: RemoteClient, call: HeldCall, frame: FromClientEncoded): Effect.Effect<void> {
    const refuse = (cause: Cause.Cause<never>): Effect.Effect<void> => {
      if (Cause.hasInterruptsOnly(cause)) return Effect.failCause(cause)
      this.clients.release(client, call)
      // In words that have nothing of the call: what was thrown may quote it.
      const { problem } = describeThrown(Cause.squash(cause))
      return Effect.andThen(
        Effect.logError(`NatsRpc: a call was not handled: ${problem}`),
        this.refuse(call.reply, client, new MalformedFrame(`The call was not handled: ${problem}.`))
      )
    }
    try {
      return Effect.catchCause(this.handle(client.id, frame), refuse)
    } catch (defect) {
      return refuse(Cause.die(defect))
    }
  }

  private onFollowUp(message: NatsMessage): Effect.Effect<void> {
    const rest = message.subject.slice(this.base.length + 1).split(".")
    const client = this.clients.byId.get(Number(rest[0]))
    const { reply } = message
    if (client === undefined) return this.unknown(reply)
    if (rest[1] === pingToken) return this.onPing(client, message)
    // "No responders" for an answer: its client is gone.
    if (message.data.length === 0) return Effect.sync(() => this.disconnect(client))
    client.heard = this.round
    const decoded = client.frames.decode<FromClientEncoded>(message)
    if ("problem" in decoded) return reply === undefined ? Effect.void : this.refuse(reply, client, decoded.problem)
    return Effect.forEach(decoded.frames, (frame) => {
      if (frame._tag === "Ack") {
        const call = client.byRequest.get(frame.requestId)
        if (call === undefined) return this.unknown(reply)
        call.acks++
        call.heard = this.round
      }
      return this.handle(client.id, frame)
    }, { discard: true })
  }

  private onPing(client: RemoteClient, message: NatsMessage): Effect.Effect<void> {
    const ping = decodeBeat(message.text)
    if (ping === undefined || message.reply === undefined) return Effect.void
    client.heard = this.round
    const held: Array<readonly [number, number]> = []
    const lostAcks: Array<HeldCall> = []
    for (const [token, acks] of ping.calls) {
      const call = client.byToken.get(String(token))
      if (call === undefined) continue
      held.push([token, call.chunks])
      call.heard = this.round
      if (call.acks < acks) {
        call.acks = acks
        lostAcks.push(call)
      }
    }
    return Effect.andThen(
      this.post(message.reply, encodeBeat({ sequence: ping.sequence, calls: held }), client),
      Effect.forEach(lostAcks, (call) => this.handle(client.id, { _tag: "Ack", requestId: call.requestId }), {
        discard: true
      })
    )
  }

  /** Tells whoever asked that what it speaks of is not here. */
  private unknown(reply: string | undefined): Effect.Effect<void> {
    return reply === undefined ? Effect.void : ignored(withoutSpans(this.nats.publish(reply)))
  }

  private refuse(reply: string, client: RemoteClient, problem: unknown): Effect.Effect<void> {
    const frame = this.frames.encode(ResponseDefectEncoded(this.encodeDefect(problem)))
    return frame === undefined ? Effect.void : this.post(reply, frame, client)
  }

  private post(to: string, payload: string | Uint8Array | undefined, client: RemoteClient): Effect.Effect<void> {
    return ignored(this.publish(to, payload, client))
  }

  /**
   * RpcServer sends where nothing can interrupt it, and its shutdown waits for that: with a server that is away it would
   * not end. So what finds no connection waits for one, or for the time of the shutdown to be over.
   */
  private publish(
    to: string,
    payload: string | Uint8Array | undefined,
    client: RemoteClient,
    headers?: Input
  ): Effect.Effect<void, PublishError> {
    const publish = (timeout: Duration.Duration): Effect.Effect<void, PublishError> =>
      withoutSpans(this.nats.publish(to, payload, { reply: client.subject, timeout, headers }))
    return Effect.catchTag(publish(Duration.zero), "ConnectionLost", (lost) =>
      Effect.raceFirst(
        publish(Duration.infinity),
        Effect.andThen(Deferred.await(this.over), Effect.fail(lost))
      ))
  }

  send(clientId: number, response: FromServerEncoded): Effect.Effect<void> {
    const client = this.clients.byId.get(clientId)
    if (client === undefined) return Effect.void
    switch (response._tag) {
      case "Chunk":
      case "Exit": {
        const call = client.byRequest.get(response.requestId)
        if (call === undefined) return Effect.void
        return this.answer(client, call, response)
      }
      case "Defect":
        return this.endAll(client, response.defect)
      case "Pong":
        return Effect.suspend(() => this.post(`${client.inbox}.0`, client.frames.encode(response), client))
      default:
        return Effect.void
    }
  }

  // A failure here is a defect of the call: RpcServer tells its client so, and stops it.
  private answer(
    client: RemoteClient,
    call: HeldCall,
    response: Extract<FromServerEncoded, { readonly _tag: "Chunk" | "Exit" }>
  ): Effect.Effect<void> {
    return Effect.suspend(() => {
      const frame = client.frames.encode(response)
      // A client that has interrupted its call does not read what comes of it.
      const end = call.cutOff ?? (this.settings.interruption === "end" ? "shutdown" : undefined)
      const sent = frame === undefined ? Effect.void : Effect.orDie(
        end === undefined || response._tag === "Chunk"
          ? this.publish(call.reply, frame, client)
          : this.mark(end, response.exit, (headers) => this.publish(call.reply, frame, client, headers))
      )
      return Effect.map(sent, () => {
        if (response._tag === "Exit") return this.clients.release(client, call)
        call.chunks++
        call.announced = true
      })
    })
  }

  /**
   * RpcServer does not say whose defect it is, only that the client's calls are over: each call that is here is told, and
   * none at other servers is touched.
   */
  private endAll(client: RemoteClient, encodedDefect: unknown): Effect.Effect<void> {
    return Effect.suspend(() => {
      const calls = [...client.byRequest.values()]
      for (const call of calls) this.clients.release(client, call)
      const frame = client.frames.encode(ResponseDefectEncoded(encodedDefect))
      const tell = (call: HeldCall): Effect.Effect<void> =>
        frame === undefined ? Effect.void : ignored(
          Effect.catchTag(
            this.publish(call.reply, frame, client),
            "MaxPayloadExceeded",
            (error) => this.refuse(call.reply, client, error)
          )
        )
      // Those that did not die would go on for nobody.
      const stop = (call: HeldCall): Effect.Effect<void> =>
        survive(this.handle(client.id, { _tag: "Interrupt", requestId: call.requestId }))
      return Effect.forEach(calls, (call) => Effect.andThen(tell(call), stop(call)), { discard: true })
    })
  }

  end(clientId: number): void {
    const client = this.clients.byId.get(clientId)
    if (client !== undefined) this.clients.remove(client)
  }

  private disconnect(client: RemoteClient): void {
    if (this.clients.remove(client)) Queue.offerUnsafe(this.disconnects, client.id)
  }

  /** Gives up clients that are silent, and calls that their client does not speak of. */
  private readonly watchClients: Effect.Effect<never> = Effect.suspend(() => {
    const beat = Effect.suspend(() => {
      this.round++
      const stale: Array<Effect.Effect<void>> = []
      const clients = [...this.clients.byId.values()]
      for (const client of clients) {
        if (this.round - client.heard > beats) {
          this.disconnect(client)
          continue
        }
        const calls = [...client.byRequest.values()]
        for (const call of calls) {
          if (!call.announced || this.round - call.heard <= beats) continue
          this.clients.release(client, call)
          stale.push(survive(this.handle(client.id, { _tag: "Interrupt", requestId: call.requestId })))
        }
      }
      return Effect.all(stale, { discard: true })
    })
    return Effect.forever(Effect.delay(beat, Duration.millis(Duration.toMillis(this.settings.clientTimeout) / beats)))
  })

  private readonly announce: Effect.Effect<never> = Effect.suspend(() => {
    const announceAll = Effect.suspend(() => {
      const waiting = this.waiting
      this.waiting = []
      this.unannounced.closeUnsafe()
      return Effect.forEach(waiting, ([client, call]) => {
        if (call.announced || client.byRequest.get(call.requestId) !== call) return Effect.void
        call.announced = true
        call.heard = this.round
        return this.post(call.reply, undefined, client)
      }, { discard: true })
    })
    return Effect.forever(Effect.andThen(this.unannounced.await, Effect.delay(announceAll, announceAfter)))
  })
}

/** What cannot be sent now is found out by the beats of the one who waits for it. */
const ignored = <E>(effect: Effect.Effect<void, E>): Effect.Effect<void> => Effect.ignore(effect)
