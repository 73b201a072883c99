/**
 * Reads the URL of a server, user info included.
 */
import { domainToASCII, isIPv4, isIPv6 } from "../identity/hostNames.ts"
import { defaultPort, isWebSocket, type Scheme, type ServerAddress } from "../protocol/serverAddress.ts"
import { isNothing, schemeProblem, urlProblem } from "./notUrls.ts"

/** What stood before the "@" of a URL. */
export type UserInfo =
  | { readonly _tag: "Token"; readonly token: string }
  | { readonly _tag: "UserPassword"; readonly user: string; readonly password: string }

export interface ParsedServer {
  readonly address: ServerAddress
  readonly userInfo: UserInfo | undefined
}

const schemes: ReadonlyArray<Scheme> = ["nats", "tls", "ws", "wss"]

/** A host name in ASCII and lower case or an address, or `undefined`. */
export const normalHost = (host: string): string | undefined => {
  if (isIPv4(host) || isIPv6(host)) return host.toLowerCase()
  const ascii = domainToASCII(host)
  const labels = (ascii.endsWith(".") ? ascii.slice(0, -1) : ascii).split(".")
  const fits = ascii.length <= 253 && labels.every((label) => /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/.test(label))
  // A name that ends in a number is an address with a mistake in it.
  return fits && !/^\d+$/.test(labels[labels.length - 1]) ? ascii : undefined
}

const decodePercent = (text: string): string | undefined => {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

const parseUserInfo = (text: string): UserInfo | string => {
  const colon = text.indexOf(":")
  const user = decodePercent(colon < 0 ? text : text.slice(0, colon))
  const password = colon < 0 ? "" : decodePercent(text.slice(colon + 1))
  if (user === undefined || password === undefined) {
    return "has user info with a \"%\" that is not followed by two hexadecimal digits: write it as %25"
  }
  if (isNothing(user) || isNothing(password)) {
    return "has \"undefined\" or \"null\" in its user info: what was to be filled in there is not set"
  }
  if (user === "" && password !== "") {
    return "has user info that begins with a colon: write a token without it, as in nats://token@host"
  }
  if (user === "" || (colon >= 0 && password === "")) return "has incomplete user info: it is user:password@ or token@"
  return colon < 0 ? { _tag: "Token", token: user } : { _tag: "UserPassword", user, password }
}

const splitScheme = (text: string): { readonly name: string | undefined; readonly rest: string } => {
  const end = text.indexOf("://")
  return end < 0
    ? { name: undefined, rest: text }
    : { name: text.slice(0, end).toLowerCase(), rest: text.slice(end + 3) }
}

/** The scheme that is written in front of a server, `undefined` for none and for one that is not known. */
export const writtenScheme = (input: string): Scheme | undefined => {
  const { name } = splitScheme(input.trim())
  return schemes.find((known) => known === name)
}

const noTarget = (tail: string): string =>
  /[?#]/.test(tail)
    ? "has a query or a fragment, which a server's URL cannot have: its settings are options of their own"
    : "has a path that a server's URL cannot have: it ends with its host and port"

/** What is wrong with the path and the query of a WebSocket's URL (RFC 3986), which are sent as they are. */
const targetProblem = (tail: string): string | undefined => {
  if (tail.includes("#")) return "has a fragment, which a server's URL cannot have"
  return /%(?![0-9A-Fa-f]{2})/.test(tail)
    ? "has a \"%\" in its path or query that is not followed by two hexadecimal digits: write it as %25"
    : /[^\w.~!$&'()*+,;=:/?%-]/.test(tail)
    ? "has a character in its path or query that has to be percent-encoded"
    : undefined
}

/**
 * Parses one server, or says what is wrong without showing any of it: what looks like a host may be part of a password
 * that was not percent-encoded. `bareScheme` is the scheme of a server that is written without one.
 */
export const parseServer = (input: string, bareScheme: Scheme = "nats"): ParsedServer | string => {
  const text = input.trim()
  if (text === "") return "is empty"
  if (text.length > 4096) return "must have at most 4096 characters"
  const parsed = parseUrl(text, bareScheme)
  return typeof parsed === "string" ? urlProblem(text) ?? parsed : parsed
}

const parseUrl = (text: string, bareScheme: Scheme): ParsedServer | string => {
  const { name, rest } = splitScheme(text)
  const scheme = name === undefined ? bareScheme : writtenScheme(text)
  if (scheme === undefined) return schemeProblem(name ?? "")
  const slash = rest.search(/[/?#]/)
  const authority = slash < 0 ? rest : rest.slice(0, slash)
  const tail = slash < 0 ? "" : rest.slice(slash)
  if (tail.includes("@")) return "has an \"@\" after \"/\", \"?\" or \"#\": percent-encode these in the user info"
  const problem = isWebSocket(scheme) ? targetProblem(tail) : tail === "" || tail === "/" ? undefined : noTarget(tail)
  if (problem !== undefined) return problem
  const at = authority.lastIndexOf("@")
  const userInfo = at < 0 ? undefined : parseUserInfo(authority.slice(0, at))
  if (typeof userInfo === "string") return userInfo
  const place = authority.slice(at + 1)
  const bracket = /^\[([^[\]]*)\](?::(.*))?$/.exec(place)
  if (bracket === null && place.indexOf(":") !== place.lastIndexOf(":")) {
    return "has more than one \":\" in its host: write an IPv6 address in brackets, as in nats://[::1]:4222"
  }
  const colon = place.indexOf(":")
  const hostText = bracket !== null ? bracket[1].replace("%25", "%") : colon < 0 ? place : place.slice(0, colon)
  const portText = bracket !== null ? bracket[2] : colon < 0 ? undefined : place.slice(colon + 1)
  if (isNothing(hostText) || isNothing(portText)) {
    return "has \"undefined\", \"null\" or \"NaN\" for its host or port: what was to be filled in there is not set"
  }
  if (hostText === "" && bracket === null) return "has no host"
  const host = bracket !== null && !isIPv6(hostText) ? undefined : normalHost(hostText)
  if (host === undefined) return "has no valid host name or address"
  const port = portText === undefined ? defaultPort(scheme) : /^\d{1,5}$/.test(portText) ? Number(portText) : 0
  if (port < 1 || port > 65_535) return "has a port that is not a number from 1 to 65535"
  return { address: { scheme, host, port, path: tail === "/" ? "" : tail.replace(/^\?/, "/?") }, userInfo }
}
