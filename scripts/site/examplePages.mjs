/** A page for each example: what it is, what it prints, and its source. */
import * as fs from "node:fs"
import * as path from "node:path"
import { partsOf, promisedLines } from "../examples.mjs"
import { examples, folders } from "./contents.mjs"
import { slugify } from "./slugify.mjs"

const fenced = (language, code) => {
  const fence = "`".repeat(Math.max(3, ...(code.match(/`{3,}/g) ?? []).map((each) => each.length + 1)))
  return `${fence}${language}\n${code}\n${fence}`
}

/** Lines that stand further in are commands, or a table of words and what they mean. */
const fencedCommands = (lines) =>
  `${fenced(/^ {2}(node|npm) /.test(lines) ? "sh" : "text", lines.replace(/^ {2}/gm, "").trimEnd())}\n`

/** What the header of a program says of it, as Markdown. */
const textOf = (about) => about.join("\n").trim().replace(/(?:^ {2}\S.*\n?)+/gm, fencedCommands)

const languages = { ".ts": "ts", ".yaml": "yaml", ".service": "ini", ".json": "json", ".md": "md", ".example": "ini" }

/** The files below a folder of `examples`: `shop/stock.ts`. */
const filesBelow = (directory, name) => {
  const folder = path.join(directory, name)
  if (!fs.existsSync(folder)) return []
  return fs.readdirSync(folder, { recursive: true })
    .map((file) => path.posix.join(name, file.split(path.sep).join("/")))
    .filter((file) => fs.statSync(path.join(directory, file)).isFile())
    .toSorted()
}

/** Each of them below a heading. */
const filesOf = (directory, name) =>
  filesBelow(directory, name).map((file) => {
    const source = fs.readFileSync(path.join(directory, file), "utf8").trim()
    const language = path.basename(file) === "Dockerfile" ? "docker" : languages[path.extname(file)] ?? "text"
    return `## ${file}\n\n${fenced(language, source)}\n`
  }).join("\n")

/** Where each file of `examples` is on the site, and each folder. */
export const examplePlaces = (root) => {
  const programs = examples.flatMap((group) => group.programs)
  const pages = [...programs, ...folders.map(({ name }) => name)]
  return new Map([
    ["examples", "/examples/"],
    ...programs.map((name) => [`examples/${name}.ts`, `/examples/${name}`]),
    ...pages.map((name) => [`examples/${name}`, `/examples/${name}`]),
    ...pages.flatMap((name) =>
      filesBelow(path.join(root, "examples"), name).map((file) => [
        `examples/${file}`,
        `/examples/${name}#${slugify(file)}`
      ])
    )
  ])
}

/** The first sentence, for lists. */
const summaryOf = (text) =>
  text.split("\n\n", 1)[0].replace(/\s+/g, " ").replace(/^(.*?\.)\s.*$/, "$1").replace(/:$/, ".")

/** Writes the pages, and the list of them. */
export const writeExamples = (root, directory) => {
  const sources = path.join(root, "examples")
  const listed = examples.flatMap(({ programs }) => programs)
  const present = fs.readdirSync(sources).filter((name) => name.endsWith(".ts")).map((name) =>
    path.basename(name, ".ts")
  )
  const differences = [...new Set(listed).symmetricDifference(new Set(present))]
  if (differences.length > 0) {
    throw new Error(`examples and scripts/site/contents.mjs differ: ${differences.join(", ")}`)
  }
  fs.mkdirSync(directory, { recursive: true })
  const summaries = new Map()
  for (const name of listed) {
    const source = fs.readFileSync(path.join(sources, `${name}.ts`), "utf8")
    const { about, code } = partsOf(source)
    const text = textOf(about)
    summaries.set(name, summaryOf(text))
    const output = (promisedLines(source) ?? []).join("\n")
    const page = [
      `# ${name}`,
      text,
      "## Output",
      "`…` stands for what is another in each run.",
      fenced("text", output),
      "## Source",
      fenced("ts", code.trim()),
      filesOf(sources, name)
    ]
    fs.writeFileSync(path.join(directory, `${name}.md`), `${page.join("\n\n")}\n`)
  }
  for (const { name, text } of folders) {
    fs.writeFileSync(path.join(directory, `${name}.md`), `# ${name}\n\n${text}\n\n${filesOf(sources, name)}`)
  }
  const list = examples.map(({ programs, text }) =>
    `## ${text}\n\n${programs.map((name) => `- [${name}](./${name}): ${summaries.get(name)}`).join("\n")}\n`
  )
  const others = folders.map(({ name, text }) => `- [${name}](./${name}): ${text}`).join("\n")
  const opening =
    "Each is a whole program that starts the server it needs, and is run with every change of this package: " +
    "it prints what its page shows. On a clone: `node examples/permissions.ts`."
  fs.writeFileSync(
    path.join(directory, "index.md"),
    `# Examples\n\n${opening}\n\n${list.join("\n")}\n## Files\n\n${others}\n`
  )
}
