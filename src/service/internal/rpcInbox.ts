/**
 * Where the answers to an rpc client's calls come in. A later session can refuse it: then its calls fail, and the next one
 * opens it again.
 */
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { allOrNothing } from "../../internal/operations/closing.ts"
import type { NatsClient } from "../../NatsClient.ts"
import type { PermissionsViolation, SubscribeError, SubscriptionLimitExceeded } from "../../NatsError.ts"
import type { NatsMessage } from "../../NatsMessage.ts"
import { handleEach } from "./rpcFrames.ts"

export interface InboxReader {
  onMessage(message: NatsMessage): Effect.Effect<void>
  /** The server does not take it on this session. */
  onRefused(error: PermissionsViolation | SubscriptionLimitExceeded): Effect.Effect<void>
}

export class Inbox {
  /** The server has it, as far as is known. */
  isOpen = false
  private readonly name: string
  private readonly nats: NatsClient
  private readonly scope: Scope.Scope
  private readonly one = Semaphore.makeUnsafe(1)

  constructor(name: string, nats: NatsClient, scope: Scope.Scope) {
    this.name = name
    this.nats = nats
    this.scope = scope
  }

  open(reader: InboxReader): Effect.Effect<void, SubscribeError> {
    return Effect.suspend(() => this.isOpen ? Effect.void : this.subscribe(reader)).pipe(this.one.withPermits(1))
  }

  private subscribe(reader: InboxReader): Effect.Effect<void, SubscribeError> {
    return Effect.gen({ self: this }, function*() {
      const replies = yield* allOrNothing(this.nats.subscription(`${this.name}.*`, { overflow: "dropNewest" }))
      this.isOpen = true
      const read = Effect.catch(handleEach(replies.stream, (message) => reader.onMessage(message)), (error) => {
        this.isOpen = false
        // The end of the client is told as a status.
        return error._tag === "PermissionsViolation" || error._tag === "SubscriptionLimitExceeded"
          ? reader.onRefused(error)
          : Effect.void
      })
      yield* Effect.forkScoped(read, { startImmediately: true })
    }).pipe(Scope.provide(this.scope))
  }
}
