/**
 * Packs the package, installs it in a fresh project beside `effect`, and uses it there as a consumer does: it brings
 * nothing else, every public path loads by `import` and by `require`, nothing internal can be reached, what needs a
 * package that is not there says so, declarations that stand on it resolve, publint and "are the types wrong?" find nothing
 * that is not meant, and what is inside from others has its notices.
 */
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { rolldown } from "rolldown"
import { packInto } from "./packed.mjs"
import { checkLint } from "./packLint.mjs"
import { checkNotices } from "./packNotices.mjs"
import { checkTypes, compilers } from "./packTypes.mjs"
import { publicModules, publicPaths, publicRooms } from "./publicPaths.mjs"
import { run, SetupError, tell } from "./run.mjs"

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..")
const manifest = JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8"))
const project = fs.mkdtempSync(path.join(os.tmpdir(), "effect-nats-pack-"))

const inProject = async (what, command, args, directory = project) => {
  const { code, output } = await run(command, args, { cwd: directory })
  if (code !== 0) throw new SetupError(`${what}:\n${output.trim()}`)
  return output
}

const write = (name, text) => {
  fs.mkdirSync(path.dirname(path.join(project, name)), { recursive: true })
  fs.writeFileSync(path.join(project, name), text)
}

const specifiers = publicPaths.map(({ specifier }) => specifier)

/** Rooms that need an optional peer to be loaded at all, and say so in Node's own words. */
const needing = { compat: "@nats-io/nats-core" }
const needOf = (specifier) => needing[specifier.split("/")[1]]

const rooms = publicRooms.map(({ file }) => path.dirname(file))
const codeOf = (room) => path.posix.join(room, "internal", room === "." ? "core" : room)
const closedPaths = rooms.flatMap((room) => [codeOf(room), path.posix.join(room, "index")])
  .map((name) => path.posix.join("effect-nats", name))

/** Each module: its room, its name there, and its own path. */
const members = publicModules.map(({ file, specifier }) => [
  path.posix.join("effect-nats", path.dirname(file)),
  path.basename(file),
  specifier
])

const install = async (directory, packages, isMore = false) => {
  if (!isMore) {
    write(path.join(directory, "package.json"), JSON.stringify({ name: "consumer", private: true, type: "module" }))
  }
  const flags = ["--no-audit", "--no-fund", "--prefer-offline", "--ignore-scripts", "--loglevel=error"]
  const what = `${packages.join(" ")} cannot be installed`
  await inProject(what, "npm", ["install", ...flags, ...packages], path.join(project, directory))
}

/** What npm has put there, and what of it `effect` does not account for. */
const checkInstalled = () => {
  const lock = JSON.parse(fs.readFileSync(path.join(project, "node_modules", ".package-lock.json"), "utf8"))
  const packages = Object.entries(lock.packages)
  const expected = new Set(["effect-nats"])
  const expect = (name) => {
    if (expected.has(name)) return
    expected.add(name)
    for (const [key, { dependencies = {}, optionalDependencies = {} }] of packages) {
      if (key.endsWith(`node_modules/${name}`)) {
        Object.keys({ ...dependencies, ...optionalDependencies }).forEach(expect)
      }
    }
  }
  expect("effect")
  const names = packages.map(([key]) => key.slice(key.lastIndexOf("node_modules/") + "node_modules/".length))
  const extra = names.filter((name) => !expected.has(name))
  if (extra.length > 0) throw new SetupError(`the package brings ${extra.join(", ")} into a project`)
  return names
}

