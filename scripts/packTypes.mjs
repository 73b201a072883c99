/**
 * What a library that stands on this package writes into its declarations: everything in them must resolve for whoever uses
 * that library, and mean the same. Where a name does not resolve, the compiler puts `any` in its place and says nothing.
 *
 * One project exports every value of every public module, everything that their interfaces have, and what calls of them
 * give; its declarations are used in another one, which compares each type with that of the source.
 */
import * as fs from "node:fs"
import * as path from "node:path"
import { SetupError } from "./run.mjs"

/** The compilers that consumers have, by the name that the fresh project knows them by. */
export const compilers = {
  "typescript-5.9": "npm:typescript@~5.9.3",
  "typescript-6": "npm:typescript@^6.0.3",
  "typescript-7": "npm:typescript@^7.0.2"
}

const settings = {
  target: "ES2023",
  lib: ["ES2024", "ESNext.Disposable", "DOM"],
  module: "NodeNext",
  strict: true,
  exactOptionalPropertyTypes: true,
  skipLibCheck: false,
  typeRoots: ["../tools/node_modules/@types"],
  types: ["node"]
}

const withoutComments = (text) => text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "")

/** How many parameters a type has, from the text behind its name. */
const parametersOf = (text) => {
  if (!text.startsWith("<")) return 0
  let depth = 0
  let count = 1
  for (let i = 0; i < text.length; i++) {
    if (text[i] === "=" && text[i + 1] === ">") i++
    else if ("<({[".includes(text[i])) depth++
    else if (">)}]".includes(text[i]) && --depth === 0) return count
    else if (text[i] === "," && depth === 1) count++
  }
  throw new Error(`no end of the parameters: ${text.slice(0, 80)}`)
}

/** The types that a declaration file has by itself: name, number of parameters, and whether it is an interface. */
const ownTypesOf = (declarations) =>
  [...withoutComments(declarations).matchAll(/^export (?:declare )?(interface|type) (\w+)/gm)].map((match) => ({
    name: match[2],
    isInterface: match[1] === "interface",
    parameters: parametersOf(declarations.slice(declarations.indexOf(match[0]) + match[0].length))
  }))

/** The types that a declaration file exports: its own, and those that it has by name from another one. */
const typesOf = (file) => {
  const declarations = fs.readFileSync(file, "utf8")
  const others = withoutComments(declarations).matchAll(/^export type \{([^}]*)\} from "(\.[^"]*)\.[jt]s"/gm)
  return [
    ...ownTypesOf(declarations),
    ...[...others].flatMap(([, list, from]) => {
      const names = new Set(list.split(",").map((name) => name.trim()))
      return typesOf(path.join(path.dirname(file), `${from}.d.ts`)).filter(({ name }) => names.has(name))
    })
  ]
}

/** Exports all that a module has. */
const exportingAll = (specifier, values, types) => [
  `import * as M from "${specifier}"`,
  "declare const inferred: <A>(value: A) => A",
  ...values.map((name) => `export const value_${name} = M.${name}`),
  ...types.flatMap(({ isInterface, name, parameters }) => {
    const type = `M.${name}${parameters === 0 ? "" : `<${Array.from({ length: parameters }, () => "any").join(", ")}>`}`
    return [
      `export const type_${name} = inferred(undefined! as ${type})`,
      ...(isInterface ? [`export const members_${name} = { ...(undefined! as ${type}) }`] : [])
    ]
  }),
  "export {}"
]

/** What calls give, and with it the errors of clients that are made from a contract. */
const calls = `
import { Effect, Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"
import { NatsClient, SubjectSchema } from "effect-nats"
import { NatsService } from "effect-nats/service"
import { TestNatsServer } from "effect-nats/testing"
const Orders = RpcGroup.make(Rpc.make("get", { payload: { id: Schema.String }, success: Schema.Int }))
export const get = Effect.flatMap(NatsService.client(Orders, { name: "orders" }), (client) => client.get({ id: "1" }))
export const info = Effect.flatMap(NatsClient.NatsClient, (nats) => nats.serverInfo)
export const request = Effect.flatMap(NatsClient.NatsClient, (nats) => nats.request("orders.get"))
export const server = TestNatsServer.make()
export const connections = Effect.flatMap(server, ({ connz }) => connz)
export const encode = SubjectSchema.json.encoder(Schema.Int)
`

