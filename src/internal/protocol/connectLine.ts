/**
 * The CONNECT line.
 */

/** What the configuration says of it. */
export interface ConnectSettings {
  readonly name?: string | undefined
  readonly noEcho: boolean
}

/** What is known where it is sent. */
export interface ConnectFacts {
  /** Of this client. */
  readonly version: string
  readonly tlsRequired: boolean
  /** The server takes headers. Of one that does not, it refuses a client that has them, and `no_responders` with it. */
  readonly headers: boolean
}

/** The fields that prove who the client is. */
export interface ConnectAuth {
  readonly user?: string
  readonly pass?: string
  readonly auth_token?: string
  readonly nkey?: string
  readonly jwt?: string
  readonly sig?: string
}

/**
 * How many PINGs stand behind CONNECT. A server tells the limits of a user in an INFO behind the first PONG, not always in
 * the same write: what is sent before it came could be over them, and end the connection. The second PONG is behind it.
 */
export const firstPings = (auth: ConnectAuth): number => auth.jwt === undefined ? 1 : 2

/**
 * CONNECT and PING as one piece. They leave in one write: a second write could fail before the refusal of the first has
 * been read. The result holds secrets and must not be kept.
 */
export const connectAndPing = (settings: ConnectSettings, facts: ConnectFacts, auth: ConnectAuth): Uint8Array =>
  Buffer.from(
    `CONNECT ${
      JSON.stringify({
        verbose: false,
        pedantic: false,
        protocol: 1,
        headers: facts.headers,
        no_responders: facts.headers,
        echo: !settings.noEcho,
        lang: "effect-nats",
        version: facts.version,
        name: settings.name,
        tls_required: facts.tlsRequired,
        user: auth.user,
        pass: auth.pass,
        auth_token: auth.auth_token,
        nkey: auth.nkey,
        jwt: auth.jwt,
        sig: auth.sig
      })
    }\r\n${"PING\r\n".repeat(firstPings(auth))}`
  )
