/**
 * A file of an address, in memory: nothing of it is on disk before it is known to be the right one.
 */
import * as fs from "node:fs"
import * as process from "node:process"
import { fileURLToPath } from "node:url"
import { tell } from "./process.mjs"
import { ServerProblem } from "./serverProblem.mjs"

export interface DownloadOptions {
  /** Ends the download. */
  readonly signal?: AbortSignal | undefined
  /** How long nothing may come, in milliseconds. Default: 30 s. */
  readonly stallMillis?: number | undefined
  /** How many bytes the file may have. Default: 256 MiB, ten times a server. */
  readonly maxBytes?: number | undefined
}

export const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`

/**
 * An address that a file can be had from. The text is not in the message of what is none, as it may hold a password.
 */
export const parseAddress = (text: string): URL => {
  const form = "Give it as https://host/file, http://host/file or file:///path/to/file."
  const url = URL.canParse(text) ? new URL(text) : undefined
  const problem = url === undefined
    ? `is no address. ${form}`
    : !["https:", "http:", "file:"].includes(url.protocol)
    ? `begins with ${url.protocol.slice(0, 20)}, which is not known. ${form}`
    : url.username !== "" || url.password !== ""
    ? "has a user or a password in it, and a command line is read by every user of the machine. Get the file by another " +
      "tool, and give it as file:///path/to/file."
    : undefined
  if (url !== undefined && problem === undefined) return url
  throw new ServerProblem("BadRequest", `--from ${problem}`)
}

/** An address as it is shown: without its query, which may be a signature. */
export const shownAddress = ({ host, pathname, protocol }: URL): string => `${protocol}//${host}${pathname}`

const failed = (url: URL, what: string): ServerProblem =>
  new ServerProblem("DownloadFailed", `${shownAddress(url)} ${what}.`)

const tooLarge = (url: URL, maxBytes: number): ServerProblem =>
  failed(url, `is no server: it has more than ${mebibytes(maxBytes)}`)

const codeOf = (error: unknown): string | undefined => {
  if (!(error instanceof Error)) return undefined
  if ("code" in error && typeof error.code === "string") return error.code
  return codeOf(error.cause)
}

const readFile = (url: URL, maxBytes: number): Uint8Array => {
  try {
    const file = fileURLToPath(url)
    if (fs.statSync(file).size > maxBytes) throw tooLarge(url, maxBytes)
    return fs.readFileSync(file)
  } catch (error) {
    if (error instanceof ServerProblem) throw error
    const code = codeOf(error)
    throw failed(url, code === "ENOENT" ? "names a file that is not there" : `cannot be read: ${code}`)
  }
}

/** Node reads the variables of a proxy only where it is told to. */
const unreadProxy = ({ protocol }: URL): string => {
  const name = protocol === "https:" ? "HTTPS_PROXY" : "HTTP_PROXY"
  const isSet = Boolean(process.env[name] ?? process.env[name.toLowerCase()])
  return isSet && process.env["NODE_USE_ENV_PROXY"] !== "1" ? `; ${name} is used with NODE_USE_ENV_PROXY=1 only` : ""
}

const whyUnreachable = (url: URL, error: unknown): string => {
  const code = codeOf(error)
  const why = code === "ECONNREFUSED"
    ? "nothing listens there (ECONNREFUSED)"
    : code === "ENOTFOUND" || code === "EAI_AGAIN"
    ? `the name ${url.hostname} has no address (${code})`
    : code !== undefined && /CERT|SIGNED|SIGNATURE|ALTNAME/.test(code)
    ? `its certificate is not accepted (${code}); NODE_EXTRA_CA_CERTS names a file of further authorities`
    : code ?? (error instanceof Error && error.cause instanceof Error ? error.cause.message : "the request failed")
  return `cannot be reached: ${why}${unreadProxy(url)}`
}

const whyStatus = (status: number): string => {
  if (status === 404 || status === 410) return `is not there (HTTP status ${status})`
  if (status === 401 || status === 403) return `is not given to this user (HTTP status ${status})`
  return `is not given (HTTP status ${status})`
}

const request = async (url: URL, signal: AbortSignal): Promise<Response> => {
  try {
    // The digest is that of the file, and not of a form that it travels in.
    return await fetch(url, { headers: { "accept-encoding": "identity" }, signal })
  } catch (error) {
    if (signal.aborted) throw signal.reason
    throw failed(url, whyUnreachable(url, error))
  }
}

/**
 * The bytes of an address. Redirects are followed.
 *
 * Rejects with a `ServerProblem`, which is one sentence about what did not happen, or with the reason of `signal`.
 */
export const download = async (url: URL, options: DownloadOptions = {}): Promise<Uint8Array> => {
  const { maxBytes = 256 * 2 ** 20, signal, stallMillis = 30_000 } = options
  if (url.protocol === "file:") return readFile(url, maxBytes)
  const stalled = new AbortController()
  const stall = (): void => stalled.abort(failed(url, `gives nothing any more: ${stallMillis / 1000} s without a byte`))
  const timer = setTimeout(stall, stallMillis)
  const any = signal === undefined ? stalled.signal : AbortSignal.any([signal, stalled.signal])
  const chunks: Array<Uint8Array> = []
  let length = 0
  try {
    const response = await request(url, any)
    if (!response.ok) throw failed(url, whyStatus(response.status))
    const announced = Number(response.headers.get("content-length") ?? 0)
    if (announced > maxBytes) throw tooLarge(url, maxBytes)
    tell(`nats-server: downloading ${shownAddress(url)}${announced > 0 ? ` (${mebibytes(announced)})` : ""}`)
    for await (const chunk of response.body ?? []) {
      timer.refresh()
      length += chunk.length
      if (length > maxBytes) throw tooLarge(url, maxBytes)
      chunks.push(chunk)
    }
    return Buffer.concat(chunks, length)
  } catch (error) {
    if (any.aborted) throw any.reason
    if (error instanceof ServerProblem) throw error
    throw failed(
      url,
      `ended before it was complete (${codeOf(error) ?? "no reason given"}), after ${mebibytes(length)}`
    )
  } finally {
    clearTimeout(timer)
    // What is still open of the connection goes with it.
    stalled.abort()
  }
}