const comparing = (compiler, name, exports) => {
  const file = name.replace(/\.ts$/, ".js")
  return [
    `import type * as Declared from "../../library/${compiler}/${file}"`,
    `import type * as Meant from "../../library/${file}"`,
    "type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false",
    "declare const holds: <_ extends true>() => void",
    ...exports.map((each) => `holds<Same<typeof Declared.${each}, typeof Meant.${each}>>()`)
  ].join("\n")
}

/** What some of the calls give, by its public name: two `any` are the same to the comparison. */
const knownCalls = `
import type { Effect } from "effect"
import type { NatsClient, NatsError } from "effect-nats"
holds<Same<Effect.Error<typeof Declared.request>, NatsError.RequestError>>()
holds<Same<Effect.Success<typeof Declared.info>, NatsClient.ServerInfo>>()
// @ts-expect-error: a number is no failure of a call
export const failure: Effect.Error<typeof Declared.get> = 42
`

const files = (directory) => fs.readdirSync(directory).filter((name) => name.endsWith(".d.ts"))

const hasOne = (text) => /effect-nats\/(?:\w+\/)*internal\//.exec(text)

/**
 * @param project the directory that has the package, and \`tools\` with the compilers
 * @param modules each public path with the names of its values and its declaration file, and whether it stands on declarations
 *   of others that `exactOptionalPropertyTypes` does not take
 */
export const checkTypes = async ({ project, modules, inProject, write }) => {
  const sources = { "calls.ts": calls }
  const lenient = new Set()
  for (const [i, { file, isLenient, specifier, values }] of modules.entries()) {
    if (isLenient) lenient.add(`module${i}.ts`)
    sources[`module${i}.ts`] = `${exportingAll(specifier, values, typesOf(file)).join("\n")}\n`
  }
  const exported = {}
  for (const [name, text] of Object.entries(sources)) {
    write(path.join("library", name), text)
    exported[name] = [...text.matchAll(/^export const (\w+)/gm)].map((match) => match[1])
  }
  const check = async (compiler) => {
    const tsc = path.join(project, "tools", "node_modules", compiler, "bin", "tsc")
    const compile = async (what, directory, options, include) => {
      const config = path.join(directory, `${compiler}.json`)
      write(config, JSON.stringify({ compilerOptions: { ...settings, ...options }, files: include }))
      await inProject(`${compiler}: ${what}`, process.execPath, [tsc, "-p", config, "--pretty", "false"])
    }
    const emitted = path.join(project, "library", compiler)
    const emit = { skipLibCheck: true, declaration: true, emitDeclarationOnly: true, outDir: compiler, rootDir: "." }
    await compile("a library on the package does not compile", "library", emit, Object.keys(sources))
    for (const name of files(emitted)) {
      const found = hasOne(fs.readFileSync(path.join(emitted, name), "utf8"))
      if (found !== null) {
        throw new SetupError(
          `${compiler}: the declarations of a library import ${
            found[0]
          } (${name}); export that type from a public module`
        )
      }
    }
    for (const [name, exports] of Object.entries(exported)) {
      const more = name === "calls.ts" ? knownCalls : ""
      write(path.join("program", compiler, name), comparing(compiler, name, exports) + more)
    }
    const what = "a program on a library on the package does not compile"
    for (const isLenient of [false, true]) {
      const names = Object.keys(exported).filter((name) => lenient.has(name) === isLenient)
      const options = { noEmit: true, ...(isLenient ? { exactOptionalPropertyTypes: false } : {}) }
      await compile(what, "program", options, names.map((name) => `${compiler}/${name}`))
    }
  }
  // All of them to their end: the caller removes the directory.
  const results = await Promise.allSettled(Object.keys(compilers).map(check))
  for (const { reason, status } of results) if (status === "rejected") throw reason
  return Object.values(exported).flat().length
}
