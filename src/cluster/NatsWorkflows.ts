/**
 * Lists executions of workflows and tells what happened in one, from what `ClusterWorkflowEngine` of effect has stored in the
 * stream of a cluster. Needs JetStream alone: no runner, no definition of a workflow, and nothing is written.
 *
 * ```ts
 * import { Console, Effect, Layer, Stream } from "effect"
 * import { NatsClient } from "effect-nats"
 * import { NatsWorkflows } from "effect-nats/cluster"
 * import { JetStream } from "effect-nats/jetstream"
 *
 * const program = NatsWorkflows.list({ prefix: "shop", status: "suspended" }).pipe(
 *   Stream.runForEach(({ executionId, workflow }) => Console.log(workflow, executionId))
 * )
 *
 * Effect.runPromise(program.pipe(
 *   Effect.provide(JetStream.layer()),
 *   Effect.provide(NatsClient.layer({ servers: "nats://127.0.0.1:4222" }))
 * ))
 * ```
 *
 * To cancel an execution, or to make one go on that was suspended by its failure, the program needs the workflow's definition and
 * an engine, which a client of the cluster has: `Order.interrupt(executionId)` and `Order.resume(executionId)` with
 * `ClusterWorkflowEngine.layer` over `NatsCluster.layerClientOnly`.
 *
 * What is not kept any more is not told: see `retention` of `NatsMessageStorage`. Needs nats-server 2.12, as the storage does.
 *
 * @since 0.2.0
 */
import * as Snowflake from "effect/cluster/Snowflake"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { isString } from "effect/Predicate"
import * as Stream from "effect/Stream"
import { JetStream } from "../jetstream/JetStream.ts"
import type { ApiError, GetBatchError, GetError, InvalidName, StreamNotFound } from "../jetstream/JetStreamError.ts"
import * as JetStreamStream from "../jetstream/JetStreamStream.ts"
import type { InvalidSubject } from "../NatsError.ts"
import { textOf } from "../persistence/internal/textToken.ts"
import { clusterStream } from "./internal/clusterStream.ts"
import { type MessageStream, messageStream, type StoredReply } from "./internal/messageStream.ts"
import { messageSubjects } from "./internal/messageSubjects.ts"
import { entryOf } from "./internal/messageValues.ts"
import {
  exitOf,
  innerExit,
  isFailedSuspended,
  isInterrupted,
  isSuspended,
  signalExit
} from "./internal/workflowReplies.ts"
import {
  executionToken,
  isClock,
  isWorkflow,
  kindOf,
  numberIn,
  parentOf,
  textIn,
  workflowOf,
  type WorkflowSubjects,
  workflowSubjects
} from "./internal/workflowSubjects.ts"

/**
 * - `running`: it runs, or waits for a runner.
 * - `suspended`: it waits for a clock, a signal, a child, or for somebody to resume it (`awaitsResume`).
 * - `complete`, `failed`, `interrupted`: it is at its end.
 *
 * @category models
 * @since 0.2.0
 */
export type Status = "running" | "suspended" | "complete" | "failed" | "interrupted"

/**
 * An execution of a workflow.
 *
 * @category models
 * @since 0.2.0
 */
export interface Execution {
  readonly workflow: string
  readonly executionId: string
  readonly status: Status
  /** It failed, its workflow has `SuspendOnFailure`, and it goes on when it is resumed. */
  readonly awaitsResume: boolean
  /** When it was started, by the clock of who did, in milliseconds since 1970. */
  readonly startedMillis: number
  /** When its end was stored, by the clock of the server. */
  readonly endedMillis: number | undefined
  /** What it was started with, encoded by the schema of the workflow. Only where `payload` is asked for. */
  readonly payload?: unknown
  /** The exit that it ended with, encoded. Only where `payload` is asked for. */
  readonly exit?: unknown
}

/**
 * The execution that started another one.
 *
 * @category models
 * @since 0.2.0
 */
export interface Parent {
  readonly workflow: string
  readonly executionId: string
  /** It does not wait for the child, and an interrupt of it leaves the child as it is. */
  readonly detached: boolean
}

/**
 * Something that an execution has stored.
 *
 * - `activity`: an attempt of an activity.
 * - `signal`: a durable deferred that somebody has completed, also that of a durable queue.
 * - `clock`: a sleep. One that is not stored, since it is not longer than its `inMemoryThreshold`, is an activity by the name
 *   `DurableClock/<name>`.
 * - `child`: a child that has ended and woke the execution; `name` is its execution id.
 * - `interrupt`: somebody has asked for the end of it.
 *
 * @category models
 * @since 0.2.0
 */
export interface Step {
  readonly kind: "activity" | "signal" | "clock" | "child" | "interrupt"
  readonly name: string
  /** Of an activity, from 1. */
  readonly attempt: number | undefined
  /** `pending`: it runs, or waits for a runner or its time. `suspended`: an activity that waits for something itself. */
  readonly status: "pending" | "suspended" | "complete" | "failed" | "interrupted"
  /** When it was stored, by the clock of who did, in milliseconds since 1970. */
  readonly startedMillis: number
  /** When its result was stored, by the clock of the server. */
  readonly endedMillis: number | undefined
  /** When a sleep is over. `undefined` of one whose run was interrupted later. */
  readonly wakeUpMillis: number | undefined
  /** The exit that it ended with, encoded. Only where `payload` is asked for. */
  readonly exit?: unknown
}

