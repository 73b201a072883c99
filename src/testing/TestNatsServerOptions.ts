/**
 * What a test server is set up with. Every field is optional; `{}` is a server that lets everybody in.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as Redacted from "effect/Redacted"

/**
 * A secret of the server's configuration, as text or redacted.
 *
 * @category models
 * @since 0.1.0
 */
export type Secret = string | Redacted.Redacted

/**
 * Subjects a user may use. A list alone means `allow`.
 *
 * @category models
 * @since 0.1.0
 */
export type SubjectRule = string | ReadonlyArray<string> | {
  readonly allow?: string | ReadonlyArray<string> | undefined
  readonly deny?: string | ReadonlyArray<string> | undefined
}

/**
 * What a user may do. Absent rules allow everything.
 *
 * @category models
 * @since 0.1.0
 */
export interface Permissions {
  readonly publish?: SubjectRule | undefined
  readonly subscribe?: SubjectRule | undefined
  /** Publishing to the reply subjects of messages received. Default: not allowed beyond `publish`. */
  readonly allowResponses?: boolean | { readonly max: number; readonly expires: Duration.Input } | undefined
}

/**
 * The kinds of connections that can be allowed to a user.
 *
 * @category models
 * @since 0.1.0
 */
export type ConnectionType =
  | "STANDARD"
  | "WEBSOCKET"
  | "LEAFNODE"
  | "LEAFNODE_WS"
  | "MQTT"
  | "MQTT_WS"
  | "IN_PROCESS"

interface UserRules {
  readonly permissions?: Permissions | undefined
  /** Default: every kind. */
  readonly allowedConnectionTypes?: ReadonlyArray<ConnectionType> | undefined
}

/**
 * A user with a name and a password.
 *
 * @category models
 * @since 0.1.0
 */
export interface PasswordUser extends UserRules {
  readonly user: string
  /** Absent only for users that are known by their certificate (`tls.verify: "map"`). */
  readonly password?: Secret | undefined
  /** Give the server only a bcrypt hash of the password. Default `false`. */
  readonly bcrypt?: boolean | undefined
}

/**
 * A user known by the public part (`U…`) of an nkey. `TestOperator.nkey` makes one.
 *
 * @category models
 * @since 0.1.0
 */
export interface NKeyUser extends UserRules {
  readonly nkey: string
}

/**
 * @category models
 * @since 0.1.0
 */
export type User = PasswordUser | NKeyUser

/**
 * An account of the server's configuration, with its users.
 *
 * @category models
 * @since 0.1.0
 */
export interface Account {
  readonly users?: ReadonlyArray<User> | undefined
  /** Whether the account may use JetStream; needs `jetstream` of the server. Default `false`. */
  readonly jetstream?: boolean | undefined
  /** Further settings, such as `exports`, `imports` and `limits`, in the words of the server's configuration. */
  readonly settings?: Readonly<Record<string, unknown>> | undefined
}

/**
 * How the server protects the wire. `TestCertificates` makes the certificates. All are PEM text.
 *
 * @category models
 * @since 0.1.0
 */
export interface Tls {
  readonly cert: string
  readonly key: Secret
  /** The authority that client certificates are checked against. */
  readonly ca?: string | undefined
  /**
   * `true`: every client needs a certificate signed by `ca`. `"map"`: and its e-mail, DNS name or subject is the user's
   * name. Default `false`.
   */
  readonly verify?: boolean | "map" | undefined
  /** TLS before INFO, for servers 2.10.4 and newer (`NatsServerTooOld` otherwise). `"auto"` serves both kinds of clients. */
  readonly handshakeFirst?: boolean | "auto" | undefined
  /** Let clients choose: INFO says `tls_available`, not `tls_required`. Default `false`. */
  readonly allowNonTls?: boolean | undefined
  /** How long the server waits for the handshake. Default: the server's 2 s. */
  readonly timeout?: Duration.Input | undefined
  /** The lowest version of TLS, for servers 2.10 and newer: `"1.2"` or `"1.3"`. */
  readonly minVersion?: "1.2" | "1.3" | undefined
}

/**
 * Operator mode: accounts and users are JWTs. `TestOperator` makes all of it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Operator {
  /** The operator's JWT. */
  readonly jwt: string
  /** The public key (`A…`) of the system account, which must be among `accounts`. */
  readonly systemAccount: string
  /** The accounts the server knows: public key and JWT. */
  readonly accounts: ReadonlyArray<{ readonly id: string; readonly jwt: string }>
}

/**
 * Auth callout: a service, subscribed to `$SYS.REQ.USER.AUTH` as one of `users`, decides who may come in. For servers
 * 2.10 and newer (`NatsServerTooOld` otherwise).
 *
 * @category models
 * @since 0.1.0
 */
export interface AuthCallout {
  /** The public key (`A…`) that signs the answers. */
  readonly issuer: string
  /** Names of users that are not asked about: the service's own. */
  readonly users: ReadonlyArray<string>
  /** The account of those users. Default: the global account. */
  readonly account?: string | undefined
  /** The service's public curve key (`X…`), when requests are to be encrypted. */
  readonly xkey?: string | undefined
}

