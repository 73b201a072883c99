/**
 * Writes protocol lines into one buffer and sends it once per turn of the event loop.
 */
export interface Writer {
  /** Bytes written so far. */
  readonly bytesOut: number
  /** `headers` is a whole NATS header block, from `NATS/1.0` to its empty line. The payload is copied. */
  publish(subject: string, reply: string, headers: Uint8Array | undefined, payload: string | Uint8Array): void
  subscribe(sid: number, subject: string, queue: string | undefined): void
  unsubscribe(sid: number, max: number | undefined): void
  ping(): void
  pong(): void
  /** Hands everything over now. Otherwise that happens in a microtask. */
  flush(): void
}
