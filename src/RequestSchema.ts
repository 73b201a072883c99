/**
 * A subject, or a template of subjects, bound to the schemas of a request: what is asked with, what is answered, and what
 * it fails with. It is `makeRequest` of `SubjectSchema`, which has the definitions of events.
 *
 * ```ts
 * import { Effect, Layer, Schema } from "effect"
 * import { NatsClient, NatsLayer, RequestSchema } from "effect-nats"
 *
 * const Total = RequestSchema.make("orders.total", { payload: Schema.Array(Schema.Finite), success: Schema.Finite })
 *
 * const Totals = Total.layer((prices) => Effect.succeed(prices.reduce((sum, price) => sum + price, 0)))
 *
 * const program = Effect.flatMap(Total.request([1, 2]), (total) => Effect.log(total))
 *
 * const App = Layer.provide(Totals, NatsClient.layer())
 *
 * export const server = NatsLayer.launch(App)
 * ```
 *
 * @since 0.2.0
 */
import type * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { ofSubject, ofTemplate } from "./internal/subjectSchema/address.ts"
import * as Definitions from "./internal/subjectSchema/definitions.ts"
import type { NatsClient, RequestOptions } from "./NatsClient.ts"
import type { HandleError, MessageDecodeError, MessageEncodeError, RequestError, ServiceError } from "./NatsError.ts"
import type { Listener, ServeOptions } from "./NatsListener.ts"
import type { NatsMessage } from "./NatsMessage.ts"
import type { Checked, Parameters, Template } from "./Subject.ts"
import { isTemplate } from "./Subject.ts"
import type { Options } from "./SubjectSchema.ts"

/**
 * The schemas of a request.
 *
 * @category models
 * @since 0.1.0
 */
export interface Contract<
  P extends Schema.Constraint,
  A extends Schema.Constraint,
  E extends Schema.Constraint
> {
  /** What is asked with. */
  readonly payload: P
  /** What is answered. */
  readonly success: A
  /** What it fails with, on both sides. Always JSON on the wire. */
  readonly error: E
}

/**
 * How requests are served.
 *
 * @category options
 * @since 0.1.0
 */
export type RespondOptions = ServeOptions

/**
 * @category options
 * @since 0.2.0
 */
export interface AskOptions extends RequestOptions {
  /** Is called with the reply before it is decoded: for its headers. What it throws is a defect. */
  readonly onReply?: ((reply: NatsMessage) => void) | undefined
}

/**
 * What is known of a request besides its payload.
 *
 * @category models
 * @since 0.1.0
 */
export interface RequestContext<Values> {
  readonly parameters: Values
  readonly message: NatsMessage
  /**
   * Gives the answer a header, whatever the answer will be; the same name replaces. One that NATS does not allow is
   * answered with 500.
   *
   * @since 0.2.0
   */
  setReplyHeader(name: string, value: string | ReadonlyArray<string>): void
}

/**
 * The answering half of a request's definition.
 *
 * @category models
 * @since 0.1.0
 */
export interface Responder<
  P extends Schema.Constraint,
  A extends Schema.Constraint,
  E extends Schema.Constraint,
  Values
