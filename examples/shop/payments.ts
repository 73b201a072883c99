/**
 * Charges cards. It is the service that fails: by its contract, and by a fault that nobody has thought of.
 */
import { Effect, Layer } from "effect"
import { NatsService } from "effect-nats/service"
import { Declined, Payments } from "./contracts.ts"

const handlers = Payments.toLayer({
  charge: ({ amount, card }) => {
    switch (card) {
      case "empty":
        return Effect.fail(new Declined({ reason: `there are no ${amount} on it` }))
      case "cursed":
        return Effect.die(new Error("the bank's password is hunter2"))
      default:
        return Effect.void
    }
  }
})

/** One instance. It needs a connection of its own. */
export const instance = NatsService.layer(Payments, {
  name: "payments",
  version: "1.0.0",
  description: "Charges cards"
}).pipe(Layer.provide(handlers))
