/**
 * The project that `init` makes, as it stands in `examples/starter`, and the versions that this package was built with.
 *
 * The build puts what is read here into the bundled command in place of this module.
 */
import * as fs from "node:fs"
import * as path from "node:path"

export interface Template {
  /** The texts, by their paths in the project. */
  readonly files: Readonly<Record<string, string>>
  /** Of this package. */
  readonly version: string
  /** The versions of Node that it runs on. */
  readonly node: string
  /** The ranges of packages that it is built and tested with, by their names. */
  readonly ranges: Readonly<Record<string, string>>
}

const root = path.resolve(import.meta.dirname, "..", "..", "..", "..")
const starter = path.join(root, "examples", "starter")

export const readTemplate = (): Template => {
  const { devDependencies, engines, peerDependencies, version } = JSON.parse(
    fs.readFileSync(path.join(root, "package.json"), "utf8")
  )
  const names = fs.readdirSync(starter, { recursive: true, encoding: "utf8" })
    .filter((name) => fs.statSync(path.join(starter, name)).isFile())
    .map((name) => name.split(path.sep).join("/"))
    .toSorted()
  return {
    files: Object.fromEntries(names.map((name) => [name, fs.readFileSync(path.join(starter, name), "utf8")])),
    version,
    node: engines.node,
    ranges: { ...devDependencies, ...peerDependencies }
  }
}
