/**
 * The commands.
 */
import * as Command from "effect/cli/Command"
import { check } from "./check.ts"
import { pub } from "./pub.ts"
import { request } from "./request.ts"
import { server } from "./server.ts"
import { service } from "./service.ts"
import { sub } from "./sub.ts"

export const command = Command.make("effect-nats").pipe(
  Command.withDescription(
    "Looks into NATS connections: why one does not come about, who a client is, what runs there."
  ),
  Command.withSubcommands([check, server, service, sub, pub, request])
)
