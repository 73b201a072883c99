/**
 * Options that commands with messages share, and what is read of them before anything is dialled.
 */
import * as Argument from "effect/cli/Argument"
import * as Flag from "effect/cli/Flag"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { InvalidHeader } from "../../../NatsError.ts"
import * as NatsHeaders from "../../../NatsHeaders.ts"
import { UsageError } from "../failure.ts"

/** The longest time that a timer takes: 24 days. */
const longestMillis = 2_147_483_647

const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

const readTime = (text: string): Option.Option<Duration.Duration> => {
  const short = /^(\d{1,16}(?:\.\d{1,16})?)(ms|s|m|h)?$/.exec(text)
  const given = short === null
    ? Duration.fromInput(text as Duration.Input)
    : Option.some(Duration.millis(Number(short[1]) * units[short[2] ?? "ms"]))
  return Option.filter(given, (duration) => {
    const millis = Duration.toMillis(duration)
    return millis >= 1 && millis <= longestMillis
  })
}

/** A time, such as `2s` or `500 millis`. */
export const timeFlag = (name: string, description: string): Flag.Flag<Duration.Duration | undefined> =>
  Flag.String(name).pipe(
    Flag.withMetavar("TIME"),
    Flag.withDescription(description),
    Flag.filterMap(readTime, () => "a time such as \"500ms\", \"2s\" or \"5 minutes\", at most 24 days"),
    Flag.optional,
    Flag.map(Option.getOrUndefined)
  )

const most = 999_999_999

export const countFlag = (name: string, description: string): Flag.Flag<number | undefined> =>
  Flag.Int(name).pipe(
    Flag.withMetavar("N"),
    Flag.withDescription(description),
    Flag.filter((count) => count >= 1 && count <= most, () => `a whole number from 1 to ${most}`),
    Flag.optional,
    Flag.map(Option.getOrUndefined)
  )

export const switchFlag = (name: string, description: string): Flag.Flag<boolean> =>
  Flag.Boolean(name).pipe(Flag.withDescription(description), Flag.withDefault(false), Flag.withoutNegation)

export const textFlag = (name: string, metavar: string, description: string): Flag.Flag<string | undefined> =>
  Flag.String(name).pipe(
    Flag.withMetavar(metavar),
    Flag.withDescription(description),
    Flag.optional,
    Flag.map(Option.getOrUndefined)
  )

export const headerFlag: Flag.Flag<ReadonlyArray<string>> = Flag.String("header").pipe(
  Flag.withAlias("H"),
  Flag.withMetavar("\"NAME: VALUE\""),
  Flag.withDescription("A header of the message; may be given several times"),
  Flag.atLeast(0)
)

export const subjectArgument: Argument.Argument<string> = Argument.String("subject").pipe(
  Argument.withDescription("The subject, without wildcards")
)

export const payloadArgument: Argument.Argument<string | undefined> = Argument.String("payload").pipe(
  Argument.withDescription("The payload, or - for stdin; without it stdin is read where it is a pipe or a file"),
  Argument.optional,
  Argument.map(Option.getOrUndefined)
)

/** The headers of `--header`, names with all their values. No failure has a value. */
export const readHeaders = Effect.fnUntraced(
  function*(
    given: ReadonlyArray<string>
  ): Effect.fn.Return<Record<string, ReadonlyArray<string>> | undefined, InvalidHeader | UsageError> {
    if (given.length === 0) return undefined
    const headers = new Map<string, Array<string>>()
    for (const [index, header] of given.entries()) {
      const colon = header.indexOf(":")
      if (colon < 0) {
        return yield* new UsageError({
          problem: `${given.length === 1 ? "--header" : `--header number ${index + 1}`} has no colon: write it as ` +
            "\"Name: value\", in quotes."
        })
      }
      const name = yield* NatsHeaders.makeName(header.slice(0, colon))
      const value = yield* NatsHeaders.makeValue(name, header.slice(colon + 1).trim())
      headers.set(name, [...headers.get(name) ?? [], value])
    }
    return Object.fromEntries(headers)
  }
)

/** Fails where two options are given that exclude each other. */
export const notTogether = (
  ...pairs: ReadonlyArray<readonly [one: string, isOne: boolean, other: string, isOther: boolean, why: string]>
): Effect.Effect<void, UsageError> => {
  const pair = pairs.find(([, isOne, , isOther]) => isOne && isOther)
  return pair === undefined
    ? Effect.void
    : Effect.fail(new UsageError({ problem: `${pair[0]} and ${pair[2]} do not go together: ${pair[4]}.` }))
}
