/** A server from an address that the caller trusts by its digest. */
import * as crypto from "node:crypto"
import * as fs from "node:fs"
import * as path from "node:path"
import type { Cache, Server } from "./caches.mjs"
import { cachedServers, keep, withArrivals } from "./caches.mjs"
import type { DownloadOptions } from "./download.ts"
import { download, parseAddress, shownAddress } from "./download.ts"
import { tell } from "./process.mjs"
import { ServerProblem } from "./serverProblem.mjs"
import { unpack } from "./unpack.ts"
import { compare, executable, matches, supported } from "./versions.mjs"

export interface FromAddress extends DownloadOptions {
  /** `http:`, `https:` or `file:`, without a user and a password. */
  readonly from: string
  /** What the file must have, in hexadecimal digits. */
  readonly sha256: string | undefined
  /** A series or an exact version that the server must have. */
  readonly wanted?: string | undefined
  readonly target: Cache
}

const digestOf = (bytes: Uint8Array): string => crypto.createHash("sha256").update(bytes).digest("hex")

const parseDigest = (text: string | undefined): string => {
  const how =
    "Take it from where the file is published (SHA256SUMS of a release), or from sha256sum of a file you trust"
  if (text === undefined) {
    throw new ServerProblem("BadRequest", `--from needs --sha256, the digest that the file must have. ${how}.`)
  }
  const digest = text.trim().replace(/^sha256:/, "").toLowerCase()
  if (/^[0-9a-f]{64}$/.test(digest)) return digest
  throw new ServerProblem(
    "BadRequest",
    `--sha256 has ${digest.length} characters, and a digest has 64 hexadecimal digits. ${how}.`
  )
}

/** Beside a server: the digest of the file that it came from, and its own. */
const recordOf = (server: string): string => path.join(path.dirname(server), "from.json")

interface Origin {
  readonly file: string
  readonly program: string
}

const readOrigin = (server: string): Origin | undefined => {
  try {
    return JSON.parse(fs.readFileSync(recordOf(server), "utf8"))
  } catch {
    return undefined
  }
}

/** The server that came from a file of this digest before, and is what it was. */
const kept = (target: Cache, digest: string): Server | undefined =>
  cachedServers(target).find((server) => {
    const origin = readOrigin(server.path)
    return origin?.file === digest && origin.program === digestOf(fs.readFileSync(server.path))
  })

const checkVersion = (version: string, wanted: string | undefined, shown: string): void => {
  const accepted = wanted === undefined ? compare(version, supported) >= 0 : matches(version, wanted)
  if (accepted) return
  const wish = wanted === undefined ? `at least ${supported} is needed` : `${wanted} is asked for`
  throw new ServerProblem("NotAServer", `${shown} is nats-server ${version}, and ${wish}.`)
}

/**
 * The server of an address, put into the cache; without a question to the network where that file came before.
 *
 * The digest is checked before anything of the file is unpacked, run or written. Rejects with a `ServerProblem`; whatever
 * happens, interruption included, the cache has a whole server or is as it was.
 */
export const fromAddress = async ({ from, sha256, target, wanted, ...options }: FromAddress): Promise<Server> => {
  const url = parseAddress(from)
  const digest = parseDigest(sha256)
  const shown = shownAddress(url)
  const before = kept(target, digest)
  if (before !== undefined) {
    checkVersion(before.version, wanted, shown)
    return before
  }
  const bytes = await download(url, options)
  const actual = digestOf(bytes)
  if (actual !== digest) {
    throw new ServerProblem(
      "DigestMismatch",
      `${shown} is not the file that is wanted: its SHA-256 is ${actual}, and ${digest} is expected. Nothing of it is kept.`
    )
  }
  const program = unpack(bytes, shown)
  return withArrivals(target, async (directory) => {
    const arrived = path.join(directory, executable)
    fs.writeFileSync(arrived, program, { mode: 0o755 })
    const accepts = (version: string): boolean => {
      checkVersion(version, wanted, shown)
      return true
    }
    const { server } = await keep(target, directory, arrived, shown, accepts)
    if (server === undefined) {
      const machine = `${process.platform} ${process.arch}`
      throw new ServerProblem("NotAServer", `${shown} holds no nats-server that runs on this machine (${machine}).`)
    }
    const record = path.join(directory, "from.json")
    fs.writeFileSync(record, JSON.stringify({ file: digest, program: digestOf(program) } satisfies Origin))
    fs.renameSync(record, recordOf(server.path))
    tell(`nats-server: ${server.version} from ${shown}, ${digest}`)
    return server
  })
}
