/**
 * What tells a host's name from its address. The other rooms take it from here, so that `node:` stands in few places.
 */
import { lazyNet } from "./lazyBuiltins.ts"

export { domainToASCII } from "node:url"

/** 4, 6, or 0 for what is no address. */
export const isIP = (host: string): number => lazyNet().isIP(host)

export const isIPv4 = (host: string): boolean => lazyNet().isIPv4(host)

export const isIPv6 = (host: string): boolean => lazyNet().isIPv6(host)
