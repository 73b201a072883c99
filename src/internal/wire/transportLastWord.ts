/**
 * Keeps a socket readable after a write has failed.
 *
 * A server that throws a client out writes an `-ERR` and closes. A client that is publishing meets the closed socket with
 * a failing write first, and node then destroys the socket together with the unread `-ERR`. The bytes are there: a read
 * still gives them.
 *
 * This leans on node: `_write` and `_writev` are what its writable streams call to write, and a callback that is never
 * called keeps the stream waiting instead of failed. Replacing both on the instance works on Node 22 and 24, with TLS
 * too; `test/server/connect-last-word.test.ts` holds it.
 */
import type * as Net from "node:net"

type Done = (error?: Error | null) => void

/**
 * Calls `failed` in place of failing the socket when a write fails, and `taken` after each write that the operating
 * system has taken. With `sequential`, buffers are written one by one: node's TLS would join all that wait into one.
 */
export const watchWrites = (
  socket: Net.Socket,
  options: {
    readonly sequential: boolean
    readonly failed: (error: Error) => void
    readonly taken: () => void
  }
): void => {
  const guard = (done: Done): Done => (error) => {
    if (error) {
      options.failed(error)
    } else {
      done()
      options.taken()
    }
  }
  const write = socket._write
  socket._write = (chunk, encoding, done) => write.call(socket, chunk, encoding, guard(done))
  const writev = socket._writev
  if (options.sequential) {
    Object.assign(socket, { _writev: null })
  } else if (writev) {
    socket._writev = (chunks, done) => writev.call(socket, chunks, guard(done))
  }
}

/** Turns of the event loop without data after which a socket whose write failed has nothing more to say. */
const idleTurns = 3

/**
 * Calls back when `received` has not changed for a few turns of the event loop. Turns, not a timer: timers run before the
 * loop polls the sockets, so that under load a timer ends before the data that waits has been read.
 */
export const afterLastWord = (received: () => number, resume: () => void): void => {
  let seen = received()
  let idle = 0
  const turn = (): void => {
    const now = received()
    if (now !== seen) {
      seen = now
      idle = 0
    } else {
      idle += 1
    }
    if (idle < idleTurns) {
      setImmediate(turn)
    } else {
      resume()
    }
  }
  setImmediate(turn)
}
