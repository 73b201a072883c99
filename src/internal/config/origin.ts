/**
 * Where `tls` came from, for errors that come later: they name the variables that are to be changed.
 */

// Beside the settings: they are the same ones wherever they came from.
const prefixes = new WeakMap<object, string>()

/** `tls` is made of variables with this prefix. */
export const noteVariables = (tls: object, prefix: string): void => void prefixes.set(tls, prefix)

/** The prefix of the variables that `tls` is made of, if it is of variables. */
export const prefixOf = (tls: unknown): string | undefined =>
  typeof tls === "object" && tls !== null ? prefixes.get(tls) : undefined
