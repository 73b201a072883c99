/** Definitions as values, and how they are written for the wire. */
import type { InvalidSubject } from "../../NatsError.ts"
import { type DefinitionError, InvalidDefinition, type InvalidName } from "../JetStreamError.ts"
import { checkConsumer, consumerTable, impliedOfConsumer } from "./consumerFields.ts"
import {
  type ConsumerDefinition,
  type ConsumerOptions,
  ConsumerTypeId,
  type Target as ConsumerTarget
} from "./consumerTypes.ts"
import type { Wire, WireObject } from "./exactJson.ts"
import { encodeFields, type Fields } from "./fields.ts"
import { Misfit } from "./misfit.ts"
import { invalidName } from "./names.ts"
import { checkStream, impliedOfStream, settleStream, streamTable } from "./streamFields.ts"
import { type StreamDefinition, type StreamOptions, StreamTypeId, type Target as StreamTarget } from "./streamTypes.ts"

/** What is undefined in options is not declared. */
export const makeStream = (name: string, options: StreamOptions): StreamDefinition => ({
  [StreamTypeId]: StreamTypeId,
  name,
  options
})

export const makeConsumer = (stream: StreamTarget, name: string, options: ConsumerOptions): ConsumerDefinition => ({
  [ConsumerTypeId]: ConsumerTypeId,
  stream: streamName(stream),
  name,
  options
})

export const isStreamDefinition = (value: unknown): value is StreamDefinition =>
  typeof value === "object" && value !== null && StreamTypeId in value

export const isConsumerDefinition = (value: unknown): value is ConsumerDefinition =>
  typeof value === "object" && value !== null && ConsumerTypeId in value

export const streamName = (stream: StreamTarget): string => isStreamDefinition(stream) ? stream.name : stream

/** The names of a consumer, wherever they stand. */
export const consumerNames = (target: ConsumerTarget): { readonly stream: string; readonly consumer: string } =>
  isConsumerDefinition(target)
    ? { stream: target.stream, consumer: target.name }
    : { stream: streamName(target.stream), consumer: target.consumer }

export const invalidConsumer = (stream: string, consumer: string): InvalidName | undefined =>
  invalidName("stream", stream) ?? invalidName("consumer", consumer)

/** A definition as it is sent, and how it is compared. */
export interface Written {
  readonly of: "stream" | "consumer"
  readonly name: string
  readonly stream: string
  /** What is declared, as it is on the wire. What is `undefined` is declared to be nothing. */
  readonly config: WireObject
  readonly declared: ReadonlyArray<string>
  readonly fields: Fields
  /** What changes along with it in a configuration that is there. */
  readonly implied: (actual: WireObject) => WireObject
}

export const writeStream = (definition: StreamDefinition): Written | DefinitionError => {
  checkDefinition(definition)
  const { name, options } = definition
  const problem = invalidName("stream", name)
  if (problem !== undefined) return problem
  return written("stream", name, () => {
    const config = encodeFields(streamTable, options, "")
    checkStream(options)
    return {
      of: "stream",
      name,
      stream: name,
      config: settleStream(config),
      declared: declaredIn(options),
      fields: streamTable,
      implied: (actual) => impliedOfStream(actual, settleStream(config))
    }
  })
}

export const writeConsumer = (definition: ConsumerDefinition): Written | DefinitionError => {
  checkDefinition(definition)
  return writeConsumerOptions(definition.stream, definition.name, definition.options)
}

/** A consumer's acknowledgement is explicit unless it is said: the server's own default loses messages. */
export const writeConsumerOptions = (
  stream: string,
  name: string,
  given: ConsumerOptions
): Written | DefinitionError => {
  const options = { ...given, ackPolicy: given.ackPolicy ?? "explicit" }
  const problem = invalidConsumer(stream, name)
  if (problem !== undefined) return problem
  return written("consumer", name, () => {
    const config = encodeFields(consumerTable, options, "")
    checkConsumer(config)
    return {
      of: "consumer",
      name,
      stream,
      config,
      declared: declaredIn(options),
      fields: consumerTable,
      implied: (actual) => impliedOfConsumer(actual, config)
    }
  })
}

const declaredIn = (options: object): ReadonlyArray<string> =>
  Object.entries(options).filter(([, value]) => value !== undefined).map(([name]) => name)

const written = (
  of: "stream" | "consumer",
  name: string,
  write: () => Written
): Written | InvalidDefinition | InvalidSubject => {
  try {
    return write()
  } catch (error) {
    if (!(error instanceof Misfit)) throw error
    return error.subject ?? new InvalidDefinition({ of, name, field: error.field, problem: error.problem })
  }
}

/** Throws for what is no definition, as it can come without types. */
export const checkDefinition = (definition: unknown): void => {
  if (isStreamDefinition(definition) || isConsumerDefinition(definition)) return
  throw new TypeError("this is no definition: make one with JetStreamStream.make or JetStreamConsumer.make")
}

export const isWritten = (result: Written | DefinitionError): result is Written => "declared" in result

/** What is declared in place of what is there, and the rest as it is: an update replaces all of a configuration. */
export const merged = (actual: WireObject, of: Written): WireObject => {
  const config: Record<string, Wire> = { ...actual, ...of.config, ...of.implied(actual) }
  for (const name of of.declared) {
    for (const wire of of.fields[name].wires) if (!(wire in of.config)) config[wire] = undefined
  }
  return config
}
