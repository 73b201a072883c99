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
}

/** A client that is connected and can do the work any number of times. Latencies, in milliseconds, where they are asked for. */
export interface Prepared {
  readonly run: (count: number) => Promise<ReadonlyArray<number> | void>
  readonly close: () => Promise<void>
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
  /** Milliseconds of wall time for the whole work. */
  readonly wall?: number | undefined
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

/** So many messages are asked for at once: a real server holds what a client has not read, and not without bound. */
export const floodOf = 100_000

/** A publisher waits for the server after so many messages. */
export const flushEvery = 5_000

export const inFlight = 50
