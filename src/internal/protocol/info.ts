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
  readonly headers?: boolean | undefined
  readonly max_payload: number
  readonly auth_required?: boolean | undefined
  readonly tls_required?: boolean | undefined
  readonly tls_available?: boolean | undefined
  readonly tls_verify?: boolean | undefined
  readonly jetstream?: boolean | undefined
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
