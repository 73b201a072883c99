/**
 * Subjects, patterns and the other names on the wire: checked once, then known by their type.
 *
 * Every operation of `NatsClient` takes plain strings and checks them itself, so nothing here is needed to be safe. Use
 * it to check names where they come in, to have the compiler check the ones you write, and to build subjects from values
 * that nobody can trust.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { NatsClient, Subject } from "effect-nats"
 *
 * const created = Subject.template("orders.{id}.created")
 *
 * const program = Effect.gen(function*() {
 *   const nats = yield* NatsClient.NatsClient
 *   yield* nats.subscription(created.pattern) // orders.*.created
 *   yield* nats.publish(yield* created.build({ id: "7.a b" })) // orders.7%2Ea%20b.created
 *   yield* Effect.log(created.parse("orders.7%2Ea%20b.created")) // { id: "7.a b" }
 * })
 * ```
 *
 * @since 0.1.0
 */
import type * as Brand from "effect/Brand"
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { invalidSubject, orThrow } from "./internal/subject/invalid.ts"
import type * as Literals from "./internal/subject/literal.ts"
import {
  inboxPrefixProblem,
  matches as matchesValid,
  patternProblem,
  queueProblem,
  type SubjectProblem,
  subjectProblem
} from "./internal/subject/rules.ts"
import * as SubjectTemplate from "./internal/subject/template.ts"
import type { InvalidSubject } from "./NatsError.ts"

/**
 * @category type IDs
 * @since 0.1.0
 */
export const TemplateTypeId: "~effect-nats/Subject/Template" = SubjectTemplate.TemplateTypeId

/**
 * What can be subscribed to: tokens between dots, of which `*` stands for any one token and `>`, as the last, for one or
 * more. At most 2,000 bytes of UTF-8, without whitespace and control characters.
 *
 * @category models
 * @since 0.1.0
 */
export type SubjectPattern = string & Brand.Brand<"effect-nats/SubjectPattern">

/**
 * What can be published to: a pattern without wildcards.
 *
 * @category models
 * @since 0.1.0
 */
export type Subject = SubjectPattern & Brand.Brand<"effect-nats/Subject">

/**
 * What stands in front of the subjects of replies: a subject of at most 512 bytes.
 *
 * @category models
 * @since 0.1.0
 */
export type InboxPrefix = Subject & Brand.Brand<"effect-nats/InboxPrefix">

/**
 * The name of a queue group: at most 2,000 bytes of UTF-8, without whitespace and control characters.
 *
 * @category models
 * @since 0.1.0
 */
export type QueueGroup = string & Brand.Brand<"effect-nats/QueueGroup">

export type { PatternLiteral, SubjectLiteral, TemplateLiteral } from "./internal/subject/literal.ts"

/**
 * Any string, except a literal of which the compiler can tell that it is no subject. For functions of your own:
 * `<const S extends string>(subject: Subject.Checked<S>)`.
 *
 * @category models
 * @since 0.1.0
 */
export type Checked<S extends string> = Literals.CheckedSubject<S>

/**
 * The values of a template's parameters by name.
 *
 * @category models
 * @since 0.1.0
 */
export type Parameters<T extends string> = string extends T ? Readonly<Record<string, string>>
  : { readonly [Name in Literals.ParameterName<T>]: string }

/**
 * A subject with parameters: `orders.{id}.created`.
 *
 * A value becomes one token, whatever it is: percent-encoded (UTF-8) where it has a dot, a wildcard, whitespace, a control
 * character or a percent sign, and at the very start of a subject also where it begins with `$`; the empty value is a lone
 * `%`. So no value can add a token or a wildcard, and other languages read it with their URL decoding.
 *
 * @category models
 * @since 0.1.0
 */
