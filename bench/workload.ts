/**
 * What a measured process does, and what it tells the runner.
 */

/** One job of a measured process. */
export interface Job {
  readonly client: "ours" | "raw"
  readonly work: string
  /** Bytes of a payload. */
  readonly size: number
  /** Operations before the measurement. */
  readonly warm: number
  /** Operations that are measured. */
  readonly count: number
  /** Requests at the same time, where there are requests. Default 50. */
  readonly inFlight?: number | undefined
}

/** A client that is connected and can do the work any number of times. Latencies, in milliseconds, where they are asked for. */
export interface Prepared {
  readonly run: (count: number) => Promise<ReadonlyArray<number> | void>
  readonly close: () => Promise<void>
  /** Operations that failed so far, where some may. */
  readonly failed?: (() => number) | undefined
}

/** What one process measured. */
export interface Sample {
  /** CPU time, user and system, of all threads of the process: microseconds per operation. */
  readonly cpu: number
  /** Instructions per operation, where the machine counts them. */
  readonly instructions?: number | undefined
  /** Milliseconds. */
  readonly p50?: number | undefined
  readonly p99?: number | undefined
  /** The first operation of a process that has done nothing before, in milliseconds. */
  readonly first?: number | undefined
  /** CPU time since the process began, in milliseconds. */
  readonly start?: number | undefined
  /** MB of resident memory at the end. */
  readonly rss?: number | undefined
  /** Wall time: microseconds per operation. */
  readonly wall?: number | undefined
  /** MB that the work has left behind after a full collection, in the heap and outside of it. */
  readonly held?: number | undefined
  /** The same for each operation, in KB. */
  readonly heldEach?: number | undefined
  /** Operations that failed. */
  readonly failed?: number | undefined
}

export const quantile = (values: ReadonlyArray<number>, at: number): number => {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * at))]
}

/** Counts messages down to a goal. The work that every reader of messages does here: look at the payload's length. */
export class Goal {
  bytes = 0
  private left = 0
  private done: () => void = () => {}

  next(count: number): Promise<void> {
    this.left = count
    return new Promise((resolve) => {
      this.done = resolve
    })
  }

  take(data: Uint8Array): void {
    this.bytes += data.length
    if (--this.left === 0) this.done()
  }
}

/** So many messages are asked for at once: a server and our default buffer hold what is not read yet, and not without bound. */
export const floodOf = 50_000

/** A publisher waits for the server after so many messages. */
export const flushEvery = 5_000

/** What a handler waits for where it waits. */
export const shortWait = (): Promise<void> => Promise.resolve()
