/**
 * Waits until a server knows its cluster.
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

interface Jsz {
  readonly meta_cluster?: { readonly leader?: string; readonly cluster_size?: number }
}

/** Asks again soon, in real time, until the answer is right. The server has no event to wait for. */
const until = (
  server: RunningServer,
  path: string,
  isRight: (json: unknown) => boolean
): Effect.Effect<void, TestNatsServerError> =>
  server.wait<void>("forming the cluster", (done) => {
    let stop = (): void => {}
    const ask = (): void => {
      stop = getJson(server.ports.monitor, path, (json) => {
        if (json !== undefined && isRight(json)) return done(Effect.void)
        if (server.process?.isRunning !== true) return done(Effect.fail(server.exited("forming the cluster")))
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
      (json) => new Set(((json as Routez).routes ?? []).map((route) => route.remote_id)).size === size - 1
    )
    yield* until(server, "/varz", (json) => ((json as Varz).connect_urls ?? []).length >= size)
    const { jetstream } = server.options
    if (jetstream !== undefined && jetstream !== false) {
      yield* until(server, "/jsz", (json) => {
        const meta = (json as Jsz).meta_cluster
        return meta?.cluster_size === size && meta.leader !== undefined && meta.leader !== ""
      })
    }
  }
)
