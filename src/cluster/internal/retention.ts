/**
 * Removes executions of workflows whose retention is over. What belongs to a workflow has no time to live of its own: a run
 * that sleeps for longer than the retention needs all that it has stored. The retention begins when the run has its result.
 *
 * Any number of processes may do it: each step can be done again, and the run with its result goes last, in one atomic write,
 * so that what a process leaves half done is found by the next one.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { hasProperty, isString } from "effect/Predicate"
import * as Random from "effect/Random"
import type { StoredMessage } from "../../jetstream/JetStreamStream.ts"
import { type MessageStream, since, type StreamError } from "./messageStream.ts"
import type { EntrySubject } from "./messageSubjects.ts"
import { type Entry, entryOf } from "./messageValues.ts"
import { exitOf, isSuspended } from "./workflowReplies.ts"
import { isClock, isWorkflow, parentOf, type WorkflowSubjects } from "./workflowSubjects.ts"

export interface RetentionOptions {
  readonly stream: MessageStream
  readonly workflows: WorkflowSubjects
  /** How long an execution is kept after its end, in milliseconds. */
  readonly keepMillis: number
}

export interface Retention {
  /** Looks at what is older than the retention, at most so much that memory and requests are bounded. */
  readonly round: Effect.Effect<void, StreamError>
}

const minute = 60_000

/** Between two rounds, in milliseconds. */
export const intervalOf = (keepMillis: number): number => Math.min(Math.max(keepMillis / 24, minute), 60 * minute)

/** Values of so many entries are held at once. */
const mostOfPage = 64

/** Of one round. The next one goes on where it stopped. */
const mostPages = 1_000
const atOnce = 16

/** What is put in the place of the run and its result. A server takes no shorter time. */
const tombstoneTtl = "1 second"

interface Found extends EntrySubject, Entry {
  readonly sequence: number
}