const checkContents = () => {
  const has = (name) => fs.existsSync(path.join(project, "node_modules", "effect-nats", name))
  const missing = ["README.md", "LICENSE", "CHANGELOG.md", "dist", "src", "docs", "examples"].filter((name) =>
    !has(name)
  )
  if (missing.length > 0) throw new SetupError(`the package lacks ${missing.join(", ")}`)
  const extra = ["test", "scripts", "bench", ".cache"].filter(has)
  if (extra.length > 0) throw new SetupError(`the package contains ${extra.join(", ")}`)
  // What its users read leads to what they have. (CONTRIBUTING.md is for those who have the repository.)
  const read = (name) => fs.readFileSync(path.join(project, "node_modules", "effect-nats", name), "utf8")
  const documents = fs.readdirSync(path.join(project, "node_modules", "effect-nats", "docs"), { recursive: true })
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`)
  const links = ["README.md", "CHANGELOG.md", "SECURITY.md", ...documents].flatMap((document) =>
    [...read(document).matchAll(/\]\((?![a-z]+:|#)([^)\s#]+)/g)].map((match) => ({ document, target: match[1] }))
  )
  const dead = links.filter(({ document, target }) => !has(path.join(path.dirname(document), target)))
  if (dead.length > 0 || links.length < 20) {
    const told = dead.map(({ document, target }) => `${target} (${document})`)
    throw new SetupError(`the package's documents have ${links.length} links; these lead nowhere: ${told.join(", ")}`)
  }
}

/** What the declarations of a library on the package are worth, for every value of every module. */
const checkDeclarations = async () => {
  const nodeTypes = `@types/node@${manifest.devDependencies["@types/node"]}`
  await install("tools", [nodeTypes, ...Object.entries(compilers).map(([name, source]) => `${name}@${source}`)])
  write(
    "values.mjs",
    `const values = {}
for (const path of ${JSON.stringify(specifiers)}) values[path] = Object.keys(await import(path))
console.log(JSON.stringify(values))`
  )
  const values = JSON.parse(await inProject("a public path does not load", process.execPath, ["values.mjs"]))
  const modules = publicPaths.map(({ file, specifier }) => ({
    specifier,
    values: values[specifier],
    // nats-core says `T | undefined` of what its own interfaces have as optional.
    isLenient: needOf(specifier) !== undefined,
    file: path.join(project, "node_modules", "effect-nats", "dist", `${file}.d.ts`)
  }))
  return checkTypes({ project, modules, inProject, write })
}

/** The command, in `dist`. */
const command = "cli/effect-nats.js"

/** The command runs as npm has linked it, and alone in a directory with nothing beside it. */
const checkCommand = async () => {
  const linked = path.join(project, "node_modules", ".bin", "effect-nats")
  const { version } = manifest
  const said = await inProject("the command does not run", process.execPath, [fs.realpathSync(linked), "--version"])
  if (said.trim() !== version) {
    throw new SetupError(`the command says it is ${said.trim()}, and the package is ${version}`)
  }
  const alone = fs.mkdtempSync(path.join(os.tmpdir(), "effect-nats-command-"))
  try {
    const file = path.join(alone, "effect-nats.mjs")
    fs.copyFileSync(path.join(project, "node_modules", "effect-nats", "dist", command), file)
    await inProject("the command does not run alone", process.execPath, [file, "--help"], alone)
  } finally {
    fs.rmSync(alone, { recursive: true, force: true })
  }
}

