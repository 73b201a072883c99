/**
 * Chunks on their way into a store, so many at the same time, by number and by bytes.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { AckWindow } from "./ackWindow.ts"
import type { ObjectAccess } from "./objectAccess.ts"
import { type StoredError, storedError } from "./objectPublish.ts"
import { openWindow } from "./publishAll.ts"
import type { OutgoingMessage, PubAck } from "./publishTypes.ts"

/** What is on its way at the same time. */
const inFlight = 64
const inFlightBytes = 4 * 1024 * 1024

/** What a chunk can fail with, and that one was lost behind its acknowledgement. */
export type UploadError = StoredError | typeof lost
export const lost = "lost"

export class Upload {
  /** The highest sequence that one has in the stream. */
  sequence = 0

  private readonly access: ObjectAccess
  private readonly window: AckWindow
  private readonly message: OutgoingMessage

  constructor(access: ObjectAccess, window: AckWindow, message: OutgoingMessage) {
    this.access = access
    this.window = window
    this.message = message
  }

  /** How many were sent. */
  get count(): number {
    return this.window.count
  }

  /** Waits for room, and sends it. Never ends where one has failed: run it beside `failed`. */
  readonly send = (payload: Uint8Array): Effect.Effect<void> => this.window.writeAll([{ ...this.message, payload }])

  /** Takes the acknowledgements, so that there is room again. Ends with the first failure only. */
  readonly failed: Effect.Effect<never, UploadError> = Effect.suspend(() =>
    Effect.andThen(this.settled, Effect.andThen(this.window.changed, this.failed))
  )

  /** Waits until nothing is on its way any more, and fails if one has failed. */
  readonly settled: Effect.Effect<void, UploadError> = Effect.suspend(() =>
    Effect.matchEffect(this.window.acks, {
      onSuccess: (acks) => {
        if (acks === undefined) return Exit.void
        const problem = this.problemOf(acks)
        return problem === undefined ? this.settled : Effect.fail(problem)
      },
      onFailure: (error) => Effect.flatMap(storedError(this.access, error), Effect.fail)
    })
  )

  /**
   * A server that was killed can have lost some that it had acknowledged, and gives their sequences anew; then they do not
   * go up as the chunks do.
   */
  private problemOf(acks: ReadonlyArray<PubAck>): UploadError | undefined {
    for (const { domain, sequence } of acks) {
      if (this.access.isElsewhere(domain)) return this.access.ambiguous
      if (sequence <= this.sequence) return lost
      this.sequence = sequence
    }
    return undefined
  }
}

export const openUpload = (
  access: ObjectAccess,
  scope: Scope.Scope,
  message: OutgoingMessage
): Effect.Effect<Upload> =>
  Effect.map(
    Scope.provide(
      openWindow(access.api, {
        inFlight,
        inFlightBytes,
        timeoutMillis: access.api.timeoutMillis,
        meter: access.api.meter
      }),
      scope
    ),
    (window) => new Upload(access, window, message)
  )
