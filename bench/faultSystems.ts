/**
 * What the driver of faults asks of a client library: the same small interfaces over ours and over nats.js, so that one
 * workload drives both.
 *
 * Nothing here rejects but the opening: what fails is told as an outcome, or as the end of a reader.
 */
import type { Increment, Message, Outcome } from "../test/fixtures/history.ts"

export interface System {
  readonly name: "ours" | "raw"
  readonly open: (servers: ReadonlyArray<string>) => Promise<Peer>
}

/** One connection. It stays, whatever happens to servers and links. */
export interface Peer {
  /** The URL of the server that it is connected to, as far as it knows. */
  readonly server: () => Promise<string | undefined>
  /** One attempt, without retries of its own, with a time-out of `publishTimeout`. */
  readonly publish: (subject: string, id: string, deduplicated: boolean) => Promise<Outcome>
  /** Reads a durable consumer, and acks what it got after `take` has returned. */
  readonly readDurable: (stream: string, consumer: string, take: Take<Message>) => Promise<Reader>
  /** Reads a stream from its first message, in order and each once. */
  readonly readOrdered: (stream: string, take: Take<Message>) => Promise<Reader>
  readonly bucket: (name: string) => Promise<Bucket>
  readonly close: () => Promise<void>
}

export type Take<A> = (value: A) => void

export interface Reader {
  /** Why it has ended by itself. Absent while it runs. */
  readonly ended: () => string | undefined
  readonly stop: () => Promise<void>
}

export interface Entry {
  readonly key: string
  readonly value: string
  readonly revision: number
}

export interface Bucket {
  /** Reads what was written last, whoever wrote it. `"failed"`: it could not be read now. */
  readonly get: (key: string) => Promise<Entry | "none" | "failed">
  /** Writes under the revision that was read; 0: where no value is. */
  readonly compareAndSet: (key: string, value: string, revision: number) => Promise<Increment["outcome"]>
  readonly put: (key: string, value: string) => Promise<Outcome>
  /** All values of all keys, from the first one. */
  readonly watch: (take: Take<Entry>) => Promise<Reader>
  /** Waits for the lock and holds it while the body runs; `lost` is called when it may not be held any more. */
  readonly lock?:
    | ((
      name: string,
      ttlMillis: number,
      body: (token: number, lost: Promise<void>) => Promise<void>
    ) => Promise<"held" | "failed">)
    | undefined
}

/** How often the server tells a reader that it is there, in milliseconds. */
export const heartbeat = 1_000

export const publishTimeout = 3_000

/** How many messages a reader has asked for and not handled. */
export const window = 200

export const reconnectDelays = { initial: 50, max: 500 }
