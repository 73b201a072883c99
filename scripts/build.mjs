/**
 * Builds `dist`: one file of code for each room, the public paths that lead to it, and declarations module by module.
 *
 * Importing costs by the number of files, see docs/performance.md. Every path of a room leads to the same file, so its
 * classes exist once, whichever path they are taken from. Packages and built-ins stay imports.
 *
 *   node scripts/build.mjs [directory]
 */
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { rolldown } from "rolldown"
import { publicPaths } from "./publicPaths.mjs"
import { run } from "./run.mjs"

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..")
const src = path.join(root, "src")

/** Where the code of a module's room goes: among what the exports map closes. */
const fileOfRoom = (id) => {
  const [first, ...rest] = path.relative(src, id).split(path.sep)
  return rest.length === 0 || ["internal", ".."].includes(first) ? "internal/core" : `${first}/internal/${first}`
}

const bundle = async (directory) => {
  const bundler = await rolldown({
    input: Object.fromEntries(publicPaths.map(({ file }) => [file, path.join(src, `${file}.ts`)])),
    external: (id) => !id.startsWith(".") && !path.isAbsolute(id),
    platform: "node",
    tsconfig: false
  })
  await bundler.write({
    dir: directory,
    format: "esm",
    entryFileNames: "[name].js",
    // What is not a room is the bundler's own.
    chunkFileNames: ({ name }) => name.startsWith("rolldown") ? "internal/[name].js" : "[name].js",
    codeSplitting: { groups: [{ name: fileOfRoom, debugName: "rooms" }] },
    minifyInternalExports: false,
    // V8 keeps a source with any other character at two bytes for each.
    charset: "ascii",
    comments: { annotation: true, jsdoc: false, legal: false },
    sourcemap: true,
    // `src` is in the package.
    sourcemapExcludeSources: true
  })
  await bundler.close()
}

const declare = async (directory) => {
  const tsc = path.join(root, "node_modules", "typescript", "bin", "tsc")
  const args = [tsc, "-p", "tsconfig.build.json", "--outDir", directory, "--pretty", "false"]
  const { code, output } = await run(process.execPath, args, { cwd: root })
  if (code !== 0) console.error(output.trim())
  return code === 0
}

const directory = path.resolve(root, process.argv[2] ?? "dist")
if (await declare(directory)) await bundle(directory)
else process.exitCode = 1
