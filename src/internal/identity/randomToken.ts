import { lazyCrypto } from "./lazyBuiltins.ts"

/** A token of a subject that nobody can guess: two hexadecimal digits for each byte. */
export const randomToken = (bytes: number): string => lazyCrypto().randomBytes(bytes).toString("hex")
