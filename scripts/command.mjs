/** The command as it is built: everything that it uses in one file, and the notices of what is inside. */
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { rolldown } from "rolldown"
import { readTemplate } from "../src/cli/internal/init/template.ts"

const src = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..", "src")

/** What the notices say first. */
export const noticesTitle = "This command has inside, besides effect-nats itself:"

/** The project that `init` makes is inside, in place of what reads it here. */
const template = {
  name: "template",
  load: (id) =>
    id === path.join(src, "cli", "internal", "init", "template.ts")
      ? `export const readTemplate = () => (${JSON.stringify(readTemplate())})`
      : undefined
}

/** Its code, and the files that are in it. */
export const bundleCommand = async () => {
  const bundler = await rolldown({
    input: { "effect-nats": path.join(src, "cli", "main.ts") },
    platform: "node",
    tsconfig: false,
    plugins: [template]
  })
  const { output } = await bundler.generate({
    format: "esm",
    entryFileNames: "[name].js",
    codeSplitting: false,
    minify: true,
    charset: "ascii"
  })
  await bundler.close()
  if (output.length !== 1) throw new Error(`the command is ${output.length} files`)
  const [{ code, fileName, moduleIds }] = output
  return { code, fileName, files: moduleIds.filter((id) => path.isAbsolute(id)) }
}
