/** What the messages of a queue store have in them: JSON. Pure. */
import { hasProperty } from "effect/Predicate"

/** An element, as it is offered. */
export interface ElementRecord {
  readonly id: string
  readonly name: string
  readonly element: unknown
}

/** What is written by who has an element. `by` is of this one write, so that one whose answer was lost is found again. */
interface WriterRecord {
  readonly by: string
  readonly attempts: number
}

/** `held: false`: it was given back. */
export interface ClaimRecord extends WriterRecord {
  readonly held: boolean
}

/** An element that has failed for good. */
export interface FailedRecord extends ElementRecord, WriterRecord {
  readonly lastFailure: string
}

const longestFailure = 1024

/** Text that takes no more than so many bytes in JSON. */
export const boundedFailure = (text: string): string => {
  let end = Math.min(text.length, longestFailure)
  while (Buffer.byteLength(JSON.stringify(text.slice(0, end))) > longestFailure + 2) end = Math.floor(end * 0.9)
  return end === text.length ? text : `${text.slice(0, Math.max(0, end - 1))}…`
}

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const textIn = (value: unknown, field: string): string => {
  const found = hasProperty(value, field) ? value[field] : undefined
  return typeof found === "string" ? found : ""
}

const numberIn = (value: unknown, field: string): number => {
  const found = hasProperty(value, field) ? value[field] : undefined
  return typeof found === "number" && Number.isSafeInteger(found) && found >= 0 ? found : 0
}

/** `undefined` for what no store has written. */
export const readElement = (text: string): ElementRecord | undefined => {
  const value = parse(text)
  if (!hasProperty(value, "id") || typeof value.id !== "string") return undefined
  return {
    id: value.id,
    name: textIn(value, "name"),
    element: hasProperty(value, "element") ? value.element : undefined
  }
}

export const readWriter = (text: string): WriterRecord => {
  const value = parse(text)
  return { by: textIn(value, "by"), attempts: numberIn(value, "attempts") }
}

export const readFailed = (text: string): FailedRecord | undefined => {
  const element = readElement(text)
  return element === undefined
    ? undefined
    : { ...element, ...readWriter(text), lastFailure: textIn(parse(text), "lastFailure") }
}