export interface Template<T extends string = string> {
  readonly [TemplateTypeId]: typeof TemplateTypeId
  /** The template as it was written. */
  readonly template: T
  /** What to subscribe to for every subject of the template: `orders.*.created`. */
  readonly pattern: SubjectPattern
  /** The parameters' names in their order. */
  readonly parameters: ReadonlyArray<string>
  /**
   * The subject for these values. Fails with `InvalidSubject` when it becomes longer than 2,000 bytes, and when a value has
   * half of a surrogate pair, which no UTF-8 can carry.
   */
  build(values: Parameters<T>): Effect.Effect<Subject, InvalidSubject>
  /** As `build`. Throws the `InvalidSubject`. */
  buildUnsafe(values: Parameters<T>): Subject
  /** The pattern for the values that are given, with `*` for the others: `orders.7.created`, `orders.*.created`. */
  patternFor(values: Partial<Parameters<T>>): Effect.Effect<SubjectPattern, InvalidSubject>
  /** Whether a subject is one of this template: whether `parse` gives its values. */
  match(subject: string): boolean
  /** The values in a subject, none if it is not of this template or its escapes are broken. Inverts `build`. */
  parse(subject: string): Option.Option<Parameters<T>>
}

const describe = (what: string, { problem, token }: SubjectProblem): string =>
  token === undefined ? `Invalid ${what}: ${problem}` : `Invalid ${what} (token ${token}): ${problem}`

const tokens = "^[A-Za-z0-9_-]{1,12}(\\.[A-Za-z0-9_-]{1,12}){0,4}$"
const word = "^[A-Za-z0-9_-]{1,20}$"

/** `example` is what property tests generate. */
const name = (
  what: string,
  problemOf: (text: string) => SubjectProblem | undefined,
  expected: string,
  example: string
): Schema.String =>
  Schema.String.check(
    Schema.makeFilter((text: string) => {
      const problem = problemOf(text)
      return problem === undefined ? undefined : describe(what, problem)
    }, { expected, arbitraryConstraint: { patterns: [{ source: example, flags: "" }] } })
  )

/**
 * The schema of patterns.
 *
 * @category schemas
 * @since 0.1.0
 */
export const SubjectPattern: Schema.brand<Schema.String, "effect-nats/SubjectPattern"> = name(
  "pattern",
  patternProblem,
  "a pattern of NATS subjects",
  "^([A-Za-z0-9_-]{1,12}|\\*)(\\.([A-Za-z0-9_-]{1,12}|\\*)){0,4}(\\.>)?$"
).pipe(Schema.brand("effect-nats/SubjectPattern"))

/**
 * The schema of subjects.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Subject: Schema.brand<
  Schema.brand<Schema.String, "effect-nats/SubjectPattern">,
  "effect-nats/Subject"
> = name("subject", subjectProblem, "a NATS subject", tokens).pipe(
  Schema.brand("effect-nats/SubjectPattern"),
  Schema.brand("effect-nats/Subject")
)

/**
 * The schema of inbox prefixes.
 *
 * @category schemas
 * @since 0.1.0
 */
export const InboxPrefix: Schema.brand<
  Schema.brand<Schema.brand<Schema.String, "effect-nats/SubjectPattern">, "effect-nats/Subject">,
  "effect-nats/InboxPrefix"
> = name("inbox prefix", inboxPrefixProblem, "a NATS inbox prefix", tokens).pipe(
  Schema.brand("effect-nats/SubjectPattern"),
  Schema.brand("effect-nats/Subject"),
  Schema.brand("effect-nats/InboxPrefix")
)

/**
 * The schema of queue groups.
 *
 * @category schemas
 * @since 0.1.0
 */
export const QueueGroup: Schema.brand<Schema.String, "effect-nats/QueueGroup"> = name(
  "queue group",
  queueProblem,
  "a NATS queue group",
  word
).pipe(Schema.brand("effect-nats/QueueGroup"))

