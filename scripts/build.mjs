/**
 * Builds `dist`: one file of code for each room, the public paths that lead to it, declarations module by module, and the
 * command, a file that needs no other.
 *
 * Importing costs by the number of files, see docs/performance.md. Every path of a room leads to the same file, so its
 * classes exist once, whichever path they are taken from. Packages and built-ins stay imports.
 *
 *   node scripts/build.mjs [directory]
 */
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { rolldown } from "rolldown"
import { parseAst } from "rolldown/parseAst"
import { bundleCommand, noticesTitle } from "./command.mjs"
import { noticesOf } from "./notices.mjs"
import { publicPaths } from "./publicPaths.mjs"
import { apart, rooms } from "./rooms.mjs"
import { run } from "./run.mjs"

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..")
const src = path.join(root, "src")

/** The room of a module. What is not of `src` goes with core; what stands apart is in its own file. */
const roomOf = (id) => {
  const [first, ...rest] = path.relative(src, id).split(path.sep)
  const name = first.replace(/\.ts$/, "")
  if (rest.length === 0 && apart.includes(name)) return name
  return rest.length === 0 || ["internal", ".."].includes(first) ? "core" : first
}

/**
 * Where the code of each room goes: among what the exports map closes. A group takes what its modules import along, so core
 * is the first, and each room comes before those that import it: else its code would be in theirs.
 */
const groups = [["core", []], ...Object.entries(rooms)].map(([room, imports]) => ({
  name: room === "core" ? "internal/core" : `${room}/internal/${room}`,
  test: (id) => roomOf(id) === room,
  priority: Object.keys(rooms).length - imports.length
}))

/** Where the calls begin that run when a module is loaded. */
const callsAtLoading = (node) => {
  if (typeof node !== "object" || node === null) return []
  if (Array.isArray(node)) return node.flatMap(callsAtLoading)
  if (/Function|^Import|^Export/.test(node.type)) return []
  if (node.type === "MethodDefinition" || (node.type === "PropertyDefinition" && !node.static)) return []
  const inside = Object.values(node).flatMap(callsAtLoading)
  return ["CallExpression", "NewExpression"].includes(node.type) ? [node.start, ...inside] : inside
}

/**
 * Says of each call at loading that it is without effect, as `sideEffects` in package.json says of the modules: a bundler
 * can then leave out what a program does not use of a file. Lines stay, so a source map is right but for some columns.
 */
const annotated = (code) => {
  const { body } = parseAst(code)
  const other = body.find(({ type }) =>
    !/^(?:VariableDeclaration|ClassDeclaration|FunctionDeclaration|Import.*|Export.*)$/.test(type)
  )
  if (other !== undefined) throw new Error(`loading has an effect: ${code.slice(other.start, other.end)}`)
  const mark = "/* @__PURE__ */ "
  return [...new Set(callsAtLoading(body))]
    .filter((start) => !code.startsWith(mark, start - mark.length))
    .toSorted((a, b) => b - a)
    .reduce((text, start) => text.slice(0, start) + mark + text.slice(start), code)
}

const bundle = async (directory) => {
  const bundler = await rolldown({
    input: Object.fromEntries(publicPaths.map(({ file }) => [file, path.join(src, `${file}.ts`)])),
    external: (id) => !id.startsWith(".") && !path.isAbsolute(id),
    platform: "node",
    tsconfig: false
  })
  const { output } = await bundler.write({
    dir: directory,
    format: "esm",
    entryFileNames: "[name].js",
    // What is not a room is the bundler's own.
    chunkFileNames: ({ name }) => name.startsWith("rolldown") ? "internal/[name].js" : "[name].js",
    codeSplitting: { groups },
    minifyInternalExports: false,
    // V8 keeps a source with any other character at two bytes for each.
    charset: "ascii",
    comments: { annotation: true, jsdoc: false, legal: false },
    sourcemap: true,
    // `src` is in the package.
    sourcemapExcludeSources: true
  })
  await bundler.close()
  for (const { code, fileName, isEntry, type } of output) {
    if (type === "chunk" && !isEntry) fs.writeFileSync(path.join(directory, fileName), annotated(code))
  }
}

const writeCommand = async (directory) => {
  const { code, fileName, files } = await bundleCommand()
  fs.mkdirSync(path.join(directory, "cli"), { recursive: true })
  fs.writeFileSync(path.join(directory, "cli", fileName), code, { mode: 0o755 })
  fs.writeFileSync(path.join(directory, "cli", "NOTICES.txt"), noticesOf(files, noticesTitle))
}

const declare = async (directory) => {
  const tsc = path.join(root, "node_modules", "typescript", "bin", "tsc")
  const args = [tsc, "-p", "tsconfig.build.json", "--outDir", directory, "--pretty", "false"]
  const { code, output } = await run(process.execPath, args, { cwd: root })
  if (code !== 0) console.error(output.trim())
  return code === 0
}

const directory = path.resolve(root, process.argv[2] ?? "dist")
if (await declare(directory)) {
  await bundle(directory)
  // Declarations of what nobody imports.
  fs.rmSync(path.join(directory, "cli"), { recursive: true, force: true })
  await writeCommand(directory)
} else {
  process.exitCode = 1
}
