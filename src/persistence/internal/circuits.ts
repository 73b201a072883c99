/**
 * What a call does to a circuit: pure functions from state and time to answer and state. The meaning of each is that of effect's
 * stores.
 */
import * as Duration from "effect/Duration"
import type { Admission, CircuitBreakerStore, State, Transition as Moved } from "effect/persistence/CircuitBreaker"
import * as Schema from "effect/Schema"
import type { Held, Step, Transition } from "./cells.ts"

export const Circuit = Schema.Struct({
  tag: Schema.Literals(["Closed", "Open", "HalfOpen"]),
  /** Grows with every change that outcomes from before it must not touch. */
  generation: Schema.Finite,
  /** Failures in a row. */
  streak: Schema.Finite,
  /** The last outcomes, oldest first: `1` for a failure. */
  ring: Schema.String,
  openUntil: Schema.Finite,
  openings: Schema.Finite,
  lastOpenFor: Schema.Finite,
  /** From then on a closed circuit has forgotten its openings. */
  resetAt: Schema.Finite,
  /** Until then the probe has the slot. */
  leaseUntil: Schema.Finite
})
export type Circuit = typeof Circuit.Type

/** For how long things are kept, in milliseconds. */
export interface Times {
  readonly lease: number
  readonly idle: number
}

/** More is for ever. */
const longestMillis = 2 ** 50

/**
 * A key that is gone and made again must not give out a generation that somebody still has: it counts from the time, in
 * microseconds.
 */
const nextGeneration = (now: number, generation = 0): number => Math.max(generation + 1, Math.floor(now * 1000))

/** What is only looked at is written again after a tenth of its time. */
const slack = 1.1

const kept = (circuit: Circuit, now: number, { idle }: Times): Held<Circuit> => {
  const from = circuit.tag === "Open"
    ? Math.max(now, circuit.openUntil)
    : circuit.tag === "HalfOpen"
    ? Math.max(now, circuit.leaseUntil)
    : now
  return { state: circuit, expiresAt: from + Math.min(idle * slack, longestMillis) }
}

/** Nothing but that somebody was here, which is noted where it would be forgotten soon. */
const touched = ({ expiresAt, state }: Held<Circuit>, now: number, times: Times): Held<Circuit> | undefined =>
  expiresAt - now < times.idle ? kept(state, now, times) : undefined

/** What a call is told that asks to be let through. */
export type Admitted =
  | { readonly _tag: "Admitted"; readonly admission: Admission }
  | { readonly _tag: "Open"; readonly retryAfterMillis: number }
  | { readonly _tag: "HalfOpen" }

const admitted = (circuit: Circuit, probe: boolean, transition?: Moved): Admitted => ({
  _tag: "Admitted",
  admission: { generation: circuit.generation, probe, consecutiveOpenings: circuit.openings, transition }
})

const fresh = (now: number): Circuit => ({
  tag: "Closed",
  generation: nextGeneration(now),
  streak: 0,
  ring: "",
  openUntil: 0,
  openings: 0,
  lastOpenFor: 0,
  resetAt: 0,
  leaseUntil: 0
})

export const admit = (key: string, times: Times): Transition<Circuit, Admitted> => (held, now) => {
  if (held === undefined) {
    const circuit = fresh(now)
    return { answer: admitted(circuit, false), next: kept(circuit, now, times) }
  }
  const { state } = held
  if (state.tag === "Closed") {
    if (state.openings === 0 || now < state.resetAt) {
      return { answer: admitted(state, false), next: touched(held, now, times) }
    }
    // A call from before this can still open the circuit, for as long as it made of the older count.
    const circuit = { ...state, openings: 0 }
    return { answer: admitted(circuit, false), next: kept(circuit, now, times) }
  }
  if (state.tag === "Open" && now < state.openUntil) {
    return { answer: { _tag: "Open", retryAfterMillis: state.openUntil - now } }
  }
  if (state.tag === "HalfOpen" && now < state.leaseUntil) return { answer: { _tag: "HalfOpen" } }
  const circuit: Circuit = {
    ...state,
    tag: "HalfOpen",
    generation: nextGeneration(now, state.generation),
    leaseUntil: now + times.lease
  }
  const moved: Moved | undefined = state.tag === "Open" ? { key, from: "Open", to: "HalfOpen" } : undefined
  return { answer: admitted(circuit, true, moved), next: kept(circuit, now, times) }
}

