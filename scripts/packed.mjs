/** The package as it is published, for the checks that use it as a consumer does. */
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { run, SetupError } from "./run.mjs"

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..")

/** Packs it into a directory that has no other archive, and gives the name of the file. */
export const packInto = async (directory) => {
  const { code, output } = await run("npm", ["pack", "--json", "--loglevel=error", "--pack-destination", directory], {
    cwd: root
  })
  const name = fs.readdirSync(directory).find((file) => file.endsWith(".tgz"))
  if (code !== 0 || name === undefined) throw new SetupError(`npm pack failed:\n${output.trim()}`)
  return name
}
