/**
 * Handlers over subscriptions, with counts, times, spans and answers: `consume`, listeners and typed handlers stand on it.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { HandleError, SubscriptionError } from "../../NatsError.ts"
import type { NatsMessage } from "../../NatsMessage.ts"
import type { Connection } from "../connection/connection.ts"
import type { SubscriptionSettings } from "../delivery/delivery.ts"
import type { Message } from "../delivery/message.ts"
import type { Subscription } from "../delivery/subscription.ts"
import { answersAll, refuseUnhandled } from "../payload/answering.ts"
import { withToldFailure } from "../payload/outcome.ts"
import { shownList, shownName } from "../protocol/shown.ts"
import { isTraced, type ReceiverOptions, relationOf } from "../telemetry/tracing.ts"
import { asPart } from "./background.ts"
import { leave, unsubscribe } from "./closing.ts"
import { type EngineOptions, type Handling as Running, type Intake, reporting, run } from "./engine.ts"
import { subscribe } from "./subscribe.ts"
import { effectOf } from "./worker.ts"

export { checkConcurrency } from "./engine.ts"

/** What handles a message. What it fails with is reported and stops nothing. */
export type Handler<E, R> = (message: NatsMessage) => Effect.Effect<unknown, E, R>

export interface HandlingOptions extends EngineOptions {
  readonly subjectTemplate?: string | undefined
}

export type Handling = Running<SubscriptionError>

/**
 * Handles every message of the subscriptions until the scope closes, which is a stop. Succeeds when the server has them, and
 * as a part of a client that connects in the background at once.
 */
export const handle = <E, R>(
  connection: Connection,
  settings: ReadonlyArray<SubscriptionSettings>,
  handler: Handler<E, R>,
  options: HandlingOptions,
  scope: Scope.Scope
): Effect.Effect<Handling, HandleError, R> => {
  const subscribed = Effect.forEach(settings, (each) => subscribe(connection, each), { concurrency: "unbounded" })
  const opened = Effect.flatMap(
    options.part === undefined ? subscribed : asPart(subscribed),
    (subscriptions) =>
      Effect.forEach(subscriptions, (subscription) =>
        Effect.map(
          observe(connection, subscription.settings, options.subjectTemplate, handler),
          (observed) => intakeOf(connection, subscription, handler, observed)
        ))
  )
  return run(connection, opened, logStuck(settings), options, scope)
}

const intakeOf = <E, R>(
  connection: Connection,
  subscription: Subscription,
  handler: Handler<E, R>,
  observed: (message: Message) => Effect.Effect<unknown, E, R>
): Intake<Message, SubscriptionError, R> => ({
  source: subscription,
  handle: observed,
  report: reporting(connection, (message) => ({
    subject: shownName(message?.subject ?? subscription.settings.subject)
  })),
  leave: leave(connection, subscription),
  abandon: () => unsubscribe(connection, subscription),
  giveBack: (messages) => giveBack(subscription, messages, handler),
  forget: () => {
    connection.unfinished.delete(subscription)
  }
})

/** What was received and that no handler has begun: told, and answered where the handler answers all. */
const giveBack = (
  subscription: Subscription,
  messages: ReadonlyArray<Message>,
  handler: object
): Effect.Effect<void> =>
  messages.length === 0 ? Effect.void : Effect.andThen(
    Effect.annotateLogs(
      Effect.logWarning("The stop was out of time: what was received last is not handled"),
      { subject: shownName(subscription.settings.subject), messages: messages.length }
    ),
    Effect.forEach(messages, (message) => refuseUnhandled(handler, message), { discard: true })
  )

const logStuck = (settings: ReadonlyArray<SubscriptionSettings>): Effect.Effect<void> =>
  Effect.annotateLogs(
    Effect.logWarning("A message handler does not let itself be interrupted and is left behind"),
    { subject: shownList(settings.map(({ subject }) => subject)) }
  )

// Looks once whether handlers are traced and timed: where they are not, nothing stands between a message and its handler.
const observe = <E, R>(
  connection: Connection,
  settings: SubscriptionSettings,
  template: string | undefined,
  handler: Handler<E, R>
): Effect.Effect<(message: Message) => Effect.Effect<unknown, E, R>> =>
  Effect.withFiber((fiber) => {
    const { meter, tracing } = connection.settings
    const checked: Handler<E, R> = (message) => effectOf(handler(message))
    const timed: Handler<E, R> = meter === undefined ? checked : (message) => meter.timeHandler(() => checked(message))
    if (tracing === undefined || !isTraced(fiber)) return Effect.succeed(meter === undefined ? handler : timed)
    const options: ReceiverOptions = {
      template: template ?? settings.subject,
      queue: settings.queue,
      relation: relationOf(fiber)
    }
    if (!answersAll(handler)) {
      return Effect.succeed((message: Message) => tracing.receive(message, options, () => timed(message)))
    }
    return Effect.succeed((message: Message) =>
      withToldFailure(() => timed(message), (handle) => tracing.receive(message, options, handle))
    )
  })
