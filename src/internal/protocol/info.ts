/**
 * What a server says of itself, once after accepting a connection and again whenever it changes.
 */
export interface ServerInfo {
  readonly server_id: string
  readonly server_name?: string | undefined
  readonly version: string
  readonly host?: string | undefined
  readonly port?: number | undefined
  /** Protocol level; 1 or more means that the server sends INFO again when its cluster changes. */
  readonly proto?: number | undefined
  /** Whether it takes headers. One with `no_header_support` does not say it. */
  readonly headers?: boolean | undefined
  /** Bytes of headers and payload together. A negative one is no limit. */
  readonly max_payload: number
  readonly auth_required?: boolean | undefined
  readonly tls_required?: boolean | undefined
  readonly tls_available?: boolean | undefined
  readonly tls_verify?: boolean | undefined
  readonly jetstream?: boolean | undefined
  /** The level of its JetStream API (ADR-44). Absent before server 2.12, which has levels. */
  readonly api_lvl?: number | undefined
  /** The JetStream domain that the server is in. */
  readonly domain?: string | undefined
  readonly client_id?: number | undefined
  readonly client_ip?: string | undefined
  readonly nonce?: string | undefined
  readonly cluster?: string | undefined
  /** Addresses (`host:port`) of other servers of the cluster. */
  readonly connect_urls?: ReadonlyArray<string> | undefined
  readonly ws_connect_urls?: ReadonlyArray<string> | undefined
  /** Lame duck mode: the server is about to stop and asks its clients to leave. */
  readonly ldm?: boolean | undefined
}

const isString = (value: unknown): boolean => typeof value === "string"
const isBoolean = (value: unknown): boolean => typeof value === "boolean"
const isWhole = (value: unknown): boolean => typeof value === "number" && Number.isSafeInteger(value)
const isCount = (value: unknown): boolean => isWhole(value) && Number(value) >= 0
const isStrings = (value: unknown): boolean => Array.isArray(value) && value.every(isString)

const required: ReadonlyArray<readonly [keyof ServerInfo, (value: unknown) => boolean]> = [
  ["server_id", isString],
  ["version", isString],
  ["max_payload", isWhole]
]

const optional: ReadonlyArray<readonly [keyof ServerInfo, (value: unknown) => boolean]> = [
  ["server_name", isString],
  ["host", isString],
  ["port", isCount],
  ["proto", isCount],
  ["headers", isBoolean],
  ["auth_required", isBoolean],
  ["tls_required", isBoolean],
  ["tls_available", isBoolean],
  ["tls_verify", isBoolean],
  ["jetstream", isBoolean],
  ["api_lvl", isCount],
  ["domain", isString],
  ["client_id", isCount],
  ["client_ip", isString],
  ["nonce", isString],
  ["cluster", isString],
  ["connect_urls", isStrings],
  ["ws_connect_urls", isStrings],
  ["ldm", isBoolean]
]

/**
 * The argument of an INFO line, or `undefined` if it is not what a server sends. Known fields are checked, `null` counts
 * as absent (a Go server writes an empty list so), and fields that nobody here uses are dropped.
 */
export const parseInfo = (json: string): ServerInfo | undefined => {
  let parsed: unknown
  try {
    parsed = JSON.parse(json)
  } catch {
    return undefined
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) return undefined
  const given = parsed as Readonly<Record<string, unknown>>
  const info: Record<string, unknown> = {}
  for (const [field, holds] of required) {
    if (!Object.hasOwn(given, field) || !holds(given[field])) return undefined
    info[field] = given[field]
  }
  for (const [field, holds] of optional) {
    const value = Object.hasOwn(given, field) ? given[field] : undefined
    if (value === undefined || value === null) continue
    if (!holds(value)) return undefined
    info[field] = value
  }
  return info as unknown as ServerInfo
}
