/**
 * The publishing half of nats-core without a connection: the bytes that its `publish` hands to a transport.
 */
import { createRequire } from "node:module"
import * as path from "node:path"

interface ProtocolHandler {
  info: { readonly headers: boolean; readonly max_payload: number }
  infoReceived: boolean
  connected: boolean
  transport: { readonly isEncrypted: () => boolean; readonly send: (bytes: Uint8Array) => void }
  _closed: boolean
  publish(subject: string, payload: string | Uint8Array, options?: object): void
  flushPending(): void
}

/** nats-core does not export its protocol handler, so it is taken by its path. */
export const natsCorePublisher = (send: (bytes: Uint8Array) => void): ProtocolHandler => {
  const require = createRequire(import.meta.url)
  const lib = path.dirname(require.resolve("@nats-io/nats-core"))
  const { ProtocolHandler } = require(path.join(lib, "protocol.js"))
  const handler: ProtocolHandler = new ProtocolHandler({ servers: ["127.0.0.1:1"] }, {})
  handler.info = { headers: true, max_payload: 64 * 1024 * 1024 }
  handler.infoReceived = true
  handler.connected = true
  handler.transport = { isEncrypted: () => false, send }
  return handler
}
