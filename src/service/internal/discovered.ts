/**
 * What services of any language answer to discovery, as ADR-32 has it.
 *
 * Libraries differ: one leaves out what is empty or a number that it does not count, another writes an error as an object.
 * What can be meant in one way is read as that. Only an answer that tells no name or id, or whose parts are of another kind
 * altogether, is none.
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import { errorIn } from "../../internal/payload/serviceReply.ts"
import { printable } from "../../internal/protocol/printable.ts"
import { quoted } from "../../internal/protocol/shown.ts"
import type { NatsMessage } from "../../NatsMessage.ts"
import type {
  EndpointInfo,
  EndpointStats,
  InfoResponse,
  Instance,
  PingResponse,
  StatsResponse
} from "../ServiceDiscovery.ts"
import { infoType, pingType, statsType } from "./monitoring.ts"

/** An answer that cannot be read: why, and whose it is as far as it says so. */
export class Unreadable {
  readonly name: string | undefined
  readonly id: string | undefined
  readonly problem: string
  constructor(problem: string, name?: string, id?: string) {
    this.problem = problem
    this.name = name
    this.id = id
  }
}

type Fields = Readonly<Record<string, unknown>>

export type Read<A> = (fields: Fields, instance: Instance) => A

export const readPing: Read<PingResponse> = (_: Fields, instance: Instance): PingResponse => ({
  type: pingType,
  ...instance
})

export const readInfo = (fields: Fields, instance: Instance): InfoResponse => ({
  type: infoType,
  ...instance,
  description: text(fields["description"]),
  endpoints: list(fields["endpoints"], "endpoints").map(readEndpointInfo)
})

export const readStats = (fields: Fields, instance: Instance): StatsResponse => ({
  type: statsType,
  ...instance,
  started: text(fields["started"]),
  endpoints: list(fields["endpoints"], "endpoints").map(readEndpointStats)
})

/** Reads the answer to a verb, such as `STATS`. Never throws. */
export const readAnswer = <A>(
  verb: string,
  message: NatsMessage,
  read: Read<A>
): A | Unreadable => {
  const error = errorIn(message.subject, message)
  const fields = jsonOf(message.text)
  const name = named(fields, "name")
  const id = named(fields, "id") ?? (fields === undefined ? idIn(message.text) : undefined)
  const unreadable = (problem: string): Unreadable => new Unreadable(problem, name, id)
  if (error !== undefined) {
    const { code, codeText, description } = error
    return unreadable(`it is error ${printable(codeText ?? String(code), 64)}: ${printable(description, 256)}`)
  }
  if (fields === undefined) return unreadable(message.text === "" ? "it is empty" : "it is not JSON")
  if (!Predicate.isReadonlyObject(fields)) return unreadable("it is no JSON object")
  if (!isOfVerb(fields["type"], verb)) return unreadable(`its type is none of ${verb}`)
  if (name === undefined) return unreadable("it has no name")
  if (id === undefined) return unreadable("it has no id")
  try {
    return read(fields as Fields, { name, id, version: text(fields["version"]), metadata: texts(fields["metadata"]) })
  } catch (thrown) {
    return unreadable(thrown instanceof Unfit ? thrown.message : "it is nested too deeply")
  }
}

/** Somebody who answers with anything must not fill the log. */
const mostWarnings = 10
const longestName = 128

/** Tells of the answers to one search that are left out. */
export class SkippedAnswers {
  private readonly subject: string
  private skipped = 0

  constructor(subject: string) {
    this.subject = subject
  }

  add({ id, name, problem }: Unreadable): Effect.Effect<void> {
    if (++this.skipped > mostWarnings) return Effect.void
    const whose = name === undefined ? "A service" : `The service ${quoted(name, longestName)}`
    const which = id === undefined ? "" : ` with the id ${quoted(id, longestName)}`
    return this.warn(`${whose}${which} gave an answer to ${this.subject} that is left out: ${problem}`, {
      ...(name === undefined ? {} : { service: printable(name, longestName) }),
      ...(id === undefined ? {} : { id: printable(id, longestName) })
    })
  }

