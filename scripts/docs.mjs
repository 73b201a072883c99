/**
 * Compiles every TypeScript block of README.md, of the pages in docs and of the doc comments in src with the project's own
 * settings, and runs the programs of the pages.
 *
 * A block of a page is what a reader can paste into a file: a program, which ends with `runMain`; tests, which import
 * `@effect/vitest`; or a module, `// orders.ts` in its first line, that another block of the page imports. The first line
 * of a program may say how it is started, as `// NATS_TOKEN=s3cr3t node orders.ts`, and what has to run meanwhile, as
 * `// node client.ts, while service.ts runs`. Programs run in their order on the server of the `nats-server` line
 * above them, with what is exported below it. What a program prints stands below `// Prints:` at its end; one that has no end says
 * `// Runs until it is stopped.`
 *
 * What is less than that says so behind the fence, with a reason:
 *   ```ts no-run: <reason>    a program that cannot run here
 *   ```ts fragment: <reason>  compiles by itself, and is no program
 *   ```ts no-check: <reason>  does not compile by itself
 *
 *   node scripts/docs.mjs                   everything
 *   node scripts/docs.mjs docs/services.md  compiles everything, runs the programs of this page
 */
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { documents, headerOf, isPage, kindOf, problemOf, readBlocks } from "./docsBlocks.mjs"
import { runPages } from "./docsRun.mjs"
import { run } from "./run.mjs"

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..")

/** Where a block is written to, below `.cache/docs`: the blocks of a page that have names import each other. */
const placeOf = (block) => {
  const page = block.file.replace(/[^A-Za-z0-9]+/g, "-")
  const name = isPage(block) ? headerOf(block.code).name : undefined
  return `${page}/${name ?? `${block.line}${kindOf(block) === "test" ? ".test" : ""}.ts`}`
}

const main = async (wanted) => {
  const directory = path.join(root, ".cache", "docs")
  fs.rmSync(directory, { recursive: true, force: true })
  const problems = []
  const origins = new Map()
  const blocks = readBlocks()
  const marked = { "no-check": 0, "no-run": 0, fragment: 0 }
  for (const block of blocks) {
    const where = `${block.file}:${block.line - 1}`
    const unchecked = block.info.startsWith("no-check")
    if (isPage(block) && !unchecked) {
      const problem = problemOf(block, blocks.filter(({ file }) => file === block.file))
      if (problem !== undefined) problems.push(`${where}: ${problem}`)
    }
    const mark = block.info.split(":", 1)[0]
    if (mark in marked) marked[mark]++
    if (unchecked) {
      if (!/^no-check: \S/.test(block.info)) problems.push(`${where}: no-check without a reason`)
      continue
    }
    block.place = placeOf(block)
    if (origins.has(block.place)) problems.push(`${where}: there is another ${block.place}`)
    origins.set(block.place, block.file)
    fs.mkdirSync(path.dirname(path.join(directory, block.place)), { recursive: true })
    // Empty lines in front give an error the line number that it has in the document.
    fs.writeFileSync(path.join(directory, block.place), `${"\n".repeat(block.line - 1)}${block.code}\n`)
  }
  const settings = {
    extends: "../../tsconfig.json",
    compilerOptions: { noUnusedLocals: false, noUnusedParameters: false },
    include: ["**/*.ts"]
  }
  fs.writeFileSync(path.join(directory, "tsconfig.json"), JSON.stringify(settings))
  const tsc = path.join(root, "node_modules", "typescript", "bin", "tsc")
  const { code, output } = await run(process.execPath, [tsc, "-p", directory, "--pretty", "false"], { cwd: directory })
  if (code !== 0) {
    problems.push(
      output.trim().replaceAll("../../", "").replace(
        /^([^\s(]+\.ts)\((\d+),/gm,
        (all, name, line) => origins.has(name) ? `${origins.get(name)}(${line},` : all
      )
    )
  }
  for (const problem of problems) console.error(problem)
  const marks = Object.entries(marked).map(([mark, count]) => `${count} ${mark}`).join(", ")
  console.log(`${origins.size} blocks of ${documents().length} documents and sources compiled; marked: ${marks}`)
  if (problems.length > 0 || origins.size === 0) process.exitCode = 1
  const pages = blocks.filter((block) => block.place !== undefined && isPage(block))
  if (!await runPages(directory, pages, wanted)) process.exitCode = 1
}

await main(process.argv.slice(2))
