/**
 * The rules of `protocol/subject.ts` for string literals, told by the compiler. A type is the literal itself where it is
 * valid, else the problem as text, so that the compiler's message names it.
 */

type Blank =
  | " "
  | "\t"
  | "\n"
  | "\v"
  | "\f"
  | "\r"
  | "\u0085"
  | "\u00a0"
  | "\u1680"
  | "\u2000"
  | "\u2001"
  | "\u2002"
  | "\u2003"
  | "\u2004"
  | "\u2005"
  | "\u2006"
  | "\u2007"
  | "\u2008"
  | "\u2009"
  | "\u200a"
  | "\u2028"
  | "\u2029"
  | "\u202f"
  | "\u205f"
  | "\u3000"
  | "\ufeff"

/** The control characters that are seen in practice. The others are left to the check at run time. */
type Control = "\0" | "\u0001" | "\u0007" | "\b" | "\u001b" | "\u007f"

type Wildcard = "*" | ">"

type CharacterProblem<S extends string> = S extends `${string}${Blank}${string}` ? "it has whitespace"
  : S extends `${string}${Control}${string}` ? "it has a control character"
  : never

type SubjectProblem<S extends string> = S extends "" ? "it is empty"
  : S extends `.${string}` ? "it starts with a dot"
  : S extends `${string}.` ? "it ends with a dot"
  : S extends `${string}..${string}` ? "it has an empty token"
  : S extends `${string}${Wildcard}${string}` ? "wildcards are for subscribing"
  : CharacterProblem<S>

type PatternTokenProblem<S extends string> = S extends Wildcard ? never
  : S extends `${string}${Wildcard}${string}` ? "a wildcard must be a token of its own"
  : CharacterProblem<S>

type PatternProblem<S extends string> = S extends "" ? "it is empty"
  : S extends `.${string}` ? "it starts with a dot"
  : S extends `${string}.` ? "it ends with a dot"
  : S extends `${string}..${string}` ? "it has an empty token"
  : S extends `>.${string}` | `${string}.>.${string}` ? "\">\" must be the last token"
  : PatternTokens<S>

type PatternTokens<S extends string> = S extends `${infer Token}.${infer Rest}`
  ? PatternTokenProblem<Token> | PatternTokens<Rest>
  : PatternTokenProblem<S>

type Letter =
  | "a"
  | "b"
  | "c"
  | "d"
  | "e"
  | "f"
  | "g"
  | "h"
  | "i"
  | "j"
  | "k"
  | "l"
  | "m"
  | "n"
  | "o"
  | "p"
  | "q"
  | "r"
  | "s"
  | "t"
  | "u"
  | "v"
  | "w"
  | "x"
  | "y"
  | "z"

type TemplateTokenProblem<S extends string> = S extends `{${infer Name}}`
  ? Name extends "" ? "a parameter has a name, as in {id}"
  : Name extends `${string}${"{" | "}"}${string}` ? "a parameter must be a token of its own"
  : Lowercase<Name> extends `${Letter}${string}` ? CharacterProblem<Name>
  : "a parameter's name starts with a letter"
  : S extends `${string}${"{" | "}"}${string}` ? "a parameter must be a token of its own"
  : never

type TemplateTokens<S extends string, Seen extends string = never> = S extends `${infer Token}.${infer Rest}`
  ? TemplateTokenProblem<Token> | Again<Token, Seen> | TemplateTokens<Rest, Seen | Token>
  : TemplateTokenProblem<S> | Again<S, Seen>

type Again<Token extends string, Seen extends string> = Token extends `{${string}}`
  ? Token extends Seen ? "a parameter is named twice"
  : never
  : never

type TemplateProblem<S extends string> = [SubjectProblem<S>] extends [never] ? TemplateTokens<S> : SubjectProblem<S>

type Refused<What extends string, Problem extends string> = `invalid ${What}: ${Problem}`

type NotLiteral<Instead extends string> = `not a literal: use ${Instead}`

/**
 * A literal that is a valid subject. Of any other string it is a sentence that says what is wrong with it.
 *
 * @category models
 * @since 0.2.0
 */
export type SubjectLiteral<S extends string> = string extends S ? NotLiteral<"Subject.make">
  : [SubjectProblem<S>] extends [never] ? S
  : Refused<"subject", SubjectProblem<S>>

/**
 * A literal that is a valid pattern. Of any other string it is a sentence that says what is wrong with it.
 *
 * @category models
 * @since 0.2.0
 */
export type PatternLiteral<S extends string> = string extends S ? NotLiteral<"Subject.makePattern">
  : [PatternProblem<S>] extends [never] ? S
  : Refused<"pattern", PatternProblem<S>>

/**
 * A literal that is a valid template. Of any other string it is a sentence that says what is wrong with it.
 *
 * @category models
 * @since 0.2.0
 */
export type TemplateLiteral<S extends string> = string extends S ? NotLiteral<"Subject.makeTemplate">
  : [TemplateProblem<S>] extends [never] ? S
  : Refused<"template", TemplateProblem<S>>

/** Any string but a literal that is wrong. */
export type CheckedSubject<S extends string> = string extends S ? S : SubjectLiteral<S>

/** What stands between braces. */
export type ParameterName<T extends string> = T extends `${infer Token}.${infer Rest}`
  ? ParameterName<Token> | ParameterName<Rest>
  : T extends `{${infer Name}}` ? Name
  : never
