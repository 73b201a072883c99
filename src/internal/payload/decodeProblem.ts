/**
 * What is wrong with a payload, or with a value that is to become one: where, and why. Never any of it.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import { shownProblem } from "../protocol/shown.ts"
import { formatPath } from "./formatPath.ts"
import { namesIn, noNames } from "./schemaNames.ts"

/**
 * What a codec fails with: what is wrong, and where.
 *
 * @category models
 * @since 0.2.0
 */
export interface Problem {
  /** Such as `items[2].price`. Empty for the whole. Keys that no schema names are not told. */
  readonly path: string
  readonly problem: string
}

const format = SchemaIssue.makeFormatterStandardSchemaV1()

const longestPath = 256

/** Stands for a key that no schema names: of a record, or one too many. It is its sender's text, as the values are. */
const someKey = "<key>"

/** A decoder of the user's own, within a transformation, can be told to report what it was given. */
const withoutInput = <I extends SchemaIssue.Issue>(issue: I): I => {
  if (!SchemaIssue.hasInput(issue)) return issue
  const copy = { ...issue }
  Reflect.deleteProperty(copy, "input")
  return copy
}

const messageOf = (issue: SchemaIssue.Issue): string => format(withoutInput(issue)).issues[0].message

/** The words of a filter, `undefined` where those of what it has found are to be told. */
const messageOfFilter = (filter: SchemaIssue.Filter): string | undefined => {
  const issue = { ...filter, issue: withoutInput(filter.issue) }
  return filter.issue._tag === "InvalidValue" ? messageOf(issue) : SchemaIssue.defaultCheckHook(issue)
}

/** Where a value does not fit its schema, and what was expected there: of the first thing that is wrong. */
export const describeIssue = (found: SchemaIssue.Issue): Problem => {
  const path: Array<unknown> = []
  let message: string | undefined
  let names: ReadonlySet<PropertyKey> = noNames
  let issue = found
  while (true) {
    if ("ast" in issue) names = namesIn(issue.ast)
    if (issue._tag === "Filter") message ??= messageOfFilter(issue)
    if (issue._tag === "Pointer") {
      const known = names
      path.push(...issue.path.map((key) => typeof key === "number" || known.has(key) ? key : someKey))
    }
    if (issue._tag === "Composite" || (issue._tag === "AnyOf" && issue.issues.length > 0)) issue = issue.issues[0]
    else if ("issue" in issue) issue = issue.issue
    else break
  }
  return { path: formatPath(path, longestPath), problem: shownProblem(message ?? messageOf(issue)) }
}

export const describeSchemaError = (error: Schema.SchemaError): Problem => describeIssue(error.issue)

/** The words for what a codec threw: its own message may quote the payload. */
export const describeThrown = (thrown: unknown): Problem => ({ path: "", problem: wordsFor(thrown) })

const wordsFor = (thrown: unknown): string => {
  try {
    // A recursive schema takes a few frames of the stack for each level of the payload.
    if (thrown instanceof RangeError && /call stack/i.test(thrown.message)) return "it is nested too deeply"
    if (thrown instanceof Error && /^\w{1,64}$/.test(thrown.name)) return `its codec threw ${thrown.name}`
  } catch {
    // What was thrown throws when it is looked at.
  }
  return "its codec threw something"
}

/**
 * A decoder or an encoder that never throws or dies: a payload that makes it do so is a payload that does not fit, and
 * must neither end a stream nor leave a request without its answer. The result is an `Exit` wherever that of `run` is.
 * `describe` gives the failure for one of `run`, `wrap` for what `run` threw.
 */
export const neverThrowing = <Input extends ReadonlyArray<unknown>, A, E, R, P>(
  run: (...input: Input) => Effect.Effect<A, E, R>,
  describe: (error: E) => P,
  wrap: (thrown: Problem) => P
): (...input: Input) => Effect.Effect<A, P, R> => {
  const explain = (cause: Cause.Cause<E>, mayBeInterrupted = true): Exit.Exit<never, P> => {
    const found = Cause.findErrorOption(cause)
    if (found._tag === "None") {
      return mayBeInterrupted && Cause.hasInterrupts(cause)
        ? Exit.failCause(cause as Cause.Cause<never>)
        : Exit.fail(wrap(describeThrown(Cause.squash(cause))))
    }
    try {
      return Exit.fail(describe(found.value))
    } catch (thrown) {
      // What is wrong is so deep within the payload that it cannot be put into words.
      return Exit.fail(wrap(describeThrown(thrown)))
    }
  }
  return (...input) => {
    let result: Effect.Effect<A, E, R>
    try {
      result = run(...input)
    } catch (thrown) {
      return Exit.fail(wrap(describeThrown(thrown)))
    }
    if (Exit.isExit(result)) {
      // Nobody has interrupted what is done at once.
      return Exit.isSuccess(result) ? result as Exit.Exit<A, never> : explain(result.cause as Cause.Cause<E>, false)
    }
    return Effect.isEffect(result)
      ? Effect.catchCause(result, (cause) => explain(cause))
      : Exit.fail(wrap(describeThrown(result)))
  }
}
