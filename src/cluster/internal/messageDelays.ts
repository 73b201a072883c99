/**
 * Requests that are not due: where they are and when they are, so that the reader passes them by. Of more than fit, those that
 * are due last are forgotten, and the stream is read again from the first of these once one of them is due.
 */
import type { EntrySubject } from "./messageSubjects.ts"

export interface Delayed extends EntrySubject {
  readonly sequence: number
  /** In milliseconds since 1970. */
  readonly at: number
}

/** So many are remembered. */
export const mostDelayed = 10_000

export interface Delays {
  readonly add: (delayed: Delayed) => void
  readonly remove: (sequence: number) => void
  readonly clear: () => void
  /** Those that are due, in the order of the stream. */
  readonly due: (now: number) => ReadonlyArray<Delayed>
  /** Where to read again from, if one that was forgotten is due. */
  readonly forgotten: (now: number) => number | undefined
}

/** Of those that are known so many are forgotten at once, so that they are put in order seldom. */
const forgottenPart = 0.25

export const makeDelays = (most: number = mostDelayed): Delays => {
  const known = new Map<number, Delayed>()
  let lost: { readonly at: number; readonly from: number } | undefined
  /** None is due before. */
  let next = Infinity
  const forget = ({ at, sequence }: Delayed) => {
    known.delete(sequence)
    lost = { at: Math.min(at, lost?.at ?? at), from: Math.min(sequence, lost?.from ?? sequence) }
  }
  return {
    add: (delayed) => {
      known.set(delayed.sequence, delayed)
      next = Math.min(next, delayed.at)
      if (known.size <= most) return
      const last = [...known.values()].toSorted((a, b) => b.at - a.at)
      for (const each of last.slice(0, Math.ceil(most * forgottenPart))) forget(each)
    },
    remove: (sequence) => {
      known.delete(sequence)
    },
    clear: () => {
      known.clear()
      lost = undefined
      next = Infinity
    },
    due: (now) => {
      if (now < next) return []
      next = Infinity
      for (const { at } of known.values()) next = Math.min(next, at)
      return [...known.values()].filter(({ at }) => at <= now).toSorted((a, b) => a.sequence - b.sequence)
    },
    forgotten: (now) => {
      if (lost === undefined || lost.at > now) return undefined
      const { from } = lost
      lost = undefined
      return from
    }
  }
}