/**
 * A subject from any string, or an `InvalidSubject` that says which token is wrong and why.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (subject: string): Effect.Effect<Subject, InvalidSubject> => Effect.fromResult(makeResult(subject))

/**
 * As `make`, without an Effect.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeResult = (subject: string): Result.Result<Subject, InvalidSubject> => {
  const problem = subjectProblem(subject)
  return problem === undefined
    ? Result.succeed(subject as Subject)
    : Result.fail(invalidSubject("subject", subject, problem))
}

/**
 * A subject from a string that is known to be one. Throws the `InvalidSubject` if it is not.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeUnsafe = (subject: string): Subject => orThrow(makeUnsafe, makeResult(subject))

/**
 * A pattern from any string.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makePattern = (pattern: string): Effect.Effect<SubjectPattern, InvalidSubject> =>
  Effect.fromResult(makePatternResult(pattern))

/**
 * As `makePattern`, without an Effect.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makePatternResult = (pattern: string): Result.Result<SubjectPattern, InvalidSubject> => {
  const problem = patternProblem(pattern)
  return problem === undefined
    ? Result.succeed(pattern as SubjectPattern)
    : Result.fail(invalidSubject("pattern", pattern, problem))
}

/**
 * A pattern from a string that is known to be one. Throws the `InvalidSubject` if it is not.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makePatternUnsafe = (pattern: string): SubjectPattern =>
  orThrow(makePatternUnsafe, makePatternResult(pattern))

/**
 * A queue group from any string.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeQueueGroup = (queue: string): Effect.Effect<QueueGroup, InvalidSubject> => {
  const problem = queueProblem(queue)
  return problem === undefined
    ? Effect.succeed(queue as QueueGroup)
    : Effect.fail(invalidSubject("queue", queue, problem))
}

/**
 * An inbox prefix from any string.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeInboxPrefix = (prefix: string): Effect.Effect<InboxPrefix, InvalidSubject> => {
  const problem = inboxPrefixProblem(prefix)
  return problem === undefined
    ? Effect.succeed(prefix as InboxPrefix)
    : Effect.fail(invalidSubject("inboxPrefix", prefix, problem))
}

/**
 * A subject written in the program. It does not compile where the compiler can tell that it is wrong: empty, a dot at an
 * end, an empty token, whitespace, a wildcard. Throws an `InvalidSubject` for the rest, such as one that is too long.
 *
 * @category constructors
 * @since 0.1.0
 */
export const literal = <const S extends string>(subject: Literals.SubjectLiteral<S>): S & Subject =>
  orThrow(literal, makeResult(subject)) as S & Subject

/**
 * A pattern written in the program, checked as `literal` is.
 *
 * @category constructors
 * @since 0.1.0
 */
export const literalPattern = <const S extends string>(pattern: Literals.PatternLiteral<S>): S & SubjectPattern =>
  orThrow(literalPattern, makePatternResult(pattern)) as S & SubjectPattern

/**
 * A template written in the program: parameters are tokens in braces. It does not compile where the compiler can tell that
 * it is wrong, and throws an `InvalidSubject` for the rest.
 *
 * @category constructors
 * @since 0.1.0
 */
export const template = <const T extends string>(text: Literals.TemplateLiteral<T>): Template<T> =>
  orThrow(template, SubjectTemplate.make(text)) as Template<string> as Template<T>

/**
 * A template from any string. Its parameters are known at run time only.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeTemplate = (template: string): Effect.Effect<Template, InvalidSubject> =>
  Effect.fromResult(SubjectTemplate.make(template))

/**
 * @category guards
 * @since 0.1.0
 */
export const isTemplate = (value: unknown): value is Template =>
  typeof value === "object" && value !== null && TemplateTypeId in value

/**
 * Whether a subscription to the pattern receives what is published to the subject, by the server's rules. `false` where one
 * of them is invalid.
 *
 * @category predicates
 * @since 0.1.0
 */
export const matches = (pattern: string, subject: string): boolean =>
  patternProblem(pattern) === undefined && subjectProblem(subject) === undefined && matchesValid(pattern, subject)
