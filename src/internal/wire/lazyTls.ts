import type * as Tls from "node:tls"

/** `node:tls`, loaded when TLS is first used: it costs 3 MB of memory, and a connection in clear needs none of it. */
export const lazyTls = (): typeof Tls => process.getBuiltinModule("node:tls")
