/**
 * The commands.
 */
import * as Command from "effect/cli/Command"
import { check } from "./check.ts"
import { server } from "./server.ts"
import { service } from "./service.ts"

export const command = Command.make("effect-nats").pipe(
  Command.withDescription(
    "Looks into NATS connections: why one does not come about, who a client is, what runs there."
  ),
  Command.withSubcommands([check, server, service])
)
