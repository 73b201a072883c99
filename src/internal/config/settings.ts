/**
 * What a configuration says of a connection, handed on whole from its decoding to the socket: an option that is new is read
 * where it is used, and nowhere on the way. Without what is resolved anew before every dial, which holds secrets.
 */
import type { NatsConfig } from "../../NatsConfig.ts"

export interface SessionSettings extends Omit<NatsConfig, "auth" | "tls"> {}
