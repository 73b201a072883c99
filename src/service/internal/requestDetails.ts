/**
 * What handlers and middleware are told of a request. Made for each, so what costs something is made when it is read.
 */
import * as Headers from "effect/http/Headers"
import * as Rpc from "effect/rpc/Rpc"
import { RequestId } from "effect/rpc/RpcMessage"
import type { NatsMessage } from "../../NatsMessage.ts"

let requests = 0

export class RequestDetails {
  readonly rpc: Rpc.AnyWithProps
  readonly payload: unknown
  readonly requestId: RequestId
  private readonly message: NatsMessage
  private madeClient: Rpc.ServerClient | undefined
  private madeHeaders: Headers.Headers | undefined

  constructor(rpc: Rpc.AnyWithProps, message: NatsMessage, payload: unknown) {
    this.rpc = rpc
    this.message = message
    this.payload = payload
    this.requestId = RequestId(++requests)
    this.madeClient = undefined
    this.madeHeaders = undefined
  }

  /** NATS does not say who asks: every request is of a client of its own. */
  get client(): Rpc.ServerClient {
    return this.madeClient ??= new Rpc.ServerClient(Number(this.requestId))
  }

  /** Names in lower case, as effect's headers have them. */
  get headers(): Headers.Headers {
    return this.madeHeaders ??= Headers.fromInput(this.message.headers)
  }
}
