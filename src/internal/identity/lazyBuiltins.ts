import type * as Crypto from "node:crypto"
import type * as Dns from "node:dns"
import type * as Net from "node:net"

/*
 * Modules of Node that are loaded with the first client and not with the package: each is a few MB and milliseconds for
 * whoever only imports it.
 */

export const lazyCrypto = (): typeof Crypto => process.getBuiltinModule("node:crypto")

export const lazyNet = (): typeof Net => process.getBuiltinModule("node:net")

/** Its functions are to be taken from it when they are called: programs and tests replace `lookup`. */
export const lazyDns = (): typeof Dns => process.getBuiltinModule("node:dns")
