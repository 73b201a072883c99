/**
 * Reads what is not processed, each message once: a cursor over the entries in the order of the stream, and claims of what was
 * given out. A read costs what is new, whatever is stored.
 *
 * A reset wins over a read under way: it starts a new generation, and a read of an older one gives nothing out and moves no
 * cursor.
 */
import type * as Envelope from "effect/cluster/Envelope"
import type * as Reply from "effect/cluster/Reply"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Semaphore from "effect/Semaphore"
import { elapsedMillis } from "../../internal/telemetry/monotonic.ts"
import type { StoredMessage } from "../../jetstream/JetStreamStream.ts"
import { tokenOf } from "../../persistence/internal/textToken.ts"
import { type Claim, type Claims, makeClaims } from "./messageClaims.ts"
import { type Delayed, makeDelays } from "./messageDelays.ts"
import {
  type MessageStream,
  noReplies,
  type Page,
  type ReadError,
  type Replies,
  since,
  type StoredReply,
  unacknowledged
} from "./messageStream.ts"
import { type Address, type EntrySubject, shardText } from "./messageSubjects.ts"
import { type Entry, entryOf } from "./messageValues.ts"
import type { ShardLocks } from "./shardLocks.ts"

export interface Given {
  readonly envelope: Envelope.Encoded
  readonly lastSentReply: Option.Option<Reply.Encoded>
}

export interface ReadOptions {
  readonly limit?: number | undefined
  readonly addresses?: ReadonlyArray<Address> | undefined
}

export interface MessageReader {
  readonly claims: Claims
  readonly read: (
    shards: ReadonlyArray<string>,
    now: number,
    options?: ReadOptions
  ) => Effect.Effect<Array<Given>, ReadError>
  readonly byId: (requests: ReadonlyArray<string>, now: number) => Effect.Effect<Array<Given>, ReadError>
  readonly resetShards: (shards: ReadonlyArray<string>) => void
  readonly resetAddresses: (addresses: ReadonlyArray<Address>) => void
  readonly resetRequests: (requests: ReadonlyArray<string>) => void
}

export interface ReaderOptions {
  readonly stream: MessageStream
  readonly locks: ShardLocks
  /** An entry of a request that has an exit: whoever was to move it did not. */
  readonly repair: (entry: EntrySubject, sequence: number, exit: StoredReply) => Effect.Effect<void>
}

/** Entries of one page, which bounds what is held of a backlog. */
const mostOfPage = 256

/** What is kept with a claim of a payload, in bytes. */
const smallData = 16 * 1024

/** A read is begun again so often, when resets come in between. */
const mostTries = 5

interface Found extends EntrySubject, Entry {
  readonly sequence: number
  readonly data: Uint8Array
}

interface Picked {
  readonly found: Found
  readonly lastSentReply: Option.Option<Reply.Encoded>
}

const givenOf = ({ found, lastSentReply }: Picked): Given => ({ envelope: found.envelope, lastSentReply })

