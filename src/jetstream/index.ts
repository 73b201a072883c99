/**
 * JetStream: streams, consumers, and stores over them.
 *
 * @since 0.2.0
 */

/** JetStream of a client, as a service. */
export * as JetStream from "./JetStream.ts"
/** What JetStream tells of itself. */
export * as JetStreamAdvisory from "./JetStreamAdvisory.ts"
/** Consumers: their definitions, and how their messages are taken and handled. */
export * as JetStreamConsumer from "./JetStreamConsumer.ts"
/** Everything that can go wrong, each under its own name. */
export * as JetStreamError from "./JetStreamError.ts"
/** Definitions of `SubjectSchema` with JetStream. */
export * as JetStreamSchema from "./JetStreamSchema.ts"
/** A message of a stream, with its acknowledgements. */
export * as JetStreamMessage from "./JetStreamMessage.ts"
/** Streams: their definitions, what is done with them, and provisioning. */
export * as JetStreamStream from "./JetStreamStream.ts"
/** Key-value buckets: the last value of each key, its history, and every change as it comes. */
export * as KeyValue from "./KeyValue.ts"
/** Files and other byte streams of any size, each under a name. */
export * as ObjectStore from "./ObjectStore.ts"
