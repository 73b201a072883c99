/**
 * An AsyncAPI 3.0 document of endpoints.
 */
import * as JsonSchema from "effect/JsonSchema"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import { isVoid } from "../../internal/payload/jsonText.ts"
import { serviceErrorCodeHeader, serviceErrorHeader } from "../../internal/protocol/headerNames.ts"
import type { Document, Info } from "../AsyncApi.ts"
import { type EndpointContract, failureSchema } from "./contract.ts"

type Json = Schema.Json
type Mutable = Record<string, Json>

const version = "3.0.0"
const json = "application/json"

const ref = (path: string): Document => ({ $ref: `#/${path}` })

export const documentOf = (endpoints: ReadonlyArray<EndpointContract>, info: Info): Document => {
  const schemas: Mutable = {}
  const channels: Mutable = {}
  const messages: Mutable = {}
  const operations: Mutable = {}
  const servers = Object.entries(info.servers ?? {})
  for (const endpoint of endpoints) addEndpoint(endpoint, { schemas, channels, messages, operations })
  return {
    asyncapi: version,
    info: {
      title: info.title ?? info.name,
      version: info.version,
      ...(info.description === undefined ? {} : { description: info.description })
    },
    ...(servers.length === 0 ? {} : {
      servers: Object.fromEntries(servers.map(([name, host]) => [name, { host, protocol: "nats" }]))
    }),
    defaultContentType: json,
    channels,
    operations,
    components: { messages, ...(Object.keys(schemas).length === 0 ? {} : { schemas }) }
  }
}

interface Parts {
  readonly schemas: Mutable
  readonly channels: Mutable
  readonly messages: Mutable
  readonly operations: Mutable
}

const addEndpoint = ({ name, queue, rpc, subject }: EndpointContract, parts: Parts): void => {
  const plain = componentName(rpc._tag)
  const key = plain in parts.channels ? `${plain}-${Object.keys(parts.operations).length + 1}` : plain
  const message = (kind: string, schema: Schema.Constraint, headers?: Document): void => {
    const payload = payloadOf(schema, `${key}.${kind}`, parts.schemas)
    parts.messages[`${key}.${kind}`] = {
      name: `${name}.${kind}`,
      contentType: json,
      ...(headers === undefined ? {} : { headers }),
      ...(payload === undefined ? {} : { payload })
    }
  }
  message("request", rpc.payloadSchema)
  message("response", rpc.successSchema)
  message("error", failureSchema(rpc), errorHeaders)
  parts.channels[key] = {
    address: subject,
    messages: { request: ref(`components/messages/${key}.request`) }
  }
  const reply = `${key}.reply`
  parts.channels[reply] = {
    address: null,
    messages: {
      response: ref(`components/messages/${key}.response`),
      error: ref(`components/messages/${key}.error`)
    }
  }
  parts.operations[key] = {
    action: "receive",
    channel: ref(`channels/${key}`),
    messages: [ref(`channels/${key}/messages/request`)],
    ...(queue === undefined ? {} : { bindings: { nats: { queue, bindingVersion: "0.1.0" } } }),
    reply: {
      channel: ref(`channels/${reply}`),
      messages: [ref(`channels/${reply}/messages/response`), ref(`channels/${reply}/messages/error`)]
    }
  }
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
const payloadOf = (schema: Schema.Constraint, key: string, schemas: Mutable): Document | undefined => {
  if (isVoid(schema) || SchemaAST.isNever(schema.ast)) return undefined
  const document = JsonSchema.toDocumentDraft07(Schema.toJsonSchemaDocument(schema))
  // Each payload has definitions of its own: equal names of different schemas do not meet.
  for (const [name, definition] of Object.entries(document.definitions)) {
    schemas[componentName(`${key}.${name}`)] = moveRefs(definition as Json, key)
  }
  schemas[key] = moveRefs(document.schema as Json, key)
  return ref(`components/schemas/${key}`)
}

const definitions = "#/definitions/"

const componentName = (name: string): string => name.replaceAll(/[^A-Za-z0-9._-]/g, "_")

/** References to definitions become references to the components that they are moved to. */
const moveRefs = (value: Json, key: string): Json => {
  if (Array.isArray(value)) return value.map((item: Json) => moveRefs(item, key))
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, item]: [string, Json]) => {
      if (name !== "$ref" || typeof item !== "string" || !item.startsWith(definitions)) {
        return [name, moveRefs(item, key)]
      }
      const target = decodePointer(item.slice(definitions.length))
      return [name, `#/components/schemas/${componentName(`${key}.${target}`)}`]
    })
  )
}

const decodePointer = (token: string): string => token.replaceAll("~1", "/").replaceAll("~0", "~")
