/**
 * Options of which each is a `Config`. Effect's own error tells of the first one only, and that a variable which is not
 * there is no string.
 */
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as SchemaIssue from "effect/SchemaIssue"
import { formatPath } from "../payload/formatPath.ts"

/** As a `NatsConfigError` has it. */
export interface VariableProblem {
  /** The variable as the `Config` calls it, such as `BROKER`. */
  readonly path: string
  readonly problem: string
}

type Wrapped = Config.Config<unknown> | { readonly [key: string]: Wrapped | undefined }

/** The options, or what is wrong with the variables, all of them. Fails where the provider itself cannot be read. */
export const readWrapped = (
  wrapped: Wrapped
): Effect.Effect<Result.Result<unknown, ReadonlyArray<VariableProblem>>, Config.ConfigError> =>
  Effect.gen(function*() {
    const provider = yield* ConfigProvider.ConfigProvider
    const problems: Array<VariableProblem> = []
    const read = (wrapped: Wrapped, option: ReadonlyArray<string>): Effect.Effect<unknown, Config.ConfigError> => {
      // What came without types, and is no record of them, is judged with the options.
      if (!Config.isConfig(wrapped)) return isRecord(wrapped) ? readRecord(wrapped, option) : Effect.succeed(wrapped)
      return Effect.catch(wrapped.parse(provider), (error) => {
        if (error.cause._tag === "SourceError") return Effect.fail(error)
        return Effect.map(describe(provider, formatPath(option), error.cause.issue), (found) => {
          problems.push(...found)
          return undefined
        })
      })
    }
    const readRecord = (record: Exclude<Wrapped, Config.Config<unknown>>, option: ReadonlyArray<string>) =>
      Effect.gen(function*() {
        const options: Record<string, unknown> = {}
        for (const [key, value] of Object.entries(record)) {
          if (value !== undefined) options[key] = yield* read(value, [...option, key])
        }
        return options
      })
    const options = yield* read(wrapped, [])
    return problems.length === 0 ? Result.succeed(options) : Result.fail(problems)
  })

const isRecord = (value: unknown): boolean => {
  if (typeof value !== "object" || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || prototype === Object.prototype
}

const format = SchemaIssue.makeFormatterStandardSchemaV1()

const describe = (
  provider: ConfigProvider.ConfigProvider,
  option: string,
  issue: SchemaIssue.Issue
): Effect.Effect<ReadonlyArray<VariableProblem>, Config.ConfigError> =>
  Effect.forEach(format(issue).issues, ({ message, path = [] }) => {
    const keys = path.map((part) => typeof part === "object" ? part.key : part)
      .map((key) => typeof key === "symbol" ? String(key) : key)
    if (keys.length === 0) return Effect.succeed({ path: option, problem: `is wrong: ${lowerFirst(message)}` })
    const purpose = option === "" ? "" : ` for \`${option}\``
    return Effect.map(isSet(provider, keys), (set) => ({
      path: formatPath(keys),
      problem: !set
        ? `is not set, and is needed${purpose}: set it, or give a default with Config.withDefault`
        : purpose === ""
        ? message
        : `is wrong${purpose}: ${lowerFirst(message)}`
    }))
  })

/** An empty variable is as good as none, as everywhere in Effect. */
const isSet = (
  provider: ConfigProvider.ConfigProvider,
  path: ReadonlyArray<string | number>
): Effect.Effect<boolean, Config.ConfigError> =>
  Effect.mapBoth(provider.load(path), {
    onFailure: (error) => new Config.ConfigError(error),
    onSuccess: (node) => node?.value !== undefined && node.value !== ""
  })

const lowerFirst = (text: string): string => text.charAt(0).toLowerCase() + text.slice(1)
