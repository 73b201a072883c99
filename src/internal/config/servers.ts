/**
 * Decodes `servers`, and the user info in them.
 */
import * as Redacted from "effect/Redacted"
import { requiresTls, type Scheme, type ServerAddress } from "../protocol/serverAddress.ts"
import { readText } from "./fields.ts"
import { listProblem } from "./notUrls.ts"
import { kindOf, type Path, type Problems } from "./problems.ts"
import { parseServer, type UserInfo, writtenScheme } from "./serverUrl.ts"

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

/** All up to the last "@" and with it, as it is written. */
const userInfoOf = (url: string): string => url.slice(0, url.lastIndexOf("@") + 1)

/**
 * Whether a comma may be in a password, which it splits in two: the first part may look like a host and a port, and the
 * second like a token and a host.
 */
const splitsUser = ([first, ...others]: ReadonlyArray<string>): boolean => {
  const userInfo = userInfoOf(first)
  return others.some((url) => url.includes("@") && !url.includes("://")) &&
    // The same user info in every part is none that a comma has split.
    (userInfo === "" || !others.every((url) => userInfoOf(url.trim()) === userInfo))
}

type Places = ReadonlyArray<readonly [Path, unknown]>

/** An element of an array has several URLs where it is read from a variable. In any doubt its commas are its own. */
const ofElement = (path: Path, value: unknown): Places => {
  const text = Redacted.isRedacted(value) ? Redacted.value(value) : value
  const urls = typeof text === "string" && text.length <= 1_048_576 ? text.split(",", most + 1) : []
  return urls.length < 2 || splitsUser(urls) ? [[path, value]] : urls.map((url, index) => [[...path, index], url])
}

/** One text may have several URLs, separated by commas, and so may an element of an array. */
const urlsOf = (problems: Problems, path: Path, input: unknown): Places | undefined => {
  const tooMany = `must have at most ${most} servers`
  if (Array.isArray(input)) {
    if (input.length === 0) return problems.add(path, "must have at least one server")
    if (input.length > most) return problems.add(path, tooMany)
    const all = Array.from(input, (value: unknown, index) => ofElement([...path, index], value)).flat()
    return all.length > most ? problems.add(path, tooMany) : all
  }
  const value = Redacted.isRedacted(input) ? Redacted.value(input) : input
  if (typeof value === "object" && value !== null && isAddress(value)) return [[path, value]]
  if (typeof value !== "string") return problems.add(path, `must be a URL or an array of URLs, and is ${kindOf(value)}`)
  const problem = listProblem(value)
  if (problem !== undefined) return problems.add(path, problem)
  const urls = value.length > 1_048_576 ? [] : value.split(",", most + 1)
  if (urls.length === 0 || urls.length > most) return problems.add(path, tooMany)
  if (splitsUser(urls)) {
    return problems.add(
      path,
      "has an \"@\" behind a comma in a part without a scheme: percent-encode a comma in user info as %2C, or write the scheme"
    )
  }
  return urls.map((url, index) => [urls.length === 1 ? path : [...path, index], url])
}

/** One server of the list, as text. */
interface Written {
  readonly at: Path
  /** Absent where it is no text, which has been told. */
  readonly text: string | undefined
  readonly scheme: Scheme | undefined
}

const readUrl = (problems: Problems, at: Path, text: string): string | undefined => {
  if (text === "") {
    return problems.add(at, "must not be empty: a comma is too many, or what was to stand there is not set")
  }
  const problem = /[\t\r\n]/.test(text)
    ? "has a line break or a tab in it: write a comma where another server begins"
    : listProblem(text)
  return problem === undefined ? readText(problems, at, text, 4096) : problems.add(at, problem)
}

const written = (problems: Problems, at: Path, value: unknown): Written => {
  const plain = Redacted.isRedacted(value) ? Redacted.value(value) : value
  const text = typeof plain === "object" && plain !== null && isAddress(plain)
    ? readAddress(plain) ?? problems.add(at, "is no server address")
    : typeof plain === "string"
    ? readUrl(problems, at, plain.trim())
    : readText(problems, at, plain, 4096)
  return { at, text, scheme: text === undefined ? undefined : writtenScheme(text) }
}

const quotedSchemes = (schemes: ReadonlyArray<Scheme>): string => schemes.map((scheme) => `${scheme}://`).join(" and ")

/**
 * A list of servers is one trust domain: the same credentials go to all of them. So they all have TLS by their scheme or
 * none has, and one without a scheme has that of the others. Gives the scheme of those without one.
 */
const schemeOfList = (problems: Problems, list: ReadonlyArray<Written>): Scheme | undefined => {
  const schemes = [...new Set(list.flatMap(({ scheme }) => scheme ?? []))]
  const protecting = schemes.filter(requiresTls)
  for (const { at, scheme } of list) {
    if (scheme !== undefined && protecting.length > 0 && !requiresTls(scheme)) {
      problems.add(
        at,
        `is ${scheme}:// beside ${quotedSchemes(protecting)} and would get the same credentials without TLS: ` +
          `use ${scheme === "ws" ? "wss" : "tls"}://, or leave the scheme out`
      )
    }
  }
  if (schemes.length <= 1) return schemes[0] ?? "nats"
  for (const { at, text } of list) {
    if (text !== undefined && !text.includes("://")) {
      problems.add(at, `has no scheme beside ${quotedSchemes(schemes)}: write the one that is meant`)
    }
  }
  return undefined
}

export const decodeServers = (problems: Problems, path: Path, input: unknown): DecodedServers | undefined => {
  const urls = urlsOf(problems, path, input)
  if (urls === undefined) return undefined
  const before = problems.count
  const list = urls.map(([at, value]) => written(problems, at, value))
  const bareScheme = schemeOfList(problems, list)
  const servers: Array<ServerAddress> = []
  let userInfo: UserInfo | undefined
  for (const { at, text } of list) {
    const parsed = text === undefined ? undefined : parseServer(text, bareScheme)
    if (typeof parsed === "string") {
      problems.add(at, parsed)
    }
    if (parsed === undefined || typeof parsed === "string") continue
    servers.push(parsed.address)
    if (parsed.userInfo !== undefined) {
      if (userInfo !== undefined && !sameUser(userInfo, parsed.userInfo)) {
        problems.add(at, "has other user info than another server: give the credentials once, as `auth`")
      }
      userInfo = parsed.userInfo
    }
  }
  const [first, ...rest] = servers
  return problems.count > before ? undefined : { servers: [first, ...rest], userInfo }
}
