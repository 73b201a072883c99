import type * as Crypto from "node:crypto"
import type * as Net from "node:net"

/*
 * Modules of Node that are loaded with the first client and not with the package: each is a few MB and milliseconds for
 * whoever only imports it.
 */

export const lazyCrypto = (): typeof Crypto => process.getBuiltinModule("node:crypto")

export const lazyNet = (): typeof Net => process.getBuiltinModule("node:net")
