/**
 * The values of a bucket in memory, as they are now.
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Pull from "effect/Pull"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { ViewClosed } from "../JetStreamError.ts"
import type { Change, Entry, WatchEvent } from "./kvEntryTypes.ts"
import type { View } from "./kvTypes.ts"

type ChangePull<A, E> = Pull.Pull<NonEmptyReadonlyArray<Change<A>>, E>

/** One that follows the changes: of each key it is given the last one, so that a slow one keeps no more than the view does. */
class Follower<A, E> {
  private readonly changed = new Map<string, Change<A>>()
  private resume: (() => void) | undefined

  tell(change: Change<A>): void {
    // At its end, so that revisions do not go back.
    this.changed.delete(change.key)
    this.changed.set(change.key, change)
    this.wake()
  }

  wake(): void {
    const { resume } = this
    this.resume = undefined
    resume?.()
  }

  pull(failure: () => Exit.Exit<never, E> | undefined): ChangePull<A, E> {
    return Effect.suspend((): ChangePull<A, E> => {
      if (this.changed.size > 0) {
        const changes = [...this.changed.values()]
        this.changed.clear()
        return Effect.succeed(changes as unknown as NonEmptyReadonlyArray<Change<A>>)
      }
      const failed = failure()
      if (failed !== undefined) return failed
      const woken = Effect.callback<void>((resume) => {
        this.resume = () => resume(Effect.void)
        return Effect.sync(() => {
          this.resume = undefined
        })
      })
      return Effect.andThen(woken, this.pull(failure))
    })
  }
}

export const makeView = <A, E, R>(
  bucket: string,
  events: Stream.Stream<WatchEvent<A>, E, R>
): Effect.Effect<View<A, E | ViewClosed>, never, Scope.Scope | R> =>
  Effect.gen(function*() {
    const entries = new Map<string, Entry<A>>()
    const followers = new Set<Follower<A, E | ViewClosed>>()
    const ready = Deferred.makeUnsafe<void, E | ViewClosed>()
    let isReady = false
    let ended: Exit.Exit<never, E | ViewClosed> | undefined

    const take = (events: ReadonlyArray<WatchEvent<A>>): void => {
      for (const event of events) {
        if (event._tag === "InitialDone") {
          isReady = true
          Deferred.doneUnsafe(ready, Exit.void)
          continue
        }
        if (event._tag === "Entry") entries.set(event.key, event)
        else entries.delete(event.key)
        for (const follower of followers) follower.tell(event)
      }
    }

    const end = (cause: Cause.Cause<E>): void => {
      // Its scope was closed, or the client was.
      const isClosed = cause.reasons.length === 0 || Cause.hasInterruptsOnly(cause)
      ended = isClosed ? Exit.fail(new ViewClosed({ bucket })) : Exit.failCause(cause)
      Deferred.doneUnsafe(ready, ended)
      for (const follower of followers) follower.wake()
    }

    const following = Effect.onExit(
      Stream.runForEachArray(events, (events) => Effect.sync(() => take(events))),
      (exit) => Effect.sync(() => end(Exit.isFailure(exit) ? exit.cause : Cause.empty))
    )
    // From here on nothing happens that it would not see.
    yield* Effect.forkScoped(Effect.ignoreCause(following), { startImmediately: true })

    const now = <B>(read: () => B): Effect.Effect<B, E | ViewClosed> =>
      Effect.suspend(() => {
        if (ended !== undefined) return ended
        return isReady ? Effect.succeed(read()) : Effect.andThen(Deferred.await(ready), now(read))
      })

    return {
      bucket,
      ready: Effect.suspend(() => ended ?? Deferred.await(ready)),
      get: (key) => now(() => Option.fromUndefinedOr(entries.get(key))),
      entries: now(() => new Map(entries)),
      changes: Stream.unwrap(Effect.map(
        Effect.acquireRelease(
          Effect.sync(() => {
            const follower = new Follower<A, E | ViewClosed>()
            followers.add(follower)
            return follower
          }),
          (follower) =>
            Effect.sync(() => {
              followers.delete(follower)
            })
        ),
        (follower) => Stream.fromPull(Effect.succeed(follower.pull(() => ended)))
      ))
    }
  })
