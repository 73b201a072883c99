/**
 * A stream of messages as a stream of what they mean, array by array.
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Pull from "effect/Pull"
import * as Stream from "effect/Stream"
import type { MessageDecodeError } from "../../NatsError.ts"
import type { NatsMessage } from "../../NatsMessage.ts"

/** What happens to a message that cannot be decoded. A failure ends the stream, after what was decoded before it. */
export type OnInvalid<E, R> = (error: MessageDecodeError, message: NatsMessage) => Effect.Effect<unknown, E, R>

/** An array that decodes without waiting costs no Effect per message. */
export const decodedStream = <A, R, E, E2, R2>(
  messages: Stream.Stream<NatsMessage, E>,
  decode: (message: NatsMessage) => Effect.Effect<A, MessageDecodeError, R>,
  onInvalid: OnInvalid<E2, R2>
): Stream.Stream<A, E | E2, R | R2> =>
  Stream.transformPull(messages, (pull) =>
    Effect.sync(() => {
      let batch: NonEmptyReadonlyArray<NatsMessage> | undefined
      let at = 0

      const next: Pull.Pull<NonEmptyReadonlyArray<A>, E | E2, void, R | R2> = Effect.suspend(() =>
        batch === undefined ? Effect.flatMap(pull, take) : read(batch)
      )

      const take = (pulled: NonEmptyReadonlyArray<NatsMessage>) => {
        batch = pulled
        at = 0
        return read(pulled)
      }

      // Gives what it has before it waits or fails, so that nothing decoded is lost.
      const read = (
        from: NonEmptyReadonlyArray<NatsMessage>
      ): Pull.Pull<NonEmptyReadonlyArray<A>, E | E2, void, R | R2> => {
        const values: Array<A> = []
        while (at < from.length) {
          const decoded = decode(from[at])
          if (Exit.isExit(decoded) && Exit.isSuccess(decoded)) {
            values.push(decoded.value as A)
            at++
            continue
          }
          if (values.length > 0) return Effect.succeed(values as unknown as NonEmptyReadonlyArray<A>)
          const message = from[at++]
          return Effect.matchEffect(decoded, {
            onSuccess: (value): Pull.Pull<NonEmptyReadonlyArray<A>, E | E2, void, R | R2> => Effect.succeed([value]),
            onFailure: (error) => Effect.flatMap(onInvalid(error, message), () => next)
          })
        }
        batch = undefined
        return values.length > 0 ? Effect.succeed(values as unknown as NonEmptyReadonlyArray<A>) : next
      }
      return next
    }))
