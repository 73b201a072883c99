/**
 * Checks who may import whom, and what the package promises to the outside.
 *
 * - A room (`src/<room>`) imports core and itself, never a sibling room; core imports no room.
 * - `src` imports nothing that a consumer does not get: built-ins, dependencies and peer dependencies only.
 * - `src` imports no `effect` barrel.
 * - Examples and documents import the public paths only.
 * - Every room has its entry in `exports` and its files closed; `internal` is closed.
 */
import * as fs from "node:fs"
import { isBuiltin } from "node:module"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { readBlocks } from "./docs.mjs"

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..")
const src = path.join(root, "src")
const manifest = JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8"))
const given = new Set([...Object.keys(manifest.dependencies ?? {}), ...Object.keys(manifest.peerDependencies ?? {})])

const withoutComments = (text) => text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "")

const importsOf = (text) =>
  [...withoutComments(text).matchAll(/(?:\bfrom\s*|\bimport\s*\(?\s*)"([^"\n]+)"/g)].map(([, specifier]) => specifier)

const sourceFiles = (directory) =>
  !fs.existsSync(directory) ? [] : fs.readdirSync(directory, { recursive: true })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => path.join(directory, name))

const core = "core"
const roomOf = (file) => {
  const [first, ...rest] = path.relative(src, file).split(path.sep)
  return rest.length === 0 || first === "internal" ? core : first
}

const packageOf = (specifier) => specifier.split("/").slice(0, specifier.startsWith("@") ? 2 : 1).join("/")

/** Why a file of `src` may not import this, or `undefined`. Exported for the test of this check. */
export const problemOf = (file, specifier) => {
  if (specifier.startsWith(".")) {
    const target = path.resolve(path.dirname(file), specifier)
    if (path.relative(src, target).startsWith("..")) return "is outside src"
    const [from, to] = [roomOf(file), roomOf(target)]
    if (from === to || to === core) return undefined
    return from === core ? `is in the room "${to}", which core may not know` : `is in the sibling room "${to}"`
  }
  if (isBuiltin(specifier)) return specifier.startsWith("node:") ? undefined : `is written "node:${specifier}" here`
  if (specifier === "effect") return "is a barrel; import the module"
  return given.has(packageOf(specifier)) ? undefined : "is not among the dependencies or peer dependencies"
}

const publicOnly = (specifier) => {
  if (specifier.startsWith("effect-nats/internal")) return "is internal"
  return specifier.startsWith(".") && /(^|\/)(src|dist|test)\//.test(specifier) ? "is not a public path" : undefined
}

const main = () => {
  const problems = []
  const check = (where, specifiers, problem) => {
    for (const specifier of specifiers) {
      const found = problem(specifier)
      if (found !== undefined) problems.push(`${where}: "${specifier}" ${found}`)
    }
  }
  const files = sourceFiles(src)
  for (const file of files) {
    check(
      path.relative(root, file),
      importsOf(fs.readFileSync(file, "utf8")),
      (specifier) => problemOf(file, specifier)
    )
  }
  for (const file of sourceFiles(path.join(root, "examples"))) {
    check(path.relative(root, file), importsOf(fs.readFileSync(file, "utf8")), publicOnly)
  }
  for (const block of readBlocks()) check(`${block.file}:${block.line}`, importsOf(block.code), publicOnly)

  const closed = ["internal", ...new Set(files.map(roomOf))].filter((name) => name !== core)
  for (const name of closed) {
    if (manifest.exports[`./${name}/*`] !== null) problems.push(`package.json: exports do not close "./${name}/*"`)
    if (name !== "internal" && !manifest.exports[`./${name}`]) problems.push(`package.json: exports lack "./${name}"`)
  }

  for (const problem of problems) console.error(problem)
  console.log(`${files.length} source files, ${problems.length} imports or exports that break the rules`)
  if (problems.length > 0 || files.length === 0) process.exitCode = 1
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main()
