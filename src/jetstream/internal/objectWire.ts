/**
 * How an object is kept (ADR-20): its bytes as messages on one subject, which has a name of chance, and what is told of it
 * as JSON on another one, which has the object's name. Pure.
 */
import type { Input, NatsHeaders } from "../../NatsHeaders.ts"
import { InvalidName, InvalidObjectName } from "../JetStreamError.ts"
import { invalidName, namedAs } from "./names.ts"
import type { ObjectInfo, ObjectLink } from "./objectTypes.ts"

export const streamOf = (store: string): string => `OBJ_${store}`

/** `undefined` for the name of a stream that is no store. */
export const storeOf = (stream: string): string | undefined => stream.startsWith("OBJ_") ? stream.slice(4) : undefined

export const chunkSubject = (store: string, id: string): string => `$O.${store}.C.${id}`

/** Names are UTF-8 in base64 for URLs, padded, as nats.go has them. */
export const infoSubject = (store: string, name: string): string =>
  `$O.${store}.M.${toBase64Url(Buffer.from(name, "utf8"))}`

export const everyChunk = (store: string): string => `$O.${store}.C.>`

export const everyInfo = (store: string): string => `$O.${store}.M.>`

/** The name of the object that an `infoSubject` is of. */
export const nameIn = (store: string, subject: string): string =>
  Buffer.from(subject.slice(`$O.${store}.M.`.length), "base64url").toString("utf8")

/** Bytes of chance in the name that chunks are kept under, which no two puts have in common. */
export const idBytes = 11

export const digestPrefix = "SHA-256="

const toBase64Url = (bytes: Buffer): string => bytes.toString("base64").replaceAll("+", "-").replaceAll("/", "_")

/** The server's limit for the stream, less what stands before the name. */
const longestStore = 251

/** Why a store cannot have this name. */
export const invalidStore = (name: string): InvalidName | undefined => {
  const invalid = invalidName("store", name)
  if (invalid !== undefined) return invalid
  if (!/^[\w-]+$/.test(name)) {
    return new InvalidName({ what: "store", name, problem: "other clients take letters, digits, \"-\" and \"_\" only" })
  }
  return name.length > longestStore
    ? new InvalidName({ what: "store", name, problem: `it is longer than ${longestStore} characters` })
    : undefined
}

/** In bytes. The subject has a third more, and may have 2,000 with store and domain in it. */
const longestName = 1024

/** Why an object cannot have this name. */
export const invalidObjectName = (name: string): InvalidObjectName | undefined => {
  const problem = typeof name !== "string"
    ? "it is no text"
    : name === ""
    ? "it is empty"
    : !name.isWellFormed()
    ? "it has half of a surrogate pair in it"
    : Buffer.byteLength(name) > longestName
    ? `it is longer than ${longestName} bytes`
    : undefined
  return problem === undefined ? undefined : new InvalidObjectName({ name: namedAs(name), problem })
}

/** What is told of an object, as JSON has it. */
export interface InfoRecord {
  readonly name: string
  readonly description?: string | undefined
  readonly headers?: NatsHeaders | undefined
  readonly metadata?: Readonly<Record<string, string>> | undefined
  readonly options?:
    | { readonly link?: LinkRecord | undefined; readonly max_chunk_size?: number | undefined }
    | undefined
  readonly bucket: string
  readonly nuid: string
  readonly size: number
  readonly mtime: string
  readonly chunks: number
  readonly digest?: string | undefined
  readonly deleted?: boolean | undefined
}

interface LinkRecord {
  readonly bucket: string
  readonly name?: string | undefined
}

export const recordOf = (info: ObjectInfo, now: number): InfoRecord => {
  const { description, link } = info
  const options = {
    ...(link === undefined
      ? {}
      : { link: { bucket: link.store, ...(link.name === undefined ? {} : { name: link.name }) } }),
    ...(info.chunkSize === undefined ? {} : { max_chunk_size: info.chunkSize })
  }
  return {
    name: info.name,
    ...(description === undefined ? {} : { description }),
    ...(Object.keys(info.headers).length === 0 ? {} : { headers: info.headers }),
    ...(Object.keys(info.metadata).length === 0 ? {} : { metadata: info.metadata }),
    ...(Object.keys(options).length === 0 ? {} : { options }),
    bucket: info.store,
    nuid: info.id,
    size: info.size,
    mtime: new Date(now).toISOString(),
    chunks: info.chunks,
    ...(info.digest === undefined ? {} : { digest: info.digest }),
    ...(info.deleted ? { deleted: true } : {})
  }
}

