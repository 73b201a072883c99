/**
 * Packs the package, installs it in a fresh project, and uses it there as a consumer does: every public path type-checks
 * and imports, nothing internal can be reached, and no development tool comes along.
 */
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { run, SetupError, tell } from "./run.mjs"

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..")
const manifest = JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8"))
const project = fs.mkdtempSync(path.join(os.tmpdir(), "effect-nats-pack-"))

const inProject = async (what, command, args) => {
  const { code, output } = await run(command, args, { cwd: project })
  if (code !== 0) throw new SetupError(`${what}:\n${output.trim()}`)
  return output
}

const write = (name, text) => fs.writeFileSync(path.join(project, name), text)

const modules = fs.readdirSync(path.join(root, "src"))
  .filter((name) => /^[A-Z]\w*\.ts$/.test(name))
  .map((name) => path.basename(name, ".ts"))
const rooms = Object.keys(manifest.exports)
  .filter((key) => /^\.(\/[a-z]+)?$/.test(key) && manifest.exports[key] !== null)
const publicPaths = [
  ...rooms.map((key) => `effect-nats${key.slice(1)}`),
  ...modules.map((name) => `effect-nats/${name}`)
]
const closedPaths = ["effect-nats/internal/session", "effect-nats/index", "effect-nats/testing/index"]

const pack = async () => {
  const { code, output } = await run("npm", ["pack", "--json", "--loglevel=error", "--pack-destination", project], {
    cwd: root
  })
  const name = fs.readdirSync(project).find((file) => file.endsWith(".tgz"))
  if (code !== 0 || name === undefined) throw new SetupError(`npm pack failed:\n${output.trim()}`)
  return name
}

const install = async (tarball) => {
  const { "@types/node": nodeTypes } = manifest.devDependencies
  write("package.json", JSON.stringify({ name: "consumer", version: "1.0.0", private: true, type: "module" }))
  const peers = Object.entries(manifest.peerDependencies).map(([name, range]) => `${name}@${range}`)
  const wanted = [`./${tarball}`, ...peers, `@types/node@${nodeTypes}`]
  const flags = ["--no-audit", "--no-fund", "--prefer-offline", "--ignore-scripts", "--loglevel=error"]
  await inProject("the package does not install", "npm", ["install", ...flags, ...wanted])
}

const typeCheck = async () => {
  write(
    "consumer.ts",
    `${publicPaths.map((specifier, i) => `import * as Path${i} from "${specifier}"`).join("\n")}\n` +
      `export const paths: ReadonlyArray<object> = [${publicPaths.map((_, i) => `Path${i}`).join(", ")}]\n`
  )
  write(
    "tsconfig.json",
    JSON.stringify({
      compilerOptions: {
        target: "ES2023",
        lib: ["ES2024", "ESNext.Disposable", "DOM"],
        module: "NodeNext",
        strict: true,
        exactOptionalPropertyTypes: true,
        skipLibCheck: false,
        noEmit: true,
        types: ["node"]
      },
      files: ["consumer.ts"]
    })
  )
  const tsc = path.join(root, "node_modules", "typescript", "bin", "tsc")
  await inProject("a consumer does not type-check", process.execPath, [tsc, "-p", ".", "--pretty", "false"])
}

const importAll = async () => {
  write(
    "consumer.mjs",
    `const open = ${JSON.stringify(publicPaths)}
const closed = ${JSON.stringify(closedPaths)}
for (const path of open) await import(path)
for (const path of closed) {
  const reached = await import(path).then(() => true, (error) => {
    if (error.code !== "ERR_PACKAGE_PATH_NOT_EXPORTED") throw error
    return false
  })
  if (reached) throw new Error(path + " can be imported, but is internal")
}
`
  )
  await inProject("a consumer does not run", process.execPath, ["consumer.mjs"])
}

const checkContents = () => {
  const installed = path.join(project, "node_modules")
  const has = (...names) => fs.existsSync(path.join(installed, ...names))
  const missing = ["README.md", "LICENSE", "CHANGELOG.md", "dist", "src"].filter((name) => !has("effect-nats", name))
  if (missing.length > 0) throw new SetupError(`the package lacks ${missing.join(", ")}`)
  const extra = ["test", "examples", "scripts", ".cache"].filter((name) => has("effect-nats", name))
  if (extra.length > 0) throw new SetupError(`the package contains ${extra.join(", ")}`)
  const inherited = ["node", "vitest", "typescript", "@nats-io/transport-node"].filter((name) => has(name))
  if (inherited.length > 0) throw new SetupError(`consumers inherit ${inherited.join(", ")}`)
}

try {
  await install(await pack())
  checkContents()
  await typeCheck()
  await importAll()
  console.log(`a fresh project installs, type-checks and imports ${publicPaths.length} public paths`)
} catch (error) {
  tell(error instanceof SetupError ? error.message : error.stack)
  process.exitCode = 1
} finally {
  fs.rmSync(project, { recursive: true, force: true })
}
