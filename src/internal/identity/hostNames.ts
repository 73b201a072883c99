/**
 * What tells a host's name from its address. The other rooms take it from here, so that `node:` stands in few places.
 */
export { isIP, isIPv4, isIPv6 } from "node:net"
export { domainToASCII } from "node:url"
