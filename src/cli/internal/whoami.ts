/**
 * `effect-nats whoami`: who is a client with this configuration?
 */
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { connect } from "./connecting.ts"
import { connectionFlags, jsonFlag } from "./flags.ts"
import * as Output from "./output.ts"
import { load } from "./source.ts"
import { identify, localIdentity } from "./whoami/identity.ts"
import { identityJson, identityLines } from "./whoami/report.ts"

export const whoami = Command.make(
  "whoami",
  { ...connectionFlags, json: jsonFlag },
  Effect.fn(function*({ json, ...options }) {
    const source = yield* load(options)
    if (!json) yield* Output.line(`Configuration: ${Output.shown(source.label)}`)
    const local = yield* localIdentity(source.config)
    // A question, and no work: who asks wants to know at once.
    const config = { ...source.config, reconnect: false as const, whileDisconnected: "fail" as const }
    const client = yield* connect({ ...source, config })
    const status = yield* Stream.runHead(client.status)
    const address = Option.isSome(status) && status.value._tag === "Connected" ? status.value.server : undefined
    const identity = yield* identify(client, local)
    if (json) return yield* Output.json(identityJson(source, address, identity))
    yield* Effect.forEach(identityLines(address, identity), (text) => Output.line(text), { discard: true })
  }, Effect.scoped)
).pipe(
  Command.withDescription("Tells who a client is for the server: its user, its account and what it may do"),
  Command.withExamples([
    {
      command: "effect-nats whoami",
      description: "With what NATS_* or the selected context of the nats tool describe"
    },
    { command: "effect-nats whoami --server tls://nats.example.com --creds user.creds" }
  ])
)
