/**
 * The headers of a message: a plain record from name to values.
 *
 * NATS keeps names as they were written, and a name can have several values. Reading by name (`get`) looks for the exact
 * name first and ignores case only if there is none.
 *
 * Operations check the headers that they are given. `makeName` and `makeValue` check them where they come in.
 *
 * @since 0.1.0
 */
import type * as Brand from "effect/Brand"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { getHeader, headerNameProblem, headerValueProblem } from "./internal/protocol/headers.ts"
import { kindOf } from "./internal/protocol/kindOf.ts"
import { invalidHeader } from "./internal/subject/invalid.ts"
import type { InvalidHeader } from "./NatsError.ts"

/**
 * Headers as they are received: every name with all its values.
 *
 * @category models
 * @since 0.1.0
 */
export type NatsHeaders = Readonly<Record<string, ReadonlyArray<string>>>

/**
 * Headers as they are given to `publish` and `request`: a value, or several.
 *
 * @category models
 * @since 0.1.0
 */
export type Input = Readonly<Record<string, string | ReadonlyArray<string>>>

/**
 * The name of a header: printable ASCII without colon and blank.
 *
 * @category models
 * @since 0.2.0
 */
export type Name = string & Brand.Brand<"effect-nats/HeaderName">

/**
 * A value of a header: any text without line breaks and NUL. Blanks around it do not arrive.
 *
 * @category models
 * @since 0.2.0
 */
export type Value = string & Brand.Brand<"effect-nats/HeaderValue">

const text = (problemOf: (text: string) => string | undefined, expected: string): Schema.String =>
  Schema.String.check(
    Schema.makeFilter((text: string) => {
      const problem = problemOf(text)
      return problem === undefined ? undefined : `Invalid header: ${problem}`
      // What property tests generate.
    }, { expected, arbitraryConstraint: { patterns: [{ source: "^[A-Za-z0-9_-]{1,20}$", flags: "" }] } })
  )

/**
 * The schema of names.
 *
 * @category schemas
 * @since 0.2.0
 */
export const Name: Schema.brand<Schema.String, "effect-nats/HeaderName"> = text(
  headerNameProblem,
  "the name of a NATS header"
).pipe(Schema.brand("effect-nats/HeaderName"))

/**
 * The schema of values.
 *
 * @category schemas
 * @since 0.2.0
 */
export const Value: Schema.brand<Schema.String, "effect-nats/HeaderValue"> = text(
  headerValueProblem,
  "the value of a NATS header"
).pipe(Schema.brand("effect-nats/HeaderValue"))

/**
 * A header's name from any string.
 *
 * @category constructors
 * @since 0.2.0
 */
export const makeName = (header: string): Effect.Effect<Name, InvalidHeader> => {
  const problem = typeof header === "string" ? headerNameProblem(header) : `its name is ${kindOf(header)}`
  return problem === undefined ? Effect.succeed(header as Name) : Effect.fail(invalidHeader({ header, problem }))
}

/**
 * A value of the named header from any string. The failure does not have the value.
 *
 * @category constructors
 * @since 0.2.0
 */
export const makeValue = (header: string, value: string): Effect.Effect<Value, InvalidHeader> => {
  const problem = typeof value === "string" ? headerValueProblem(value) : `its value is ${kindOf(value)}`
  return problem === undefined ? Effect.succeed(value as Value) : Effect.fail(invalidHeader({ header, problem }))
}

/**
 * The first value of a header, `undefined` when there is none.
 *
 * @category getters
 * @since 0.1.0
 */
export const get = (headers: NatsHeaders, name: string): string | undefined => getHeader(headers, name)