/** The code that is in the package: a file for each room, whose map leads to its sources, and the public paths to it. */
const checkCode = () => {
  const dist = path.join(project, "node_modules", "effect-nats", "dist")
  const open = fs.readdirSync(dist, { recursive: true })
    .map((name) => name.split(path.sep).join("/"))
    .filter((name) => name.endsWith(".js") && !/(^|\/)internal\//.test(name))
  const expected = [...publicPaths.map(({ file }) => `${file}.js`), command]
  const wrong = new Set(open).symmetricDifference(new Set(expected))
  if (wrong.size > 0) throw new SetupError(`dist and the public paths differ: ${[...wrong].join(", ")}`)
  for (const room of rooms) {
    const file = path.join(dist, `${codeOf(room)}.js.map`)
    const { sources } = JSON.parse(fs.readFileSync(file, "utf8"))
    const missing = sources.filter((source) => !fs.existsSync(path.resolve(path.dirname(file), source)))
    if (sources.length < 2 || missing.length > 0) {
      throw new SetupError(`the map of ${codeOf(room)} does not lead to src: ${missing.join(", ")}`)
    }
  }
}

/**
 * Importing the root reads as few files as it may. An error of the program leads to its source in the package, a failure to
 * the program alone.
 */
const checkLoading = async () => {
  write(
    "loading.mjs",
    `import { registerHooks } from "node:module"
const files = []
const http = []
registerHooks({
  load: (url, context, next) => {
    if (/\\/effect\\/dist\\/http\\/Http/.test(url)) http.push(url)
    if (url.includes("/effect-nats/")) files.push(url.slice(url.lastIndexOf("/dist/") + "/dist/".length))
    return next(url, context)
  }
})
const { Subject } = await import("effect-nats")
const thrownBy = (call) => {
  try {
    call()
  } catch (error) {
    return error
  }
}
const { stack } = thrownBy(() => Subject.makeResult(Symbol("none")))
const invalid = thrownBy(() => Subject.makeUnsafe("a b"))
console.log(JSON.stringify({ files, http, stack, failure: invalid.stack }))`
  )
  const output = await inProject("the root does not load", process.execPath, ["--enable-source-maps", "loading.mjs"])
  const { failure, files, http, stack } = JSON.parse(output)
  if (files.length > 3) throw new SetupError(`importing the root reads ${files.length} files: ${files.join(", ")}`)
  if (http.length > 0) throw new SetupError(`importing the root reads what serves HTTP: ${http.join(", ")}`)
  if (!stack.includes("/effect-nats/src/")) throw new SetupError(`a stack does not lead to src:\n${stack}`)
  if (
    !failure.startsWith("InvalidSubject: ") || !failure.includes("/loading.mjs:") || failure.includes("/effect-nats/")
  ) {
    throw new SetupError(`a failure does not lead to who has to correct it:\n${failure}`)
  }
}

/**
 * Loads every public path, tries every closed one, compares what the paths of a room give, and uses what needs a package
 * that this project does not have.
 */
const program = (load, hasPeers) => `
const open = ${JSON.stringify(specifiers.filter((specifier) => hasPeers || needOf(specifier) === undefined))}
const needing = ${
  JSON.stringify(
    hasPeers ? [] : specifiers.map((specifier) => [specifier, needOf(specifier)]).filter(([, need]) => need)
  )
}
const closed = ${JSON.stringify(closedPaths)}
const main = async () => {
  for (const path of open) await ${load("path")}
  for (const path of closed) {
    let reached = true
    try {
      await ${load("path")}
    } catch (error) {
      if (error.code !== "ERR_PACKAGE_PATH_NOT_EXPORTED") throw error
      reached = false
    }
    if (reached) throw new Error(path + " can be loaded, but is internal")
  }
  for (const [path, need] of needing) {
    let problem
    try {
      await ${load("path")}
    } catch (error) {
      problem = error
    }
    if (!/NOT_FOUND$/.test(problem?.code) || !problem.message.includes(need)) {
      throw new Error("without " + need + ": " + path + " says " + problem)
    }
  }
  for (const [room, name, path] of ${
  JSON.stringify(members.filter(([, , specifier]) => hasPeers || needOf(specifier) === undefined))
}) {
    const module = await ${load("path")}
    const ofRoom = (await ${load("room")})[name]
    // Types alone, or what another module passes on.
    if (ofRoom === undefined) continue
    for (const member of new Set([...Object.keys(module), ...Object.keys(ofRoom)])) {
      if (module[member] !== ofRoom[member]) throw new Error(member + " of " + path + " is not that of " + room)
    }
  }
  const { Effect } = await ${load("\"effect\"")}
  const { TestAuthCallout, TestCertificates, TestNatsServer, TestOperator } = await ${load("\"effect-nats/testing\"")}
  const uses = [
    ["@nats-io/jwt", TestOperator.make()],
    ["@nats-io/jwt", TestOperator.nkey()],
    ["@nats-io/jwt", TestAuthCallout.make()],
    ["node-forge", TestCertificates.authority()],
    ["node-forge", TestCertificates.selfSigned()],
    ["bcryptjs", TestNatsServer.make({ binary: process.execPath, token: "a", tokenBcrypt: true })]
  ]
  for (const [name, use] of uses) {
    const error = await Effect.runPromise(Effect.scoped(Effect.flip(use)))
    if (error._tag !== "PackageMissing" || error.package !== name || !error.message.includes("npm install")) {
      throw new Error("without " + name + ": " + error)
    }
  }
}
main()
`

/** A bundler leaves out what a program does not use, though all code of a room is one file. */
const checkBundled = async () => {
  const sizeOf = async (name, text) => {
    write(`${name}.js`, text)
    const bundler = await rolldown({ input: path.join(project, `${name}.js`), platform: "node", logLevel: "silent" })
    const { output } = await bundler.generate({ format: "esm", minify: true })
    await bundler.close()
    return output.reduce((sum, { code = "" }) => sum + code.length, 0)
  }
  const client = await sizeOf(
    "client",
    `import { Effect } from "effect"
import { NatsClient } from "effect-nats"
const program = Effect.flatMap(NatsClient.NatsClient, (nats) => nats.publish("a", "b"))
Effect.runPromise(Effect.provide(program, NatsClient.layer()))`
  )
  const subjects = await sizeOf(
    "subjects",
    `import { Subject } from "effect-nats"\nconsole.log(Subject.TemplateTypeId)`
  )
  if (subjects > client / 2) {
    throw new SetupError(`a bundled program without a client has ${subjects} bytes of ${client}`)
  }
}

const loadAll = async (hasPeers) => {
  write("consumer.mjs", program((specifier) => `import(${specifier})`, hasPeers))
  await inProject("a consumer does not run", process.execPath, ["consumer.mjs"])
  write("consumer.cjs", program((specifier) => `require(${specifier})`, hasPeers))
  await inProject("a consumer that requires does not run", process.execPath, ["consumer.cjs"])
}

/**
 * A library of nats.js beside the package: it gets the copy of nats-core that the package uses, so that errors are of the
 * classes that it knows.
 */
const checkPeers = async () => {
  const version = (name) => manifest.devDependencies[name]
  const peers = [...new Set(Object.values(needing))].map((name) => `${name}@${manifest.peerDependencies[name]}`)
  await install(".", [...peers, `@nats-io/jetstream@${version("@nats-io/jetstream")}`], true)
  write(
    "peers.mjs",
    `import { createRequire } from "node:module"
const from = (name) => createRequire(import.meta.resolve(name)).resolve("@nats-io/nats-core")
const copies = new Set([from("effect-nats/compat"), from("@nats-io/jetstream")])
if (copies.size > 1) throw new Error("more than one nats-core: " + [...copies].join(", "))`
  )
  await inProject("a library of nats.js beside the package", process.execPath, ["peers.mjs"])
}

try {
  const tarball = await packInto(project)
  await install(".", [`./${tarball}`, `effect@${manifest.peerDependencies.effect}`])
  const installed = checkInstalled()
  checkContents()
  checkCode()
  await checkCommand()
  await checkLint(fs.readFileSync(path.join(project, tarball)), specifiers)
  const inside = await checkNotices(path.join(project, "node_modules", "effect-nats"))
  await checkLoading()
  await checkBundled()
  await loadAll(false)
  await checkPeers()
  await loadAll(true)
  const types = await checkDeclarations()
  console.log(`a fresh project has ${installed.toSorted().join(", ")}, and loads ${specifiers.length} public paths`)
  console.log(`the command has ${inside.join(", ")} inside, each with its notices`)
  console.log(`declarations of a library mean the same ${types} types to ${Object.keys(compilers).join(", ")}`)
} catch (error) {
  tell(error instanceof SetupError ? error.message : error.stack)
  process.exitCode = 1
} finally {
  fs.rmSync(project, { recursive: true, force: true })
}