export const makeRetention = ({ keepMillis, stream, workflows }: RetentionOptions): Retention => {
  const { subjects } = stream

  const foundOf = (message: StoredMessage): Found | undefined => {
    const entry = entryOf(message)
    const said = subjects.read(message.subject)
    return entry === undefined || said === undefined || !isWorkflow(said.entity)
      ? undefined
      : { ...said, ...entry, sequence: message.sequence }
  }

  const payloadOf = ({ envelope }: Found, property: string): unknown =>
    envelope._tag === "Request" && hasProperty(envelope.payload, property) ? envelope.payload[property] : undefined

  /** Whether an execution is there that has no result. */
  const isUnfinished = Effect.fnUntraced(function*(entity: string): Effect.fn.Return<boolean, StreamError> {
    const run = yield* stream.last(workflows.run(entity))
    const request = run === undefined ? undefined : subjects.read(run.subject)?.request
    if (run === undefined || request === undefined) return false
    const replies = (yield* stream.freshReplies([request])).get(request)
    if (replies === undefined) return true
    const { exit } = workflows.isDone(run.subject) ? replies : since(replies, run.sequence)
    const ended = exit === undefined ? undefined : exitOf(exit.reply)
    return ended === undefined || isSuspended(ended)
  })

  /** A parent is run from its beginning each time it goes on, and reads the results of its children, or would start them. */
  const isNeeded = (run: Found): Effect.Effect<boolean, StreamError> => {
    const { parent } = parentOf(run.envelope._tag === "Request" ? run.envelope.payload : undefined)
    return parent === undefined
      ? Effect.succeed(false)
      : isUnfinished(workflows.entity(parent.workflow, parent.executionId))
  }

  const removeReplies = (request: string) =>
    Effect.andThen(stream.purge(subjects.replies(request)), stream.purge(subjects.acknowledged(request)))

  const removeExecution = Effect.fnUntraced(function*(
    run: Found,
    exit: number
  ): Effect.fn.Return<void, StreamError> {
    const clocks = workflows.clocks(run.entity)
    const requests = new Set<string>()
    const stored = [
      ...(yield* stream.subjectsOf(workflows.all(clocks))),
      ...(yield* stream.subjectsOf(workflows.all(run.entity)))
    ]
    for (const subject of stored) requests.add(subjects.read(subject)?.request ?? run.request)
    requests.delete(run.request)
    yield* Effect.forEach(requests, removeReplies, { concurrency: atOnce, discard: true })
    yield* stream.purge(workflows.all(clocks))
    yield* stream.purge(workflows.waiting(run.entity))
    yield* stream.purge(workflows.done(run.entity), run.sequence)
    const later = yield* stream.subjectsOf(workflows.done(run.entity))
    yield* Effect.forEach(
      later.filter((subject) => subject !== run.subject),
      (subject) => stream.purge(subject),
      { concurrency: atOnce, discard: true }
    )
    yield* stream.writeAll([
      { subject: run.subject, value: "", ttl: tombstoneTtl, expect: { lastSubjectSequence: run.sequence } },
      {
        subject: subjects.exit(run.request),
        value: "",
        ttl: tombstoneTtl,
        expect: { lastSubjectSequence: exit }
      }
    ]).pipe(
      // Another process was faster.
      Effect.catchTag("WrongLastSequence", () => Effect.void)
    )
  })

  const ofRuns = Effect.fnUntraced(function*(
    found: ReadonlyArray<Found>,
    until: number
  ): Effect.fn.Return<void, StreamError> {
    const runs = found.filter(({ entity }) => !isClock(entity))
    const replies = yield* stream.freshReplies(runs.map(({ request }) => request))
    yield* Effect.forEach(runs, (run) => {
      const exit = replies.get(run.request)?.exit
      const ended = exit === undefined ? undefined : exitOf(exit.reply)
      if (exit === undefined || ended === undefined || isSuspended(ended) || exit.atMillis > until) return Effect.void
      return Effect.flatMap(isNeeded(run), (needed) => needed ? Effect.void : removeExecution(run, exit.sequence))
    }, { concurrency: atOnce, discard: true })
  })

  /** What came before an execution that never began, or after one that is removed. */
  const ofStrays = (found: ReadonlyArray<Found>): Effect.Effect<void, StreamError> =>
    Effect.forEach(found, (entry) => {
      const workflow = isClock(entry.entity) ? payloadOf(entry, "workflowName") : undefined
      if (!isClock(entry.entity) && workflows.isRun(entry.subject)) return Effect.void
      const entity = isString(workflow)
        ? workflows.entity(workflow, entry.envelope.address.entityId)
        : entry.entity
      return Effect.flatMap(stream.last(workflows.run(entity)), (run) =>
        run === undefined
          ? Effect.andThen(removeReplies(entry.request), stream.remove(entry.sequence))
          : Effect.void)
    }, { concurrency: atOnce, discard: true })

  /** From the oldest entry of a pattern to the youngest that is old enough. */
  const walk = (
    pattern: string,
    visit: (found: ReadonlyArray<Found>, until: number) => Effect.Effect<void, StreamError>
  ) => {
    let from = 1
    return Effect.fnUntraced(function*(until: number): Effect.fn.Return<void, StreamError> {
      for (let page = 0; page < mostPages; page++) {
        const { isEnd, messages } = yield* stream.page(pattern, from, mostOfPage)
        const old = messages.filter(({ timestampMillis }) => timestampMillis <= until)
        const found: Array<Found> = []
        for (const message of old) {
          const each = foundOf(message)
          if (each !== undefined) found.push(each)
        }
        yield* visit(found, until)
        const last = old.at(-1)
        if (isEnd || last === undefined || old.length < messages.length) {
          from = 1
          return
        }
        from = last.sequence + 1
      }
    })
  }

  const runs = walk(workflows.processedRuns, ofRuns)
  const strays = walk(workflows.processed, ofStrays)
  return {
    round: Effect.flatMap(
      Clock.currentTimeMillis,
      (now) => Effect.andThen(runs(now - keepMillis), strays(now - keepMillis))
    )
  }
}

/** Rounds until it is interrupted. They begin at different times in different processes. */
export const keepRetention = (
  retention: Retention,
  keepMillis: number,
  stream: string
): Effect.Effect<never> => {
  const interval = intervalOf(keepMillis)
  const round = Effect.catchCause(
    retention.round,
    (cause) => Effect.logWarning(`what is to be removed from the stream ${stream} stays until the next round`, cause)
  )
  return Effect.flatMap(Random.next, (part) => Effect.sleep(interval * part)).pipe(
    Effect.andThen(round),
    Effect.andThen(Effect.forever(Effect.andThen(Effect.sleep(interval), round)))
  )
}
