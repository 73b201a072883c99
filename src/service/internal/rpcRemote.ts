/**
 * What a server remembers of its clients and of the calls it has from them.
 */
import type { Frames } from "./rpcFrames.ts"

/** A call that has not been answered. */
export class HeldCall {
  readonly requestId: string | number
  /** The last token of `reply`: the client's number for the call. */
  readonly token: string
  readonly reply: string
  /** Chunks sent. */
  chunks = 0
  /** Acks received, or known from a ping to be sent. */
  acks = 0
  /** The round of beats in which the client last spoke of it. */
  heard: number
  /** The client knows that it is here. */
  announced = false
  /** The server has ended before it, and why. */
  cutOff: "shutdown" | "ended" | undefined

  constructor(requestId: string | number, token: string, reply: string, heard: number) {
    this.requestId = requestId
    this.token = token
    this.reply = reply
    this.heard = heard
  }
}

export class RemoteClient {
  readonly id: number
  /** The subject in front of its reply subjects. */
  readonly inbox: string
  /** Where its follow-ups come. */
  readonly subject: string
  readonly frames: Frames
  readonly byRequest = new Map<string | number, HeldCall>()
  readonly byToken = new Map<string, HeldCall>()
  heard: number

  constructor(id: number, inbox: string, subject: string, frames: Frames, heard: number) {
    this.id = id
    this.inbox = inbox
    this.subject = subject
    this.frames = frames
    this.heard = heard
  }
}

export class RemoteClients {
  readonly byId = new Map<number, RemoteClient>()
  private readonly byInbox = new Map<string, RemoteClient>()
  private nextId = 0
  private inFlight = 0
  private onIdle: (() => void) | undefined
  private readonly base: string
  private readonly makeFrames: () => Frames

  constructor(base: string, makeFrames: () => Frames) {
    this.base = base
    this.makeFrames = makeFrames
  }

  of(inbox: string, round: number): RemoteClient {
    let client = this.byInbox.get(inbox)
    if (client === undefined) {
      const id = this.nextId++
      client = new RemoteClient(id, inbox, `${this.base}.${id}`, this.makeFrames(), round)
      this.byInbox.set(inbox, client)
      this.byId.set(id, client)
    }
    client.heard = round
    return client
  }

  /** `false` when it was not there any more. */
  remove(client: RemoteClient): boolean {
    if (!this.byId.delete(client.id)) return false
    this.byInbox.delete(client.inbox)
    this.settle(client.byRequest.size)
    client.byRequest.clear()
    client.byToken.clear()
    return true
  }

  hold(client: RemoteClient, call: HeldCall): void {
    client.byRequest.set(call.requestId, call)
    client.byToken.set(call.token, call)
    this.inFlight++
  }

  /** The call is answered, or nobody waits for it. */
  release(client: RemoteClient, call: HeldCall): void {
    if (client.byRequest.get(call.requestId) !== call) return
    client.byRequest.delete(call.requestId)
    client.byToken.delete(call.token)
    this.settle(1)
  }

  /** Those that are still here have no more time. */
  cutOff(reason: "shutdown" | "ended"): void {
    for (const { byRequest } of this.byId.values()) {
      for (const call of byRequest.values()) call.cutOff = reason
    }
  }

  /** Calls back once nothing is in flight. */
  whenIdle(callback: () => void): void {
    if (this.inFlight === 0) return callback()
    this.onIdle = callback
  }

  private settle(calls: number): void {
    this.inFlight -= calls
    if (this.inFlight === 0 && this.onIdle !== undefined) {
      const callback = this.onIdle
      this.onIdle = undefined
      callback()
    }
  }
}
