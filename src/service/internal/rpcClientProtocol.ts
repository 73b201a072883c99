/**
 * A client's protocol, as `RpcClient` takes it: opens the inbox, listens to what becomes of the connection, and beats.
 */
import * as Effect from "effect/Effect"
import * as RpcClient from "effect/rpc/RpcClient"
import type { FromClientEncoded } from "effect/rpc/RpcMessage"
import * as RpcSerialization from "effect/rpc/RpcSerialization"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { asPart } from "../../internal/operations/background.ts"
import { connectionOf } from "../../internal/operations/connectionOf.ts"
import { NatsClient } from "../../NatsClient.ts"
import type { SubscribeError } from "../../NatsError.ts"
import { Client, type ClientSettings, type WriteResponse } from "./rpcClient.ts"
import { neverThrowingCodecs } from "./rpcCodec.ts"
import { checkSubject } from "./rpcWire.ts"

export const makeClientProtocol = (settings: ClientSettings): Effect.Effect<
  RpcClient.Protocol["Service"],
  SubscribeError,
  NatsClient | RpcSerialization.RpcSerialization | Scope.Scope
> =>
  Effect.gen(function*() {
    yield* checkSubject(settings.subject)
    const nats = yield* NatsClient
    const serialization = yield* RpcSerialization.RpcSerialization
    let client: Client | undefined
    const protocol = yield* RpcClient.Protocol.make(Effect.fnUntraced(function*(writeResponse: WriteResponse) {
      const scope = yield* Scope.fork(yield* Effect.scope)
      const made = client = new Client(nats, yield* nats.inbox, serialization, settings, scope, writeResponse)
      yield* asPart(made.answers.open(made))
      yield* Effect.addFinalizer(() => Effect.ignore(Effect.timeoutOption(made.leave, "1 second")))
      const { listeners } = connectionOf(nats).refusals
      yield* Effect.acquireRelease(
        Effect.sync(() => listeners.add(made.onDenied)),
        () => Effect.sync(() => listeners.delete(made.onDenied))
      )
      yield* Effect.forkScoped(Stream.runForEach(nats.status, (event) => made.onStatus(event)), {
        startImmediately: true
      })
      yield* Effect.forkScoped(Effect.forever(Effect.delay(made.beat, settings.pingInterval)))
      return {
        send: (clientId: number, message: FromClientEncoded) => made.send(clientId, message),
        supportsAck: true,
        supportsTransferables: false,
        codecFor: neverThrowingCodecs(serialization.codecFor)
      }
    }))
    return RpcClient.Protocol.of({
      ...protocol,
      run: (clientId, onResponse) =>
        Effect.onExit(protocol.run(clientId, onResponse), () => client?.forget(clientId) ?? Effect.void)
    })
  })
