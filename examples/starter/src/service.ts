/** What the service does. */
import { Config, Effect, Layer } from "effect"
import { NatsService } from "effect-nats/service"
import { Contract, name, NameTooLong } from "./contract.ts"

const longest = 64

const handlers = Contract.toLayer(Effect.gen(function*() {
  // A variable that cannot be read fails the start, and no request.
  const greeting = yield* Config.String("GREETING").pipe(Config.withDefault("Hello"))
  return {
    greet: Effect.fnUntraced(function*(payload) {
      if (payload.name.length > longest) return yield* new NameTooLong({ longest })
      return { text: `${greeting}, ${payload.name}!` }
    })
  }
}))

/** It succeeds when the server has every subscription, and answers what it has before it ends. */
export const Service = NatsService.layer(Contract, { name, version: "1.0.0" }).pipe(Layer.provide(handlers))
