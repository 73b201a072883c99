/**
 * Real servers, and faults on purpose, for tests.
 *
 * @since 0.1.0
 */
export * as TestNatsServer from "./TestNatsServer.ts"
