/**
 * Reads the variables of a configuration, and tells of those that are none.
 */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { NatsConfig } from "../../NatsConfig.ts"
import { decodePlain } from "./codec.ts"
import { decodeConfig } from "./config.ts"
import { fromVariables, names, toVariables, withPrefix } from "./environment.ts"
import type { Problem } from "./problems.ts"
import { noteHint, setUnread, unreadNames, unreadProblems, unreadText } from "./unread.ts"

/**
 * The variables that are set and not read, without prefix. Nothing is asked of a provider that does not list its keys: for
 * one that is a service far away each name is a question.
 */
const unread = (prefix: string): Config.Config<ReadonlyArray<string>> => {
  const text = Schema.optionalKey(Schema.UndefinedOr(Schema.String))
  const names = unreadNames.map((name) => withPrefix(prefix, name))
  return Config.schema(Schema.Struct(Object.fromEntries(names.map((name) => [name, text])))).pipe(
    Config.map((texts) => setUnread(Object.fromEntries(names.map((name, i) => [unreadNames[i], texts[name]])))),
    Config.orElse(() => Config.succeed<ReadonlyArray<string>>([]))
  )
}

/** What the variables describe, read through the `ConfigProvider` in use. */
export const environment = (prefix: string): Config.Config<Result.Result<NatsConfig, ReadonlyArray<Problem>>> =>
  Config.all([
    Config.all(names.map((name) => Config.option(Config.String(withPrefix(prefix, name))))),
    unread(prefix)
  ]).pipe(
    Config.map(([texts, others]) => {
      const { credentials, input, problems } = fromVariables(prefix, (name) => texts[names.indexOf(name)])
      const decoded = decodePlain(input, decodeConfig)
      const found = [
        ...problems,
        ...(decoded._tag === "Failure" ? decoded.failure.map(toVariables(prefix, credentials)) : [])
      ]
      const result = found.length === 0 ? decoded : Result.fail([...found, ...unreadProblems(prefix, others)])
      return { result, hint: others.length === 0 ? undefined : unreadText(prefix, others) }
    }),
    Config.mapEffect(({ hint, result }) => {
      if (hint === undefined) return Effect.succeed(result)
      if (Result.isSuccess(result)) noteHint(result.success, hint)
      return Effect.as(Effect.logWarning(hint), result)
    })
  )
