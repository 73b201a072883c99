/**
 * Times, as the command line has them.
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"

/** The longest time that a timer takes: 24 days. */
const longestMillis = 2_147_483_647

/** What the units of the command line are called in a configuration. */
const units: Readonly<Record<string, readonly [name: string, millis: number]>> = {
  ms: ["millis", 1],
  s: ["seconds", 1000],
  m: ["minutes", 60_000],
  h: ["hours", 3_600_000]
}

const shortTime = /^(\d{1,16}(?:\.\d{1,16})?)(ms|s|m|h)$/

/** A time such as `2s` in the words of a configuration, which are longer. Any other text is as it was. */
export const longForm = (text: string): string => {
  const [, amount, unit] = shortTime.exec(text) ?? []
  return unit === undefined ? text : `${amount} ${units[unit][0]}`
}

/** A time of the command line, from a millisecond on. */
export const readTime = (text: string): Option.Option<Duration.Duration> => {
  const [, amount, unit] = shortTime.exec(/^\d/.test(text) && /[\d.]$/.test(text) ? `${text}ms` : text) ?? []
  const given = unit === undefined
    ? Duration.fromInput(text as Duration.Input)
    : Option.some(Duration.millis(Number(amount) * units[unit][1]))
  return Option.filter(given, (duration) => {
    const millis = Duration.toMillis(duration)
    return millis >= 1 && millis <= longestMillis
  })
}
