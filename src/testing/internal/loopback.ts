/**
 * Ports and listeners on 127.0.0.1.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as crypto from "node:crypto"
import * as net from "node:net"
import { threadId } from "node:worker_threads"

// Of the ports from 10,000 to 31,999 those of this process. One that runs beside it has others, as a test runner's have
// numbers that follow each other.
const portsOfProcess = 500
const firstPort = 10_000 + ((process.pid + threadId) % 44) * portsOfProcess
let ports = crypto.randomInt(portsOfProcess)

/**
 * A port that is probably free, another one each time. It is below the ports that operating systems give to outgoing
 * connections, and no other process looks for one there: nobody takes it while its server is down, and a client that dials
 * it then cannot connect to itself.
 */
export const probablyFreePort = (): number => firstPort + (ports++ % portsOfProcess)

export const listenOn = (server: net.Server, port: number): Effect.Effect<void, NodeJS.ErrnoException> =>
  Effect.callback((resume) => {
    const onError = (error: NodeJS.ErrnoException): void => resume(Effect.fail(error))
    server.once("error", onError)
    server.listen({ host: "127.0.0.1", port }, () => {
      server.off("error", onError)
      resume(Effect.void)
    })
  })

/** Stops accepting. Open connections are not touched. */
export const stopListening = (server: net.Server): void => {
  if (server.listening) server.close()
}

/** A listener on a free port for as long as the scope. Connections are the caller's to end. */
export const listen = (
  onConnection: (socket: net.Socket) => void,
  options: { readonly allowHalfOpen: boolean }
): Effect.Effect<{ readonly server: net.Server; readonly port: number }, never, Scope.Scope> => {
  const attempt = (left: number): Effect.Effect<{ readonly server: net.Server; readonly port: number }> =>
    Effect.suspend(() => {
      const server = net.createServer({ ...options, noDelay: true }, onConnection)
      const port = probablyFreePort()
      return listenOn(server, port).pipe(
        Effect.as({ server, port }),
        Effect.catch((error) => error.code === "EADDRINUSE" && left > 0 ? attempt(left - 1) : Effect.die(error))
      )
    })
  return Effect.acquireRelease(attempt(20), ({ server }) => Effect.sync(() => stopListening(server)))
}

/** Ends a connection in order, or as a crash does. */
export const endSocket = (socket: net.Socket, how: "FIN" | "RST"): void => {
  if (how === "RST") {
    socket.resetAndDestroy()
  } else {
    socket.end()
    socket.destroySoon()
  }
}
