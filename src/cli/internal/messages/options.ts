/**
 * Options that commands with messages share, and what is read of them before anything is dialled.
 */
import * as Argument from "effect/cli/Argument"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { InvalidHeader } from "../../../NatsError.ts"
import * as NatsHeaders from "../../../NatsHeaders.ts"
import { UsageError } from "../failure.ts"

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
