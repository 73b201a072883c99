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
}

export interface Claims {
  readonly of: (request: string) => Claim | undefined
  readonly has: (entry: EntrySubject, sequence: number) => boolean
  readonly add: (claim: Claim) => void
  /** Acknowledgements and interrupts of a request that were read, by sequence. */
  readonly extrasOf: (request: string) => ReadonlyArray<number>
  readonly settle: (request: string) => void
  /** Gives up what fits, and tells the lowest sequence of it. */
  readonly release: (fits: (claim: Claim) => boolean) => number | undefined
  readonly size: number
}

export const makeClaims = (): Claims => {
  const requests = new Map<string, Claim>()
  /** By request, and by subject. */
  const extras = new Map<string, Map<string, Claim>>()
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
      const of = extras.get(claim.request) ?? new Map<string, Claim>()
      extras.set(claim.request, of.set(claim.subject, claim))
    },
    extrasOf: (request) => [...(extras.get(request)?.values() ?? [])].map(({ sequence }) => sequence),
    settle: (request) => {
      requests.delete(request)
      extras.delete(request)
    },
    release: (fits) => {
      let lowest: number | undefined
      const note = ({ sequence }: Claim) => {
        lowest = Math.min(lowest ?? sequence, sequence)
      }
      for (const claim of requests.values()) {
        if (!fits(claim)) continue
        note(claim)
        requests.delete(claim.request)
      }
      for (const [request, of] of extras) {
        for (const claim of of.values()) {
          if (!fits(claim)) continue
          note(claim)
          of.delete(claim.subject)
        }
        if (of.size === 0) extras.delete(request)
      }
      return lowest
    },
    get size() {
      return requests.size
    }
  }
}
