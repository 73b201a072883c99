/**
 * The operations of definitions, for a subject and for a template.
 */
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import {
  NatsClient,
  type PublishOptions,
  type SubscribeOptions,
  type Subscription as Messages
} from "../../NatsClient.ts"
import type {
  InvalidSubject,
  MessageDecodeError,
  MessageEncodeError,
  PublishError,
  RequestError,
  ServiceError,
  SubscribeError,
  SubscriptionError
} from "../../NatsError.ts"
import type { Input } from "../../NatsHeaders.ts"
import type { ServeOptions } from "../../NatsListener.ts"
import type { NatsMessage } from "../../NatsMessage.ts"
import type { Parameters, Template } from "../../Subject.ts"
import type * as Public from "../../SubjectSchema.ts"
import { json } from "../payload/codec.ts"
import { readReply } from "../payload/outcome.ts"
import { errorIn, makeFailureReader } from "../payload/serviceReply.ts"
import { isTraced } from "../telemetry/tracing.ts"
import type { Address, Values } from "./address.ts"
import { decodedStream } from "./decodedStream.ts"
import { decodeFor, defaultMaxBytes, encodeFor, parametersOf, type Settings, withContentType } from "./messages.ts"
import { type AnyHandler, toHandler } from "./policy.ts"
import { type Contract, makeServe } from "./respond.ts"
import { layerOf, serve } from "./serving.ts"

interface Options<Encoded> {
  readonly codec?: Public.Codec<Encoded> | undefined
  readonly maxBytes?: number | undefined
}

const settingsOf = <Encoded>(options: Options<Encoded> | undefined): Settings<Encoded> => ({
  codec: options?.codec ?? json,
  maxBytes: options?.maxBytes ?? defaultMaxBytes
})

const makePublish = <S extends Schema.Constraint>(address: Address, schema: S, { codec }: Settings<S["Encoded"]>) => {
  const encode = encodeFor(codec, schema)
  return (
    values: Values,
    value: S["Type"],
    options: PublishOptions | undefined
  ): Effect.Effect<void, PublishError | MessageEncodeError, NatsClient | S["EncodingServices"]> =>
    NatsClient.use((nats) => {
      const headers = withContentType(codec.contentType, options?.headers)
      return Effect.flatMapEager(address.subject(values), (subject) =>
        Effect.flatMapEager(
          encode(subject, value),
          (payload): Effect.Effect<void, PublishError> =>
            nats.publish(subject, payload, { subjectTemplate: address.name, ...options, headers })
        ))
    })
}

const makeEncode = <S extends Schema.Constraint>(address: Address, schema: S, { codec }: Settings<S["Encoded"]>) => {
  const encode = encodeFor(codec, schema)
  return (
    values: Values,
    value: S["Type"],
    given: Input | undefined
  ): Effect.Effect<Public.Outgoing, InvalidSubject | MessageEncodeError, S["EncodingServices"]> =>
    Effect.flatMapEager(address.subject(values), (subject) =>
      Effect.mapEager(
        encode(subject, value),
        (payload) => ({ subject, payload, headers: withContentType(codec.contentType, given) })
      ))
}

interface ReceiveOptions extends SubscribeOptions {
  readonly onInvalid?: "fail" | "skip" | AnyHandler | undefined
  readonly parameters?: Partial<Values> | undefined
}

interface HandleOptions extends ServeOptions {
  readonly onInvalid?: AnyHandler | undefined
  readonly parameters?: Partial<Values> | undefined
}

type Received<A> = Public.Received<A, Values>

const makeReceiver = <S extends Schema.Constraint>(address: Address, schema: S, settings: Settings<S["Encoded"]>) => {
  const decode = decodeFor(settings, schema)
  const receive = (
    message: NatsMessage
  ): Effect.Effect<Received<S["Type"]>, MessageDecodeError, S["DecodingServices"]> =>
    Effect.flatMapEager(
      parametersOf(address, message),
      (parameters) => Effect.mapEager(decode(message), (value) => ({ value, parameters, message }))
    )
  const decoded = <E>(messages: Stream.Stream<NatsMessage, E>, options: ReceiveOptions | undefined) =>
    decodedStream(messages, receive, toHandler(options?.onInvalid))
  const pattern = (options: ReceiveOptions | undefined): Effect.Effect<string, InvalidSubject> =>
    address.pattern(options?.parameters ?? {})
  return {
    decode: (message: NatsMessage) => decode(message),
    layer: (
      handler: (
        value: S["Type"],
        event: Omit<Received<S["Type"]>, "value">
      ) => Effect.Effect<unknown, unknown, unknown>,
      options: HandleOptions = {}
    ) => {
      const { onInvalid } = options
      const handle = (message: NatsMessage): Effect.Effect<unknown, unknown, unknown> => {
        const received = receive(message)
        return Effect.flatMap(
          onInvalid === undefined
            ? received
            : Effect.catch(received, (error) => Effect.as(onInvalid(error, message), undefined)),
          (event) => event === undefined ? Effect.void : handler(event.value, event)
        )
      }
      const pattern = address.pattern(options.parameters ?? {})
      return layerOf(
        { kind: "listener", name: address.name },
        serve("listener", address.name, pattern, handle, options)
      )
    },
    subscribe: (options?: ReceiveOptions) =>
      Stream.unwrap(
        NatsClient.use((nats) =>
          Effect.map(pattern(options), (subject) => decoded(nats.subscribe(subject, options), options))
        )
      ),
    subscription: (options?: ReceiveOptions) =>
      NatsClient.use((nats) =>
        Effect.flatMap(
          pattern(options),
          (subject): Effect.Effect<unknown, SubscribeError, Scope.Scope> =>
            Effect.map(nats.subscription(subject, options), (messages: Messages) => ({
              stream: decoded<SubscriptionError>(messages.stream, options),
              unsubscribe: messages.unsubscribe,
              drain: messages.drain,
              dropped: messages.dropped
            }))
        )
      )
  }
}

