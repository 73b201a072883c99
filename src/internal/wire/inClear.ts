/**
 * What a dial sends that whoever reads along can use, and whether anybody else could read along.
 */
import type * as Net from "node:net"
import { isIP } from "../identity/hostNames.ts"
import { lazyNet } from "../identity/lazyBuiltins.ts"
import type { Credentials } from "./credentials.ts"

/** What of the credentials goes over the wire as it is. A seed does not: what it signs is good for one connection. */
export const sentSecret = ({ jwt, password, seed, token }: Credentials): string | undefined =>
  password !== undefined
    ? "the password"
    : token !== undefined
    ? "the token"
    : jwt !== undefined && seed === undefined
    ? "the bearer JWT"
    : undefined

const family = (address: string): Net.IPVersion => (isIP(address) === 6 ? "ipv6" : "ipv4")

/**
 * Whether what goes to `address`, an IP address that was dialled from `local`, leaves this machine. It does not on the
 * loopback network, nor to an address of the machine itself, which the system dials from the same one. A private network
 * is one of other machines.
 */
export const isOtherMachine = (address: string, local: string | undefined): boolean => {
  const own = new (lazyNet().BlockList)()
  own.addSubnet("127.0.0.0", 8, "ipv4")
  own.addAddress("::1", "ipv6")
  // The addresses of no machine, which lead to this one.
  own.addAddress("0.0.0.0", "ipv4")
  own.addAddress("::", "ipv6")
  if (local !== undefined && isIP(local) !== 0) own.addAddress(local, family(local))
  return !own.check(address, family(address))
}
