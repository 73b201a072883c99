/**
 * A scripted server: says and does on the wire what a real nats-server cannot be made to.
 *
 * Each connection is led through a script, a list of steps. After the last step the connection stays open and silent.
 * Everything that clients send is kept. Prefer a real server wherever it can produce the situation.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { TestFakeServer } from "effect-nats/testing"
 *
 * const program = Effect.gen(function*() {
 *   const server = yield* TestFakeServer.make([
 *     { send: TestFakeServer.info({ max_payload: 1024 }) },
 *     { expect: "CONNECT" },
 *     { send: "-ERR 'Authorization Violation'\r\n" },
 *     { end: "FIN" }
 *   ])
 *   yield* Effect.log(`connect to ${server.url}`)
 * }).pipe(Effect.scoped)
 * ```
 *
 * @since 0.2.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { FakeConnection } from "./internal/fakeConnection.ts"
import { endSocket, listen } from "./internal/loopback.ts"

/**
 * One step of a script.
 *
 * - `send`: these bytes, in one write.
 * - `expect`: wait until the client has sent a line that starts with the text or matches, looking behind the line that the
 *   step before found.
 * - `expectLines`: wait for that many lines.
 * - `expectSilence`: wait that long, of real time; anything the client sends meanwhile is a problem.
 * - `wait`: wait that long, of real time.
 * - `end`: end the connection, in order or as a crash does. The script is over.
 * - `answerPings`: from here on each PING line is answered with PONG, beside the script.
 *
 * @category models
 * @since 0.2.0
 */
export type Step =
  | { readonly send: string | Uint8Array }
  | { readonly expect: string | RegExp }
  | { readonly expectLines: number }
  | { readonly expectSilence: Duration.Input }
  | { readonly wait: Duration.Input }
  | { readonly end: "FIN" | "RST" }
  | { readonly answerPings: true }

/**
 * @category models
 * @since 0.2.0
 */
export type Script = ReadonlyArray<Step>

/**
 * A running fake server.
 *
 * @category models
 * @since 0.2.0
 */
export interface TestFakeServer {
  /** `nats://127.0.0.1:<port>`. */
  readonly url: string
  readonly port: number
  /** Connections accepted so far. */
  readonly accepted: Effect.Effect<number>
  /** Connections that are open now. */
  readonly connections: Effect.Effect<number>
  /** What the client of a connection sent, counted from 0. Default: the latest. Empty when there is none. */
  readonly received: (connection?: number) => Effect.Effect<string>
  /** Waits until a connection, counted from 0, has come to the end of its script, or is closed. */
  readonly scriptEnd: (connection?: number) => Effect.Effect<void>
  /** What went against the scripts: something sent where silence was expected, the end before an expected line. */
  readonly problems: Effect.Effect<ReadonlyArray<string>>
}

/**
 * Starts a fake server. The script may depend on the connection's number, counted from 0. It listens until the scope
 * closes, and its connections end (`RST`) with it.
 *
 * @category constructors
 * @since 0.2.0
 */
export const make: (
  script: Script | ((connection: number) => Script)
) => Effect.Effect<TestFakeServer, never, Scope.Scope> = Effect.fnUntraced(function*(script) {
  const all: Array<FakeConnection> = []
  const problems: Array<string> = []
  const waiting = new Set<() => void>()

  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      for (const connection of all) connection.stop()
    })
  )
  const run = Effect.runForkWith(yield* Effect.context<never>())
  const { port } = yield* listen((socket) => {
    const number = all.length
    const connection = new FakeConnection(socket)
    all.push(connection)
    const steps = typeof script === "function" ? script(number) : script
    const fiber = run(Effect.forEach(steps, (step) => perform(connection, step, `connection ${number}`, problems), {
      discard: true
    }))
    connection.onClose(() => fiber.interruptUnsafe())
    fiber.addObserver(() => connection.finished())
    for (const wake of waiting) wake()
  }, { allowHalfOpen: false })

  const connected = (number: number): Effect.Effect<FakeConnection> =>
    Effect.callback((resume) => {
      const look = (): void => {
        const connection = all[number]
        if (connection !== undefined) {
          waiting.delete(look)
          resume(Effect.succeed(connection))
        }
      }
      waiting.add(look)
      look()
      return Effect.sync(() => waiting.delete(look))
    })

  return {
    url: `nats://127.0.0.1:${port}`,
    port,
    accepted: Effect.sync(() => all.length),
    connections: Effect.sync(() => all.filter((connection) => !connection.isClosed).length),
    received: (number) => Effect.sync(() => (number === undefined ? all.at(-1) : all[number])?.text ?? ""),
    scriptEnd: (number) =>
      Effect.flatMap(
        connected(number ?? 0),
        (connection) => Effect.callback((resume) => connection.onFinished(() => resume(Effect.void)))
      ),
    problems: Effect.sync(() => [...problems])
  }
})

/**
 * An INFO line of an ordinary server, with the given fields in place of its own.
 *
 * @category constructors
 * @since 0.2.0
 */
export const info = (fields?: Readonly<Record<string, unknown>>): string =>
  `INFO ${
    JSON.stringify({
      server_id: "FAKE",
      server_name: "fake",
      version: "2.10.27",
      proto: 1,
      headers: true,
      max_payload: 1_048_576,
      ...fields
    })
  }\r\n`

/**
 * The start of a script that lets the client in and keeps it: INFO, CONNECT, PING, PONG, and PONG from then on.
 *
 * @category constructors
 * @since 0.2.0
 */
export const handshake = (fields?: Readonly<Record<string, unknown>>): Script => [
  { send: info(fields) },
  { expect: "CONNECT" },
  { answerPings: true },
  { expect: "PING" }
]

// internal

const perform = (
  connection: FakeConnection,
  step: Step,
  name: string,
  problems: Array<string>
): Effect.Effect<void> => {
  if ("send" in step) return Effect.sync(() => connection.send(step.send))
  if ("answerPings" in step) return Effect.sync(() => connection.answerPings())
  if ("end" in step) return Effect.sync(() => endSocket(connection.socket, step.end))
  if ("wait" in step) return connection.realTime(step.wait)
  if ("expectSilence" in step) {
    return Effect.suspend(() => {
      const before = connection.text.length
      return Effect.andThen(
        connection.realTime(step.expectSilence),
        Effect.sync(() => {
          if (connection.text.length > before) {
            problems.push(`${name}: silence was expected, came ${JSON.stringify(connection.text.slice(before))}`)
          }
        })
      )
    })
  }
  const wanted = "expectLines" in step ? `${step.expectLines} lines` : String(step.expect)
  return Effect.onInterrupt(
    "expectLines" in step ? connection.lines(step.expectLines) : connection.line(step.expect),
    () => Effect.sync(() => problems.push(`${name}: ended before ${wanted}`))
  )
}