  /** With the search. */
  readonly end: Effect.Effect<void> = Effect.suspend(() => {
    const more = this.skipped - mostWarnings
    if (more <= 0) return Effect.void
    const answers = more === 1 ? "1 more answer" : `${more} more answers`
    return this.warn(`${answers} to ${this.subject} ${more === 1 ? "is" : "are"} left out`, {})
  })

  private warn(text: string, annotations: Readonly<Record<string, string>>): Effect.Effect<void> {
    return Effect.annotateLogs(Effect.logWarning(text), { subject: this.subject, ...annotations })
  }
}

/** What is of another kind than it can be. */
class Unfit extends Error {}

const jsonOf = (text: string): unknown => {
  try {
    // Some writers of .NET and Java begin with a byte order mark.
    return JSON.parse(text.startsWith("\uFEFF") ? text.slice(1) : text)
  } catch {
    return undefined
  }
}

// The C client writes texts into its JSON as they are: an error with a quote makes it none. No endpoint has an id.
const idIn = (text: string): string | undefined => /"id"\s*:\s*"([\w-]{1,64})"/.exec(text)?.[1]

/** The kind is what tells the verbs apart; of a later version what is known of this one is read. */
const isOfVerb = (type: unknown, verb: string): boolean =>
  type === undefined || type === null ||
  (typeof type === "string" && new RegExp(`^io\\.nats\\.micro\\.v\\d+\\.${verb}_response$`, "i").test(type))

const named = (fields: unknown, key: string): string | undefined => {
  if (!Predicate.isReadonlyObject(fields)) return undefined
  const value = (fields as Fields)[key]
  return (typeof value === "string" && value !== "") || typeof value === "number" ? String(value) : undefined
}

/** Any JSON as text: a text as it is, nothing where there is nothing. */
const text = (value: unknown): string =>
  typeof value === "string" ? value : value === undefined || value === null ? "" : JSON.stringify(value)

/** Own properties whatever their names are. */
const texts = (value: unknown): Readonly<Record<string, string>> => {
  if (value === undefined || value === null) return {}
  if (typeof value !== "object") return { metadata: text(value) }
  return Object.fromEntries(Object.entries(value).map(([key, value]) => [key, text(value)]))
}

const list = (value: unknown, path: string): ReadonlyArray<Fields> => {
  if (value === undefined || value === null) return []
  if (!Array.isArray(value)) throw new Unfit(`its ${path} are no list`)
  return value.map((item: unknown, index) => {
    if (Predicate.isReadonlyObject(item)) return item as Fields
    throw new Unfit(`${path}[${index}] is no JSON object`)
  })
}

const place = (endpoint: Fields): Omit<EndpointInfo, "metadata"> => ({
  name: text(endpoint["name"]),
  subject: text(endpoint["subject"]),
  queue_group: text(endpoint["queue_group"])
})

const readEndpointInfo = (endpoint: Fields): EndpointInfo => ({
  ...place(endpoint),
  metadata: texts(endpoint["metadata"])
})

/** A count or a time, told as a number or as its text. */
const amount = (value: unknown): number | undefined => {
  const number = typeof value === "number"
    ? value
    : typeof value === "string" && /^\d+(?:\.\d+)?$/.test(value.trim())
    ? Number(value)
    : undefined
  return number !== undefined && number >= 0 && number < Infinity ? number : undefined
}

const readEndpointStats = (endpoint: Fields): EndpointStats => {
  const requests = amount(endpoint["num_requests"]) ?? 0
  const total = amount(endpoint["processing_time"])
  const average = amount(endpoint["average_processing_time"])
  return {
    ...place(endpoint),
    num_requests: requests,
    num_errors: amount(endpoint["num_errors"]) ?? 0,
    last_error: text(endpoint["last_error"]),
    processing_time: total ?? amount((average ?? 0) * requests) ?? 0,
    average_processing_time: average ?? (requests === 0 ? 0 : amount(Math.trunc((total ?? 0) / requests)) ?? 0),
    ...("data" in endpoint ? { data: endpoint["data"] } : {})
  }
}
