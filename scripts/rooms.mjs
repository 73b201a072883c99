/**
 * The house: which room may import which, and what the package promises to the outside.
 *
 * The tables below are the rules. A violation is printed as `file:line: rule`, and the process fails.
 *
 * - A room (`src/<room>`) imports core, itself and the rooms that its line names; core (the root modules and
 *   `src/internal`) imports no room.
 * - Inside core a value is imported from further down in `order` only, and a room imports what its line names.
 * - `node:` and values of `effect` stand only where the tables say. `src` imports no barrel, and nothing that a consumer
 *   does not get: built-ins, dependencies and peer dependencies only.
 * - Examples and documents import the public paths only, and a module of `@effect/platform-node` by its own path.
 * - Each room opens with its README.md: what it is, who imports it, what it may not do, where to start reading.
 * - One dialect: a single return, throw, continue or break stands beside its `if`; a private member is `private`.
 * - Every room has its entry in `exports`, and its `internal` is closed.
 */
import * as fs from "node:fs"
import { isBuiltin } from "node:module"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { readBlocks } from "./docsBlocks.mjs"

const core = "core"

/** The rooms of `src`, and what each may import besides itself. Whether it is there yet or not. */
export const rooms = {
  service: [core],
  jetstream: [core],
  persistence: [core, "jetstream"],
  cluster: [core, "jetstream", "service", "persistence"],
  dashboard: [core, "service", "jetstream"],
  cli: [core, "service", "jetstream"],
  compat: [core],
  testing: [core]
}

/** Root modules that the root does not import, for what they load: the code of each is in its public path. */
export const apart = ["NatsHealthHttp"]

/** The doors of `src/internal`: what a room may import of it. A door may be there before its first guest. */
const doors = {
  "delivery/": "messages as they come, to be handed over without a copy",
  "operations/engine.ts": "the one engine that handles messages",
  "operations/handling.ts": "handlers over subscriptions, on that engine",
  "operations/worker.ts": "the sources that the engine takes messages from",
  "operations/background.ts": "where a part tells of its end",
  "operations/closing.ts": "a stop that runs once and ends in time",
  "operations/sending.ts": "what everything that sends has in common",
  "operations/ranges.ts": "what a number in an option may be",
  "operations/publish.ts": "a publish that needs no fiber where nothing waits, for what is no Effect itself",
  "wire/dialTracing.ts": "what a dial meets on its way",
  "wire/credentials.ts": "credentials as one dial uses them",
  "wire/tlsMaterial.ts": "TLS settings as one dial uses them",
  "wire/secretFilter.ts": "the secrets of a client, kept out of what others say",
  "wire/version.ts": "the version of this package",
  "wire/jsonFile.ts": "JSON files, and what is wrong with one",
  "wire/secretFile.ts": "files with secrets, and who else can read them",
  "config/keys.ts": "every option, with its variable",
  "config/record.ts": "the known name that an unknown one was meant to be",
  "operations/checked.ts": "the clients that layers make, for what looks at the whole program",
  "operations/connectionOf.ts": "what a client's connection has and its service does not show",
  "payload/": "one way to read and write a payload, and to answer an error",
  "telemetry/": "spans and metrics of what a room handles itself",
  "subject/": "the rules of subjects",
  "identity/creds.ts": "the text of a credentials file",
  "identity/jwt.ts": "what a client can learn of a JWT",
  "identity/pem.ts": "certificates in the form of files",
  "identity/nkey.ts": "keys in the text form of NATS",
  "identity/randomToken.ts": "names that must not be guessed",
  "identity/digest.ts": "the digest of what is longer than memory",
  "protocol/headers.ts": "header blocks, written and read",
  "protocol/headerNames.ts": "the names of the headers that are read or written",
  "protocol/kindOf.ts": "what a value is that came without types",
  "protocol/info.ts": "what a server says of itself",
  "protocol/serverAddress.ts": "addresses of servers, as they may be shown",
  "protocol/secretFinder.ts": "whether a text repeats a secret",
  "protocol/printable.ts": "text from outside, as it may be shown",
  "protocol/shown.ts": "names and texts from outside, as messages show them, and errors that show their texts so"
}

