/**
 * Decodes `servers`, and the user info in them.
 */
import * as Redacted from "effect/Redacted"
import { parseServer, type ServerAddress, type UserInfo } from "../protocol/serverAddress.ts"
import { readText } from "./fields.ts"
import { kindOf, type Path, type Problems } from "./problems.ts"

export interface DecodedServers {
  readonly servers: readonly [ServerAddress, ...Array<ServerAddress>]
  /** The user info of all URLs that have some; it is the same in all. */
  readonly userInfo: UserInfo | undefined
}

/** More servers than this are a mistake. */
const most = 1000

const isAddress = (value: object): value is ServerAddress =>
  "scheme" in value && "host" in value && "port" in value && "path" in value

/** An address that was decoded before goes through the parser again, as a hand-made one may be wrong. */
const readAddress = (value: ServerAddress): string | undefined => {
  const { host, path, port, scheme } = value
  return typeof scheme === "string" && typeof host === "string" && typeof port === "number" &&
      typeof path === "string" &&
      !/[/?#@]/.test(host) && (path === "" || path.startsWith("/"))
    ? `${scheme}://${host.includes(":") ? `[${host}]` : host}:${port}${path}`
    : undefined
}

const sameUser = (a: UserInfo, b: UserInfo): boolean =>
  a._tag === "Token"
    ? b._tag === "Token" && a.token === b.token
    : b._tag === "UserPassword" && a.user === b.user && a.password === b.password

/** One text may have several URLs, separated by commas; an element of an array is one URL. */
const urlsOf = (
  problems: Problems,
  path: Path,
  input: unknown
): ReadonlyArray<readonly [Path, unknown]> | undefined => {
  if (Array.isArray(input)) {
    if (input.length === 0) {
      return problems.add(path, "must have at least one server")
    }
    if (input.length > most) {
      return problems.add(path, `must have at most ${most} servers`)
    }
    return Array.from(input, (url: unknown, index) => [[...path, index], url] as const)
  }
  const value = Redacted.isRedacted(input) ? Redacted.value(input) : input
  if (typeof value === "object" && value !== null && isAddress(value)) {
    return [[path, value]]
  }
  if (typeof value !== "string") {
    return problems.add(path, `must be a URL or an array of URLs, and is ${kindOf(value)}`)
  }
  const urls = value.length > 1_048_576 ? [] : value.split(",", most + 1)
  if (urls.length === 0 || urls.length > most) {
    return problems.add(path, `must have at most ${most} servers`)
  }
  // A comma in a password splits a URL in two, of which the second may look like a token and a host.
  if (urls[0].includes("://") && urls.some((url) => url.includes("@") && !url.includes("://"))) {
    return problems.add(path, "has an \"@\" in a part without a scheme: percent-encode a comma in user info as %2C")
  }
  return urls.map((url, index) => [urls.length === 1 ? path : [...path, index], url] as const)
}

export const decodeServers = (problems: Problems, path: Path, input: unknown): DecodedServers | undefined => {
  const urls = urlsOf(problems, path, input)
  if (urls === undefined) {
    return undefined
  }
  const servers: Array<ServerAddress> = []
  let userInfo: UserInfo | undefined
  let failed = false
  for (const [at, value] of urls) {
    const plain = Redacted.isRedacted(value) ? Redacted.value(value) : value
    const url = typeof plain === "object" && plain !== null && isAddress(plain)
      ? readAddress(plain) ?? problems.add(at, "is no server address")
      : readText(problems, at, plain, 4096)
    const parsed = url === undefined ? undefined : parseServer(url)
    if (typeof parsed === "string") {
      problems.add(at, parsed)
    }
    if (parsed === undefined || typeof parsed === "string") {
      failed = true
      continue
    }
    servers.push(parsed.address)
    if (parsed.userInfo !== undefined) {
      if (userInfo !== undefined && !sameUser(userInfo, parsed.userInfo)) {
        problems.add(at, "has other user info than another server: give the credentials once, as `auth`")
        failed = true
      }
      userInfo = parsed.userInfo
    }
  }
  const [first, ...rest] = servers
  return failed ? undefined : { servers: [first, ...rest], userInfo }
}
