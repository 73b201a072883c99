/**
 * What handlers and middleware are told of a request. Made for each, so what costs something is made when it is read.
 */
import * as Context from "effect/Context"
import * as Headers from "effect/http/Headers"
import * as Rpc from "effect/rpc/Rpc"
import { RequestId } from "effect/rpc/RpcMessage"
import { ReplyHeaders } from "../../internal/payload/answering.ts"
import type { NatsMessage } from "../../NatsMessage.ts"
import type { Request } from "../NatsService.ts"

/** Where the client of a request has the request itself. */
export const RequestKey: Context.Service<Request, Request> = Context.Service<Request>("effect-nats/NatsService/Request")

let requests = 0

export class RequestDetails {
  readonly rpc: Rpc.AnyWithProps
  readonly payload: unknown
  readonly requestId: RequestId
  private readonly message: NatsMessage
  private readonly replyHeaders: WeakMap<NatsMessage, ReplyHeaders>
  private madeClient: Rpc.ServerClient | undefined
  private madeHeaders: Headers.Headers | undefined

  constructor(
    rpc: Rpc.AnyWithProps,
    message: NatsMessage,
    payload: unknown,
    replyHeaders: WeakMap<NatsMessage, ReplyHeaders>
  ) {
    this.rpc = rpc
    this.message = message
    this.payload = payload
    this.requestId = RequestId(++requests)
    this.replyHeaders = replyHeaders
    this.madeClient = undefined
    this.madeHeaders = undefined
  }

  /** NATS does not say who asks: every request is of a client of its own. */
  get client(): Rpc.ServerClient {
    return this.madeClient ??= new Rpc.ServerClient(Number(this.requestId)).annotate(RequestKey, this.request)
  }

  /** Names in lower case, as effect's headers have them. */
  get headers(): Headers.Headers {
    return this.madeHeaders ??= Headers.fromInput(this.message.headers)
  }

  private get request(): Request {
    const { message, replyHeaders } = this
    return {
      message,
      setReplyHeader: (name, value) => {
        let own = replyHeaders.get(message)
        if (own === undefined) replyHeaders.set(message, own = new ReplyHeaders())
        own.set(name, value)
      }
    }
  }
}
