/**
 * The client of a command that works on a connection.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { ConnectError } from "../../ConnectError.ts"
import { NatsClient } from "../../NatsClient.ts"
import * as NatsLayer from "../../NatsLayer.ts"
import * as Output from "./output.ts"
import type { Source } from "./source.ts"

/** Names the configuration in the first line, on stderr: stdout is for what the command finds. */
export const sayConfiguration = ({ label }: Source): Effect.Effect<void> =>
  Output.aside(`Configuration: ${Output.shown(label)}`)

/** Connects as the configuration says. The banner is not shown: it would stand among the results. */
export const connect = ({ config }: Source): Effect.Effect<NatsClient, ConnectError, Scope.Scope> =>
  Effect.map(
    Layer.build(NatsLayer.fromConfig({ ...config, banner: false })),
    (services) => Context.get(services, NatsClient)
  )
