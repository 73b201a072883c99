/**
 * Values of a context that lead to what is meant: paths with a home or variables in them, and the URIs that the `nats` tool
 * takes in place of a path or a secret.
 */
import * as os from "node:os"

/** A text, and whether it is the content of what the key is about or the path of a file with it. */
export interface Referred {
  readonly text: string
  readonly content: boolean
}

export interface ReferenceProblem {
  readonly problem: string
}

const scheme = /^([a-z][a-z0-9+.-]+):/i

/** `~` and variables, as the tool fills them in. */
const expanded = (file: string): string | ReferenceProblem => {
  let unset: string | undefined
  const filled = file.replace(/\$(?:\{(\w+)\}|(\w+))/g, (_, braced?: string, bare?: string) => {
    const name = braced ?? bare ?? ""
    const value = process.env[name]
    if (value === undefined || value === "") unset ??= name
    return value ?? ""
  })
  return unset === undefined
    ? filled.replace(/^~(?=$|[\\/])/, () => os.homedir())
    : { problem: `has the variable $${unset} in it, which is not set` }
}

const fromData = (reference: string): string | ReferenceProblem => {
  const [, header, payload] = /^data:([^,]*),(.*)$/is.exec(reference) ?? []
  return header === undefined || !header.split(";").some((part) => part.trim() === "base64")
    ? { problem: "is no data URI with base64 in it: it begins with data:;base64," }
    : Buffer.from(payload, "base64").toString("utf8")
}

const fromVariable = (name: string): string | ReferenceProblem => {
  const value = process.env[name]
  return value === undefined || value === ""
    ? { problem: "names a variable that is not set" }
    : value
}

/** What one of the URIs means, and `undefined` for a text that is none of them. */
const fromUri = (text: string): string | ReferenceProblem | undefined => {
  switch (scheme.exec(text)?.[1].toLowerCase()) {
    case "data":
      return fromData(text)
    case "env":
      return fromVariable(text.replace(/^env:\/\//i, ""))
    case "op":
      return {
        problem:
          "is read by the `nats` tool only, which asks 1Password: put the secret into NATS_* (op run), and set " +
          "no context, or write it to a file"
      }
    case "nsc":
      return {
        problem: "is read by the `nats` tool only, which asks nsc: write the credentials to a file (nsc generate " +
          "creds) and set `creds` to its path"
      }
    default:
      return undefined
  }
}

/** A secret that stands there, or that a URI leads to. */
export const secretOf = (text: string): string | ReferenceProblem => {
  const found = fromUri(text)
  return found === undefined ? text : typeof found === "string" ? found.replace(/[\r\n]+$/, "") : found
}

/** A path, or content that a URI leads to. */
export const fileOrContent = (text: string): Referred | ReferenceProblem => {
  const found = fromUri(text)
  if (typeof found === "string") return { text: found, content: true }
  if (found !== undefined) return found
  const file = expanded(text.replace(/^file:\/\//i, ""))
  return typeof file === "string" ? { text: file, content: false } : file
}

/** A path, where nothing else is taken. */
export const fileOnly = (text: string): string | ReferenceProblem => {
  const found = fromUri(text)
  return found === undefined
    ? expanded(text.replace(/^file:\/\//i, ""))
    : { problem: "must be the path of a file, and is a URI of something else" }
}
