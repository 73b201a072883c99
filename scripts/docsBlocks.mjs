/** The TypeScript blocks of the documents, and what each is: see `docs.mjs`. */
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..")

const filesOf = (directory, ending) => {
  const absolute = path.join(root, directory)
  const names = fs.existsSync(absolute) ? fs.readdirSync(absolute, { recursive: true }) : []
  return names.filter((name) => name.endsWith(ending)).toSorted().map((name) => path.join(directory, name))
}

export const documents = () =>
  ["README.md", ...filesOf("docs", ".md"), ...filesOf("src", ".ts")]
    .filter((file) => fs.existsSync(path.join(root, file)))

/** A source's doc comments alone, each line where it stands and without what makes it a comment. */
export const docComments = (source) => {
  let inside = false
  return source.split("\n").map((line) => {
    if (!inside) inside = /^\s*\/\*\*(?!.*\*\/)/.test(line)
    else if (line.includes("*/")) inside = false
    else return line.replace(/^\s*\* ?/, "")
    return ""
  }).join("\n")
}

const textOf = (file) => {
  const text = fs.readFileSync(path.join(root, file), "utf8")
  return file.endsWith(".ts") ? docComments(text) : text
}

/** The blocks with the file and line they stand at; `line` is the first line of the code. */
export const readBlocks = () =>
  documents().flatMap((file) => {
    const blocks = []
    let open
    for (const [index, line] of textOf(file).split("\n").entries()) {
      const fence = /^(\s*)(`{3,})\s*(.*)$/.exec(line)
      if (open === undefined && fence !== null) {
        const [language = "", ...words] = fence[3].trim().split(/\s+/)
        open = { line: index + 2, language, info: words.join(" "), ticks: fence[2], indent: fence[1], lines: [] }
      } else if (open !== undefined && fence !== null && fence[2].length >= open.ticks.length && fence[3] === "") {
        blocks.push(open)
        open = undefined
      } else if (open !== undefined) {
        open.lines.push(line.startsWith(open.indent) ? line.slice(open.indent.length) : line)
      }
    }
    if (open !== undefined) throw new Error(`${file}:${open.line - 1}: this block is never closed`)
    return blocks
      .filter(({ language }) => language === "ts" || language === "typescript")
      .map(({ line, info, lines }) => ({ file, line, info, code: lines.join("\n") }))
  })

export const isPage = ({ file }) => file.endsWith(".md")

/** What stands in the first line of a block: its file's name, and how it is started. */
export const headerOf = (code) => {
  const [, variables = "", node, name, companion] =
    /^\/\/ ((?:[A-Z_]+=\S* )*)(node )?([\w-]+\.ts)(?:, while ([\w-]+\.ts) runs)?$/.exec(code.split("\n", 1)[0]) ?? []
  const env = Object.fromEntries(
    variables.split(" ").filter((each) => each !== "").map((each) => {
      const at = each.indexOf("=")
      return [each.slice(0, at), each.slice(at + 1)]
    })
  )
  return { name, companion, env, isModule: name !== undefined && node === undefined }
}

/** `program`, `test`, `module`, `fragment`, or `undefined` for what is none of them and does not say so. */
export const kindOf = ({ code, info }) => {
  if (info.startsWith("fragment:")) return "fragment"
  if (/from "@effect\/vitest"/.test(code)) return "test"
  if (/NodeRuntime\.runMain/.test(code)) return "program"
  return headerOf(code).isModule ? "module" : undefined
}

/** What keeps a block of a page from being what a reader can paste. Exported for the test of this check. */
export const problemOf = (block, page) => {
  if (block.info !== "" && !/^(no-check|no-run|fragment): \S/.test(block.info)) {
    return `"${block.info}" behind the fence is not known, or lacks its reason`
  }
  const kind = kindOf(block)
  if (kind === undefined) {
    return "this is no whole program: end it with NodeRuntime.runMain, or open it with ```ts fragment: <reason>"
  }
  if (kind === "program" && /^declare /m.test(block.code)) return "a program declares what is not there"
  const { companion, name } = headerOf(block.code)
  if (kind === "module" && !page.some(({ code }) => code.includes(`from "./${name}"`))) {
    return `no block of this page imports ./${name}`
  }
  const runs = (each) => kindOf(each) === "program" && headerOf(each.code).name === companion
  if (companion !== undefined && !page.some(runs)) return `this page has no program ${companion}`
  return undefined
}
