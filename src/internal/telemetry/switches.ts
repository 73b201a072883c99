/**
 * The references that turn tracing on and off. Documented where they are public: `NatsTracing`.
 */
import * as Context from "effect/Context"

export const TracingEnabled: Context.Reference<boolean> = Context.Reference<boolean>(
  "effect-nats/NatsTracing/Enabled",
  { defaultValue: () => true }
)

export const PropagationEnabled: Context.Reference<boolean> = Context.Reference<boolean>(
  "effect-nats/NatsTracing/PropagationEnabled",
  { defaultValue: () => true }
)

/** How the span of a received message stands to the one that sent it. */
export type Relation = "parent" | "link"

export const ConsumerRelation: Context.Reference<Relation> = Context.Reference<Relation>(
  "effect-nats/NatsTracing/ConsumerRelation",
  { defaultValue: () => "parent" }
)
