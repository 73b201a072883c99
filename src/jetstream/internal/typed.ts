/**
 * Messages of a stream by a definition of `SubjectSchema`.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { MessageDecodeError } from "../../NatsError.ts"
import type { SubjectSchema, TemplateSchema } from "../../SubjectSchema.ts"
import type { JetStreamMessage } from "../JetStreamMessage.ts"
import type { Hopeless } from "./work.ts"

/** A definition of either kind, whatever its parameters are. */
export type AnyDefinition<S extends Schema.Constraint> = SubjectSchema<S> | TemplateSchema<string, S>

/** A value with where it comes from. */
export interface Received<A> {
  readonly value: A
  readonly parameters: Readonly<Record<string, string>>
  readonly message: JetStreamMessage
}

export type InvalidHandler = (
  error: MessageDecodeError,
  message: JetStreamMessage
) => Effect.Effect<unknown, unknown, unknown>

export const nameOf = <S extends Schema.Constraint>(definition: AnyDefinition<S>): string =>
  "template" in definition ? definition.template.template : definition.subject

/** The subjects that a definition is about. */
export const patternOf = <S extends Schema.Constraint>(definition: AnyDefinition<S>): string =>
  "template" in definition ? definition.template.pattern : definition.subject

const none: Option.Option<{}> = Option.some(Object.freeze({}))

/** Its parameters and its value, or why it has none. */
export const receive = <S extends Schema.Constraint>(
  definition: AnyDefinition<S>
): (message: JetStreamMessage) => Effect.Effect<Received<S["Type"]>, MessageDecodeError, S["DecodingServices"]> => {
  const parse = "template" in definition
    ? (subject: string): Option.Option<Readonly<Record<string, string>>> => definition.template.parse(subject)
    : () => none
  return (message) => {
    const { subject } = message
    const parameters = parse(subject)
    return Option.isNone(parameters)
      ? Effect.fail(
        new MessageDecodeError({ subject, path: "", problem: `its subject is not one of ${nameOf(definition)}` })
      )
      : Effect.mapEager(definition.decode(message), (value) => ({ value, parameters: parameters.value, message }))
  }
}

/** Handles values, and says what of their failures no other try makes better. */
export const handling = <S extends Schema.Constraint>(
  definition: AnyDefinition<S>,
  handler: (received: Received<S["Type"]>) => Effect.Effect<unknown, unknown, unknown>,
  onInvalid: "deadLetter" | "term" | InvalidHandler | undefined
): {
  readonly handle: (message: JetStreamMessage) => Effect.Effect<unknown, unknown, unknown>
  readonly hopeless: Hopeless | undefined
} => {
  const decoded = receive(definition)
  // The handler can decode something, too: that is a failure as any other.
  const invalid = new WeakSet<object>()
  const isSettled = typeof onInvalid === "string"
  const received = (message: JetStreamMessage) =>
    isSettled
      ? Effect.tapError(decoded(message), (error) => Effect.sync(() => invalid.add(error)))
      : decoded(message)
  return {
    handle: typeof onInvalid === "function"
      ? (message) =>
        Effect.matchEffect(decoded(message), {
          onSuccess: handler,
          onFailure: (error) => onInvalid(error, message)
        })
      : (message) => Effect.flatMap(received(message), handler),
    hopeless: isSettled
      ? {
        includes: (failure) => typeof failure === "object" && failure !== null && invalid.has(failure),
        isDropped: onInvalid === "term"
      }
      : undefined
  }
}

/** The values of a stream of messages. What has none fails it, or goes to `onInvalid`, and the stream goes on. */
export const values = <S extends Schema.Constraint, E, R>(
  definition: AnyDefinition<S>,
  messages: Stream.Stream<JetStreamMessage, E, R>,
  onInvalid: InvalidHandler | undefined
): Stream.Stream<Received<S["Type"]>, unknown, unknown> => {
  const decoded = receive(definition)
  if (onInvalid === undefined) return Stream.mapEffect(messages, decoded)
  return messages.pipe(
    Stream.mapEffect((message) =>
      Effect.catch(decoded(message), (error) => Effect.as(onInvalid(error, message), undefined))
    ),
    Stream.filter((received) => received !== undefined)
  )
}
