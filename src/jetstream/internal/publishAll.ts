/**
 * A stream of messages into streams, as a stream of their acknowledgements.
 */
import type * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Pull from "effect/Pull"
import * as Scope from "effect/Scope"
import * as Sink from "effect/Sink"
import * as Stream from "effect/Stream"
import { wholeNumber } from "../../internal/operations/ranges.ts"
import { isTraced, withErrorType } from "../../internal/telemetry/tracing.ts"
import { SinkStopped } from "../JetStreamError.ts"
import { type Acks, AckWindow, type WindowOptions } from "./ackWindow.ts"
import type { Api } from "./api.ts"
import type { AnyPublishError } from "./outcome.ts"
import type { OutgoingMessage, PubAck, PublishAllOptions, PublishSummary } from "./publishTypes.ts"

const defaultInFlight = 256
/** A window has a place for each. */
const mostInFlight = 65_536
const defaultInFlightBytes = 8 * 1024 * 1024

const windowOptions = (api: Api, options: PublishAllOptions | undefined): WindowOptions => {
  const inFlight = options?.inFlight ?? defaultInFlight
  const inFlightBytes = options?.inFlightBytes ?? defaultInFlightBytes
  wholeNumber("inFlight", inFlight)
  if (inFlight > mostInFlight) {
    throw new RangeError(`\`inFlight\` is ${inFlight}: it must be a whole number from 1 to ${mostInFlight}`)
  }
  wholeNumber("inFlightBytes", inFlightBytes)
  const timeout = options?.timeout
  return {
    inFlight,
    inFlightBytes,
    meter: api.meter,
    timeoutMillis: timeout === undefined ? api.timeoutMillis : Duration.toMillis(timeout)
  }
}

/** A window that lets go of its answers with the scope. What is on its way then may be stored. */
export const openWindow = (api: Api, options: WindowOptions): Effect.Effect<AckWindow, never, Scope.Scope> =>
  Effect.gen(function*() {
    const window = yield* Effect.acquireRelease(
      Effect.sync(() => new AckWindow(api, options)),
      (window) => Effect.sync(window.forget)
    )
    yield* Effect.forkScoped(window.watch)
    return window
  })

/** Publishes what a pull gives, in a fiber of its own, and gives what comes of it. */
const publishPulled = <E, R>(
  window: AckWindow,
  pull: Pull.Pull<ReadonlyArray<OutgoingMessage>, E, unknown, R>,
  scope: Scope.Scope
): Effect.Effect<Pull.Pull<Acks, E | AnyPublishError>, never, R> => {
  /** How the messages ended. Their acknowledgements go first. */
  let ended: Exit.Exit<never, E | Cause.Done<unknown>> | undefined
  const writing = Effect.flatMap(pull, (messages) => window.writeAll(messages)).pipe(
    Effect.forever({ disableYield: true }),
    Effect.onExit((exit) =>
      Effect.sync(() => {
        ended = exit
        window.wakeReader()
      })
    )
  )
  const next: Effect.Effect<Acks, E | AnyPublishError | Cause.Done<unknown>> = Effect.suspend(() =>
    Effect.flatMap(window.acks, (acks) => {
      if (acks !== undefined) return Exit.succeed(acks)
      return ended ?? Effect.flatMap(window.changed, () => next)
    })
  )
  return Effect.as(
    Effect.forkIn(writing, scope, { startImmediately: true }),
    next as Pull.Pull<Acks, E | AnyPublishError>
  )
}

/** Publishes the messages of a stream or of a sink's upstream, inside a span where there is a tracer. */
const publishFrom = <E, R>(
  api: Api,
  pull: Pull.Pull<ReadonlyArray<OutgoingMessage>, E, unknown, R>,
  scope: Scope.Scope,
  options: PublishAllOptions | undefined
): Effect.Effect<Pull.Pull<Acks, E | AnyPublishError>, never, R> =>
  Effect.withFiber((fiber) => {
    const given = windowOptions(api, options)
    const { tracing } = api.connection.settings
    const start = (window: AckWindow) => publishPulled(window, pull, scope)
    if (tracing === undefined || !isTraced(fiber)) {
      return Effect.flatMap(Scope.provide(openWindow(api, given), scope), start)
    }
    let window: AckWindow | undefined
    return tracing.publishMany(fiber, scope, () => window?.count ?? 0).pipe(
      Effect.flatMap(({ carried, span }) =>
        Effect.flatMap(openWindow(api, { ...given, span: carried }), (opened) => {
          window = opened
          return Effect.map(start(opened), (acks) => withErrorType(span, acks))
        })
      ),
      Scope.provide(scope)
    )
  })

export const publishAll = <E, R>(
  api: Api,
  messages: Stream.Stream<OutgoingMessage, E, R>,
  options?: PublishAllOptions | undefined
): Stream.Stream<PubAck, AnyPublishError | E, R> =>
  Stream.transformPull(messages, (pull, scope) => publishFrom(api, pull, scope, options))

export const sink = (
  api: Api,
  options?: PublishAllOptions | undefined
): Sink.Sink<PublishSummary, OutgoingMessage, never, SinkStopped> =>
  Sink.fromTransform((upstream, scope) =>
    Effect.suspend(() => {
      let messages = 0
      let duplicates = 0
      let last: PubAck | undefined
      return Effect.flatMap(publishFrom(api, upstream, scope, options), (acks) =>
        acks.pipe(
          Effect.flatMap((some) => {
            messages += some.length
            for (const { duplicate } of some) if (duplicate) duplicates++
            last = some[some.length - 1]
            return Exit.void
          }),
          Effect.forever({ disableYield: true }),
          Pull.catchDone(() => Effect.succeed<Sink.End<PublishSummary>>([{ messages, duplicates, last }])),
          Effect.mapError((reason) => new SinkStopped({ acknowledged: messages, reason }))
        ))
    })
  )
