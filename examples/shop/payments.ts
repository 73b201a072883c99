/**
 * Charges cards. It is the service that fails: by its contract, and by a fault that nobody has thought of.
 */
import { Context, Effect, Latch, Layer } from "effect"
import { NatsService } from "effect-nats/service"
import { Declined, Payments } from "./contracts.ts"

/** What a database would be: instances of the service come and go, this stays. */
export class Bank extends Context.Service<Bank>()("shop/Bank", {
  make: Effect.sync(() => ({
    /** By order. */
    charged: new Map<string, number>(),
    askedAgain: 0,
    /** Closed, it charges cards and does not say so. */
    answers: Latch.makeUnsafe(true)
  }))
}) {
  static readonly layer = Layer.effect(this, this.make)
}

const handlers = Payments.toLayer(Effect.gen(function*() {
  const bank = yield* Bank
  return Payments.of({
    charge: ({ amount, card, order }) => {
      switch (card) {
        case "empty":
          return Effect.fail(new Declined({ reason: `there are no ${amount} on it` }))
        case "cursed":
          return Effect.die(new Error("the bank's password is hunter2"))
        default:
          return Effect.suspend(() => {
            if (bank.charged.has(order)) bank.askedAgain++
            else bank.charged.set(order, amount)
            return bank.answers.await
          })
      }
    }
  })
}))

/** One instance. It needs a connection of its own. */
export const instance = NatsService.layer(Payments, {
  name: "payments",
  version: "1.0.0",
  description: "Charges cards"
}).pipe(Layer.provide(handlers))
