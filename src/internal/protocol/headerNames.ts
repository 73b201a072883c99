/** The names of the headers that are read or written here, as they stand on the wire. */

/** What a service's reply has when it is an error (ADR-32): the description, and the code. */
export const serviceErrorHeader = "Nats-Service-Error"
export const serviceErrorCodeHeader = "Nats-Service-Error-Code"

export const contentTypeHeader = "Content-Type"

/** What the answer of a `NatsRpc` server has that ends and cuts the call off: why. */
export const rpcServerEndHeader = "Rpc-Server-End"

/** W3C Trace Context: in lower case, as it wants them. */
export const traceparentHeader = "traceparent"
export const tracestateHeader = "tracestate"

/** The curve key of the server that asks an auth callout (ADR-26). */
export const serverXkeyHeader = "Nats-Server-Xkey"

/** Whether a name is one of a trace. */
export const isTraceHeader = (name: string): boolean => {
  const lower = name.toLowerCase()
  return lower === traceparentHeader || lower === tracestateHeader
}
