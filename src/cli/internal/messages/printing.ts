/**
 * Writes messages to stdout, at the speed of who reads it.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { SubscriptionError } from "../../../NatsError.ts"
import type { NatsMessage } from "../../../NatsMessage.ts"
import type { Failure } from "../failure.ts"
import * as Output from "../output.ts"
import type { Form } from "./forms.ts"

/** Of one write, in characters or bytes. */
const enough = 65_536

/** Messages of any number of streams, in one order, up to `limit` of them. */
export class Printer {
  printed = 0
  /** All that was asked for is written. */
  readonly isFull: Deferred.Deferred<void> = Deferred.makeUnsafe()
  private readonly form: Form
  private readonly limit: number

  constructor(form: Form, limit: number | undefined) {
    this.form = form
    this.limit = limit ?? Number.POSITIVE_INFINITY
  }

  print<E, R>(stream: Stream.Stream<NatsMessage, E, R>): Effect.Effect<void, E, R> {
    return Stream.runForEachArray(stream, (messages) => this.write(messages, 0))
  }

  private write(messages: ReadonlyArray<NatsMessage>, from: number): Effect.Effect<void> {
    return Effect.suspend(() => {
      const parts: Array<string | Uint8Array> = []
      let size = 0
      let next = from
      while (next < messages.length && this.printed < this.limit && size < enough) {
        this.printed++
        const part = this.form(messages[next], this.printed)
        next++
        parts.push(part)
        size += part.length
      }
      const written = parts.length === 0 ? Effect.void : Output.raw(joined(parts))
      if (this.printed >= this.limit) return Effect.andThen(written, Deferred.succeed(this.isFull, undefined))
      return next === messages.length ? written : Effect.andThen(written, this.write(messages, next))
    })
  }
}

const joined = (parts: ReadonlyArray<string | Uint8Array>): string | Uint8Array =>
  parts.every((part) => typeof part === "string")
    ? parts.join("")
    : Buffer.concat(parts.map((part) => typeof part === "string" ? Buffer.from(part) : part))

/** The bound of what waits is no option here: the remedy is another one. */
export const slowReader = <E extends Failure>(error: SubscriptionError | E): Failure =>
  error._tag === "SlowConsumer" && "messages" in error
    ? {
      _tag: error._tag,
      message: `${error.messages} messages (${error.bytes} bytes) of "${Output.shown(error.subject, 256)}" wait ` +
        "unread, which is the bound, and no more are taken: what reads this output is slower than they come. Write it " +
        "to a file, subscribe to less, or share the messages with --queue."
    }
    : error
