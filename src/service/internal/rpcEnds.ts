/**
 * The calls that a server cuts off when it ends.
 */
import * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { RpcSerialization } from "effect/rpc/RpcSerialization"
import * as Schema from "effect/Schema"
import { finalizing, handOver } from "../../internal/operations/closing.ts"
import { connectionOf } from "../../internal/operations/connectionOf.ts"
import { rpcServerEndHeader } from "../../internal/protocol/headerNames.ts"
import type { NatsClient } from "../../NatsClient.ts"
import type { Input } from "../../NatsHeaders.ts"

/**
 * Sends the Exit of a call that was cut off. What its handler says itself is its answer; that it was interrupted is the
 * server's doing, which a header says.
 */
export const makeMark = (codecFor: RpcSerialization["Service"]["codecFor"]) => {
  // No call's own schema is needed: one that tells anything else is not read.
  const decode = Schema.decodeUnknownEffect(codecFor(Schema.Exit(Schema.Never, Schema.Never, Schema.Defect())))
  return <E>(
    reason: string,
    exit: unknown,
    send: (headers: Input | undefined) => Effect.Effect<void, E>
  ): Effect.Effect<void, E> =>
    Effect.matchEffect(decode(exit), {
      onFailure: () => send(undefined),
      onSuccess: (exit) =>
        Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)
          // Where the NATS server takes no headers the caller sees an interruption.
          ? Effect.catch(send({ [rpcServerEndHeader]: reason }), () => send(undefined))
          : send(undefined)
    })
}

/**
 * The orderly end: what is in flight has its time, and is cut off then. RpcServer interrupts it next and waits for it,
 * however long that takes, which is told beside it.
 */
export const finishing = (
  connection: ReturnType<typeof connectionOf>,
  settings: { readonly subject: string; readonly drainTimeout: Duration.Input | undefined },
  handled: Effect.Effect<unknown>,
  idle: Effect.Effect<void>,
  cutOff: () => void
): Effect.Effect<void> =>
  finalizing(connection, settings.drainTimeout, (patience) =>
    Effect.flatMap(patience.wait(handled), (isDone) => {
      cutOff()
      if (isDone) return Effect.void
      const stuck = Effect.annotateLogs(
        Effect.logWarning("An rpc handler does not let itself be interrupted: RpcServer waits for it"),
        { rpcServer: settings.subject }
      )
      const watching = Effect.flatMap(patience.linger(idle), (isIdle) => isIdle ? Effect.void : stuck)
      return Effect.asVoid(Effect.forkDetach(watching))
    }))

/** What was answered last is at the server. */
export const handedOver = (
  nats: NatsClient,
  settings: { readonly drainTimeout: Duration.Input | undefined }
): Effect.Effect<void> => {
  const connection = connectionOf(nats)
  return finalizing(connection, settings.drainTimeout, (patience) => handOver(connection, patience))
}
