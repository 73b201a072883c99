/**
 * How long the same credentials have been refused.
 */
import * as Equal from "effect/Equal"

export class RefusedCredentials {
  private of: unknown
  private lasted: number | undefined
  private latest: number | undefined

  /** Milliseconds since the first refusal of those that were refused last, without the pauses. `undefined`: of none. */
  get millis(): number | undefined {
    return this.lasted
  }

  /** Whether time counts now. */
  get isCounting(): boolean {
    return this.latest !== undefined
  }

  /** `credentials` were refused. `now` is in milliseconds of a clock that nobody sets. */
  refused(credentials: unknown, now: number): void {
    const isSame = this.lasted !== undefined && Equal.equals(this.of, credentials)
    this.lasted = isSame && this.lasted !== undefined && this.latest !== undefined
      ? this.lasted + now - this.latest
      : isSame
      ? this.lasted
      : 0
    this.of = credentials
    this.latest = now
  }

  /** Until the next refusal no time counts. */
  pause(): void {
    this.latest = undefined
  }

  /** They were taken. */
  reset(): void {
    this.of = this.lasted = this.latest = undefined
  }
}
