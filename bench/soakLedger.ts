/**
 * What was promised under load and what became of it.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"

/** A message that is to be confirmed. */
export interface Claim {
  readonly id: string
  /** The outage of the server that was the last one when it was sent, or none is known: then it was in one. */
  readonly since: number | undefined
}

// What may become of a publish and of a request when the link or the server fails under it.
const mayFail = {
  publish: new Set(["ConnectionLost"]),
  request: new Set(["ConnectionLost", "RequestTimedOut", "NoResponders"])
}

const tagOf = (exit: Exit.Failure<unknown, unknown>): string => {
  const error = Cause.squash(exit.cause)
  return Cause.hasFails(exit.cause) && typeof error === "object" && error !== null && "_tag" in error
    ? String(error._tag)
    : `a defect: ${String(error)}`
}

const late = 1_000

export class Ledger {
  /** Promises that were broken, in words. */
  readonly broken: Array<string> = []
  readonly faults = new Map<string, number>()
  readonly failures = new Map<string, number>()
  confirmed = 0
  answers = 0
  private readonly promised = new Set<string>()
  private readonly seen = new Set<string>()
  private readonly open = new Set<Claim>()
  private numbers = 0
  private outages = 0
  private inOutage = false
  private isClosing = false

  /** Nothing is promised until `outageEnds`. Waits for what was promised before. */
  readonly outageBegins: Effect.Effect<void> = Effect.suspend(() => {
    this.inOutage = true
    this.outages++
    return this.settled
  })

  outageEnds(): void {
    this.inOutage = false
  }

  fault(name: string): void {
    increment(this.faults, name)
  }

  claim(name: string): Claim {
    const claim = { id: `${name}${++this.numbers}`, since: this.inOutage ? undefined : this.outages }
    this.open.add(claim)
    return claim
  }

  settle(claim: Claim, exit: Exit.Exit<void, unknown>): void {
    this.open.delete(claim)
    if (Exit.isFailure(exit)) return this.failed("publish", exit)
    this.confirmed++
    if (claim.since !== undefined) this.promised.add(claim.id)
  }

  received(id: string): void {
    if (this.seen.has(id)) this.broken.push(`${id} came twice`)
    this.seen.add(id)
  }

  /** `healthy`: nothing but an outage of the server is between the caller and who answers. */
  asked(
    question: Claim,
    exit: Exit.Exit<string, unknown>,
    tookMillis: number,
    timeout: number,
    healthy: boolean
  ): void {
    this.open.delete(question)
    if (tookMillis > timeout + late) this.broken.push(`${question.id} took ${Math.round(tookMillis)} ms`)
    if (Exit.isSuccess(exit)) {
      this.answers++
      if (exit.value !== question.id) this.broken.push(`${question.id} was answered with ${exit.value}`)
    } else if (healthy && question.since !== undefined && question.since === this.outages) {
      this.broken.push(`${question.id} had no answer on a healthy link: ${tagOf(exit)}`)
    } else {
      this.failed("request", exit)
    }
  }

  /** Of a stream or a client, which live until the end. */
  ended(what: string, exit: Exit.Exit<unknown, unknown>): void {
    if (this.isClosing) return
    this.broken.push(`${what} has ended: ${Exit.isSuccess(exit) ? "with success" : tagOf(exit)}`)
  }

  closing(): void {
    this.isClosing = true
    for (const id of this.promised) if (!this.seen.has(id)) this.broken.push(`${id} was confirmed and did not come`)
  }

  private failed(operation: keyof typeof mayFail, exit: Exit.Failure<unknown, unknown>): void {
    if (Cause.hasInterruptsOnly(exit.cause)) return
    const tag = tagOf(exit)
    increment(this.failures, `${operation}: ${tag}`)
    if (!mayFail[operation].has(tag)) this.broken.push(`a ${operation} failed with ${tag}`)
  }

  private readonly settled: Effect.Effect<void> = Effect.suspend(() =>
    [...this.open].some(({ since }) => since !== undefined)
      ? Effect.andThen(Effect.sleep(5), this.settled)
      : Effect.void
  )
}

const increment = (counts: Map<string, number>, key: string): void => {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}
