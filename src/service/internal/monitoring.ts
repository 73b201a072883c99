/**
 * What a service tells of itself on `$SRV.PING`, `$SRV.INFO` and `$SRV.STATS`.
 */
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import { isVoid } from "../../internal/payload/jsonText.ts"
import type { InfoResponse, PingResponse, StatsResponse } from "../ServiceDiscovery.ts"
import { type EndpointContract, failureSchema } from "./contract.ts"
import type { Endpoint } from "./endpoint.ts"

export const pingType = "io.nats.micro.v1.ping_response"
export const infoType = "io.nats.micro.v1.info_response"
export const statsType = "io.nats.micro.v1.stats_response"

export interface Identity {
  readonly name: string
  readonly id: string
  readonly version: string
  readonly metadata: Readonly<Record<string, string>>
}

/** An answer for each verb: to all, to those of the name, and to the one of the id. */
export const answersOf = (
  identity: Identity,
  info: () => InfoResponse,
  stats: () => StatsResponse
): ReadonlyArray<{ readonly subject: string; readonly answer: () => string }> => {
  const ping: PingResponse = { type: pingType, ...identity }
  const pinged = JSON.stringify(ping)
  const answers = {
    PING: () => pinged,
    INFO: () => JSON.stringify(info()),
    STATS: () => JSON.stringify(stats())
  }
  return Object.entries(answers).flatMap(([verb, answer]) =>
    ["", `.${identity.name}`, `.${identity.name}.${identity.id}`].map((rest) => ({
      subject: `$SRV.${verb}${rest}`,
      answer
    }))
  )
}

export const infoOf = (
  identity: Identity,
  description: string,
  endpoints: ReadonlyArray<EndpointContract>,
  schemas: boolean
): InfoResponse => ({
  type: infoType,
  ...identity,
  description,
  endpoints: endpoints.map((endpoint) => ({
    name: endpoint.name,
    subject: endpoint.subject,
    queue_group: endpoint.queue ?? "",
    metadata: schemas ? { ...schemasOf(endpoint), ...endpoint.metadata } : endpoint.metadata
  }))
})

export const statsOf = (
  identity: Identity,
  started: string,
  endpoints: ReadonlyArray<Endpoint>
): StatsResponse => ({
  type: statsType,
  ...identity,
  started,
  endpoints: endpoints.map((endpoint) => ({
    name: endpoint.contract.name,
    subject: endpoint.contract.subject,
    queue_group: endpoint.contract.queue ?? "",
    num_requests: endpoint.requests,
    num_errors: endpoint.errors,
    last_error: endpoint.lastError,
    processing_time: endpoint.processingTime,
    average_processing_time: endpoint.requests === 0 ? 0 : Math.trunc(endpoint.processingTime / endpoint.requests)
  }))
})

// Metadata is text, so a schema is the text of a JSON Schema.
const schemasOf = ({ rpc }: EndpointContract): Record<string, string> => {
  const schemas: Record<string, string> = {}
  const add = (key: string, schema: Schema.Constraint): void => {
    const text = jsonSchemaText(schema)
    if (text !== undefined) schemas[key] = text
  }
  add("request_schema", rpc.payloadSchema)
  add("response_schema", rpc.successSchema)
  add("error_schema", failureSchema(rpc))
  return schemas
}

const jsonSchemaText = (schema: Schema.Constraint): string | undefined => {
  if (isVoid(schema) || SchemaAST.isNever(schema.ast)) return undefined
  const { definitions, schema: json } = Schema.toJsonSchemaDocument(schema)
  return JSON.stringify(Object.keys(definitions).length === 0 ? json : { ...json, $defs: definitions })
}
