/**
 * The live table: what services do, asked again and again.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as NatsClient from "../../../NatsClient.ts"
import { type Counted, type Rate, ratesOf } from "../../../service/internal/rates.ts"
import type { DiscoveryError } from "../../../service/ServiceDiscovery.ts"
import * as Output from "../output.ts"
import { type Asked, statistics } from "./discovering.ts"
import { nanosText } from "./report.ts"
import { alternateScreen, draw, isTerminal, type Size, sizeOf } from "./screen.ts"

export interface TopOptions extends Asked {
  readonly interval?: Duration.Duration | undefined
  readonly count?: number | undefined
  readonly json: boolean
}

const defaultInterval = Duration.seconds(1)

/** Each table asks every service. */
export const shortestInterval = Duration.millis(100)

/** The longest silence after an answer that still belongs to the same table. */
const longestStall = Duration.millis(300)

const rateText = (perSecond: number): string => perSecond >= 100 ? perSecond.toFixed(0) : perSecond.toFixed(1)

const rowOf = (rate: Rate): ReadonlyArray<string> => [
  Output.shown(rate.service, 40),
  Output.shown(rate.endpoint, 40),
  String(rate.instances),
  rateText(rate.requestsPerSecond),
  rateText(rate.errorsPerSecond),
  rate.average === undefined ? "-" : nanosText(rate.average),
  String(rate.requests),
  String(rate.errors),
  Output.shown(rate.lastError, 80)
]

const head = ["SERVICE", "ENDPOINT", "INST", "REQ/S", "ERR/S", "AVERAGE", "REQUESTS", "ERRORS", "LAST ERROR"]

const cut = (line: string, columns: number): string => line.length <= columns ? line : `${line.slice(0, columns - 1)}…`

/** The table as it fits: the busiest rows, and how many there are besides. */
export const topLines = (title: string, rates: ReadonlyArray<Rate>, { columns, rows }: Size): ReadonlyArray<string> => {
  const room = Math.max(1, rows - 3)
  const isCut = rates.length > room
  const visible = isCut ? rates.slice(0, room - 1) : rates
  const lines = Output.table([head, ...visible.map(rowOf)])
  const rest = rates.length - visible.length
  return [
    title,
    "",
    ...(rates.length === 0 ? ["No service answers."] : lines),
    ...(rest > 0 ? [`… and ${rest} more`] : [])
  ].map((line) => cut(line, columns))
}

/** Where it is no terminal, a table has all rows. */
const unbounded: Size = { columns: 1000, rows: 1003 }

/** Draws table after table. Ends after `count` of them, or when the client does. */
export const top = (
  options: TopOptions
): Effect.Effect<void, DiscoveryError, NatsClient.NatsClient | Scope.Scope> =>
  Effect.gen(function*() {
    const { count = Infinity, interval = defaultInterval, json } = options
    const client = yield* NatsClient.NatsClient
    const onScreen = !json && isTerminal()
    if (onScreen) yield* alternateScreen
    const stall = Duration.min(longestStall, Duration.divideUnsafe(interval, 2))
    let before: Counted | undefined
    for (let shown = 0; shown < count; shown++) {
      const began = performance.now()
      const services = yield* askedAgain(options, stall, onScreen)
      const snapshot: Counted = { at: performance.now(), services }
      const rates = ratesOf(before, snapshot)
      const at = new Date(yield* Clock.currentTimeMillis).toISOString()
      if (json) {
        yield* Output.json({ at, services: rates }, true)
      } else {
        const { server } = yield* serverOf(client)
        const title = `${at}  ${server}  every ${Duration.format(interval)}`
        const size = onScreen ? sizeOf() : unbounded
        const lines = topLines(title, rates, size)
        yield* onScreen ? draw(lines, size) : Output.line([...lines, ""].join("\n"))
      }
      before = snapshot
      if (shown + 1 < count) yield* Effect.sleep(Math.max(0, Duration.toMillis(interval) - (performance.now() - began)))
    }
  })

const serverOf = (client: NatsClient.NatsClient): Effect.Effect<{ readonly server: string }> =>
  Effect.map(client.state, (state) => ({ server: state._tag === "Connected" ? state.server : "no server" }))

/** A connection that is lost is waited for: the table goes on when it is back. */
const askedAgain = (
  options: TopOptions,
  stall: Duration.Duration,
  onScreen: boolean
): ReturnType<typeof statistics> =>
  Effect.catchTag(statistics(options, stall), "ConnectionLost", (error) => {
    const text = `The connection is lost: ${Output.shown(error.reason.message)}`
    const said = onScreen ? draw([text], sizeOf()) : Output.aside(text)
    return Effect.andThen(said, Effect.suspend(() => askedAgain(options, stall, onScreen)))
  })
