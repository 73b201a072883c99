/**
 * A TCP proxy on loopback that does to a connection what networks do: delay, cut, reset, swallow, corrupt.
 *
 * It passes bytes between clients and one target and knows NATS only so far as to tell the stages of the handshake apart.
 * Faults are switched on and off while it runs; they concern open connections and new ones alike, except where it says
 * otherwise, and last until `heal`.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { TestNatsProxy, TestNatsServer } from "effect-nats/testing"
 *
 * const program = Effect.gen(function*() {
 *   const server = yield* TestNatsServer.make()
 *   const proxy = yield* TestNatsProxy.make({ port: server.port })
 *   yield* Effect.log(`connect to ${proxy.url}`)
 *   yield* proxy.swallow("toClient") // half-open: nothing comes back any more
 *   yield* proxy.drop("RST")
 *   yield* proxy.heal
 * }).pipe(Effect.scoped)
 * ```
 *
 * Delays are real time, whatever clock a test runs on.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { endSocket, listen, listenOn, stopListening } from "./internal/loopback.ts"
import type { Faults } from "./internal/proxyLink.ts"
import { noFaults, ProxyLink } from "./internal/proxyLink.ts"

/**
 * `toServer`: what clients send. `toClient`: what the server sends.
 *
 * @category models
 * @since 0.1.0
 */
export type Direction = "toServer" | "toClient"

/**
 * How a connection ends: in order (`FIN`), or as after a crash (`RST`).
 *
 * @category models
 * @since 0.1.0
 */
export type Ending = "FIN" | "RST"

/**
 * Where a connection is cut: right after it was accepted; when the server's first bytes are there, before they are passed
 * on; after its INFO line; when the client's CONNECT line is there, before it is passed on; or after that many bytes in a
 * direction, counted from the connection's start.
 *
 * @category models
 * @since 0.1.0
 */
export type CutPoint =
  | "accept"
  | "beforeInfo"
  | "afterInfo"
  | "onConnect"
  | { readonly direction: Direction; readonly bytes: number }

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** The port of the target. */
  readonly port: number
  /** The target's host. Default `127.0.0.1`. */
  readonly host?: string | undefined
  /** Keep what was sent, for `sent`. Default `true`; turn it off for long runs, since it is all held in memory. */
  readonly record?: boolean | undefined
}

/**
 * A running proxy and its faults. None of its effects fails.
 *
 * @category models
 * @since 0.1.0
 */
export interface TestNatsProxy {
  /** `nats://127.0.0.1:<port>`. */
  readonly url: string
  readonly port: number
  /** Connections of clients that are open now. */
  readonly connections: Effect.Effect<number>
  /** Connections accepted so far. */
  readonly accepted: Effect.Effect<number>
  /** What clients sent, or were sent, over all connections, as it came in: before delays, cuts and corruption. */
  readonly sent: (direction: Direction) => Effect.Effect<Buffer>
  /** Passes bytes on so much later, in order. `0` passes them on at once. */
  readonly delay: (delay: Duration.Input, direction?: Direction) => Effect.Effect<void>
  /** Cuts connections that come to this point. Default `FIN`, and every connection (`times` of them, if given). */
  readonly cut: (
    point: CutPoint,
    options?: { readonly how?: Ending | undefined; readonly times?: number | undefined }
  ) => Effect.Effect<void>
  /** Drops everything from now on, silently, in one direction or in both. */
  readonly swallow: (direction?: Direction) => Effect.Effect<void>
  /** Flips the bits of the byte at this position of each connection, counted from 0 at its start. */
  readonly corrupt: (direction: Direction, position: number) => Effect.Effect<void>
  /** Stops listening: new connections are refused. Open ones go on. */
  readonly refuse: Effect.Effect<void>
  /** Ends all open connections, on both sides. Default `FIN`. */
  readonly drop: (how?: Ending) => Effect.Effect<void>
  /** Ends all faults and listens again. What was swallowed or corrupted stays so. */
  readonly heal: Effect.Effect<void>
}

/**
 * Starts a proxy. It listens until the scope closes, and its connections end (`RST`) with it.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: (options: Options) => Effect.Effect<TestNatsProxy, never, Scope.Scope> = Effect.fnUntraced(
  function*(options: Options) {
    const links = new Set<ProxyLink>()
    const record: Record<Direction, Array<Buffer>> = { toServer: [], toClient: [] }
    const keep = options.record ?? true
    const faults: Faults = noFaults()
    let accepted = 0

    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        for (const link of links) link.end("RST")
      })
    )
    const { port, server } = yield* listen((client) => {
      accepted += 1
      if (faults.cut?.point === "accept" && faults.cut.take()) {
        client.on("error", () => {})
        endSocket(client, faults.cut.how)
        return
      }
      const link = new ProxyLink({
        client,
        host: options.host ?? "127.0.0.1",
        port: options.port,
        faults,
        onData: (direction, chunk) => {
          if (keep) record[direction].push(chunk)
        },
        onEnd: () => links.delete(link)
      })
      links.add(link)
    }, { allowHalfOpen: true })

    const set = (change: () => void): Effect.Effect<void> => Effect.sync(change)
    const directions = (direction: Direction | undefined): ReadonlyArray<Direction> =>
      direction === undefined ? ["toServer", "toClient"] : [direction]

    return {
      url: `nats://127.0.0.1:${port}`,
      port,
      connections: Effect.sync(() => links.size),
      accepted: Effect.sync(() => accepted),
      sent: (direction) => Effect.sync(() => Buffer.concat(record[direction])),
      delay: (delay, direction) =>
        set(() => {
          for (const each of directions(direction)) faults.delay[each] = Duration.toMillis(delay)
        }),
      cut: (point, cutOptions) =>
        set(() => {
          let left = cutOptions?.times ?? Number.POSITIVE_INFINITY
          faults.cut = {
            point,
            how: cutOptions?.how ?? "FIN",
            take: () => {
              left -= 1
              return left >= 0
            }
          }
        }),
      swallow: (direction) =>
        set(() => {
          for (const each of directions(direction)) faults.swallow[each] = true
        }),
      corrupt: (direction, position) =>
        set(() => {
          faults.corrupt[direction] = position
        }),
      refuse: set(() => stopListening(server)),
      drop: (how) =>
        set(() => {
          for (const link of links) link.end(how ?? "FIN")
        }),
      heal: Effect.suspend(() => {
        Object.assign(faults, noFaults())
        return server.listening ? Effect.void : Effect.orDie(listenOn(server, port))
      })
    }
  }
)
