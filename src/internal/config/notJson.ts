/**
 * What a file is that stands where JSON must and is none, without showing any of it.
 */
import { isContent, wrappedForm } from "../identity/creds.ts"
import type { JsonFault } from "./json.ts"

const only = "only JSON is read here"

const ofSecret = "it is a creds file or PEM: name it in `auth` or `tls` of a configuration"

/** By how it begins, behind comments. */
const others: ReadonlyArray<readonly [begins: RegExp, is: string]> = [
  [/^-----BEGIN/, ofSecret],
  [/^[a-z]+:\/\//, "it looks like a URL, which is `servers` of a configuration"],
  [
    /^(?:listen|port|host|http_port|monitor_port|server_name|authorization|accounts|jetstream|cluster|leafnodes|tls)\s*[:={]/,
    "it looks like a server's configuration, and this is the client's: " + only
  ],
  [/^(?:export\s+)?[A-Z][A-Z0-9_]*=/, "it looks like an env file: set its variables, and use `NatsLayer.fromEnv`"],
  [/^(?:\[\w[\w.]*\]\s*$|\w+\s*=\s*[^=\s])/m, "it looks like TOML or INI: " + only],
  [/^(?:---\s|-\s|[A-Za-z_]\w*:(?:\s|$))/, "it looks like YAML: " + only]
]

/** More than the place where it stops being JSON, where that is known. */
const adviceFor = (text: string, { index }: JsonFault): string | undefined => {
  if (text.trim() === "") return "there is nothing in it"
  const wrapped = wrappedForm(text)
  if (wrapped !== undefined) return wrapped
  if (isContent(text)) return ofSecret
  const start = text.slice(0, 65_536).replace(/^(?:\s*#.*\n)*\s*/, "")
  const other = /^[{"]/.test(start) ? undefined : others.find(([begins]) => begins.test(start))
  if (other !== undefined) return other[1]
  const rest = text.slice(index, index + 2)
  if (/^(?:\/[/*]|#)/.test(rest)) return "JSON has no comments"
  if (rest.startsWith("'")) return "JSON has double quotes only"
  return /^[}\]]/.test(rest) && text.slice(0, index).trimEnd().endsWith(",")
    ? "JSON has no comma behind the last entry"
    : undefined
}

/** The place where it stops being JSON, and what it is instead. */
export const notJson = (text: string, fault: JsonFault): string => {
  const advice = adviceFor(text, fault)
  return `is not JSON at line ${fault.line}, column ${fault.column}, where ${fault.expected} must stand` +
    (advice === undefined ? "" : `: ${advice}`)
}