/** The doors of other rooms' `internal`: what a room above may import of it. */
const roomDoors = {
  jetstream: {
    "api.ts": "requests to the API of JetStream",
    "ensuring.ts": "streams and buckets taken as they are, or made",
    "kvEntry.ts": "what a message of a bucket is, a value or a mark",
    "fetching.ts": "the wait for one message of a consumer that is known",
    "level.ts": "what the server at hand can do",
    "withApi.ts": "JetStream of the context"
  },
  persistence: {
    "effectVersion.ts": "the effect that stores were built for",
    "opening.ts": "streams and buckets made or compared when a layer is built",
    "passing.ts": "what is waited through",
    "textToken.ts": "any text as a token of a subject"
  },
  service: {
    "rates.ts": "what services have done between two looks at them",
    "rpcServer.ts": "an rpc server that can say what an interruption of its handlers means"
  }
}

/** Core from the top down: root modules, and the rooms of `src/internal` with a slash. */
const order = [
  "index",
  "NatsLayer",
  "NatsHealthHttp",
  "NatsHealth",
  "NatsListener",
  "NatsRecorder",
  "SubjectSchema",
  "RequestSchema",
  "subjectSchema/",
  "NatsClient",
  "operations/",
  "connection/",
  "NatsConfig",
  "wire/",
  "NatsTracing",
  "delivery/",
  "NatsAuth",
  "NatsTls",
  "config/",
  "telemetry/",
  "NatsMetrics",
  "payload/",
  "Subject",
  "NatsHeaders",
  "subject/",
  "identity/",
  "NatsMessage",
  "NatsStatus",
  "NatsError",
  "ConnectError",
  "protocol/"
]

/**
 * The rooms of `src/internal`: what each may import (all of it further down), and the public modules above it of which it
 * may import types, as it makes their values. A root module imports whatever is further down, and types of other root
 * modules.
 */
const internalRooms = {
  operations: {
    imports: [
      "connection/",
      "wire/",
      "delivery/",
      "config/",
      "telemetry/",
      "payload/",
      "subject/",
      "identity/",
      "protocol/"
    ],
    modules: [
      "NatsConfig",
      "NatsAuth",
      "NatsMetrics",
      "NatsMessage",
      "NatsStatus",
      "NatsHeaders",
      "NatsError",
      "ConnectError"
    ],
    typesOf: ["NatsClient"]
  },
  connection: {
    imports: ["wire/", "delivery/", "config/", "telemetry/", "identity/", "protocol/"],
    modules: ["NatsConfig", "NatsStatus", "NatsError", "ConnectError"],
    typesOf: []
  },
  subjectSchema: {
    imports: ["operations/", "delivery/", "telemetry/", "payload/", "protocol/"],
    modules: ["NatsClient", "Subject", "NatsMessage", "NatsHeaders", "NatsError"],
    typesOf: ["SubjectSchema", "NatsListener"]
  },
  wire: {
    imports: ["config/", "telemetry/", "payload/", "identity/", "protocol/"],
    modules: ["NatsAuth", "NatsTls", "ConnectError"],
    typesOf: []
  },
  delivery: {
    imports: ["telemetry/", "payload/", "protocol/"],
    modules: ["NatsMessage", "NatsHeaders", "NatsError"],
    typesOf: []
  },
  config: {
    imports: ["payload/", "subject/", "identity/", "protocol/"],
    modules: ["ConnectError"],
    typesOf: ["NatsConfig", "NatsAuth", "NatsTls"]
  },
  telemetry: {
    imports: ["protocol/"],
    modules: ["NatsMetrics", "NatsStatus", "NatsHeaders", "NatsError", "ConnectError"],
    typesOf: []
  },
  payload: { imports: ["protocol/"], modules: ["NatsMessage", "NatsHeaders", "NatsError"], typesOf: [] },
  subject: { imports: ["protocol/"], modules: ["NatsError"], typesOf: ["Subject"] },
  identity: { imports: [], modules: [], typesOf: [] },
  protocol: { imports: [], modules: [], typesOf: [] }
}

/** Where `node:` may stand: what needs a network, files or keys, and the rooms that are for Node. */
const forNode = ["internal/wire/", "internal/identity/", "testing/", "cli/"]

/** Where no value of `effect` is imported: bytes and strings become values and back, and nothing else happens. */
const pure = [
  "internal/protocol/",
  "internal/identity/",
  "internal/subject/rules.ts",
  "internal/subject/tokens.ts",
  "internal/subject/literal.ts"
]

