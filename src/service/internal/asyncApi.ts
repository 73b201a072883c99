/**
 * An AsyncAPI 3.0 document of endpoints.
 */
import * as JsonPointer from "effect/JsonPointer"
import * as JsonSchema from "effect/JsonSchema"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import { isVoid } from "../../internal/payload/jsonText.ts"
import { serviceErrorCodeHeader, serviceErrorHeader } from "../../internal/protocol/headerNames.ts"
import type { Document, Info } from "../AsyncApi.ts"
import { type EndpointContract, failureSchema } from "./contract.ts"

type Json = Schema.Json

const version = "3.0.0"
const json = "application/json"

const ref = (path: string): Document => ({ $ref: `#/${path}` })

export const documentOf = (endpoints: ReadonlyArray<EndpointContract>, info: Info): Document => {
  const serverKeys = new Keys()
  const servers = Object.entries(info.servers ?? {}).map(([name, host]) =>
    [serverKeys.take(componentName(name)), { host, protocol: "nats" }] as const
  )
  const parts: Parts = {
    schemas: new Map(),
    schemaKeys: new Keys(),
    channels: new Map(),
    messages: new Map(),
    operations: new Map()
  }
  const keys = keysOf(endpoints)
  // The names of payloads are fixed by the keys, and those of definitions within them are not.
  for (const { own } of keys) for (const kind of kinds) parts.schemaKeys.take(`${own}.${kind}`)
  endpoints.forEach((endpoint, i) => addEndpoint(endpoint, keys[i], parts))
  return {
    asyncapi: version,
    info: {
      title: info.title ?? info.name,
      version: info.version,
      ...(info.description === undefined ? {} : { description: info.description })
    },
    ...(servers.length === 0 ? {} : {
      servers: Object.fromEntries(servers)
    }),
    defaultContentType: json,
    channels: Object.fromEntries(parts.channels),
    operations: Object.fromEntries(parts.operations),
    components: {
      messages: Object.fromEntries(parts.messages),
      ...(parts.schemas.size === 0 ? {} : { schemas: Object.fromEntries(parts.schemas) })
    }
  }
}

type Entries = Map<string, Json>

interface Parts {
  readonly schemas: Entries
  readonly schemaKeys: Keys
  readonly channels: Entries
  readonly messages: Entries
  readonly operations: Entries
}

/** Of the endpoint's channel and operation, and of the channel of its replies. */
interface EndpointKeys {
  readonly own: string
  readonly reply: string
}

const kinds = ["request", "response", "error"] as const

/** Names that are given once. Those that every object has would be lost by who reads the document. */
class Keys {
  private readonly taken = new Set(Object.getOwnPropertyNames(Object.prototype))

  /** The name, or with the first number that is free. */
  take(name: string): string {
    let key = name
    for (let i = 2; this.taken.has(key); i++) key = `${name}-${i}`
    this.taken.add(key)
    return key
  }
}

/** Channels of requests and of replies are in one place. A tag that is a key itself keeps it, whatever else there is. */
const keysOf = (endpoints: ReadonlyArray<EndpointContract>): ReadonlyArray<EndpointKeys> => {
  const keys = new Keys()
  const own = new Map<string, string>()
  const tags = endpoints.map(({ rpc }) => rpc._tag)
  const isKey = (tag: string): boolean => componentName(tag) === tag
  for (const tag of [...tags.filter(isKey), ...tags.filter((tag) => !isKey(tag))]) {
    own.set(tag, keys.take(componentName(tag)))
  }
  return tags.map((tag) => ({ own: own.get(tag)!, reply: keys.take(`${own.get(tag)}.reply`) }))
}

const addEndpoint = (
  { name, queue, rpc, subject }: EndpointContract,
  { own, reply }: EndpointKeys,
  parts: Parts
): void => {
  const message = (kind: typeof kinds[number], schema: Schema.Constraint, headers?: Document): void => {
    const payload = payloadOf(schema, `${own}.${kind}`, parts)
    parts.messages.set(`${own}.${kind}`, {
      name: `${name}.${kind}`,
      contentType: json,
      ...(headers === undefined ? {} : { headers }),
      ...(payload === undefined ? {} : { payload })
    })
  }
  message("request", rpc.payloadSchema)
  message("response", rpc.successSchema)
  message("error", failureSchema(rpc), errorHeaders)
  parts.channels.set(own, {
    address: subject,
    messages: { request: ref(`components/messages/${own}.request`) }
  })
  parts.channels.set(reply, {
    address: null,
    messages: {
      response: ref(`components/messages/${own}.response`),
      error: ref(`components/messages/${own}.error`)
    }
  })
  parts.operations.set(own, {
    action: "receive",
    channel: ref(`channels/${own}`),
    messages: [ref(`channels/${own}/messages/request`)],
    ...(queue === undefined ? {} : { bindings: { nats: { queue, bindingVersion: "0.1.0" } } }),
    reply: {
      channel: ref(`channels/${reply}`),
      messages: [ref(`channels/${reply}/messages/response`), ref(`channels/${reply}/messages/error`)]
    }
  })
}

const errorHeaders: Document = {
  type: "object",
  properties: {
    [serviceErrorHeader]: { type: "string", description: "What went wrong." },
    [serviceErrorCodeHeader]: { type: "string", pattern: "^[0-9]+$", description: "The number of the error." }
  },
  required: [serviceErrorHeader, serviceErrorCodeHeader]
}

/** A reference to the schema among the components, `undefined` where there is no payload. */
const payloadOf = (schema: Schema.Constraint, key: string, { schemaKeys, schemas }: Parts): Document | undefined => {
  if (isVoid(schema) || SchemaAST.isNever(schema.ast)) return undefined
  const document = JsonSchema.toDocumentDraft07(Schema.toJsonSchemaDocument(schema))
  // Each payload has definitions of its own: equal names of different schemas do not meet.
  const moved = new Map(
    Object.keys(document.definitions).map((name) => [name, schemaKeys.take(componentName(`${key}.${name}`))])
  )
  for (const [name, target] of moved) schemas.set(target, moveRefs(document.definitions[name] as Json, moved))
  schemas.set(key, moveRefs(document.schema as Json, moved))
  return ref(`components/schemas/${key}`)
}

const definitions = "#/definitions/"

const componentName = (name: string): string => name.replaceAll(/[^A-Za-z0-9._-]/g, "_") || "_"

/** References to definitions become references to the components that they are moved to. */
const moveRefs = (value: Json, moved: ReadonlyMap<string, string>): Json => {
  if (Array.isArray(value)) return value.map((item: Json) => moveRefs(item, moved))
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, item]: [string, Json]) => {
      if (name !== "$ref" || typeof item !== "string" || !item.startsWith(definitions)) {
        return [name, moveRefs(item, moved)]
      }
      const target = moved.get(decodePointer(item.slice(definitions.length)))
      return [name, target === undefined ? item : `#/components/schemas/${target}`]
    })
  )
}

/** A name in a pointer that is the fragment of a URI. */
const decodePointer = (token: string): string => JsonPointer.unescapeToken(decodeURIComponent(token))
