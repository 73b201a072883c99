/**
 * Requests that are not due: where they are and when they are, so that the reader passes them by. Of more than fit, the latest
 * are forgotten, and the stream is read again from the first of these once one of them is due.
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

export const makeDelays = (most: number = mostDelayed): Delays => {
  const known = new Map<number, Delayed>()
  let lost: { readonly at: number; readonly from: number } | undefined
  const forget = ({ at, sequence }: Delayed) => {
    lost = { at: Math.min(at, lost?.at ?? at), from: Math.min(sequence, lost?.from ?? sequence) }
  }
  return {
    add: (delayed) => {
      if (known.size < most || known.has(delayed.sequence)) known.set(delayed.sequence, delayed)
      else forget(delayed)
    },
    remove: (sequence) => {
      known.delete(sequence)
    },
    clear: () => {
      known.clear()
      lost = undefined
    },
    due: (now) => [...known.values()].filter(({ at }) => at <= now).toSorted((a, b) => a.sequence - b.sequence),
    forgotten: (now) => {
      if (lost === undefined || lost.at > now) return undefined
      const { from } = lost
      lost = undefined
      return from
    }
  }
}
