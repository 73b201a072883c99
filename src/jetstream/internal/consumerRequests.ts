/**
 * What is read of the server's words about a consumer, and how it is asked to make one. Pure.
 */
import type { ConsumerFacts } from "./consumerFacts.ts"
import { filterPath } from "./filterPath.ts"

/** As the server has it in its refusal. */
export const limitIn = (description: string): Partial<ConsumerFacts> => {
  const [, what, value] = /^Exceeded MaxRequest(Batch|MaxBytes|Expires) of (\S+)/i.exec(description) ?? []
  const number = Number.parseFloat(value ?? "")
  if (!(number > 0)) return {}
  if (what === "Batch") return { maxBatch: number }
  if (what === "MaxBytes") return { maxBytes: number }
  const unit = /[a-zµ]+$/.exec(value)?.[0]
  const millis = unit === "ms"
    ? number
    : unit === "m"
    ? number * 60_000
    : unit === "h"
    ? number * 3_600_000
    : number * 1000
  return { maxExpiresMillis: millis }
}

/** The request that makes a consumer, named by its configuration as the wire has it. */
export const createName = (stream: string, consumer: string, config: Readonly<Record<string, unknown>>): string => {
  if (typeof config["durable_name"] === "string") return `CONSUMER.DURABLE.CREATE.${stream}.${consumer}`
  const filter = config["filter_subject"]
  return `CONSUMER.CREATE.${stream}.${consumer}${filterPath(typeof filter === "string" ? filter : undefined)}`
}
