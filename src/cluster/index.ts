/**
 * Effect's cluster and durable workflows on NATS alone.
 *
 * @since 0.2.0
 */

/** Effect's cluster on NATS, in one layer. */
export * as NatsCluster from "./NatsCluster.ts"

/** What building a cluster can fail with. */
export * as NatsClusterError from "./NatsClusterError.ts"

/** Messages and replies of entities, in a stream. */
export * as NatsMessageStorage from "./NatsMessageStorage.ts"

/** Whether a runner lives, asked by NATS. */
export * as NatsRunnerHealth from "./NatsRunnerHealth.ts"

/** The transport between runners. */
export * as NatsRunners from "./NatsRunners.ts"

/** Runners and the locks of shards, in JetStream. */
export * as NatsRunnerStorage from "./NatsRunnerStorage.ts"

/** Executions of workflows, and what happened in one. */
export * as NatsWorkflows from "./NatsWorkflows.ts"