/**
 * An execution and what it has stored, in the order in which that began.
 *
 * @category models
 * @since 0.2.0
 */
export interface History extends Execution {
  readonly parent: Parent | undefined
  readonly steps: ReadonlyArray<Step>
}

/**
 * @category options
 * @since 0.2.0
 */
export interface ListOptions {
  /** The `prefix` of the cluster. */
  readonly prefix: string
  /** The name of a workflow. Default: all workflows. */
  readonly workflow?: string | undefined
  /** One status, or some. Default: all. */
  readonly status?: Status | ReadonlyArray<Status> | undefined
  /** Whether to tell `payload` and `exit`, which are data of users. Default `false`. */
  readonly payload?: boolean | undefined
}

/**
 * @category options
 * @since 0.2.0
 */
export interface HistoryOptions {
  /** The `prefix` of the cluster. */
  readonly prefix: string
  readonly workflow: string
  readonly executionId: string
  /** Whether to tell `payload` and each `exit`, which are data of users. Default `false`. */
  readonly payload?: boolean | undefined
}

/**
 * What reading fails with. `StreamNotFound`: there is no cluster of that prefix.
 *
 * @category errors
 * @since 0.2.0
 */
export type ReadError = ApiError | StreamNotFound | InvalidName | InvalidSubject | GetBatchError | GetError

/** Results of so many are read at once. */
const mostOfPage = 128

interface Opened {
  readonly stream: MessageStream
  readonly workflows: WorkflowSubjects
  /** Subjects of runs. */
  readonly runs: ReadonlyArray<string>
}

/** The stream, and the subjects of a pattern. */
const opened = Effect.fnUntraced(function*(
  prefix: string,
  pattern: (workflows: WorkflowSubjects) => string
): Effect.fn.Return<Opened, ReadError, JetStream> {
  const names = clusterStream({ prefix })
  const workflows = workflowSubjects(names)
  const { config, state } = yield* JetStreamStream.info(names.name, { subjects: pattern(workflows) })
  const stream = messageStream({
    js: yield* JetStream,
    name: names.name,
    subjects: messageSubjects(names),
    isReplicated: () => config.replicas > 1
  })
  return { stream, workflows, runs: [...(state.subjects?.keys() ?? [])] }
})

const startOf = (request: string): number => Snowflake.timestamp(Snowflake.Snowflake(request))

/** A run, of whom only the subject is known. */
interface Run {
  readonly subject: string
  readonly entity: string
  readonly request: string
}

const statusOf = (
  stored: StoredReply | undefined,
  payload: boolean
): Omit<Execution, "workflow" | "executionId" | "startedMillis"> => {
  const exit = stored === undefined ? undefined : exitOf(stored.reply)
  if (stored === undefined || exit === undefined) {
    return { status: "running", awaitsResume: false, endedMillis: undefined }
  }
  if (isSuspended(exit)) return { status: "suspended", awaitsResume: isFailedSuspended(exit), endedMillis: undefined }
  const inner = innerExit(exit)
  return {
    status: inner._tag === "Success" ? "complete" : isInterrupted(inner) ? "interrupted" : "failed",
    awaitsResume: false,
    endedMillis: stored.atMillis,
    ...(payload ? { exit: inner } : {})
  }
}

/** `undefined` of one that is gone by now. */
const executionOf = Effect.fnUntraced(function*(
  { stream, workflows }: Opened,
  run: Run,
  stored: StoredReply | undefined,
  payload: boolean
): Effect.fn.Return<Execution | undefined, ReadError> {
  const workflow = workflowOf(run.entity)
  const executionId = textOf(executionToken(run.entity))
  const known = { ...statusOf(stored, payload), startedMillis: startOf(run.request) }
  // What is to be removed loses its result and its run at once, and what goes on loses its result alone.
  const isDoubtful = stored === undefined && workflows.isDone(run.subject)
  if (workflow !== undefined && executionId !== undefined && !payload && !isDoubtful) {
    return { workflow, executionId, ...known }
  }
  const message = yield* stream.last(workflows.run(run.entity))
  const envelope = message === undefined ? undefined : entryOf(message)?.envelope
  if (envelope === undefined || envelope._tag !== "Request") return undefined
  return {
    workflow: envelope.address.entityType.slice("Workflow/".length),
    executionId: envelope.address.entityId,
    ...known,
    ...(payload ? { payload: parentOf(envelope.payload).payload } : {})
  }
})

/**
 * Executions that are stored, in the order in which they were started. Of those that are not shown subjects alone are read; of
 * what is shown, the results, some at a time, as the stream is pulled. It is no snapshot: each execution is told as it is when
 * its turn comes, and what starts meanwhile is not in it.
 *
 * Interrupting it ends the read.
 *
 * @category operations
 * @since 0.2.0
 */