/** A message that says what is told of an object. */
export interface InfoMessage {
  readonly subject: string
  readonly revision: number
  readonly millis: number
  readonly text: string
  /** The server put it there in place of what has expired. */
  readonly isMarker: boolean
}

type Fields = Readonly<Record<string, unknown>>

const isRecord = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const textIn = (fields: Fields, name: string): string | undefined => {
  const value = fields[name]
  return typeof value === "string" && value !== "" ? value : undefined
}

const countIn = (fields: Fields, name: string): number | undefined => {
  const value = fields[name]
  return typeof value === "number" && Number.isInteger(value) && value >= 0 ? value : undefined
}

const linkIn = (options: unknown): ObjectLink | undefined => {
  const link = isRecord(options) ? options["link"] : undefined
  if (!isRecord(link)) return undefined
  const [store, name] = [textIn(link, "bucket"), textIn(link, "name")]
  return store === undefined ? undefined : name === undefined ? { store } : { store, name }
}

const headersIn = (value: unknown): NatsHeaders => {
  const headers: Record<string, ReadonlyArray<string>> = {}
  for (const [name, given] of isRecord(value) ? Object.entries(value) : []) {
    headers[name] = (Array.isArray(given) ? given : [given]).map(String)
  }
  return headers
}

const metadataIn = (value: unknown): Readonly<Record<string, string>> =>
  isRecord(value) ? Object.fromEntries(Object.entries(value).map(([name, given]) => [name, String(given)])) : {}

/** Reads such a message, or says why it cannot be read. */
export const readInfo = (store: string, message: InfoMessage): ObjectInfo | string => {
  const { millis, revision } = message
  if (message.isMarker) {
    return { ...emptyInfo(store, nameIn(store, message.subject)), deleted: true, revision, modifiedMillis: millis }
  }
  let fields: unknown
  try {
    fields = JSON.parse(message.text)
  } catch {
    return "it is not JSON"
  }
  if (!isRecord(fields)) return "it is JSON, and no object"
  const link = linkIn(fields["options"])
  const [id, size, chunks] = [textIn(fields, "nuid"), countIn(fields, "size"), countIn(fields, "chunks")]
  const deleted = fields["deleted"] === true
  // A link of another client has none of them.
  if (link === undefined && !deleted && (id === undefined || size === undefined || chunks === undefined)) {
    return "it has no nuid, no size or no number of chunks"
  }
  const options = fields["options"]
  const [digest, description] = [textIn(fields, "digest"), textIn(fields, "description")]
  const chunkSize = isRecord(options) ? countIn(options, "max_chunk_size") : undefined
  return {
    _tag: "ObjectInfo",
    store,
    // Another client can have another idea of which characters a subject stands for: what it wrote down is the name.
    name: textIn(fields, "name") ?? nameIn(store, message.subject),
    ...(description === undefined ? {} : { description }),
    headers: headersIn(fields["headers"]),
    metadata: metadataIn(fields["metadata"]),
    id: id ?? "",
    size: size ?? 0,
    chunks: chunks ?? 0,
    ...(chunkSize === undefined ? {} : { chunkSize }),
    ...(digest === undefined ? {} : { digest }),
    ...(link === undefined ? {} : { link }),
    deleted,
    revision,
    modifiedMillis: millis
  }
}

/** Of an object that nobody has told anything of. */
export const emptyInfo = (store: string, name: string): ObjectInfo => ({
  _tag: "ObjectInfo",
  store,
  name,
  headers: {},
  metadata: {},
  id: "",
  size: 0,
  chunks: 0,
  deleted: false,
  revision: 0,
  modifiedMillis: 0
})

/** Each with its list of values, as it is kept. */
export const headersOf = (headers: Input = {}): NatsHeaders =>
  Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, typeof value === "string" ? [value] : value])
  )
