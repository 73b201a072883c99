/**
 * Writes the typed options as a nats-server configuration.
 */
import * as Duration from "effect/Duration"
import * as Redacted from "effect/Redacted"
import type * as Options from "../TestNatsServerOptions.ts"

/** The ports of one server. They stay the same over restarts. */
export interface Ports {
  readonly client: number
  readonly monitor: number
  readonly websocket: number
  readonly leafnode: number
  readonly route: number
}

/** A configuration and the files it names, relative to the server's directory. */
export interface ConfigFiles {
  readonly config: string
  readonly files: ReadonlyMap<string, string>
  /** Texts that must not show in errors. */
  readonly secrets: ReadonlySet<string>
}

export const secretText = (secret: Options.Secret): string =>
  typeof secret === "string" ? secret : Redacted.value(secret)

const seconds = (duration: Duration.Input): number => Duration.toMillis(duration) / 1000

/** The server reads durations as text, with a unit. */
const durationText = (duration: Duration.Input): string => `${Duration.toMillis(duration)}ms`

// A configuration is close to JSON; the server reads \xHH where JSON has \uHHHH, and JSON needs it for control characters only.
const json = (value: unknown): string => JSON.stringify(value).replaceAll(/\\u00([0-9a-f]{2})/g, "\\x$1")

const permissions = (given: Options.Permissions): Record<string, unknown> => ({
  publish: given.publish,
  subscribe: given.subscribe,
  allow_responses: typeof given.allowResponses === "object"
    ? { max: given.allowResponses.max, expires: durationText(given.allowResponses.expires) }
    : given.allowResponses
})

interface Writing {
  readonly directory: string
  readonly files: Map<string, string>
  readonly secrets: Set<string>
  readonly hash: (password: string) => string
}

const secret = (writing: Writing, given: Options.Secret): string => {
  const text = secretText(given)
  writing.secrets.add(text)
  return text
}

const password = (writing: Writing, user: Options.PasswordUser): string | undefined => {
  if (user.password === undefined) return undefined
  const text = secret(writing, user.password)
  return user.bcrypt === true ? writing.hash(text) : text
}

const users = (
  writing: Writing,
  given: ReadonlyArray<Options.User> | undefined
): ReadonlyArray<unknown> | undefined =>
  given?.map((user) => ({
    ...("nkey" in user ? { nkey: user.nkey } : { user: user.user, password: password(writing, user) }),
    permissions: user.permissions === undefined ? undefined : permissions(user.permissions),
    allowed_connection_types: user.allowedConnectionTypes
  }))

const tls = (writing: Writing, name: string, given: Options.Tls): Record<string, unknown> => {
  const file = (part: string, text: string | undefined): string | undefined => {
    if (text === undefined) return undefined
    const fileName = `${name}-${part}.pem`
    writing.files.set(fileName, text)
    return `${writing.directory}/${fileName}`
  }
  return {
    cert_file: file("cert", given.cert),
    key_file: file("key", secretText(given.key)),
    ca_file: file("ca", given.ca),
    verify: given.verify === true ? true : undefined,
    verify_and_map: given.verify === "map" ? true : undefined,
    handshake_first: given.handshakeFirst === false ? undefined : given.handshakeFirst,
    timeout: given.timeout === undefined ? undefined : seconds(given.timeout),
    min_version: given.minVersion
  }
}

const authorization = (writing: Writing, options: Options.Options): Record<string, unknown> | undefined => {
  const token = options.token === undefined ? undefined : secret(writing, options.token)
  const block = {
    users: users(writing, options.users),
    token: token !== undefined && options.tokenBcrypt === true ? writing.hash(token) : token,
    timeout: options.authTimeout === undefined ? undefined : seconds(options.authTimeout),
    default_permissions: options.defaultPermissions === undefined ? undefined : permissions(options.defaultPermissions),
    auth_callout: options.authCallout === undefined ? undefined : {
      issuer: options.authCallout.issuer,
      auth_users: options.authCallout.users,
      account: options.authCallout.account,
      xkey: options.authCallout.xkey
    }
  }
  return Object.values(block).every((value) => value === undefined) ? undefined : block
}

const accounts = (writing: Writing, given: Options.Options["accounts"]): Record<string, unknown> | undefined =>
  given === undefined ? undefined : Object.fromEntries(
    Object.entries(given).map(([name, account]) => [name, {
      ...account.settings,
      users: users(writing, account.users),
      jetstream: account.jetstream === true ? "enabled" : undefined
    }])
  )

