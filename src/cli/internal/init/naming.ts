/**
 * What a project may be called: its name is that of a package, of a service, and of a folder at once.
 */
import { isBuiltin } from "node:module"
import { UsageError } from "../failure.ts"
import { packages } from "./packages.ts"

export interface ProjectName {
  /** Of the package, with its scope. */
  readonly package: string
  /** Of the service and the folder. */
  readonly service: string
}

/** As npm has it. */
const longest = 214

const scoped = /^(?:@(?<scope>[^/]+)\/)?(?<service>[^/]+)$/
const validScope = /^[a-z0-9][a-z0-9._-]*$/
// Names of packages may have dots and tildes, and those of services may not.
const validService = /^[a-z0-9][a-z0-9_-]*$/

/** Names that npm gives to nobody, and those of what a project needs itself. */
const isTaken = (name: string): boolean =>
  name === "node_modules" || isBuiltin(name) || packages.some((each) => each === name)

/** Words as they are written elsewhere: anything else in the place of a name may be a secret. */
const words = /^[A-Za-z][A-Za-z]*\d{0,3}(?:[ ._/\\-]+[A-Za-z]+\d{0,3})*$/

/** The name that one was meant to be, or `undefined` where that cannot be said. */
const suggestion = (text: string): string | undefined => {
  const last = text.replace(/^[\s./\\-]+|[\s./\\-]+$/g, "").split(/[/\\]/).at(-1) ?? ""
  if (last.length > 40 || last === "node_modules" || !words.test(last)) return undefined
  const name = last.replace(/([a-z\d])([A-Z])/g, "$1-$2").replace(/[ .-]+/g, "-").toLowerCase()
  return isTaken(name) ? `${name}-service` : name
}

const problemOf = (text: string): string | undefined => {
  if (text === "") return "NAME is empty."
  if (text.length > longest) return `NAME has ${text.length} characters, and npm takes ${longest} at most.`
  const { scope, service } = scoped.exec(text)?.groups ?? {}
  if (service === undefined || /^\.+$/.test(text) || text.includes("\\")) {
    return "NAME is a name and no path: --directory says where the project is made."
  }
  if (scope !== undefined && !validScope.test(scope)) {
    return "The scope in NAME begins with a small letter or a digit, and has those, \".\", \"_\" and \"-\" only."
  }
  if (!validService.test(service)) {
    return "NAME begins with a small letter or a digit, and has those, \"_\" and \"-\" only: it is the name of a package " +
      "and of a service."
  }
  return isTaken(service) ? "NAME is that of a module of Node or of a package that the project needs." : undefined
}

/** The names of a project, or what is wrong with the one that is given, with what would be right. */
export const parseName = (text: string): ProjectName | UsageError => {
  const problem = problemOf(text)
  if (problem === undefined) return { package: text, service: text.replace(/^.*\//, "") }
  const better = suggestion(text)
  const advice = better === undefined ? "A name is, for example, \"orders\"." : `Did you mean "${better}"?`
  return new UsageError({ problem: `${problem} ${advice}` })
}
