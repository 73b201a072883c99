/**
 * The commands.
 */
import * as Command from "effect/cli/Command"
import { check } from "./check.ts"
import { creds } from "./creds.ts"
import { init } from "./init.ts"
import { pub } from "./pub.ts"
import { request } from "./request.ts"
import { server } from "./server.ts"
import { service } from "./service.ts"
import { sub } from "./sub.ts"
import { whoami } from "./whoami.ts"

export const command = Command.make("effect-nats").pipe(
  Command.withDescription(
    "Looks into NATS connections: why one does not come about, who a client is, what runs there."
  ),
  Command.withSubcommands([check, whoami, creds, server, service, sub, pub, request, init])
)
