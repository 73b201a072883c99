/**
 * What a configuration is that says nothing.
 */
import * as Duration from "effect/Duration"
import type { Anonymous } from "../../NatsAuth.ts"
import type { NatsConfig, Reconnect } from "../../NatsConfig.ts"
import type { NatsTls } from "../../NatsTls.ts"

export const anonymous: Anonymous = { _tag: "Anonymous" }

export const tls: NatsTls = { handshakeFirst: false, dangerouslyDisableVerification: false }

export const reconnect: Reconnect = {
  initialDelay: Duration.millis(100),
  maxDelay: Duration.seconds(5),
  factor: 2,
  jitter: true,
  maxAttempts: "forever",
  refusalTimeout: Duration.seconds(30),
  onFirstConnect: "fail"
}

export const config: NatsConfig = {
  servers: [{ scheme: "nats", host: "127.0.0.1", port: 4222, path: "" }],
  randomizeServers: true,
  discoverServers: true,
  auth: anonymous,
  tls,
  connectTimeout: Duration.seconds(5),
  requestTimeout: Duration.seconds(10),
  pingInterval: Duration.seconds(30),
  maxPingOut: 2,
  inboxPrefix: "_INBOX",
  noEcho: false,
  drainTimeout: Duration.seconds(10),
  banner: false,
  metrics: false,
  logStatus: true,
  reconnect,
  whileDisconnected: "wait"
}