// The handlers of policies are typed by the caller's own: the public types say what is left of them.
const asReceiver = <S extends Schema.Constraint, Values, O>(receiver: ReturnType<typeof makeReceiver<S>>) =>
  receiver as unknown as Public.Receiver<S, Values, O>

export const ofSubject = <S extends Schema.Constraint>(
  subject: string,
  address: Address,
  schema: S,
  options: Options<S["Encoded"]> | undefined
): Public.SubjectSchema<S> => {
  const settings = settingsOf(options)
  const publish = makePublish(address, schema, settings)
  const encode = makeEncode(address, schema, settings)
  return {
    subject,
    schema,
    ...asReceiver<S, {}, {}>(makeReceiver(address, schema, settings)),
    // The subject is one: whoever sends it checks it.
    encode: ((value: S["Type"], headers?: Input) => encode({}, value, headers)) as Public.SubjectSchema<S>["encode"],
    publish: ((value: S["Type"], options?: PublishOptions) => publish({}, value, options)) as Public.SubjectSchema<
      S
    >["publish"]
  }
}

export const ofTemplate = <T extends string, S extends Schema.Constraint>(
  template: Template<T>,
  address: Address,
  schema: S,
  options: Options<S["Encoded"]> | undefined
): Public.TemplateSchema<T, S> => {
  const settings = settingsOf(options)
  return {
    template,
    schema,
    ...asReceiver<S, Parameters<T>, Public.Narrowed<T>>(makeReceiver(address, schema, settings)),
    encode: makeEncode(address, schema, settings) as Public.TemplateSchema<T, S>["encode"],
    publish: makePublish(address, schema, settings) as Public.TemplateSchema<T, S>["publish"]
  }
}

const makeAsk = <P extends Schema.Constraint, A extends Schema.Constraint, E extends Schema.Constraint>(
  address: Address,
  { error, payload, success }: Contract<P, A, E>,
  settings: Settings<P["Encoded"] | A["Encoded"]>
) => {
  const encode = encodeFor(settings.codec, payload)
  const decode = decodeFor(settings, success)
  const readFailure = makeFailureReader(error, settings.maxBytes)
  return (
    values: Values,
    value: P["Type"],
    options: Public.AskOptions | undefined
  ): Effect.Effect<
    A["Type"],
    E["Type"] | RequestError | ServiceError | MessageEncodeError | MessageDecodeError,
    NatsClient | P["EncodingServices"] | A["DecodingServices"] | E["DecodingServices"]
  > =>
    NatsClient.use(Effect.fnUntraced(function*(nats) {
      const subject = yield* address.subject(values)
      const body = yield* encode(subject, value)
      const headers = withContentType(settings.codec.contentType, options?.headers)
      const request = nats.request(subject, body, { subjectTemplate: address.name, ...options, headers })
      const traced = yield* Effect.withFiber((fiber) => Effect.succeed(isTraced(fiber)))
      return yield* readReply(traced, subject, request, (reply) => {
        options?.onReply?.(reply)
        const refused = errorIn(subject, reply)
        return refused === undefined ? decode(reply, subject) : readFailure(refused, reply)
      })
    }))
}

const makeResponder = <P extends Schema.Constraint, A extends Schema.Constraint, E extends Schema.Constraint>(
  address: Address,
  contract: Contract<P, A, E>,
  settings: Settings<P["Encoded"] | A["Encoded"]>
) => {
  const respond = <R>(
    handler: (payload: P["Type"], request: Public.RequestContext<Values>) => Effect.Effect<A["Type"], E["Type"], R>,
    options: ServeOptions = {}
  ) =>
    serve(
      "responder",
      address.name,
      address.pattern({}),
      makeServe(address, contract, settings, handler),
      options
    )
  return {
    respond,
    layer:
      ((handler: never, options?: ServeOptions) =>
        layerOf({ kind: "responder", name: address.name }, respond(handler, options))) as never
  }
}

export const requestOfSubject = <
  P extends Schema.Constraint,
  A extends Schema.Constraint,
  E extends Schema.Constraint
>(
  subject: string,
  address: Address,
  contract: Contract<P, A, E>,
  options: Options<P["Encoded"] | A["Encoded"]> | undefined
): Public.RequestSchema<P, A, E> => {
  const settings = settingsOf(options)
  const ask = makeAsk(address, contract, settings)
  return {
    subject,
    ...contract,
    request: (payload, options) => ask({}, payload, options),
    ...makeResponder(address, contract, settings)
  }
}

export const requestOfTemplate = <
  T extends string,
  P extends Schema.Constraint,
  A extends Schema.Constraint,
  E extends Schema.Constraint
>(
  template: Template<T>,
  address: Address,
  contract: Contract<P, A, E>,
  options: Options<P["Encoded"] | A["Encoded"]> | undefined
): Public.TemplateRequestSchema<T, P, A, E> => {
  const settings = settingsOf(options)
  return {
    template,
    ...contract,
    request: makeAsk(address, contract, settings) as Public.TemplateRequestSchema<T, P, A, E>["request"],
    ...(makeResponder(address, contract, settings) as unknown as Public.Responder<P, A, E, Parameters<T>>)
  }
}
