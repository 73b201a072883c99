/**
 * Where `auth` and `tls` came from, for what is said later: it names the variables that are to be changed.
 */

// Beside the settings: they are the same ones wherever they came from.
const prefixes = new WeakMap<object, string>()

/** These are made of variables with this prefix. */
export const noteVariables = (settings: object, prefix: string): void => void prefixes.set(settings, prefix)

/** The prefix of the variables that these are made of, if they are of variables. */
export const prefixOf = (settings: unknown): string | undefined =>
  typeof settings === "object" && settings !== null ? prefixes.get(settings) : undefined