const jetstream = (writing: Writing, given: Options.Options["jetstream"]): Record<string, unknown> | undefined =>
  given === undefined || given === false ? undefined : {
    store_dir: `${writing.directory}/jetstream`,
    ...(given === true ? {} : { max_mem: given.maxMemory, max_file: given.maxFile, domain: given.domain })
  }

const websocket = (
  writing: Writing,
  port: number,
  given: Options.Options["websocket"]
): Record<string, unknown> | undefined => {
  if (given === undefined || given === false) return undefined
  const options = given === true ? {} : given
  return {
    host: "127.0.0.1",
    port,
    ...(options.tls === undefined ? { no_tls: true } : { tls: tls(writing, "websocket", options.tls) }),
    no_auth_user: options.noAuthUser,
    jwt_cookie: options.jwtCookie
  }
}

const leafnodes = (
  writing: Writing,
  port: number,
  given: Options.Options["leafnodes"],
  remotes: Options.Options["leafnodeOf"]
): Record<string, unknown> | undefined => {
  const listens = given !== undefined && given !== false
  const block = {
    ...(listens ? { host: "127.0.0.1", port, ...(given === true ? {} : given.settings) } : {}),
    // A test waits for a leaf node that comes back.
    ...(remotes === undefined ? {} : { reconnect: 1, remotes: remotes.map((remote) => remoteBlock(writing, remote)) })
  }
  return Object.keys(block).length === 0 ? undefined : block
}

const remoteBlock = (writing: Writing, remote: Options.LeafnodeRemote): Record<string, unknown> => {
  const at = `127.0.0.1:${remote.port}`
  const { user } = remote
  const password = user === undefined ? "" : encodeURIComponent(secret(writing, user.password))
  if (password !== "") writing.secrets.add(password)
  const own = user === undefined ? "" : `${encodeURIComponent(user.user)}:${password}@`
  return { url: `nats-leaf://${own}${at}`, account: remote.account, ...remote.settings }
}

export const writeConfig = (
  directory: string,
  ports: Ports,
  options: Options.Options,
  hash: (password: string) => string
): ConfigFiles => {
  const writing: Writing = { directory, files: new Map(), secrets: new Set(), hash }
  const settings: Record<string, unknown> = {
    server_name: options.name,
    host: "127.0.0.1",
    port: ports.client,
    http: `127.0.0.1:${ports.monitor}`,
    // The shortest that every server takes; a lame duck is to be over soon.
    lame_duck_grace_period: "1ms",
    lame_duck_duration: "30s",
    authorization: authorization(writing, options),
    accounts: accounts(writing, options.accounts),
    system_account: options.operator?.systemAccount ?? options.systemAccount,
    no_auth_user: options.noAuthUser,
    operator: options.operator?.jwt,
    resolver: options.operator === undefined ? undefined : "MEMORY",
    resolver_preload: options.operator === undefined
      ? undefined
      : Object.fromEntries(options.operator.accounts.map((account) => [account.id, account.jwt])),
    tls: options.tls === undefined ? undefined : tls(writing, "server", options.tls),
    allow_non_tls: options.tls?.allowNonTls,
    max_connections: options.maxConnections,
    max_payload: options.maxPayload,
    max_subscriptions: options.maxSubscriptions,
    max_control_line: options.maxControlLine,
    ping_interval: options.pingInterval === undefined ? undefined : durationText(options.pingInterval),
    ping_max: options.maxPingOut,
    write_deadline: options.writeDeadline === undefined ? undefined : durationText(options.writeDeadline),
    jetstream: jetstream(writing, options.jetstream),
    websocket: websocket(writing, ports.websocket, options.websocket),
    leafnodes: leafnodes(writing, ports.leafnode, options.leafnodes, options.leafnodeOf),
    cluster: options.cluster === undefined ? undefined : {
      name: options.cluster.name,
      host: "127.0.0.1",
      port: ports.route,
      routes: options.cluster.routes
    }
  }
  const lines = Object.entries(settings).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}: ${name === "resolver" ? "MEMORY" : json(value)}`]
  )
  return {
    config: [...lines, options.config ?? "", ""].join("\n"),
    files: writing.files,
    secrets: writing.secrets
  }
}