/** What breaks a rule and may: a file, what it imports, and why. One that nothing needs is a violation, too. */
const exceptions = [
  ["internal/config/arbitrary.ts", "NatsAuth", "a generated config is made of generated values of the schemas"],
  ["internal/config/arbitrary.ts", "NatsTls", "a generated config is made of generated values of the schemas"]
]

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..")
const src = path.join(root, "src")
const manifest = JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8"))
const given = new Set([...Object.keys(manifest.dependencies ?? {}), ...Object.keys(manifest.peerDependencies ?? {})])

/** What stands inside the bundled command, and is no dependency therefore. */
const bundled = { cli: ["fflate", "nanotar"] }

const spaces = (text) => text.replace(/[^\n]/g, " ")
const withoutComments = (text) => text.replace(/\/\*[\s\S]*?\*\//g, spaces).replace(/^\s*\/\/.*$/gm, spaces)
const lineAt = (text, index) => text.slice(0, index).split("\n").length

/** What a text imports, where, and whether it is a type alone. */
const importsOf = (text) => {
  const code = withoutComments(text)
  return [...code.matchAll(/(?<keyword>(?<!")\bfrom\s*|\bimport\s*\(?\s*)"(?<specifier>[^"\n]+)"/g)].map((match) => {
    const before = code.slice(0, match.index)
    const start = Math.max(before.lastIndexOf("import"), before.lastIndexOf("export"))
    const clause = before.slice(start + "import".length).trim()
    const names = /^\{(.*)\}$/s.exec(clause)?.[1].split(",").map((name) => name.trim()).filter((name) => name !== "")
    const type = match.groups.keyword.startsWith("from")
      ? /^type\s+\S/.test(clause) || (names?.every((name) => name.startsWith("type ")) ?? false)
      : /\btypeof\s+$/.test(before)
    return { specifier: match.groups.specifier, line: lineAt(code, match.index), type }
  })
}

const sourceFiles = (directory, ending = /\.ts$/) =>
  !fs.existsSync(directory) ? [] : fs.readdirSync(directory, { recursive: true })
    .filter((name) => ending.test(name) && !/(^|[\\/])node_modules[\\/]/.test(name))
    .map((name) => path.join(directory, name))

/** A file of `src` by its path in it, with slashes. */
const inside = (file) => path.relative(src, file).split(path.sep).join("/")

const roomOf = (file) => {
  const [first, ...rest] = path.relative(src, file).split(path.sep)
  return rest.length === 0 || first === "internal" ? core : first
}

/** A file of core as it is called in `order`. */
const placeOf = (file) => {
  const [first, second, ...rest] = inside(file).split("/")
  return first !== "internal" ? first.replace(/\.ts$/, "") : rest.length === 0 ? "internal/" : `${second}/`
}

const packageOf = (specifier) => specifier.split("/").slice(0, specifier.startsWith("@") ? 2 : 1).join("/")

const isIn = (places, file) => places.some((place) => place.endsWith("/") ? file.startsWith(place) : file === place)

const ofRoom = (from, to, target) => {
  if (rooms[from] === undefined) return `the room "${from}" is not in the table of rooms`
  if (!rooms[from].includes(to)) {
    return `is in the room "${to}", and "${from}" may import ${rooms[from].join(", ")} only`
  }
  const [first, ...rest] = inside(target).split("/")
  if (to !== core) {
    const isClosed = rest[0] === "internal" && roomDoors[to]?.[rest.slice(1).join("/")] === undefined
    return isClosed ? `is internal to the room "${to}"` : undefined
  }
  return first !== "internal" || isIn(Object.keys(doors), rest.join("/")) ? undefined : "is no door of internal"
}

const ofCore = (from, to, type) => {
  const [above, below] = [order.indexOf(from), order.indexOf(to)]
  if (below < 0) return `has no place in the order of the house`
  if (apart.includes(to)) return "is apart, and nothing else of core may load it"
  const goesUp = below < above
  const room = from.endsWith("/") ? internalRooms[from.slice(0, -1)] : undefined
  if (room === undefined) return goesUp && !(type && !to.endsWith("/")) ? `goes up, from ${from} to ${to}` : undefined
  if (type && room.typesOf.includes(to)) return undefined
  if (goesUp) return `goes up, from ${from} to ${to}`
  const allowed = [...room.imports, ...room.modules]
  return allowed.includes(to) ? undefined : `is not what ${from} may import: ${allowed.join(", ") || "nothing"}`
}

/** Why a file of `src` may not import this, or `undefined`. Exceptions are not looked at. */
const problemOf = (file, specifier, type = false) => {
  if (specifier.startsWith(".")) {
    const target = path.resolve(path.dirname(file), specifier)
    if (path.relative(src, target).startsWith("..")) return "is outside src"
    const [from, to] = [roomOf(file), roomOf(target)]
    if (from === core && to !== core) return `is in the room "${to}", which core may not know`
    if (from !== to) return ofRoom(from, to, target)
    if (from !== core) return undefined
    const unfit = placeOf(file) === placeOf(target) ? undefined : ofCore(placeOf(file), placeOf(target), type)
    if (unfit !== undefined) return unfit
    return !type && isIn(pure, inside(file)) && !isIn(pure, inside(target))
      ? "is not free of effect values, as this file is"
      : undefined
  }
  if (isBuiltin(specifier)) {
    if (!specifier.startsWith("node:")) return `is written "node:${specifier}" here`
    return isIn(forNode, inside(file)) ? undefined : `stands in ${forNode.join(", ")} only`
  }
  if (specifier === "effect") return "is a barrel; import the module"
  if (bundled[roomOf(file)]?.includes(packageOf(specifier))) return undefined
  if (!given.has(packageOf(specifier))) return "is not among the dependencies or peer dependencies"
  return !type && specifier.startsWith("effect/") && isIn(pure, inside(file))
    ? "is a value of effect, and this file is free of them"
    : undefined
}

const exempt = new Set()

const isException = (file, specifier) => {
  const target = specifier.startsWith(".") ? placeOf(path.resolve(path.dirname(file), specifier)) : specifier
  const found = exceptions.findIndex(([where, what]) => where === inside(file) && what === target)
  if (found >= 0) exempt.add(found)
  return found >= 0
}

const longestLine = 120
const leaves = /^\s*(?:return|throw|continue|break)\b/

/** Where a text speaks another dialect, as `line: rule`. */
const dialectProblems = (text) => {
  const lines = withoutComments(text).split("\n")
  return lines.flatMap((line, index) => {
    const found = []
    const [, indent] = /^(\s*)(?:\} else )?if \(.*\) \{$/.exec(line) ?? []
    const [block, end] = [lines[index + 1] ?? "", lines[index + 2]]
    if (
      indent !== undefined && leaves.test(block) && end === `${indent}}` &&
      line.length - 1 + block.trim().length <= longestLine
    ) {
      found.push(`${index + 1}: a single return, throw, continue or break stands beside its if`)
    }
    if (/\bthis\.#\w|^\s*(?:(?:static|readonly|async|get|set)\s+)*#[A-Za-z_]\w*/.test(line)) {
      found.push(`${index + 1}: a private member is private, and not #`)
    }
    return found
  })
}

/** What breaks the rules in a file of `src`, as `line: rule`. */
const sourceProblems = (file, text) => {
  const imports = importsOf(text)
  const code = withoutComments(text)
  // A module of node can be had without an import.
  const others = [...code.matchAll(/"(node:[^"\n]+)"/g)]
    .map((match) => ({ specifier: match[1], line: lineAt(code, match.index), type: false }))
    .filter(({ line, specifier }) => !imports.some((each) => each.line === line && each.specifier === specifier))
  const found = [...imports, ...others].flatMap(({ line, specifier, type }) => {
    const problem = problemOf(file, specifier, type)
    return problem === undefined || isException(file, specifier) ? [] : [`${line}: "${specifier}" ${problem}`]
  })
  const place = placeOf(file)
  if (
    roomOf(file) === core && (!order.includes(place) || (place.endsWith("/") && !internalRooms[place.slice(0, -1)]))
  ) {
    found.push(`1: "${place}" has no place in the order of the house`)
  }
  return [...found, ...dialectProblems(text)]
}

/** What is wrong with the tables themselves, as `line: rule`, after all files were looked at. */
const tableProblems = () => {
  const own = fs.readFileSync(fileURLToPath(import.meta.url), "utf8")
  const lineOf = (text) => lineAt(own, own.indexOf(text))
  const found = []
  for (const [room, { imports, modules }] of Object.entries(internalRooms)) {
    for (const name of [...imports, ...modules]) {
      if (order.indexOf(name) > order.indexOf(`${room}/`)) continue
      found.push(`${lineOf(`\n  ${room}: {`) + 1}: ${name} is not below ${room}/ in the order of the house`)
    }
  }
  for (const [index, [file, target]] of exceptions.entries()) {
    if (!exempt.has(index)) found.push(`${lineOf(`["${file}", "${target}"`)}: this exception is not needed`)
  }
  return found
}

/** What is wrong with a room's README.md, as `line: rule`. `isThere` tells of a file in the room or below it. */
export const readmeProblems = (text, isThere) => {
  if (text.split("\n").filter((line) => line.trim() !== "").length < 4) return ["1: a room opens with what it is"]
  return text.split("\n").flatMap((line, index) =>
    [...line.matchAll(/`([\w.]+\.ts)`/g)]
      .filter(([, name]) => !isThere(name))
      .map(([, name]) => `${index + 1}: there is no ${name} in this room`)
  )
}

/** The directories of rooms that are there: those of `src`, and those of `src/internal`. */
const roomDirectories = () =>
  [src, path.join(src, "internal")].flatMap((parent) =>
    fs.readdirSync(parent, { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && entry.name !== "internal")
      .map((entry) => path.join(parent, entry.name))
  )

/** What an example may not import, or what a block of a page may not, which stands in no directory. */
const publicOnly = (specifier, directory) => {
  if (/^effect-nats\/(\w+\/)?internal\//.test(specifier)) return "is internal"
  if (specifier === "@effect/platform-node") return "is a barrel; import the module by its own path"
  if (!specifier.startsWith(".")) return undefined
  const target = directory === undefined ? specifier : path.posix.join(directory, specifier)
  // An example of several files may have directories of these names, too.
  return !target.startsWith("examples/") && /(^|\/)(src|dist|test)\//.test(target) ? "is not a public path" : undefined
}

const publicProblems = (text, firstLine = 1, directory = undefined) =>
  importsOf(text).flatMap(({ line, specifier }) => {
    const problem = publicOnly(specifier, directory)
    return problem === undefined ? [] : [`${line + firstLine - 1}: "${specifier}" ${problem}`]
  })

/** What breaks the rules in a file, which is named by its path in the repository, as `file:line: rule`. */
export const problemsOf = (name, text) => {
  const file = path.join(root, name)
  const found = name.startsWith("src/") ? sourceProblems(file, text) : dialectProblems(text)
  if (name.startsWith("examples/")) found.push(...publicProblems(text, 1, path.posix.dirname(name)))
  return found.map((each) => `${name}:${each}`)
}

const main = () => {
  const problems = []
  const files = sourceFiles(src)
  for (const directory of ["src", "examples", "test", "bench", "scripts"]) {
    for (const file of sourceFiles(path.join(root, directory), /\.(ts|mjs)$/)) {
      problems.push(...problemsOf(path.relative(root, file).split(path.sep).join("/"), fs.readFileSync(file, "utf8")))
    }
  }
  for (const { code, file, line } of readBlocks()) {
    problems.push(...publicProblems(code, line).map((each) => `${file}:${each}`))
  }
  for (const directory of roomDirectories()) {
    const file = path.join(directory, "README.md")
    const text = fs.existsSync(file) ? fs.readFileSync(file, "utf8") : ""
    const names = new Set(sourceFiles(directory).map((each) => path.basename(each)))
    problems.push(
      ...readmeProblems(text, (name) => names.has(name)).map((each) => `${path.relative(root, file)}:${each}`)
    )
  }
  problems.push(...tableProblems().map((each) => `scripts/rooms.mjs:${each}`))

  // A name that somebody's declarations can need must resolve, so a room's modules are public paths and `internal` is not.
  // A command is run and not imported.
  if (manifest.exports["./cli/*"] !== null) problems.push("package.json: exports do not close \"./cli/*\"")
  for (const room of new Set(files.map(roomOf).filter((each) => each !== "cli"))) {
    const key = room === core ? "." : `./${room}`
    if (!manifest.exports[key]) problems.push(`package.json: exports lack "${key}"`)
    for (const closed of [`${key}/internal/*`, `${key}/index`]) {
      if (manifest.exports[closed] !== null) problems.push(`package.json: exports do not close "${closed}"`)
    }
  }

  for (const problem of problems) console.error(problem)
  console.log(`${files.length} source files, ${problems.length} imports or exports that break the rules`)
  if (problems.length > 0 || files.length === 0) process.exitCode = 1
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main()
