/**
 * What this process has read and not settled yet. The lock of a shard makes one runner its only reader, so claims are in its
 * memory, and end with the process.
 */
import type { EntrySubject } from "./messageSubjects.ts"
import type { Fence } from "./shardLocks.ts"

/** What an entry was when it was read. */
export interface Claim extends EntrySubject {
  readonly sequence: number
  /** The payload, where it is small. */
  readonly data: Uint8Array | undefined
  /** The fence of the shard then. Absent without locks in this stream. */
  readonly fence: Fence | undefined
  /** The id of the exit that is saved, or is being saved. */
  exit: string | undefined
  /** The ids of replies that failed: each may be stored. */
  readonly tried: Set<string>
}

/** What was read, and where. */
interface Place extends EntrySubject {
  readonly sequence: number
}

export interface Claims {
  readonly of: (request: string) => Claim | undefined
  readonly has: (entry: EntrySubject, sequence: number) => boolean
  readonly add: (claim: Claim) => void
  /** Acknowledgements and interrupts of a request that were read, by sequence. */
  readonly extrasOf: (request: string) => ReadonlyArray<number>
  /** Notes an interrupt that waits for the acknowledgement of a chunk: the cursor does not come back to it. */
  readonly hide: (interrupt: Place) => void
  /** The sequences of these. */
  readonly hiddenOf: (request: string) => ReadonlyArray<number>
  readonly settle: (request: string) => void
  /** Gives up what fits, and tells the lowest sequence of it. */
  readonly release: (fits: (place: Place) => boolean) => number | undefined
  readonly size: number
}

export const makeClaims = (): Claims => {
  const requests = new Map<string, Claim>()
  /** By request, and by subject. */
  const extras = new Map<string, Map<string, Claim>>()
  const hidden = new Map<string, Map<string, Place>>()
  const put = <A extends Place>(into: Map<string, Map<string, A>>, place: A) => {
    const of = into.get(place.request) ?? new Map<string, A>()
    into.set(place.request, of.set(place.subject, place))
  }
  const sequencesIn = (of: ReadonlyMap<string, Place> | undefined) =>
    [...(of?.values() ?? [])].map(({ sequence }) => sequence)
  return {
    of: (request) => requests.get(request),
    has: ({ kind, request, subject }, sequence) => {
      const claim = kind === "r" ? requests.get(request) : extras.get(request)?.get(subject)
      return claim !== undefined && claim.sequence === sequence
    },
    add: (claim) => {
      if (claim.kind === "r") {
        requests.set(claim.request, claim)
        return
      }
      put(extras, claim)
      hidden.get(claim.request)?.delete(claim.subject)
    },
    extrasOf: (request) => sequencesIn(extras.get(request)),
    hide: ({ entity, kind, request, sequence, shard, subject }) =>
      put(hidden, { entity, kind, request, sequence, shard, subject }),
    hiddenOf: (request) => sequencesIn(hidden.get(request)),
    settle: (request) => {
      requests.delete(request)
      extras.delete(request)
      hidden.delete(request)
    },
    release: (fits) => {
      let lowest: number | undefined
      const note = ({ sequence }: Place) => {
        lowest = Math.min(lowest ?? sequence, sequence)
      }
      for (const claim of requests.values()) {
        if (!fits(claim)) continue
        note(claim)
        requests.delete(claim.request)
      }
      for (const places of [extras, hidden]) {
        for (const [request, of] of places) {
          for (const place of of.values()) {
            if (!fits(place)) continue
            note(place)
            of.delete(place.subject)
          }
          if (of.size === 0) places.delete(request)
        }
      }
      return lowest
    },
    get size() {
      return requests.size
    }
  }
}
