/**
 * The consumer of each queue, made when something is first taken of it, and the wait for an element.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { sleep } from "../../internal/operations/sending.ts"
import { monotonicMillis } from "../../internal/telemetry/monotonic.ts"
import { openNext, type PulledMessage } from "../../jetstream/internal/fetching.ts"
import * as JetStreamConsumer from "../../jetstream/JetStreamConsumer.ts"
import type { CreateConsumerError, FetchError } from "../../jetstream/JetStreamError.ts"
import { passes, pauseAfter } from "./passing.ts"
import { type QueueBase, withJetStream } from "./queueWrites.ts"
import { tokenOf } from "./textToken.ts"

export type TakeError = CreateConsumerError | FetchError

/** A queue that is taken from here. */
export class TakenQueue {
  readonly base: QueueBase
  readonly name: string
  readonly token: string
  /** `undefined`: its consumer has to be looked at. */
  private known = false
  /** How long an element is kept from others without a sign of life of who has it, in milliseconds. */
  leaseMillis: number
  /** Elements that somebody here is at. */
  readonly held = new Set<PulledMessage>()

  /** Counts what was settled too late. */
  readonly countLate: () => void

  constructor(base: QueueBase, name: string, leaseMillis: number, countLate: () => void) {
    this.base = base
    this.countLate = countLate
    this.name = name
    this.token = tokenOf(name)
    this.leaseMillis = leaseMillis
  }

  private get definition(): JetStreamConsumer.ConsumerDefinition {
    return JetStreamConsumer.make(this.base.names.stream, this.token, {
      filter: this.base.names.every("q", this.token),
      ackPolicy: "explicit",
      ackWait: Duration.millis(this.leaseMillis),
      maxDeliver: "unlimited",
      maxAckPending: "unlimited",
      maxWaiting: mostWaiting
    })
  }

  /** Where another lease was asked for when the consumer was made, that one counts. */
  private readonly open: Effect.Effect<void, CreateConsumerError> = Effect.suspend(() =>
    withJetStream(this.base, JetStreamConsumer.create(this.definition)).pipe(
      Effect.asVoid,
      Effect.catchTag("ConsumerExists", (exists) => {
        if (exists.differences.some((field) => field !== "ackWait")) return Effect.fail(exists)
        return withJetStream(
          this.base,
          JetStreamConsumer.info({ stream: this.base.names.stream, consumer: this.token })
        ).pipe(
          Effect.catchTag("ConsumerNotFound", () => Effect.fail(exists)),
          Effect.flatMap(({ config }) => {
            const asked = this.leaseMillis
            this.leaseMillis = Duration.toMillis(config.ackWait ?? Duration.seconds(30))
            return Effect.logWarning(
              `The queue has a lock expiration of ${this.leaseMillis} ms, and not the ${asked} ms that were asked for: ` +
                "update its consumer to change it."
            ).pipe(
              Effect.annotateLogs({ queue: this.name, stream: this.base.names.stream, consumer: this.token })
            )
          })
        )
      })
    )
  )

  /**
   * Waits for an element, through all that passes. Runs where it cannot be interrupted: only its waits can, by `restore`,
   * so that nothing that has come is lost.
   */
  next(restore: Restore): Effect.Effect<PulledMessage, TakeError> {
    const wait = Effect.scoped(
      Effect.flatMap(
        restore(openNext(this.base.api, { stream: this.base.names.stream, consumer: this.token }, {
          ackWaitMillis: this.leaseMillis,
          maxWaitMillis: longWaitMillis
        })),
        (pull) => restore(pull.next(1))
      )
    )
    return Effect.gen({ self: this }, function*() {
      let failures = 0
      while (true) {
        if (!this.known) {
          const opened = yield* Effect.result(restore(this.open))
          if (opened._tag === "Failure") {
            if (!passes(opened.failure)) return yield* opened.failure
            yield* restore(sleep(this.base.api.connection, pauseAfter(failures++)))
            continue
          }
          this.known = true
        }
        const came = yield* Effect.result(wait)
        if (came._tag === "Success") return came.success[0]
        const error = came.failure
        switch (error._tag) {
          case "Done":
            failures = 0
            continue
          case "ConsumerDeleted":
          case "ConsumerNotFound":
            this.known = false
            yield* restore(sleep(this.base.api.connection, pauseAfter(failures++)))
            continue
          default:
            if (!passes(error)) return yield* error
            yield* restore(sleep(this.base.api.connection, pauseAfter(failures++)))
        }
      }
    })
  }

  /** Tells the server of all that somebody here is at. What was not told of for a whole lease may be another's by now. */
  readonly keep: Effect.Effect<void> = Effect.sync(() => {
    const now = monotonicMillis(this.base.api.connection.settings.clock)
    for (const message of this.held) {
      if (now - message.at < this.leaseMillis) message.keep(now)
    }
  })

  /** For as long as the store is open. */
  readonly keeping: Effect.Effect<never> = Effect.forever(
    Effect.andThen(
      Effect.suspend(() => sleep(this.base.api.connection, this.leaseMillis / 3)),
      this.keep
    )
  )
}

export type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/** A server's default of 512 would be the most takes that can wait for one queue, of all processes. */
const mostWaiting = 16_384

/** Then it is asked anew. */
const longWaitMillis = 5 * 60_000
