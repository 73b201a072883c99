/** Saves envelopes and replies, and clears them. */
import type * as Envelope from "effect/cluster/Envelope"
import { SaveResultEncoded } from "effect/cluster/MessageStorage"
import type { SaveResult } from "effect/cluster/MessageStorage"
import type * as Reply from "effect/cluster/Reply"
import * as Snowflake from "effect/cluster/Snowflake"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Claim } from "./messageClaims.ts"
import type { Moves } from "./messageMoves.ts"
import type { MessageReader } from "./messageReader.ts"
import { type MessageStream, noReplies, type StreamError, type WriteOptions } from "./messageStream.ts"
import { type Address, shardText } from "./messageSubjects.ts"
import { entryOf, isMarker, replyOf } from "./messageValues.ts"
import type { ShardLocks } from "./shardLocks.ts"

/** The first exit that is stored is the only one, and so is the first chunk of a number. */
export class ReplyIsThere extends Error {
  readonly _tag = "ReplyIsThere"
  constructor() {
    super("there is another one already, and the first that is stored is the only one")
  }
}

/** The shard has another owner by now. */
export class NotTheOwner extends Error {
  readonly _tag = "NotTheOwner"
  constructor() {
    super("another runner has taken the shard since the request was read")
  }
}

export type SaveError = StreamError | ReplyIsThere | NotTheOwner

export interface WriterOptions {
  readonly stream: MessageStream
  readonly reader: MessageReader
  readonly moves: Moves
  readonly locks: ShardLocks
  /** How long replies to requests of an entity live. */
  readonly lifetime: (entity: string | undefined) => Duration.Input | undefined
}

export interface MessageWriter {
  readonly saveEnvelope: (options: {
    readonly envelope: Envelope.Encoded
    readonly primaryKey: string | null
    readonly deliverAt: number | null
  }) => Effect.Effect<SaveResult.Encoded, StreamError>
  readonly saveReply: (reply: Reply.Encoded) => Effect.Effect<void, SaveError>
  /** What it gives can be done again where its outcome is not known: it clears what was there at first, and nothing newer. */
  readonly clearReplies: (request: string, expected: string | undefined) => Effect.Effect<void, StreamError>
  readonly requestOfKey: (address: Address, key: string) => Effect.Effect<string | undefined, StreamError>
  readonly clearAddress: (address: Address) => Effect.Effect<void, StreamError>
}

/** The exit that is to be cleared, where there is one. */
interface Target {
  readonly exit: string | undefined
}

/** Tries against another write on its way, whose message cannot be read yet. */
const mostTries = 20

/** How long what was put in the place of an exit is there. */
const tombstoneTtl = "1 second"