/**
 * JetStream's bounds. Files are in a directory that is removed with the server.
 *
 * @category models
 * @since 0.1.0
 */
export interface JetStream {
  /** Bytes. Default: the server's. */
  readonly maxMemory?: number | undefined
  /** Bytes. Default: the server's. */
  readonly maxFile?: number | undefined
  readonly domain?: string | undefined
}

/**
 * A server that another one is a leaf node of.
 *
 * @category models
 * @since 0.2.0
 */
export interface LeafnodeRemote {
  /** The port for leaf nodes of a server on this machine: its `leafnodePort`. */
  readonly port: number
  /** Whom it is connected as there, where that server asks. */
  readonly user?: { readonly user: string; readonly password: Secret } | undefined
  /** The account on this side. Default: the global account. */
  readonly account?: string | undefined
  /** Further settings, in the words of the server's configuration. */
  readonly settings?: Readonly<Record<string, unknown>> | undefined
}

/**
 * A WebSocket listener, on a free port of its own.
 *
 * @category models
 * @since 0.1.0
 */
export interface WebSocket {
  /** Without it the listener speaks `ws`, with it `wss`. */
  readonly tls?: Pick<Tls, "cert" | "key" | "ca" | "verify"> | undefined
  readonly noAuthUser?: string | undefined
  /** The cookie that holds a user's JWT. */
  readonly jwtCookie?: string | undefined
}

/**
 * What a test server is set up with.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /**
   * The program. Default: `NATS_SERVER`, else the newest in `.cache/nats-server`, else in the cache of `effect-nats server`,
   * else the one on `PATH`.
   */
  readonly binary?: string | undefined
  /** The client port. Default: a free one. */
  readonly port?: number | undefined
  /** The server's name. Default: the server's own choice. */
  readonly name?: string | undefined
  /** Users of the global account. */
  readonly users?: ReadonlyArray<User> | undefined
  /** One token for everybody. */
  readonly token?: Secret | undefined
  /** Give the server only a bcrypt hash of `token`. Default `false`. */
  readonly tokenBcrypt?: boolean | undefined
  /** Permissions of users that have none of their own. */
  readonly defaultPermissions?: Permissions | undefined
  /** Accounts by name, each with its own users. */
  readonly accounts?: Readonly<Record<string, Account>> | undefined
  /** The account of the server's own events. */
  readonly systemAccount?: string | undefined
  /** The user that clients without credentials become. */
  readonly noAuthUser?: string | undefined
  /** Operator mode. */
  readonly operator?: Operator | undefined
  readonly authCallout?: AuthCallout | undefined
  /** How long a client may take to present credentials. Default: the server's 2 s. */
  readonly authTimeout?: Duration.Input | undefined
  readonly tls?: Tls | undefined
  /** Default: the server's 65,536. */
  readonly maxConnections?: number | undefined
  /** Bytes. Default: the server's 1 MiB. */
  readonly maxPayload?: number | undefined
  /** Subscriptions of one connection. Default: no limit. */
  readonly maxSubscriptions?: number | undefined
  /** Bytes. Default: the server's 4096. */
  readonly maxControlLine?: number | undefined
  /** How often the server pings a client. Default: the server's 2 min. */
  readonly pingInterval?: Duration.Input | undefined
  /** Unanswered pings before a client is stale. Default: the server's 2. */
  readonly maxPingOut?: number | undefined
  /** How long a write to a client may block. Default: the server's 10 s. */
  readonly writeDeadline?: Duration.Input | undefined
  readonly jetstream?: boolean | JetStream | undefined
  readonly websocket?: boolean | WebSocket | undefined
  /** Listen for leaf nodes, on a free port. Default `false`. */
  readonly leafnodes?: boolean | { readonly settings: Readonly<Record<string, unknown>> } | undefined
  /**
   * Servers that this one is a leaf node of. It is ready when it is connected to each. Default: none.
   *
   * @since 0.2.0
   */
  readonly leafnodeOf?: ReadonlyArray<LeafnodeRemote> | undefined
  /** Listen for routes, on a free port, as the named cluster. `TestNatsServer.cluster` makes whole clusters. */
  readonly cluster?: { readonly name: string; readonly routes?: ReadonlyArray<string> | undefined } | undefined
  /**
   * More of the server's configuration, appended as it stands.
   *
   * ```ts
   * const config = `
   *   mappings = { "old.>": "new.>" }
   * `
   * ```
   */
  readonly config?: string | undefined
  /** More arguments for the command line. Anybody on the machine can read them: no secrets. */
  readonly args?: ReadonlyArray<string> | undefined
  /** Log protocol lines too. Passwords in CONNECT are left out by the server. Default `false`. */
  readonly trace?: boolean | undefined
  /** How long starting, reloading and forming a cluster may take. Default 20 s. */
  readonly startTimeout?: Duration.Input | undefined
}
