/**
 * Waits until a server knows its cluster, or the server that it is a leaf node of.
 */
import * as Effect from "effect/Effect"
import type { TestNatsServerError } from "../TestNatsServerError.ts"
import { getJson } from "./monitor.ts"
import type { RunningServer } from "./runningServer.ts"

interface Routez {
  readonly routes?: ReadonlyArray<{ readonly remote_id: string }>
}

interface Varz {
  readonly connect_urls?: ReadonlyArray<string>
}

interface Leafz {
  readonly leafs?: ReadonlyArray<unknown>
}

/** Asks again soon, in real time, until the answer is right. The server has no event to wait for. */
const until = (
  server: RunningServer,
  path: string,
  isRight: (json: unknown) => boolean,
  during: string
): Effect.Effect<void, TestNatsServerError> =>
  server.wait<void>(during, (done) => {
    let stop = (): void => {}
    const ask = (): void => {
      stop = getJson(server.ports.monitor, path, (json) => {
        if (json !== undefined && isRight(json)) return done(Effect.void)
        if (server.process?.isRunning !== true) return done(Effect.fail(server.exited(during)))
        const timer = setTimeout(ask, 20)
        stop = () => clearTimeout(timer)
      })
    }
    ask()
    return () => stop()
  })

export const awaitPeers = Effect.fnUntraced(
  function*(server: RunningServer, size: number): Effect.fn.Return<void, TestNatsServerError> {
    yield* until(
      server,
      "/routez",
      (json) => new Set(((json as Routez).routes ?? []).map((route) => route.remote_id)).size === size - 1,
      "forming the cluster (routes to the others)"
    )
    yield* until(
      server,
      "/varz",
      (json) => ((json as Varz).connect_urls ?? []).length >= size,
      "forming the cluster (what it tells clients of the others)"
    )
  }
)

/** Until so many leaf node connections stand: what is published on one side then reaches the other. */
export const awaitLeafNodes = (server: RunningServer, count: number): Effect.Effect<void, TestNatsServerError> =>
  count === 0 ? Effect.void : until(
    server,
    "/leafz",
    (json) => ((json as Leafz).leafs ?? []).length >= count,
    "connecting to the server that it is a leaf node of"
  )
