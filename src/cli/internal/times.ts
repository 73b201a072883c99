/**
 * Moments, durations and sizes, as people read them.
 */

const units: ReadonlyArray<readonly [name: string, millis: number]> = [
  ["day", 86_400_000],
  ["hour", 3_600_000],
  ["minute", 60_000],
  ["second", 1000]
]

const span = (millis: number): string => {
  const [name, size] = units.find(([, size]) => millis >= 2 * size) ?? units[units.length - 1]
  const count = Math.floor(millis / size)
  return `${count} ${name}${count === 1 ? "" : "s"}`
}

/** A moment, and how far away it is. */
export const untilText = (at: number, now: number): string =>
  `${new Date(at).toISOString().replace(/\.\d+Z$/, "Z")} (${
    at >= now ? `in ${span(at - now)}` : `${span(now - at)} ago`
  })`

/** Milliseconds of a stage: enough to compare, and no more. */
export const millisText = (millis: number): string => `${millis < 10 ? millis.toFixed(1) : Math.round(millis)} ms`

export const bytesText = (bytes: number): string => {
  const names = ["B", "KiB", "MiB", "GiB", "TiB"]
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < names.length - 1) {
    value /= 1024
    unit += 1
  }
  return `${Number(value.toFixed(1))} ${names[unit]}`
}

/** A moment for programs. */
export const isoText = (at: number | undefined): string | undefined =>
  at === undefined ? undefined : new Date(at).toISOString()