export const makeWriter = ({ lifetime, locks, moves, reader, stream }: WriterOptions): MessageWriter => {
  const { subjects } = stream
  const { claims } = reader

  const duplicate = Effect.fnUntraced(function*(request: string) {
    const last = yield* stream.last(subjects.replies(request))
    const saved = last === undefined ? undefined : replyOf(last)
    return SaveResultEncoded.Duplicate({
      originalId: Snowflake.Snowflake(request),
      lastReceivedReply: Option.map(Option.fromUndefinedOr(saved), ({ reply }) => reply)
    })
  })

  const saveRequest = Effect.fnUntraced(function*(
    envelope: Envelope.PartialRequestEncoded,
    primaryKey: string | null,
    deliverAt: number | null
  ): Effect.fn.Return<SaveResult.Encoded, StreamError> {
    const same = subjects.same(envelope, primaryKey)
    const subject = subjects.entry(envelope, primaryKey)
    // What stands in the place of an expired one is no request.
    let expected = 0
    for (let tries = 1;; tries++) {
      const refused = yield* stream.write(subject, { envelope, deliverAt }, {
        expect: { lastSubjectSequence: expected, forSubject: same }
      }).pipe(
        Effect.as(undefined),
        Effect.catchTag("WrongLastSequence", (error) => Effect.succeed(error))
      )
      if (refused === undefined) return SaveResultEncoded.Success()
      const there = yield* stream.lastOrMarker(same)
      if (there !== undefined && !isMarker(there)) {
        return yield* duplicate(subjects.read(there.subject)?.request ?? envelope.requestId)
      }
      if (tries === mostTries) return yield* refused
      expected = there?.sequence ?? 0
      yield* Effect.sleep("10 millis")
    }
  })

  const saveAcknowledgement = Effect.fnUntraced(function*(envelope: Envelope.AckChunkEncoded) {
    const { replyId, requestId } = envelope
    const entry = { subject: subjects.entry(envelope, null), value: { envelope, deliverAt: null } }
    for (let tries = 1;; tries++) {
      const { acknowledged, chunks } = (yield* stream.freshReplies([requestId])).get(requestId) ?? noReplies
      const chunk = chunks.find(({ reply }) => reply.id === replyId)
      // One of several callers can be late: what is acknowledged stays so, and the chunk may be removed already.
      if (chunk === undefined || (acknowledged !== undefined && chunk.sequence <= acknowledged.upTo)) {
        yield* stream.write(entry.subject, entry.value)
        return SaveResultEncoded.Success()
      }
      const refused = yield* stream.writeAll([
        {
          subject: subjects.acknowledged(requestId),
          value: { replyId, upTo: chunk.sequence },
          // Who acknowledges knows nothing of what runners keep.
          ttl: chunk.ttl,
          expect: { lastSubjectSequence: acknowledged?.sequence ?? 0 }
        },
        entry
      ]).pipe(
        Effect.as(undefined),
        Effect.catchTag("WrongLastSequence", (error) => Effect.succeed(error))
      )
      if (refused === undefined) {
        // Of what is acknowledged the last one is kept: a stream goes on behind it.
        for (const { sequence } of chunks) if (sequence < chunk.sequence) yield* stream.remove(sequence)
        return SaveResultEncoded.Success()
      }
      if (tries === mostTries) return yield* refused
      yield* Effect.sleep("10 millis")
    }
  })

  /**
   * What a reply is about. Who has not read it, or has given it back, writes under the fence that this process has now: only if
   * there is no exit yet, which nobody else can write then.
   */
  const claimFor = Effect.fnUntraced(function*(request: string): Effect.fn.Return<Claim | undefined, StreamError> {
    const claim = claims.of(request)
    if (claim !== undefined) return claim
    const message = yield* stream.last(subjects.ofRequest(request))
    const said = message === undefined ? undefined : subjects.read(message.subject)
    const entry = message === undefined ? undefined : entryOf(message)
    if (message === undefined || said === undefined || entry === undefined) return undefined
    const { data, sequence } = message
    const fence = locks.fenceOf(shardText(entry.envelope.address))
    const isFree = fence !== undefined && (yield* stream.lastOrMarker(subjects.exit(request))) === undefined
    return { ...said, sequence, data, fence: isFree ? fence : undefined, exit: undefined, tried: new Set() }
  })

  /** Without a fence the subject itself takes one message only. With one, it is this process alone that can write. */
  const guard = (claim: Claim | undefined, id: string): WriteOptions =>
    claim?.fence === undefined
      ? { ttl: lifetime(claim?.entity), expect: { lastSubjectSequence: 0 } }
      : {
        ttl: lifetime(claim.entity),
        msgId: `${claim.request}-${claim.sequence}-${id}`,
        expect: { lastSubjectSequence: claim.fence.sequence, forSubject: claim.fence.subject }
      }

  /**
   * What is there: this very reply, if its acknowledgement was lost, or another one. `effect/cluster` tries again under another
   * id, so that what was tried before is this one, too.
   */
  const refusal = (claim: Claim | undefined, subject: string, reply: Reply.Encoded): Effect.Effect<void, SaveError> =>
    Effect.flatMap(stream.last(subject), (message): Effect.Effect<void, SaveError> => {
      const there = message === undefined ? undefined : replyOf(message)
      if (there === undefined) return Effect.fail(new NotTheOwner())
      const isOurs = there.reply.id === reply.id || claim?.tried.has(there.reply.id) === true
      return isOurs ? Effect.void : Effect.fail(new ReplyIsThere())
    })

  const write = (
    claim: Claim | undefined,
    subject: string,
    reply: Reply.Encoded,
    id: string
  ): Effect.Effect<void, SaveError> => {
    const value = { reply, entry: claim?.subject }
    return stream.write(subject, value, guard(claim, id)).pipe(
      Effect.flatMap(({ duplicate }) => duplicate ? refusal(claim, subject, reply) : Effect.void),
      Effect.catchTag(
        "WrongLastSequence",
        () => claim?.fence === undefined ? overMarker(claim, subject, value) : refusal(claim, subject, reply)
      ),
      Effect.onError(() => Effect.sync(() => claim?.tried.add(reply.id)))
    )
  }

  /** What a cleared exit left behind is no exit. */
  const overMarker = (
    claim: Claim | undefined,
    subject: string,
    value: { readonly reply: Reply.Encoded; readonly entry: string | undefined }
  ): Effect.Effect<void, SaveError> =>
    Effect.flatMap(stream.lastOrMarker(subject), (there) =>
      there !== undefined && !isMarker(there)
        ? refusal(claim, subject, value.reply)
        : stream.write(subject, value, {
          ttl: lifetime(claim?.entity),
          expect: { lastSubjectSequence: there?.sequence ?? 0 }
        }).pipe(
          Effect.asVoid,
          Effect.catchTag("WrongLastSequence", () => refusal(claim, subject, value.reply))
        ))

  const saveExit = Effect.fnUntraced(function*(
    reply: Reply.WithExitEncoded
  ): Effect.fn.Return<void, SaveError> {
    const claim = yield* claimFor(reply.requestId)
    if (claim?.exit !== undefined && claim.exit !== reply.id) return yield* Effect.fail(new ReplyIsThere())
    if (claim !== undefined) claim.exit = reply.id
    yield* write(claim, subjects.exit(reply.requestId), reply, "x").pipe(
      Effect.onError(() =>
        Effect.sync(() => {
          if (claim !== undefined) claim.exit = undefined
        })
      )
    )
    if (claim === undefined) return
    yield* moves.offer({
      subject: claim.subject,
      sequence: claim.sequence,
      kind: claim.kind,
      data: claim.data,
      exitMillis: undefined,
      extras: claims.extrasOf(reply.requestId),
      done: () => {
        if (claims.of(reply.requestId) === claim) claims.settle(reply.requestId)
      }
    })
  })

  /** Puts back what has no exit. One that comes meanwhile is newer than what was to be cleared. */
  const putUnfinished = Effect.fnUntraced(function*(
    request: string,
    { subject, value }: { readonly subject: string; readonly value: object }
  ): Effect.fn.Return<number | undefined, StreamError> {
    const forSubject = subjects.exit(request)
    const there = yield* stream.lastOrMarker(forSubject)
    if (there !== undefined && !isMarker(there)) return undefined
    const expect = { lastSubjectSequence: there?.sequence ?? 0, forSubject }
    return (yield* stream.write(subject, value, { expect })).sequence
  })

  /** Removes what came before a request was put back. */
  const sweep = Effect.fnUntraced(function*(
    request: string,
    subject: string,
    sequence: number,
    expected: string | undefined
  ): Effect.fn.Return<void, StreamError> {
    yield* stream.purge(subjects.replies(request), sequence)
    yield* stream.purge(subjects.acknowledged(request), sequence)
    // Interrupts were for the run before. Where a certain reply is cleared they are kept, as effect's SQL storage does.
    if (expected === undefined) yield* stream.purge(subjects.interrupts(subject), sequence)
    yield* stream.purge(subjects.processed(subject), sequence)
  })

  const clear = Effect.fnUntraced(function*(
    request: string,
    expected: string | undefined,
    isTarget: (exit: string | undefined) => boolean
  ): Effect.fn.Return<void, StreamError> {
    const last = yield* stream.last(subjects.replies(request))
    const saved = last === undefined ? undefined : replyOf(last)
    if (expected !== undefined && saved?.reply.id !== expected) return
    const exit = saved?.reply._tag === "WithExit" ? last : undefined
    if (!isTarget(exit === undefined ? undefined : saved?.reply.id)) {
      // It is cleared already. What belongs to it may still be there.
      const put = yield* stream.last(subjects.ofRequest(request))
      return put === undefined ? undefined : yield* sweep(request, put.subject, put.sequence, expected)
    }
    if (exit === undefined && expected !== undefined) return reader.resetRequests([request])
    const subject = saved?.entry ?? (yield* stream.last(subjects.ofRequest(request)))?.subject
    const message = subject === undefined
      ? undefined
      : (yield* stream.last(subject)) ?? (yield* stream.last(subjects.processed(subject)))
    const entry = message === undefined ? undefined : entryOf(message)
    if (subject === undefined || entry === undefined) {
      // There is nothing that could be asked again.
      if (last !== undefined) yield* stream.purge(subjects.replies(request), last.sequence + 1)
      return
    }
    // What is put back has another sequence: its reader, in whatever process, reads it again.
    const put = { subject, value: { ...entry } }
    const cleared = yield* (exit === undefined ? putUnfinished(request, put) : stream.writeAll([
      {
        subject: subjects.exit(request),
        value: "",
        ttl: tombstoneTtl,
        expect: { lastSubjectSequence: exit.sequence }
      },
      put
    ])).pipe(Effect.catchTag("WrongLastSequence", () => Effect.undefined))
    // Another one was faster, and what is there now is not what was to be cleared.
    if (cleared === undefined) return
    yield* sweep(request, subject, cleared, expected)
  })

  return {
    saveEnvelope: ({ deliverAt, envelope, primaryKey }) => {
      switch (envelope._tag) {
        case "Request":
          return saveRequest(envelope, primaryKey, deliverAt)
        case "AckChunk":
          return saveAcknowledgement(envelope)
        case "Interrupt":
          return Effect.as(
            stream.write(subjects.entry(envelope, null), { envelope, deliverAt: null }),
            SaveResultEncoded.Success()
          )
      }
    },
    saveReply: (reply) =>
      reply._tag === "WithExit" ? saveExit(reply) : Effect.flatMap(
        claimFor(reply.requestId),
        (claim) =>
          Effect.asVoid(write(claim, subjects.chunk(reply.requestId, reply.sequence), reply, String(reply.sequence)))
      ),
    clearReplies: (request, expected) => {
      let target: Target | undefined
      return clear(request, expected, (exit) => {
        target ??= { exit }
        return target.exit === exit
      })
    },
    requestOfKey: (address, key) =>
      Effect.map(
        stream.last(subjects.ofKey(address, key)),
        (message) => message === undefined ? undefined : subjects.read(message.subject)?.request
      ),
    clearAddress: Effect.fnUntraced(function*(address) {
      const patterns = subjects.ofEntity(address)
      const requests = new Set<string>()
      for (const pattern of patterns) {
        for (const subject of yield* stream.subjectsOf(pattern)) {
          const said = subjects.read(subject)
          if (said !== undefined) requests.add(said.request)
        }
      }
      for (const pattern of patterns) yield* stream.purge(pattern)
      yield* Effect.forEach(requests, (request) =>
        Effect.suspend(() => {
          claims.settle(request)
          return Effect.andThen(
            stream.purge(subjects.replies(request)),
            stream.purge(subjects.acknowledged(request))
          )
        }), { concurrency: 16, discard: true })
    })
  }
}