> {
  /**
   * Serves requests with a handler until the scope closes. Succeeds when the server has the subscription. `stop` takes no
   * more requests and waits for the handlers, at most for `drainTimeout`; `ended` fails as the stream of a subscription
   * does. With a client that connects in the background it succeeds at once: see `NatsListener.make`.
   *
   * Every request gets one reply: the success; a failure of the handler as its JSON, with the code of its schema or 422;
   * code 400 for a payload that does not decode; code 500 for a defect, or a result that does not fit its schema, which is
   * logged here and not told there; code 503 for a handler that was interrupted, and for what a stop had no time to begin.
   * See the table in docs/services.md.
   */
  respond<R>(
    handler: (payload: P["Type"], request: RequestContext<Values>) => Effect.Effect<A["Type"], E["Type"], R>,
    options?: RespondOptions
  ): Effect.Effect<
    Listener,
    HandleError,
    NatsClient | Scope.Scope | R | P["DecodingServices"] | A["EncodingServices"] | E["EncodingServices"]
  >
  /**
   * Serves requests for as long as the layer lives: see `respond`. Where it ends with a failure, a program that was started
   * with `NatsLayer.launch` fails with `BackgroundEnded`; else it is logged at level Error.
   *
   * @since 0.2.0
   */
  layer<R>(
    handler: (payload: P["Type"], request: RequestContext<Values>) => Effect.Effect<A["Type"], E["Type"], R>,
    options?: RespondOptions
  ): Layer.Layer<
    never,
    HandleError,
    | NatsClient
    | Exclude<R | P["DecodingServices"] | A["EncodingServices"] | E["EncodingServices"], Scope.Scope>
  >
}

type Requested<
  P extends Schema.Constraint,
  A extends Schema.Constraint,
  E extends Schema.Constraint
> = Effect.Effect<
  A["Type"],
  E["Type"] | RequestError | ServiceError | MessageEncodeError | MessageDecodeError,
  NatsClient | P["EncodingServices"] | A["DecodingServices"] | E["DecodingServices"]
>

/**
 * A subject bound to the schemas of a request.
 *
 * @category models
 * @since 0.1.0
 */
export interface RequestSchema<
  P extends Schema.Constraint,
  A extends Schema.Constraint,
  E extends Schema.Constraint
> extends Contract<P, A, E>, Responder<P, A, E, {}> {
  readonly subject: string
  /**
   * Asks and waits for one reply. An error of the contract is the failure itself; any other error of the service is a
   * `ServiceError`; a reply that does not fit is a `MessageDecodeError`. Else it fails as `NatsClient.request` does.
   */
  request(payload: P["Type"], options?: AskOptions): Requested<P, A, E>
}

/**
 * A template of subjects bound to the schemas of a request.
 *
 * @category models
 * @since 0.1.0
 */
export interface TemplateRequestSchema<
  T extends string,
  P extends Schema.Constraint,
  A extends Schema.Constraint,
  E extends Schema.Constraint
> extends Contract<P, A, E>, Responder<P, A, E, Parameters<T>> {
  readonly template: Template<T>
  /** Asks at the subject with these parameters, as `RequestSchema.request` does. */
  request(parameters: Parameters<T>, payload: P["Type"], options?: AskOptions): Requested<P, A, E>
}

/**
 * Binds a subject, or a template of subjects, to the schemas of a request. Schemas that are left out: `Schema.Void` for
 * `payload` and `success`, `Schema.Never` for `error`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: {
  <
    const T extends string,
    P extends Schema.Constraint = Schema.Void,
    A extends Schema.Constraint = Schema.Void,
    E extends Schema.Constraint = Schema.Never
  >(
    template: Template<T>,
    contract: Partial<Contract<P, A, E>>,
    options?: Options<P["Encoded"] | A["Encoded"]>
  ): TemplateRequestSchema<T, P, A, E>
  <
    const T extends string,
    P extends Schema.Constraint = Schema.Void,
    A extends Schema.Constraint = Schema.Void,
    E extends Schema.Constraint = Schema.Never
  >(
    subject: Checked<T>,
    contract: Partial<Contract<P, A, E>>,
    options?: Options<P["Encoded"] | A["Encoded"]>
  ): RequestSchema<P, A, E>
} = ((
  target: string | Template,
  { error = Schema.Never, payload = Schema.Void, success = Schema.Void }: Partial<
    Contract<Schema.Constraint, Schema.Constraint, Schema.Constraint>
  >,
  options?: Options<unknown>
) => {
  const contract = { payload, success, error }
  return isTemplate(target)
    ? Definitions.requestOfTemplate(target, ofTemplate(target), contract, options)
    : Definitions.requestOfSubject(target, ofSubject(target), contract, options)
}) as typeof make
