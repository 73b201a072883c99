/**
 * NATS for Effect: connection, authentication and service lifecycle as ordinary Effect values.
 *
 * @since 0.1.0
 */

/** Failures of becoming and of staying connected. */
export * as ConnectError from "./ConnectError.ts"
/** How a client proves who it is. */
export * as NatsAuth from "./NatsAuth.ts"
/** The client: publish, request, subscribe, and the life of the connection. */
export * as NatsClient from "./NatsClient.ts"
/** One connection, described. */
export * as NatsConfig from "./NatsConfig.ts"
/** Failures of single operations. */
export * as NatsError from "./NatsError.ts"
/** The headers of a message. */
export * as NatsHeaders from "./NatsHeaders.ts"
/** Whether a client lives and can do its work. */
export * as NatsHealth from "./NatsHealth.ts"
/** A layer from outside input: an unknown value, the environment, a file. */
export * as NatsLayer from "./NatsLayer.ts"
/** Handlers on subjects that run in the background for as long as a layer lives. */
export * as NatsListener from "./NatsListener.ts"
/** A received message. */
export * as NatsMessage from "./NatsMessage.ts"
/** What clients count, as Effect metrics. */
export * as NatsMetrics from "./NatsMetrics.ts"
/** Records the traffic on subjects, and publishes a recording again. */
export * as NatsRecorder from "./NatsRecorder.ts"
/** What a client says of its connection. */
export * as NatsStatus from "./NatsStatus.ts"
/** How the wire is protected. */
export * as NatsTls from "./NatsTls.ts"
/** Spans of a client's operations, and their trace across the wire. */
export * as NatsTracing from "./NatsTracing.ts"
/** Subjects bound to the schemas of a request: ask and answer. */
export * as RequestSchema from "./RequestSchema.ts"
/** Subjects, patterns, templates and the other names on the wire. */
export * as Subject from "./Subject.ts"
/** Subjects bound to schemas: typed publish, subscribe, request and respond. */
export * as SubjectSchema from "./SubjectSchema.ts"
