/**
 * Every option, once: where it stands in a configuration, its variable, and how the text of that is read. What is known of
 * names elsewhere (the keys that are decoded, the variables, what is said of an unknown key) is made of this list.
 */
import type { NatsAuth } from "../../NatsAuth.ts"
import type { Input, ReconnectInput } from "../../NatsConfig.ts"
import type * as NatsTls from "../../NatsTls.ts"

/** How the text of a variable is read. Durations and literals are decoded as text. */
export type Kind = "text" | "pem" | "headers" | "number" | "boolean"

type KeyOf<A> = A extends A ? Exclude<keyof A & string, "_tag"> : never

/** With the compiler's word that nothing is forgotten and nothing made up. */
export type OptionName =
  | Exclude<keyof Input, "auth" | "tls" | "webSocket">
  | `auth.${KeyOf<NatsAuth>}`
  | `tls.${KeyOf<NatsTls.Input>}`
  | `webSocket.${KeyOf<NonNullable<Input["webSocket"]>>}`
  | `reconnect.${KeyOf<ReconnectInput>}`
  | "whileDisconnected.buffer"

/** In the order in which messages list them. */
export const options: Readonly<Record<OptionName, readonly [variable: string, kind: Kind]>> = {
  servers: ["URL", "text"],
  randomizeServers: ["RANDOMIZE_SERVERS", "boolean"],
  discoverServers: ["DISCOVER_SERVERS", "boolean"],
  name: ["NAME", "text"],
  "auth.user": ["USER", "text"],
  "auth.password": ["PASSWORD", "text"],
  "auth.token": ["TOKEN", "text"],
  "auth.seed": ["NKEY_SEED", "text"],
  "auth.jwt": ["JWT", "text"],
  "auth.creds": ["CREDS", "text"],
  "auth.path": ["CREDS_FILE", "text"],
  "tls.mode": ["TLS_MODE", "text"],
  "tls.handshakeFirst": ["TLS_HANDSHAKE_FIRST", "boolean"],
  "tls.serverName": ["TLS_SERVER_NAME", "text"],
  "tls.ca": ["TLS_CA", "pem"],
  "tls.cert": ["TLS_CERT", "pem"],
  "tls.key": ["TLS_KEY", "pem"],
  "tls.caFile": ["TLS_CA_FILE", "text"],
  "tls.certFile": ["TLS_CERT_FILE", "text"],
  "tls.keyFile": ["TLS_KEY_FILE", "text"],
  "tls.passphrase": ["TLS_PASSPHRASE", "text"],
  "tls.dangerouslyDisableVerification": ["TLS_DANGEROUSLY_DISABLE_VERIFICATION", "boolean"],
  "webSocket.headers": ["WEBSOCKET_HEADERS", "headers"],
  connectTimeout: ["CONNECT_TIMEOUT", "text"],
  requestTimeout: ["REQUEST_TIMEOUT", "text"],
  pingInterval: ["PING_INTERVAL", "text"],
  maxPingOut: ["MAX_PING_OUT", "number"],
  inboxPrefix: ["INBOX_PREFIX", "text"],
  noEcho: ["NO_ECHO", "boolean"],
  drainTimeout: ["DRAIN_TIMEOUT", "text"],
  banner: ["BANNER", "boolean"],
  metrics: ["METRICS", "boolean"],
  logStatus: ["LOG_STATUS", "boolean"],
  reconnect: ["RECONNECT", "boolean"],
  "reconnect.initialDelay": ["RECONNECT_INITIAL_DELAY", "text"],
  "reconnect.maxDelay": ["RECONNECT_MAX_DELAY", "text"],
  "reconnect.factor": ["RECONNECT_FACTOR", "number"],
  "reconnect.jitter": ["RECONNECT_JITTER", "boolean"],
  "reconnect.maxAttempts": ["RECONNECT_MAX_ATTEMPTS", "number"],
  "reconnect.maxElapsed": ["RECONNECT_MAX_ELAPSED", "text"],
  "reconnect.refusalTimeout": ["RECONNECT_REFUSAL_TIMEOUT", "text"],
  // A word. What was a boolean up to 0.1 is told as one.
  "reconnect.onFirstConnect": ["RECONNECT_ON_FIRST_CONNECT", "boolean"],
  whileDisconnected: ["WHILE_DISCONNECTED", "text"],
  "whileDisconnected.buffer": ["WHILE_DISCONNECTED_BUFFER", "number"]
}

const names = Object.keys(options)

/** The sections of a configuration, and "" for its root. */
export type SectionName = "" | "auth" | "tls" | "webSocket" | "reconnect" | "whileDisconnected"

/** The keys of a section, in order. */
export const keysOf = (section: SectionName): ReadonlyArray<string> =>
  section === ""
    ? [...new Set(names.map((name) => name.split(".")[0]))]
    : names.flatMap((name) => name.startsWith(`${section}.`) ? [name.slice(section.length + 1)] : [])
