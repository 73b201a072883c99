/**
 * Two accounts in one program: a client for each, and what runs on which.
 *
 *   node examples/two-accounts.ts
 *
 * The variables are set inside of the program here, by a ConfigProvider; without it they are those of the process.
 *
 * Prints:
 *   The server has the users bank, shop.
 *   The bank has a bill: 42
 *   It is paid.
 *   The shop's own account has no bills: NoResponders
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { ConfigProvider, Console, Effect, Layer } from "effect"
import { NatsClient, NatsLayer, NatsListener } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"

// The account of the program is the shop's. That of the bank has a name.
class Bank extends NatsLayer.Named<Bank>()("Bank") {}

// In the account of the bank: whatever asks for a client runs there with `Bank.on`.
const Bills = Bank.on(NatsListener.layer(
  "bills",
  NatsListener.replying((message) => Effect.as(Console.log(`The bank has a bill: ${message.text}`), "paid"))
))

// In the shop's, and from there into the bank's: a client by its name.
const Orders = NatsListener.layer(
  "orders",
  NatsListener.replying((message) =>
    Effect.gen(function*() {
      const bank = yield* Bank
      const reply = yield* bank.request("bills", message.data)
      return reply.text
    })
  )
)

const App = Layer.mergeAll(Bills, Orders).pipe(
  Layer.provideMerge(NatsLayer.fromEnv()),
  Layer.provide(Bank.layerFrom(NatsLayer.fromEnv({ prefix: "BANK_NATS" })))
)

const program = Effect.gen(function*() {
  const server = yield* TestNatsServer.TestNatsServer
  const nats = yield* NatsClient.NatsClient
  const users = (yield* server.connz).map(({ authorized_user }) => authorized_user)
  yield* Console.log(`The server has the users ${users.toSorted().join(", ")}.`)
  const order = yield* nats.request("orders", "42")
  yield* Console.log(`It is ${order.text}.`)
  const error = yield* Effect.flip(nats.request("bills", "43"))
  yield* Console.log(`The shop's own account has no bills: ${error._tag}`)
})

const server = TestNatsServer.layer({
  accounts: {
    SHOP: { users: [{ user: "shop", password: "shoppassword" }] },
    BANK: { users: [{ user: "bank", password: "bankpassword" }] }
  }
})

const variables = Layer.unwrap(
  Effect.map(TestNatsServer.TestNatsServer, ({ url }) =>
    ConfigProvider.layer(ConfigProvider.fromUnknown({
      NATS_URL: url,
      NATS_USER: "shop",
      NATS_PASSWORD: "shoppassword",
      BANK_NATS_URL: url,
      BANK_NATS_USER: "bank",
      BANK_NATS_PASSWORD: "bankpassword"
    })))
)

program.pipe(
  Effect.provide(App.pipe(Layer.provide(variables), Layer.provideMerge(server))),
  NodeRuntime.runMain
)
