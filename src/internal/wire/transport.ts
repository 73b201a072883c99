/**
 * Bytes to and from one server, over a socket or a WebSocket.
 */
/**
 * What the other side itself did or said to end the connection: it broke a rule of the transport, or gave a reason. Its
 * message is in words that a server's could be; `said` is what came from the other side, as it came, or empty.
 */
export class ServerWord extends Error {
  readonly said: string

  constructor(message: string, said = "") {
    super(message)
    this.said = said
  }
}

export interface TransportListener {
  data(chunk: Buffer): void
  /** The operating system has taken everything that was written. */
  drained(): void
  /**
   * The other side or the network ended it, and everything that was received has been given to `data`. Called at most
   * once, and never after `destroy`.
   */
  ended(error: Error | undefined): void
}

export interface Transport {
  listener: TransportListener
  /** Bytes written that the operating system has not taken yet. */
  readonly backlog: number
  /** What is left of the write that is under way, where the runtime tells. `backlog` has all of it until it is done. */
  readonly writing: number
  /** The bytes must not change until they have been taken. Ignored after the end. */
  write(bytes: Uint8Array): void
  /** Releases the socket at once. Idempotent; the listener is not called any more. */
  destroy(): void
}
