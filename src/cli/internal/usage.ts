/**
 * What is said of a command line that no command takes. A value of it is never repeated: it may be a secret in the wrong
 * place.
 */
import type * as CliError from "effect/cli/CliError"
import { UsageError } from "./failure.ts"
import { shown } from "./output.ts"

/** Options that other tools take secrets with. */
const secretOption = /^--?(?:pass(?:word|phrase)?|token|seed|nkey(?:-?seed)?|jwt|user-?jwt|secret|auth|key)(?:=|$)/i

/** Refuses a secret before anything else looks at the command line. */
export const secretOnCommandLine = (args: ReadonlyArray<string>): UsageError | undefined => {
  const end = args.indexOf("--")
  const found = (end < 0 ? args : args.slice(0, end)).find((arg) => secretOption.test(arg))
  return found === undefined ? undefined : new UsageError({
    problem: `${found.replace(/=.*$/s, "")} is no option: a secret on the command line is read by every user of the ` +
      "machine. Set NATS_PASSWORD, NATS_TOKEN, NATS_NKEY_SEED or NATS_CREDS_FILE, or give --creds, --config or --context."
  })
}

const isWord = (text: string): boolean => /^[a-z][a-z-]{0,24}$/.test(text)

const suggested = (names: ReadonlyArray<string>): string =>
  names.length === 0 ? "" : ` Did you mean ${names.map((name) => shown(name, 64)).join(" or ")}?`

const optionName = (option: string): string => {
  const name = option.replace(/=.*$/s, "")
  // As options are named. What has a digit in it may be anything.
  return /^--?[A-Za-z]+(?:-[A-Za-z]+)*$/.test(name) && name.length <= 32 ? name : "What begins with a dash"
}

/** The parser's words for what would be right, which begin in more than one way. */
const expectation = (expected: string): string =>
  shown(expected.replace(/^Schema validation failed: /, "").replace(/^Expected /, ""), 256)

/** More than a letter behind one dash, which is neither a number nor a letter with its value. */
const cluster = /^-(?!-)(?!(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$)[^=][^=]/

/** Refuses a row of single letters, as the parser takes it: where there is an `h` in it, it would show the help. */
export const rowOfLetters = (args: ReadonlyArray<string>): UsageError | undefined => {
  const end = args.indexOf("--")
  return (end < 0 ? args : args.slice(0, end)).some((arg) => cluster.test(arg))
    ? new UsageError({
      problem:
        "Something begins with a dash and is not an option: an argument that begins so stands behind --, and a " +
        "letter such as -s stands apart from its value."
    })
    : undefined
}

/** One sentence for an error of the parser. */
export const problemOf = (error: CliError.NonShowHelpErrors): string => {
  switch (error._tag) {
    case "UnrecognizedOption":
      return `${optionName(error.option)} is not an option of this command.${suggested(error.suggestions)}`
    case "UnknownSubcommand":
      return isWord(error.subcommand)
        ? `"${error.subcommand}" is not a command.${suggested(error.suggestions)}`
        : "There is no such command."
    case "DuplicateOption":
      return "An option is defined twice."
    case "MissingOption":
      return `--${error.option.replace(/^-+/, "")} is required.`
    case "MissingArgument":
      return `${error.argument.toUpperCase()} is missing.`
    case "UnexpectedArgument":
      return "There is an argument too many: quote what has spaces in it."
    case "InvalidValue":
      return error.kind === "argument"
        ? `${error.option.toUpperCase()} is not right: expected ${expectation(error.expected)}.`
        : `--${error.option.replace(/^-+/, "")} has a wrong value: expected ${expectation(error.expected)}.`
    default:
      return shown(error.message, 512)
  }
}
