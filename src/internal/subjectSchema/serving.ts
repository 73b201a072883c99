/**
 * Definitions that are served: handlers on the engine, in a scope or as a layer.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { NatsClient } from "../../NatsClient.ts"
import type { HandleError, InvalidSubject } from "../../NatsError.ts"
import type { ServeOptions } from "../../NatsListener.ts"
import { type PartName, watchEnd } from "../operations/background.ts"
import { connectionOf } from "../operations/connectionOf.ts"
import { handle, type Handler, type Handling } from "../operations/handling.ts"
import { settingsOf } from "../operations/subscribe.ts"

/** `name` is the definition's own: it names the spans of its messages, and its end. */
export const serve = <E, R>(
  kind: PartName["kind"],
  name: string,
  pattern: Effect.Effect<string, InvalidSubject>,
  handler: Handler<E, R>,
  options: ServeOptions
): Effect.Effect<Handling, HandleError, NatsClient | Scope.Scope | R> =>
  Effect.flatMap(
    Effect.all([NatsClient, pattern, Effect.scope]),
    ([nats, subject, scope]) =>
      handle(connectionOf(nats), [settingsOf(subject, options)], handler, {
        concurrency: options.concurrency,
        subjectTemplate: name,
        drainTimeout: options.drainTimeout,
        part: { kind, name }
      }, scope)
  )

export const layerOf = <E, R>(
  part: PartName,
  served: Effect.Effect<Handling, E, R>
): Layer.Layer<never, E, Exclude<R, Scope.Scope>> =>
  Layer.effectDiscard(Effect.flatMap(served, ({ ended }) => watchEnd(part, ended)))
