/**
 * Compiles every TypeScript block of README.md, of docs/*.md and of the doc comments in src with the project's own
 * settings.
 *
 * A block opens with ```ts and must stand alone. Where one cannot, it opens with ```ts no-check: <reason>.
 */
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { run } from "./run.mjs"

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..")

const filesOf = (directory, ending) => {
  const absolute = path.join(root, directory)
  const names = fs.existsSync(absolute) ? fs.readdirSync(absolute, { recursive: true }) : []
  return names.filter((name) => name.endsWith(ending)).toSorted().map((name) => path.join(directory, name))
}

const documents = () =>
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

const main = async () => {
  const directory = path.join(root, ".cache", "docs")
  fs.rmSync(directory, { recursive: true, force: true })
  fs.mkdirSync(directory, { recursive: true })
  const problems = []
  const origins = new Map()
  const blocks = readBlocks()
  let unchecked = 0
  for (const block of blocks) {
    if (block.info.startsWith("no-check")) {
      unchecked++
      if (!/^no-check: \S/.test(block.info)) problems.push(`${block.file}:${block.line - 1}: no-check without a reason`)
      continue
    }
    // Empty lines in front give an error the line number that it has in the document.
    const name = `${block.file.replace(/[^A-Za-z0-9]+/g, "-")}-${block.line}.ts`
    origins.set(name, block.file)
    fs.writeFileSync(path.join(directory, name), `${"\n".repeat(block.line - 1)}${block.code}\n`)
  }
  const settings = {
    extends: "../../tsconfig.json",
    compilerOptions: { noUnusedLocals: false, noUnusedParameters: false },
    include: ["*.ts"]
  }
  fs.writeFileSync(path.join(directory, "tsconfig.json"), JSON.stringify(settings))
  if (origins.size > 0) {
    const tsc = path.join(root, "node_modules", "typescript", "bin", "tsc")
    const { code, output } = await run(process.execPath, [tsc, "-p", directory, "--pretty", "false"], {
      cwd: directory
    })
    if (code !== 0) {
      problems.push(
        output.trim().replaceAll("../../", "").replace(
          /^([^\s(]+\.ts)\((\d+),/gm,
          (all, name, line) => origins.has(name) ? `${origins.get(name)}(${line},` : all
        )
      )
    }
  }
  for (const problem of problems) console.error(problem)
  console.log(
    `${origins.size} blocks of ${documents().length} documents and sources compiled, ${unchecked} marked no-check`
  )
  if (problems.length > 0 || origins.size === 0) process.exitCode = 1
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main()
