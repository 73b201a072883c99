/**
 * One server to dial. `nats` and `tls` are TCP, `ws` and `wss` WebSocket; `tls` and `wss` mean that TLS is required.
 */
export interface ServerAddress {
  readonly scheme: "nats" | "tls" | "ws" | "wss"
  /** Name or address, IPv6 without brackets. */
  readonly host: string
  readonly port: number
  /** Path and query of a WebSocket server, beginning with "/". Empty otherwise. */
  readonly path: string
  /** What is shown in place of the host, where that may not be shown. */
  readonly label?: string | undefined
}

/** The address as a URL, with all that it has: the form that is written in a configuration. */
export const serverUrl = (address: Omit<ServerAddress, "label">): string => {
  const host = address.host.includes(":") ? `[${address.host}]` : address.host
  return `${address.scheme}://${host}:${address.port}${address.path}`
}

/**
 * The address as a URL, the form that errors, status events, logs and the banner show: without its query, since a proxy may
 * take its access token there.
 */
export const formatServer = ({ label, ...address }: ServerAddress): string =>
  serverUrl(label === undefined ? address : { ...address, host: label }).replace(/\?.*$/, "?...")

export type Scheme = ServerAddress["scheme"]

export const isWebSocket = (scheme: Scheme): boolean => scheme === "ws" || scheme === "wss"

/** Whether the scheme says that nothing goes in clear. */
export const requiresTls = (scheme: Scheme): boolean => scheme === "tls" || scheme === "wss"

export const defaultPort = (scheme: Scheme): number => scheme === "ws" ? 80 : scheme === "wss" ? 443 : 4222
