/**
 * Variables that look like those of a configuration and are not read: the names that other clients and tools have for
 * what is read by another name here. Those and no others, as Kubernetes sets NATS_PORT, NATS_SERVICE_HOST and more for a
 * service of that name.
 */
import { withPrefix } from "./environment.ts"
import type { Problem } from "./problems.ts"

/** Name, and what is read in its place, all without prefix. */
const others: ReadonlyMap<string, readonly [name: string, forPath?: string]> = new Map([
  ["SERVERS", ["URL"]],
  ["SERVER", ["URL"]],
  ["USERNAME", ["USER"]],
  ["PASS", ["PASSWORD"]],
  ["CREDENTIALS", ["CREDS_FILE"]],
  ["TLS", ["TLS_MODE"]],
  ["CA", ["TLS_CA_FILE"]],
  ["CERT", ["TLS_CERT_FILE"]],
  ["KEY", ["TLS_KEY_FILE"]],
  // The `nats` tool has the path of a seed in it.
  ["NKEY", ["NKEY_SEED", "CREDS_FILE"]]
])

/** Their names without prefix. */
export const unreadNames: ReadonlyArray<string> = [...others.keys()]

/** `NATS_SERVER` is also where the tests of a program find their nats-server. */
const isProgram = (name: string, text: string): boolean => name === "SERVER" && /^(\/|\.|[A-Za-z]:[\\/])/.test(text)

/** Those that are set, by the texts of all, without prefix. */
export const setUnread = (texts: Readonly<Record<string, string | undefined>>): ReadonlyArray<string> =>
  unreadNames.filter((name) => {
    const text = texts[name]
    return text !== undefined && text.trim() !== "" && !isProgram(name, text)
  })

const remedy = (prefix: string, other: string): string => {
  const [name, forPath] = others.get(other) ?? [other]
  return `use ${withPrefix(prefix, name)}${
    forPath === undefined ? "" : `, or ${withPrefix(prefix, forPath)} for a path`
  }`
}

/** What the log has of them, and the failure that follows. */
export const unreadText = (prefix: string, names: ReadonlyArray<string>): string =>
  `Set, and not read: ${names.map((name) => `${withPrefix(prefix, name)} (${remedy(prefix, name)})`).join(", ")}.`

/** They are no fault by themselves: these go with those of a configuration that does not decode. */
export const unreadProblems = (prefix: string, names: ReadonlyArray<string>): ReadonlyArray<Problem> =>
  names.map((name) => ({
    path: [withPrefix(prefix, name)],
    problem: `is set, and not read: ${remedy(prefix, name)}`
  }))

// Beside the configuration: it is the same one whatever else is set.
const hints = new WeakMap<object, string>()

/** The failure of a first connect with this configuration ends with `hint`. */
export const noteHint = (config: object, hint: string): void => void hints.set(config, hint)

export const hintOf = (config: object): string | undefined => hints.get(config)