/** Holds the slot of a probe for another lease, if it still has it. */
export const renew = (generation: number, times: Times): Transition<Circuit, boolean> => (held, now) => {
  if (held === undefined || !isProbe(held.state, generation)) return { answer: false }
  return { answer: true, next: kept({ ...held.state, leaseUntil: now + times.lease }, now, times) }
}

const isProbe = ({ generation, tag }: Circuit, of: number): boolean => tag === "HalfOpen" && generation === of

/** Frees the slot of a probe, if it still has it. What renews it meanwhile has an older generation then. */
export const release = (generation: number, times: Times): Transition<Circuit, void> => (held, now) => {
  if (held === undefined || !isProbe(held.state, generation)) return { answer: undefined }
  const circuit = { ...held.state, generation: nextGeneration(now, generation), leaseUntil: 0 }
  return { answer: undefined, next: kept(circuit, now, times) }
}

export type Outcome = Parameters<CircuitBreakerStore["Service"]["record"]>[0]

export const record =
  (outcome: Outcome, times: Times): Transition<Circuit, Moved | undefined> =>
  (held, now): Step<Circuit, Moved | undefined> => {
    if (held === undefined || held.state.generation !== outcome.generation) return { answer: undefined }
    const { state } = held
    switch (state.tag) {
      case "Open":
        return { answer: undefined }
      case "HalfOpen":
        if (outcome.outcome === "Ignored") return { ...release(state.generation, times)(held, now), answer: undefined }
        return outcome.outcome === "Failure" ? opened(state, outcome, now, times) : closed(state, outcome, now, times)
      case "Closed":
        return counted(held, outcome, now, times)
    }
  }

const closed = (state: Circuit, { key }: Outcome, now: number, times: Times): Step<Circuit, Moved> => {
  const circuit: Circuit = {
    ...state,
    tag: "Closed",
    generation: nextGeneration(now, state.generation),
    resetAt: now + state.lastOpenFor,
    streak: 0,
    ring: "",
    leaseUntil: 0
  }
  return { answer: { key, from: "HalfOpen", to: "Closed" }, next: kept(circuit, now, times) }
}

const opened = (state: Circuit, { key, openFor }: Outcome, now: number, times: Times): Step<Circuit, Moved> => {
  const openForMillis = Math.min(longestMillis, Math.max(0, Duration.toMillis(openFor)))
  const consecutiveOpenings = state.openings + 1
  const circuit: Circuit = {
    ...state,
    tag: "Open",
    generation: nextGeneration(now, state.generation),
    openUntil: now + openForMillis,
    openings: consecutiveOpenings,
    lastOpenFor: openForMillis,
    streak: 0,
    ring: "",
    leaseUntil: 0
  }
  const from = state.tag === "HalfOpen" ? "HalfOpen" : "Closed"
  return {
    answer: { key, from, to: "Open", retryAfter: openFor, consecutiveOpenings },
    next: kept(circuit, now, times)
  }
}

/** An outcome of a closed circuit, which may open it. */
const counted = (
  held: Held<Circuit>,
  outcome: Outcome,
  now: number,
  times: Times
): Step<Circuit, Moved | undefined> => {
  const { state } = held
  const unchanged = { answer: undefined, next: touched(held, now, times) }
  if (outcome.outcome === "Ignored") return unchanged
  const failed = outcome.outcome === "Failure"
  const { tripPolicy } = outcome
  const streak = failed ? state.streak + 1 : 0
  if (tripPolicy._tag === "Consecutive") {
    if (streak >= tripPolicy.failures) return opened(state, outcome, now, times)
    if (streak === state.streak) return unchanged
    return { answer: undefined, next: kept({ ...state, streak }, now, times) }
  }
  const ring = `${state.ring}${failed ? "1" : "0"}`.slice(-tripPolicy.size)
  const failures = ring.replaceAll("0", "").length
  const trips = ring.length >= tripPolicy.minimumCalls && failures > 0 && failures / ring.length >= tripPolicy.threshold
  if (trips) return opened(state, outcome, now, times)
  return { answer: undefined, next: kept({ ...state, streak, ring }, now, times) }
}

export const look = (key: string): Transition<Circuit, State> => (held, now) => {
  if (held === undefined || held.state.tag === "Closed") return { answer: { _tag: "Closed", key } }
  const { leaseUntil, openings: consecutiveOpenings, openUntil, tag } = held.state
  return {
    answer: tag === "Open"
      ? { _tag: "Open", key, retryAfter: Duration.millis(Math.max(0, openUntil - now)), consecutiveOpenings }
      : { _tag: "HalfOpen", key, probing: leaseUntil > now, consecutiveOpenings }
  }
}
