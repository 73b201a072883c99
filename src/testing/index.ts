/**
 * Real servers, and faults on purpose, for tests.
 *
 * @since 0.1.0
 */
export * as TestAuthCallout from "./TestAuthCallout.ts"
export * as TestCertificates from "./TestCertificates.ts"
export * as TestFakeServer from "./TestFakeServer.ts"
export * as TestNatsProxy from "./TestNatsProxy.ts"
export * as TestNatsServer from "./TestNatsServer.ts"
export * as TestOperator from "./TestOperator.ts"
