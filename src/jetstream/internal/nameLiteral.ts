/**
 * The rules of `names.ts` and of patterns for string literals, told by the compiler. A type is the literal itself where it is
 * valid, else the problem as text.
 */
import type { PatternLiteral } from "../../internal/subject/literal.ts"

type Unfit =
  | " "
  | "\t"
  | "\n"
  | "\r"
  | "\f"
  | "."
  | "*"
  | ">"
  | "/"
  | "\\"

type NameProblem<S extends string> = S extends "" ? "it is empty"
  : S extends `${string}${Unfit}${string}` ? "it has white space, a dot, a wildcard or a slash in it"
  : never

/**
 * Any string, except a literal of which the compiler can tell that it is no name.
 *
 * @category models
 * @since 0.2.0
 */
export type CheckedName<S extends string> = string extends S ? S
  : [NameProblem<S>] extends [never] ? S
  : `invalid name: ${NameProblem<S>}`

/**
 * Any string, except a literal of which the compiler can tell that it is no pattern. Of several literals, each for itself.
 *
 * @category models
 * @since 0.2.0
 */
export type CheckedPattern<S extends string> = S extends string ? string extends S ? S : PatternLiteral<S> : never