export const makeReader = ({ locks, repair, stream }: ReaderOptions): MessageReader => {
  const { subjects } = stream
  const claims = makeClaims()
  const delays = makeDelays()
  const lock = Semaphore.makeUnsafe(1)
  let generation = 0
  /** How often some entities were read. */
  let turn = 0
  let cursor = 0
  /** The latest entry that was ever looked at. */
  let seen = 0
  /** The shards that the cursor is about. Entries of others were passed by. */
  let covered: ReadonlySet<string> = new Set()

  const foundOf = (message: StoredMessage): Found | undefined => {
    const entry = entryOf(message)
    const said = subjects.read(message.subject)
    return entry === undefined || said === undefined
      ? undefined
      : { ...said, ...entry, sequence: message.sequence, data: message.data }
  }

  const placeOf = (address: Address): string => `${tokenOf(shardText(address))}.${subjects.entityOf(address)}`

  const isDue = ({ deliverAt }: Found, now: number): boolean => deliverAt === null || deliverAt <= now

  const delayed = ({ deliverAt, entity, kind, request, sequence, shard, subject }: Found): Delayed => ({
    entity,
    kind,
    request,
    sequence,
    shard,
    subject,
    at: deliverAt ?? 0
  })

  const claimOf = ({ found }: Picked, group: string): Claim => ({
    subject: found.subject,
    entity: found.entity,
    request: found.request,
    shard: found.shard,
    kind: found.kind,
    sequence: found.sequence,
    data: found.data.length <= smallData ? found.data : undefined,
    fence: locks.fenceOf(group),
    exit: undefined,
    tried: new Set()
  })

  /** Interrupts that were passed by, as a chunk was not acknowledged. */
  const hiddenBefore = Effect.fnUntraced(function*(
    { request }: Found,
    picked: ReadonlyArray<Picked>
  ): Effect.fn.Return<ReadonlyArray<Picked>, ReadError> {
    const found: Array<Picked> = []
    for (const sequence of claims.hiddenOf(request)) {
      if (picked.some((each) => each.found.sequence === sequence)) continue
      const message = yield* stream.at(sequence)
      const interrupt = message === undefined ? undefined : foundOf(message)
      if (interrupt !== undefined) found.push({ found: interrupt, lastSentReply: Option.none() })
    }
    return found
  })

  /**
   * Whether nobody can have replied to it: it came when this process had the shard, has been looked at for the first time, and
   * no other process can have had the shard since.
   */
  const hasNoReplies = ({ kind, sequence }: Found, shard: string, upTo: number, now: number): boolean =>
    kind === "r" && sequence > upTo && sequence > (locks.fenceOf(shard)?.sequence ?? Number.POSITIVE_INFINITY) &&
    locks.isSureOf(shard, now)

  /** Of these entries, those to be given out. `isNew`: whose replies need not be looked for. */
  const pick = Effect.fnUntraced(function*(
    entries: ReadonlyArray<Found>,
    now: number,
    most: number,
    isNew: (found: Found) => boolean = () => false
  ): Effect.fn.Return<{ readonly picked: ReadonlyArray<Picked>; readonly last: number | undefined }, ReadError> {
    const replies = yield* stream.freshReplies(
      new Set(entries.flatMap((found) => isNew(found) ? [] : [found.request]))
    )
    const picked: Array<Picked> = []
    const requests = new Set<string>()
    let last: number | undefined
    const verdict = (found: Found): Effect.Effect<Picked | undefined> => {
      const all = replies.get(found.request) ?? noReplies
      const counting: Replies = found.kind === "r" ? since(all, found.sequence) : all
      if (counting.exit !== undefined) return Effect.as(repair(found, found.sequence, counting.exit), undefined)
      if (unacknowledged(counting).length > 0) {
        if (found.kind.startsWith("n")) claims.hide(found)
        return Effect.undefined
      }
      const chunk = found.kind === "r" ? counting.chunks.at(-1) : undefined
      return Effect.succeed({ found, lastSentReply: Option.map(Option.fromUndefinedOr(chunk), ({ reply }) => reply) })
    }
    for (const found of entries) {
      if (picked.length >= most) break
      const own = yield* verdict(found)
      if (own !== undefined) {
        if (found.kind !== "r" && claims.of(found.request) === undefined && !requests.has(found.request)) {
          // Its request may have been hidden behind the chunk that is acknowledged now.
          const entry = yield* stream.last(subjects.ofRequest(found.request, found.envelope.address))
          const request = entry === undefined ? undefined : foundOf(entry)
          if (request !== undefined && isDue(request, now)) {
            const before = yield* verdict(request)
            if (before !== undefined) {
              if (picked.length + 2 > most && picked.length > 0) break
              picked.push(before)
              requests.add(request.request)
            }
          }
        }
        if (found.kind === "a") picked.push(...yield* hiddenBefore(found, picked))
        picked.push(own)
        if (found.kind === "r") requests.add(found.request)
      }
      last = found.sequence
    }
    return { picked, last }
  })

  const isUnclaimed = (found: Found): boolean => !claims.has(found, found.sequence)

  /** Claims what was picked, if no reset came in between. */
  const give = (started: number, picked: ReadonlyArray<Picked>, groups: ReadonlyMap<string, string>): boolean => {
    if (generation !== started) return false
    for (const each of picked) {
      seen = Math.max(seen, each.found.sequence)
      claims.add(claimOf(each, groups.get(each.found.shard) ?? ""))
      delays.remove(each.found.sequence)
    }
    return true
  }

  const due = Effect.fnUntraced(function*(wanted: ReadonlySet<string>, now: number, most: number) {
    const found: Array<Found> = []
    for (const each of delays.due(now)) {
      if (!wanted.has(each.shard)) continue
      if (found.length >= most) break
      const message = yield* stream.at(each.sequence)
      const entry = message === undefined ? undefined : foundOf(message)
      if (entry === undefined) delays.remove(each.sequence)
      else if (isUnclaimed(entry)) found.push(entry)
    }
    return found
  })

  /** `false`: a reset came in between. What is `given` was claimed. */
  const scan = Effect.fnUntraced(function*(
    groups: ReadonlyMap<string, string>,
    now: number,
    limit: number,
    given: Array<Picked>
  ): Effect.fn.Return<boolean, ReadError> {
    const wanted: ReadonlySet<string> = new Set(groups.keys())
    for (const shard of wanted) {
      if (covered.has(shard)) continue
      cursor = 0
      delays.clear()
      break
    }
    covered = wanted
    const again = delays.forgotten(now)
    if (again !== undefined) cursor = Math.min(cursor, again - 1)
    const started = generation
    const late = yield* due(wanted, now, limit - given.length)
    if (late.length > 0) {
      const { picked } = yield* pick(late, now, limit - given.length)
      if (!give(started, picked, groups)) return false
      given.push(...picked)
    }
    let isSparse = false
    while (given.length < limit) {
      // Where much is passed by, of other shards or claimed already, pages are large whatever the limit is.
      const size: number = isSparse ? mostOfPage : Math.min(limit - given.length, mostOfPage)
      const { isEnd, messages }: Page = yield* stream.page(subjects.allEntries, cursor + 1, size)
      if (generation !== started) return false
      const entries: Array<Found> = []
      for (const message of messages) {
        const found = foundOf(message)
        if (found === undefined || !wanted.has(found.shard) || !isUnclaimed(found)) continue
        if (isDue(found, now)) entries.push(found)
        else delays.add(delayed(found))
      }
      isSparse = entries.length * 2 < messages.length
      const end = messages.at(-1)
      const before = seen
      seen = Math.max(seen, end?.sequence ?? 0)
      const at = yield* elapsedMillis
      const { last, picked } = yield* pick(
        entries,
        now,
        limit - given.length,
        (found) => hasNoReplies(found, groups.get(found.shard) ?? "", before, at)
      )
      if (!give(started, picked, groups)) return false
      given.push(...picked)
      if (end === undefined) break
      cursor = last === entries.at(-1)?.sequence ? end.sequence : last ?? cursor
      if (isEnd) break
    }
    return true
  })

  /** Of some entities only, whatever the cursor has passed. */
  const ofAddresses = Effect.fnUntraced(function*(
    groups: ReadonlyMap<string, string>,
    addresses: ReadonlyArray<Address>,
    now: number,
    limit: number,
    given: Array<Picked>
  ): Effect.fn.Return<boolean, ReadError> {
    const started = generation
    const patterns = addresses.map((address) => subjects.ofEntity(address)[0])
    const placed = new Set(addresses.map(placeOf))
    // Those that were behind the others come first the next time.
    const first = patterns.length === 0 ? 0 : turn++ % patterns.length
    const inTurn = [...patterns.slice(first), ...patterns.slice(0, first)]
    const pickOf = Effect.fnUntraced(function*(enough: number): Effect.fn.Return<ReadonlyArray<Picked>, ReadError> {
      const entries: Array<Found> = []
      yield* stream.parts(inTurn, (messages) => {
        for (const message of messages) {
          const found = foundOf(message)
          if (found === undefined || !groups.has(found.shard) || !placed.has(`${found.shard}.${found.entity}`)) continue
          if (isUnclaimed(found) && isDue(found, now)) entries.push(found)
        }
        return entries.length < enough
      })
      const { picked } = yield* pick(entries, now, limit)
      // What comes first may have to wait for an acknowledgement.
      return picked.length === 0 && entries.length >= enough ? yield* pickOf(Number.POSITIVE_INFINITY) : picked
    })
    const picked = yield* pickOf(limit)
    if (!give(started, picked, groups)) return false
    given.push(...picked)
    return true
  })

  const release = (fits: Parameters<Claims["release"]>[0], from?: number) => {
    const lowest = claims.release(fits)
    generation++
    const first = from ?? lowest
    if (first !== undefined) cursor = Math.min(cursor, Math.max(0, first - 1))
  }

  const read: MessageReader["read"] = (shards, now, options = {}) => {
    const groups = new Map(shards.map((shard) => [tokenOf(shard), shard]))
    const limit = Math.max(0, Math.floor(options.limit ?? Number.POSITIVE_INFINITY))
    const { addresses } = options
    return lock.withPermits(1)(Effect.suspend(() => {
      let given: Array<Picked> = []
      const once = Effect.suspend(() =>
        addresses === undefined
          ? scan(groups, now, limit, given)
          : ofAddresses(groups, addresses, now, limit - given.length, given)
      )
      return Effect.gen(function*() {
        for (let tries = 0; tries < mostTries && !(yield* once); tries++) {
          // What was given back is free, and what was not stays claimed.
          given = given.filter(({ found }) => claims.has(found, found.sequence))
        }
        return given.map(givenOf)
      }).pipe(
        // Nobody has them.
        Effect.onError(() =>
          Effect.sync(() => {
            const sequences = new Set(given.map(({ found }) => found.sequence))
            release(({ sequence }) => sequences.has(sequence))
          })
        )
      )
    }))
  }

  return {
    claims,
    read,
    byId: Effect.fnUntraced(function*(requests, now) {
      const messages = yield* Effect.forEach(
        requests,
        (request) => stream.last(claims.of(request)?.subject ?? subjects.ofRequest(request)),
        { concurrency: 32 }
      )
      const entries: Array<Found> = []
      for (const message of messages) {
        const found = message === undefined ? undefined : foundOf(message)
        if (found !== undefined && isDue(found, now)) entries.push(found)
      }
      entries.sort((a, b) => a.sequence - b.sequence)
      const { picked } = yield* pick(entries, now, Number.POSITIVE_INFINITY)
      return picked.map(givenOf)
    }),
    resetShards: (shards) => {
      const tokens = new Set(shards.map(tokenOf))
      delays.clear()
      release(({ shard }) => tokens.has(shard), 1)
    },
    resetAddresses: (addresses) => {
      const placed = new Set(addresses.map(placeOf))
      release(({ entity, shard }) => placed.has(`${shard}.${entity}`))
    },
    resetRequests: (requests) => {
      const ids = new Set(requests)
      release(({ request }) => ids.has(request))
    }
  }
}
