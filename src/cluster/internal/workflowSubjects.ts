/**
 * Where `ClusterWorkflowEngine` of effect has what it stores, and what its requests are: all of one execution is on the entity
 * type `Workflow/<name>`, whose id is that of the execution, and its clocks are on the type `Workflow/-/DurableClock` with the
 * same id. The request of the execution itself is `run`, with an empty primary key.
 */
import { hasProperty, isNumber, isString } from "effect/Predicate"
import { textOf, tokenOf } from "../../persistence/internal/textToken.ts"
import type { ClusterStream } from "./clusterStream.ts"

const typePrefix = "Workflow/"
const mark = tokenOf(typePrefix)

/** The token of an entity type. That of a workflow tells that it is one, however long its name is. */
export const typeToken = (entityType: string): string =>
  entityType.startsWith(typePrefix) ? `${mark}${tokenOf(entityType.slice(typePrefix.length))}` : tokenOf(entityType)

/** Whether a subject's tokens of type and id are about an execution, or the clocks of one. */
export const isWorkflow = (entity: string): boolean => entity.startsWith(mark)

const clockType = typeToken("Workflow/-/DurableClock")

export const isClock = (entity: string): boolean => entity.startsWith(`${clockType}.`)

export const runKey: string = tokenOf("run/")

/** The token of an execution's id. */
export const executionToken = (entity: string): string => entity.slice(entity.indexOf(".") + 1)

/** The name of the workflow, and `undefined` where the subject has a digest of it. */
export const workflowOf = (entity: string): string | undefined => textOf(entity.slice(mark.length, entity.indexOf(".")))

/** The deferred that asks for the end of an execution. */
const interruptSignal = "Workflow/InterruptSignal"

/** Where a child's request says whose child it is. */
const parentKey = "~effect/cluster/ClusterWorkflowEngine/payloadParentKey"

export interface ParentExecution {
  readonly workflow: string
  readonly executionId: string
  readonly detached: boolean
}

/** Who started an execution, and with what, from the payload of its run. */
export const parentOf = (
  payload: unknown
): { readonly parent: ParentExecution | undefined; readonly payload: unknown } => {
  if (!hasProperty(payload, parentKey)) return { parent: undefined, payload }
  const { [parentKey]: said, ...given } = payload
  if (!hasProperty(said, "workflowName") || !hasProperty(said, "executionId")) {
    return { parent: undefined, payload: given }
  }
  const { executionId, workflowName } = said
  const detached = hasProperty(said, "detached") && said.detached === true
  return {
    parent: isString(workflowName) && isString(executionId)
      ? { workflow: workflowName, executionId, detached }
      : undefined,
    payload: given
  }
}

export type StepKind = "activity" | "signal" | "clock" | "child" | "interrupt"

export const textIn = (payload: unknown, property: string): string => {
  const value = hasProperty(payload, property) ? payload[property] : undefined
  return isString(value) ? value : ""
}

export const numberIn = (payload: unknown, property: string): number | undefined => {
  const value = hasProperty(payload, property) ? payload[property] : undefined
  return isNumber(value) ? value : undefined
}

/** What the signal begins with that a clock gives when its time is over. */
const clockSignal = "DurableClock/"

/** What a request of the engine is. */
export const kindOf = (
  tag: string,
  payload: unknown,
  ofClock: boolean
): { readonly kind: StepKind; readonly name: string } | undefined => {
  if (ofClock) return tag === "run" ? { kind: "clock", name: textIn(payload, "name") } : undefined
  switch (tag) {
    case "activity":
      return { kind: "activity", name: textIn(payload, "name") }
    case "deferred": {
      const name = textIn(payload, "name")
      if (name === interruptSignal) return { kind: "interrupt", name }
      return name.startsWith(clockSignal)
        ? { kind: "clock", name: name.slice(clockSignal.length) }
        : { kind: "signal", name }
    }
    case "resume":
      return { kind: "child", name: textIn(payload, "childExecutionId") }
    default:
      return undefined
  }
}

export interface WorkflowSubjects {
  /** Runs that are processed, and what else looks like one. */
  readonly processedRuns: string
  readonly processed: string
  /** All runs of a workflow, processed or not; without a name those of all workflows. */
  readonly runs: (workflow?: string) => string
  /** The run of an execution, processed or not. */
  readonly run: (entity: string) => string
  readonly entity: (workflow: string, executionId: string) => string
  /** The clocks of the same execution. */
  readonly clocks: (entity: string) => string
  /** All that is stored of an entity. */
  readonly all: (entity: string) => string
  /** Entries of an entity that are not processed. */
  readonly waiting: (entity: string) => string
  /** Those that are. */
  readonly done: (entity: string) => string
  readonly isRun: (subject: string) => boolean
  readonly isDone: (subject: string) => boolean
}

export const workflowSubjects = ({ stored }: ClusterStream): WorkflowSubjects => {
  const waiting = stored("i")
  const done = stored("q")
  const either = `${waiting.slice(0, -1)}*`
  const depth = waiting.split(".").length
  const run = (entity: string) => `${either}.${entity}.${runKey}.*.*.r`
  return {
    processedRuns: `${done}.*.*.${runKey}.*.*.r`,
    processed: `${done}.>`,
    runs: (workflow) => run(workflow === undefined ? "*.*" : `${typeToken(`${typePrefix}${workflow}`)}.*`),
    run,
    entity: (workflow, executionId) => `${typeToken(`${typePrefix}${workflow}`)}.${tokenOf(executionId)}`,
    clocks: (entity) => `${clockType}.${executionToken(entity)}`,
    all: (entity) => `${either}.${entity}.>`,
    waiting: (entity) => `${waiting}.${entity}.>`,
    done: (entity) => `${done}.${entity}.>`,
    isRun: (subject) => subject.split(".")[depth + 2] === runKey,
    isDone: (subject) => subject.startsWith(`${done}.`)
  }
}
