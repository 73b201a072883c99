/** The server in what was downloaded: a program by itself, or one in an archive as NATS publishes releases. */
import { unzipSync } from "fflate/browser"
import { parseTar } from "nanotar"
import * as zlib from "node:zlib"
import { mebibytes } from "./download.ts"
import { ServerProblem } from "./serverProblem.mjs"
import { executable } from "./versions.mjs"

const startsWith = (bytes: Uint8Array, ...magic: ReadonlyArray<number>): boolean =>
  magic.every((byte, index) => bytes[index] === byte)

const isTar = (bytes: Uint8Array): boolean => Buffer.from(bytes.subarray(257, 262)).toString("latin1") === "ustar"

const isServer = (name: string): boolean => name.split("/").at(-1) === executable

const ofTar = (bytes: Uint8Array): Uint8Array | undefined => {
  // The parser reads all of the buffer that bytes stand in.
  const { buffer } = Uint8Array.from(bytes)
  const [entry] = parseTar(buffer, { filter: ({ name, type }) => type === "file" && isServer(name) })
  return entry?.data
}

const ofZip = (bytes: Uint8Array, maxBytes: number): Uint8Array | undefined => {
  const files = unzipSync(bytes, { filter: ({ name, originalSize }) => isServer(name) && originalSize <= maxBytes })
  return Object.values(files)[0]
}

/**
 * The program of a download, told by what it holds and not by its name: a `.tar.gz`, a `.zip`, a gzipped program or a
 * program. Nothing else of an archive is taken out, and no name in it is used.
 *
 * Throws a `ServerProblem` for a broken archive, and for one without a server or with one of more than `maxBytes`.
 */
export const unpack = (bytes: Uint8Array, shown: string, maxBytes = 512 * 2 ** 20): Uint8Array => {
  const isZip = startsWith(bytes, 0x50, 0x4b, 0x03, 0x04)
  const isGzip = startsWith(bytes, 0x1f, 0x8b)
  const problem = (what: string): ServerProblem =>
    new ServerProblem(
      "NotAServer",
      `${shown} ${what}. A nats-server by itself, a .tar.gz and a .zip with one (at most ${
        mebibytes(maxBytes)
      }) are known.`
    )
  let program: Uint8Array | undefined
  try {
    const plain = isGzip ? zlib.gunzipSync(bytes, { maxOutputLength: maxBytes }) : bytes
    program = isZip ? ofZip(bytes, maxBytes) : isTar(plain) ? ofTar(plain) : plain
  } catch (error) {
    throw problem(`cannot be unpacked (${error instanceof Error ? error.message : error})`)
  }
  if (program === undefined) throw problem(`has no ${executable} in it`)
  return program
}