export const list = (options: ListOptions): Stream.Stream<Execution, ReadError, JetStream> => {
  const { payload = false, prefix, status, workflow } = options
  const wanted = status === undefined ? undefined : new Set(isString(status) ? [status] : status)
  return Stream.unwrap(Effect.map(opened(prefix, (workflows) => workflows.runs(workflow)), (cluster) => {
    const { runs, stream } = cluster
    const byRequest = new Map<string, Run>()
    for (const subject of runs) {
      const run = stream.subjects.read(subject)
      // One that is being moved has two subjects.
      if (run !== undefined && isWorkflow(run.entity) && !isClock(run.entity)) byRequest.set(run.request, run)
    }
    const sorted = [...byRequest.values()].toSorted((a, b) => inStart(a.request, b.request))
    return Stream.fromIterable(sorted).pipe(
      Stream.grouped(mostOfPage),
      Stream.mapEffect(Effect.fnUntraced(function*(page) {
        const replies = yield* stream.freshReplies(page.map(({ request }) => request))
        const found = yield* Effect.forEach(page, (run) => {
          const exit = replies.get(run.request)?.exit
          return wanted !== undefined && !wanted.has(statusOf(exit, false).status)
            ? Effect.undefined
            : executionOf(cluster, run, exit, payload)
        }, { concurrency: 16 })
        return found.filter((execution) => execution !== undefined)
      })),
      Stream.flattenIterable
    )
  }))
}

/** Ids are times first. */
const inStart = (left: string, right: string): number => left.length - right.length || (left < right ? -1 : 1)

const stepStatus = (
  stored: StoredReply | undefined,
  isSignal: boolean,
  payload: boolean
): Pick<Step, "status" | "endedMillis" | "exit"> => {
  const exit = stored === undefined ? undefined : exitOf(stored.reply)
  if (stored === undefined || exit === undefined) return { status: "pending", endedMillis: undefined }
  if (!isSignal && isSuspended(exit)) return { status: "suspended", endedMillis: undefined }
  const inner = isSignal ? signalExit(exit) : innerExit(exit)
  return {
    status: inner._tag === "Success" ? "complete" : isInterrupted(inner) ? "interrupted" : "failed",
    endedMillis: stored.atMillis,
    ...(payload ? { exit: inner } : {})
  }
}

/**
 * An execution and what it has stored. `None` where there is none, or none any more.
 *
 * A signal is pending until it has woken its run, which can be complete a moment earlier. A sleep is told once, as a clock. An
 * interrupt of the run removes its clocks: of one that was over is told when that was, and one that was still pending is gone.
 *
 * @category operations
 * @since 0.2.0
 */
export const history = Effect.fnUntraced(function*(
  options: HistoryOptions
): Effect.fn.Return<Option.Option<History>, ReadError, JetStream> {
  const { executionId, payload = false, prefix, workflow } = options
  const ofExecution = (workflows: WorkflowSubjects) => workflows.run(workflows.entity(workflow, executionId))
  const cluster = yield* opened(prefix, ofExecution)
  const { stream, workflows } = cluster
  const { subjects } = stream
  const entity = workflows.entity(workflow, executionId)
  const messages = yield* stream.all([workflows.all(entity), workflows.all(workflows.clocks(entity))])
  const entries = new Map(messages.flatMap((message) => {
    const entry = entryOf(message)
    const said = subjects.read(message.subject)
    return entry === undefined || said === undefined || entry.envelope._tag !== "Request"
      ? []
      : [[said.request, { ...said, envelope: entry.envelope }] as const]
  }))
  const replies = yield* stream.freshReplies(entries.keys())
  const run = [...entries.values()].find(({ entity, subject }) => !isClock(entity) && workflows.isRun(subject))
  if (run === undefined) return Option.none()
  const { parent, payload: given } = parentOf(run.envelope.payload)
  const steps: Array<Step> = []
  const clocks = new Set<string>()
  for (const [request, { entity, envelope }] of [...entries].toSorted(([a], [b]) => inStart(a, b))) {
    const ofClock = isClock(entity)
    // Executions of different workflows may have one id.
    if (ofClock && textIn(envelope.payload, "workflowName") !== workflow) continue
    const kind = kindOf(envelope.tag, envelope.payload, ofClock)
    if (kind === undefined) continue
    if (kind.kind === "clock") {
      // Its signal came after it, and is all that is left of it where the run was interrupted later.
      if (clocks.has(kind.name)) continue
      clocks.add(kind.name)
    }
    steps.push({
      ...kind,
      ...stepStatus(replies.get(request)?.exit, envelope.tag === "deferred", payload),
      attempt: kind.kind === "activity" ? numberIn(envelope.payload, "attempt") : undefined,
      startedMillis: startOf(request),
      wakeUpMillis: kind.kind === "clock" ? numberIn(envelope.payload, "wakeUp") : undefined
    })
  }
  return Option.some({
    workflow,
    executionId,
    ...statusOf(replies.get(run.request)?.exit, payload),
    startedMillis: startOf(run.request),
    ...(payload ? { payload: given } : {}),
    parent,
    steps
  })
})
