/**
 * Publishes messages and knows how many have arrived.
 */
import type * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { NatsClient, OutgoingMessage } from "../../../NatsClient.ts"
import type { FlushError, PublishError } from "../../../NatsError.ts"

/** The connection broke between messages that were handed over and their confirmation. */
export class DeliveryUnknown extends Schema.TaggedError<DeliveryUnknown>()("DeliveryUnknown", {
  messages: Schema.Number
}) {
  override get message(): string {
    return `The connection was lost while ${this.messages} messages were on their way: how many of them have arrived is ` +
      "unknown. Publish them again where they may come twice, or use --jetstream."
  }
}

type Batch = Arr.NonEmptyReadonlyArray<OutgoingMessage>

export class Publishing {
  /** Messages that the server has handled. */
  published = 0
  /** Bytes of their payloads. */
  bytes = 0
  private readonly nats: NatsClient

  constructor(nats: NatsClient) {
    this.nats = nats
  }

  all<E, R>(
    messages: Stream.Stream<OutgoingMessage, E, R>
  ): Effect.Effect<void, E | PublishError | DeliveryUnknown, R> {
    return Stream.runForEachArray(messages, (batch) => this.batch(batch))
  }

  /**
   * The first message is confirmed by itself, so that a refusal is known before more is sent. Of others the last one is
   * confirmed, and with it all before it on the same connection: the server handles them in their order.
   */
  private batch(batch: Batch): Effect.Effect<void, PublishError | DeliveryUnknown> {
    const [first, ...others] = batch
    if (this.published > 0) return this.many(batch)
    const alone = Effect.tap(this.confirmed(first), () => Effect.sync(() => this.count([first])))
    return others.length === 0 ? alone : Effect.andThen(alone, this.many(others))
  }

  private many(messages: ReadonlyArray<OutgoingMessage>): Effect.Effect<void, PublishError | DeliveryUnknown> {
    const { nats } = this
    return Effect.gen({ self: this }, function*() {
      yield* sessionOf(nats)
      const { reconnects } = yield* nats.stats
      const stopped = yield* Effect.match(nats.publishAll(Stream.fromIterable(messages.slice(0, -1))), {
        onSuccess: () => undefined,
        onFailure: (error) => error
      })
      yield* stopped === undefined ? this.confirmed(messages[messages.length - 1]) : nats.flush
      const handed = stopped === undefined ? messages : messages.slice(0, stopped.published)
      if ((yield* nats.stats).reconnects !== reconnects) return yield* new DeliveryUnknown({ messages: handed.length })
      this.count(handed)
      if (stopped !== undefined) return yield* stopped.reason
    })
  }

  private confirmed({ headers, payload, reply, subject }: OutgoingMessage): Effect.Effect<void, PublishError> {
    return this.nats.publish(subject, payload, { headers, reply, confirm: true })
  }

  private count(messages: ReadonlyArray<OutgoingMessage>): void {
    this.published += messages.length
    for (const { payload = "" } of messages) this.bytes += Buffer.byteLength(payload)
  }
}

/** Waits for a connection where there is none. */
const sessionOf = (nats: NatsClient): Effect.Effect<void, FlushError> =>
  Effect.flatMap(nats.state, ({ _tag }) => _tag === "Connected" ? Effect.void : nats.flush)
