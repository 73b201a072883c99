/**
 * What `process` needs of a consumer, as the server has it.
 */
import { ConsumerUnfit } from "../JetStreamError.ts"
import type { ConsumerFacts } from "./consumerFacts.ts"

export interface FitConsumer {
  /** Where the consumer has one filter: what the subjects of its messages look like. */
  readonly filter: string | undefined
}

export const fitConsumer = (
  stream: string,
  consumer: string,
  { ackPolicy, config = {} }: ConsumerFacts
): FitConsumer | ConsumerUnfit => {
  const unfit = (field: ConsumerUnfit["field"], actual: unknown, needed: string): ConsumerUnfit =>
    new ConsumerUnfit({ stream, consumer, field, actual: String(actual), needed })
  if (ackPolicy !== "explicit") return unfit("ackPolicy", ackPolicy, "explicit")
  const maxDeliver = config["max_deliver"] ?? -1
  if (maxDeliver !== -1) return unfit("maxDeliver", maxDeliver, "-1")
  const filter = config["filter_subject"]
  return {
    filter: typeof filter === "string" && filter !== "" ? filter : undefined
  }
}
