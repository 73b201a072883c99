/**
 * What a configuration says of a connection, on its way to where it is used.
 */
import type { AuthSource, NatsAuth } from "../../NatsAuth.ts"
import type { NatsConfig } from "../../NatsConfig.ts"
import type { NatsTls } from "../../NatsTls.ts"

/**
 * Handed on whole from the decoding to the socket: an option that is new is read where it is used, and nowhere on the way.
 * Without what is resolved anew before every dial, which holds secrets.
 */
export interface SessionSettings extends Omit<NatsConfig, "auth" | "tls"> {}

/** What a client is made of: a config whose `auth` may still be an Effect, to be run before every dial. */
export interface ClientConfig<R = never> extends SessionSettings {
  readonly auth: NatsAuth | AuthSource<R>
  readonly tls: NatsTls
}
