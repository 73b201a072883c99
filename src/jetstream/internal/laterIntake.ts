/**
 * What a part of a program handles whose client is there before its first session: it begins when there is one, and what is
 * wrong with it then is its end.
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import type { Connection } from "../../internal/operations/connectionOf.ts"
import type { Intake } from "../../internal/operations/engine.ts"
import type { Source } from "../../internal/operations/worker.ts"
import type { ConnectionClosed } from "../../NatsError.ts"

/** Opens once there is a session. A stop before that has nothing to leave. */
export const openLater = <M, E, E2, R, R2>(
  connection: Connection,
  open: Effect.Effect<Intake<M, E, R>, E2, R2>,
  report: Intake<M, E, R>["report"]
): Effect.Effect<Intake<M, E | E2 | ConnectionClosed, R>, never, R2 | Scope.Scope> =>
  Effect.gen(function*() {
    const scope = yield* Effect.scope
    const context = yield* Effect.context<R2>()
    const left = yield* Deferred.make<never, Cause.Done>()
    let intake: Intake<M, E, R> | undefined
    // Shared by all workers. What one of them is interrupted in another one goes on with.
    const opened = yield* Deferred.make<Intake<M, E, R>, E2 | ConnectionClosed>()
    yield* Effect.forkIn(
      Effect.andThen(connection.awaitSession, open).pipe(
        Effect.provideContext(context),
        Effect.tap((made) =>
          Effect.sync(() => {
            intake = made
          })
        ),
        (begun) => Effect.raceFirst(begun, Deferred.await(left) as Effect.Effect<never, never>),
        Effect.exit,
        Effect.flatMap((exit) => Deferred.done(opened, exit))
      ),
      scope
    )
    const source: Source<M, E | E2 | ConnectionClosed> = {
      read: (limit) =>
        Effect.map(Effect.scope, (reading) =>
          Effect.flatMap(
            Effect.raceFirst(Deferred.await(opened), Deferred.await(left)),
            (made) => Effect.flatten(Scope.provide(made.source.read(limit), reading))
          )),
      takeOne: () => intake?.source.takeOne(),
      rest: () => intake?.source.rest() ?? []
    }
    return {
      source,
      handle: (message) => intake!.handle(message),
      settle: {
        succeeded: (message) => intake!.settle?.succeeded(message),
        failed: (message, cause) => intake!.settle?.failed(message, cause) ?? Effect.void
      },
      report,
      oneByOne: true,
      leave: Effect.suspend(() => intake?.leave ?? Deferred.fail(left, Cause.Done())),
      abandon: () => intake?.abandon(),
      giveBack: (messages) => intake?.giveBack(messages) ?? Effect.void,
      forget: () => intake?.forget()
    }
  })
