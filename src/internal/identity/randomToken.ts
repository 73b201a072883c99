import { randomBytes } from "node:crypto"

/** A token of a subject that nobody can guess: two hexadecimal digits for each byte. */
export const randomToken = (bytes: number): string => randomBytes(bytes).toString("hex")
