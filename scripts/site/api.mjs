/** The API reference: a page for each public module, from its doc comments. */
import * as fs from "node:fs"
import * as path from "node:path"
import { Application } from "typedoc"
import { docComments } from "../docsBlocks.mjs"
import { publicModules as modules } from "../publicPaths.mjs"
import { apart } from "../rooms.mjs"

const headings = /^(#{1,6}) (.*)$/

/** Titles that are parts of an entry, and no entries: as text they are in no outline and no answer of a search. */
const parts = new Set([
  "Accessors",
  "Call Signature",
  "Methods",
  "Parameters",
  "Properties",
  "Returns",
  "Since",
  "Type Declaration",
  "Type Parameters"
])

/** What is the same for every class of errors, and what an entry takes from elsewhere: nobody looks for it here. */
const elsewhere = new Set([
  "Extends",
  "Inherited from",
  "Overrides",
  "Constructors",
  "Implementation of",
  "Extended by"
])

/** So is what makes two types differ for the compiler alone. */
const omitted = (title) => /^\\?~effect-nats\//.test(title) || elsewhere.has(title)

/** Code that fits into a line is one. */
const joined = (code) => {
  const line = code.replace(/\n\s*\| /g, " | ").replace(/([(<{=:,]) +\| /g, "$1 ").replace(/\(\n\s+/g, "(").replace(
    /, ?\n\s+/g,
    ", "
  )
    .replace(/\n\)/g, ")")
  return line.length <= 100 ? line : code
}

/** The entries of a module as the site shows them. */
const entries = (markdown) => {
  const text = markdown.replace(/^# .*\n/, "").replace(
    /```ts\n([\s\S]*?)\n```/g,
    (_, code) => `\`\`\`ts\n${joined(code)}\n\`\`\``
  )
  const lines = []
  let anchor
  let skipped = 0
  let isCode = false
  for (const line of text.split("\n")) {
    if (line.startsWith("```")) isCode = !isCode
    const id = isCode ? undefined : /^<a id="([^"]+)"><\/a>$/.exec(line)?.[1]
    if (id !== undefined) anchor = id
    const heading = isCode ? null : headings.exec(line)
    const [, marks, title] = heading ?? []
    if (id !== undefined || (skipped > 0 && (heading === null || marks.length > skipped))) continue
    skipped = 0
    if (heading === null) {
      if (line !== "***" || isCode) lines.push(isCode ? line : line.replace(/<a id="[^"]+"><\/a> ?/g, ""))
    } else if (omitted(title)) {
      skipped = marks.length
    } else if (marks.length > 2 && (anchor === undefined || (marks.length > 3 && parts.has(title)))) {
      lines.push(parts.has(title) ? `<p class="part">${title}</p>` : `**${title}**`)
    } else if (marks.length === 2) {
      lines.push(`${marks} ${title[0].toUpperCase()}${title.slice(1)} {#in-${title.replaceAll(" ", "-")}}`)
    } else {
      lines.push(`${line} {#${anchor}}`)
      anchor = undefined
    }
  }
  return lines.join("\n")
    .replace(/\*\*Get Signature\*\*\n\n([\s\S]*?)\n\n<p class="part">Returns<\/p>\n\n.*\n/g, "$1\n")
    // All errors have these two, and docs/errors.md says what they are.
    .replace(/##### (?:isRetryable|message) \{#[^}]+\}\n\n```ts\nget (?:isRetryable|message)\(\): \w+;\n```\n+/g, "")
    .replace(/<p class="part">Accessors<\/p>\n+(?=#|$)(?!#####)/g, "")
    .replace(/^(readonly \w+\??: .*) = .*;$/gm, "$1;")
    .replace(/<p class="part">Since<\/p>\n\n([\d.]+)/g, "<small>Since $1</small>").replace(/\n{3,}/g, "\n\n").trim()
}

/** The comment that opens a module, and the one line by which it is imported. */
const opening = (source, { file, specifier }) => {
  const name = path.basename(file)
  const room = path.posix.dirname(specifier)
  const line = apart.includes(name) ? `import * as ${name} from "${specifier}"` : `import { ${name} } from "${room}"`
  const comment = /^\s*\/\*\*[\s\S]*?\*\//.exec(source)?.[0] ?? ""
  const text = docComments(comment).replace(/^@\w+.*$/gm, "").trim() || /\/\*\* (.*) \*\//.exec(comment)?.[1] || ""
  return `---\npageClass: reference\n---\n\n# ${name} {#module}\n\n\`\`\`ts\n${line}\n\`\`\`\n\n${text}\n`
}

/** Writes the pages below `directory`, and gives their modules in the order of the package. */
export const writeApi = async (root, directory, settings) => {
  const tsconfig = path.join(settings, "tsconfig.json")
  fs.mkdirSync(settings, { recursive: true })
  fs.writeFileSync(
    tsconfig,
    JSON.stringify({
      extends: path.join(root, "tsconfig.json"),
      compilerOptions: { plugins: [], typeRoots: [path.join(root, "node_modules", "@types")] },
      include: [path.join(root, "src")]
    })
  )
  const raw = path.join(settings, "api")
  const app = await Application.bootstrapWithPlugins({
    entryPoints: modules.map(({ file }) => path.join(root, "src", `${file}.ts`)),
    tsconfig,
    plugin: ["typedoc-plugin-markdown"],
    out: raw,
    readme: "none",
    router: "module",
    logLevel: "Error",
    // The types are those of another compiler, and checked there.
    skipErrorChecking: true,
    excludePrivate: true,
    excludeExternals: true,
    excludeInternal: true,
    disableSources: true,
    hideBreadcrumbs: true,
    hidePageHeader: true,
    useCodeBlocks: true,
    useHTMLAnchors: true,
    parametersFormat: "table",
    classPropertiesFormat: "table",
    tableColumnSettings: { hideModifiers: true, hideDefaults: true, hideInherited: true, hideOverrides: true },
    validation: { invalidLink: true, invalidPath: true, notExported: false, notDocumented: false }
  })
  const project = await app.convert()
  if (project === undefined) throw new Error("the API could not be read from the sources")
  fs.rmSync(raw, { recursive: true, force: true })
  await app.generateOutputs(project)
  if (app.logger.hasErrors()) throw new Error("the API reference has errors, see above")
  for (const module of modules) {
    const source = fs.readFileSync(path.join(root, "src", `${module.file}.ts`), "utf8")
    const page = path.join(directory, `${module.file}.md`)
    fs.mkdirSync(path.dirname(page), { recursive: true })
    const text = entries(fs.readFileSync(path.join(raw, `${module.file}.md`), "utf8"))
    fs.writeFileSync(page, `${opening(source, module)}\n${text}\n`)
  }
  return modules
}
