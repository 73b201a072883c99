/**
 * The notices of what a bundle has inside: name, version, licence and licence text of each package of which a file is in it,
 * its NOTICE, and what its files say of code that they have from elsewhere, which a bundler leaves out with the comments.
 *
 * It fails by name where a package has no text of its licence, or a licence that was not looked at yet.
 */
import * as fs from "node:fs"
import * as path from "node:path"
import { parseSync } from "rolldown/utils"

/** The licences that may be in what is published: each asks for its text, and Apache-2.0 for the NOTICE. */
const allowed = new Set([
  "0BSD",
  "Apache-2.0",
  "BlueOak-1.0.0",
  "BSD-2-Clause",
  "BSD-3-Clause",
  "ISC",
  "MIT",
  "MIT-0",
  "Unlicense",
  "Zlib"
])

/** The folder of the package that a path belongs to, where it is in `node_modules`. */
const packageOf = (file) => /^.*[\\/]node_modules[\\/](?:@[^\\/]+[\\/])?[^\\/]+(?=[\\/]|$)/.exec(file)?.[0]

/** Whether every licence of an expression is allowed, of alternatives one: `(MIT OR GPL-2.0-only) AND ISC`. */
const isAllowed = (expression) => {
  const tokens = expression.match(/[()]|[^\s()]+/g) ?? []
  const term = () => {
    const token = tokens.shift()
    if (token !== "(") return allowed.has(token)
    const inner = alternatives()
    return tokens.shift() === ")" && inner
  }
  const operands = (operator, operand, join) => {
    let holds = operand()
    while (tokens[0] === operator) {
      tokens.shift()
      const other = operand()
      holds = join(holds, other)
    }
    return holds
  }
  const all = () => operands("AND", term, (a, b) => a && b)
  const alternatives = () => operands("OR", all, (a, b) => a || b)
  return alternatives() && tokens.length === 0
}

const normalized = (text) => text.replace(/\s+/g, " ").trim()

/** The texts of a directory whose names begin so: `LICENSE`, `LICENSE-MIT.txt`, `licence.md`. */
const textsIn = (directory, name) =>
  fs.readdirSync(directory, { withFileTypes: true })
    .filter((each) =>
      each.isFile() && name.test(each.name) && /^[^.]*(?:\.(?:md|txt|markdown|mit|apache))?$/i.test(each.name)
    )
    .map((each) => each.name)
    .toSorted()
    .map((each) => fs.readFileSync(path.join(directory, each), "utf8").trim())

/** The comments of a file as texts, those of single lines that stand below each other as one. */
const commentsOf = (file) => {
  const text = fs.readFileSync(file, "utf8")
  if (!/\.[cm]?[jt]sx?$/.test(file)) return [...text.matchAll(/\/\*([\s\S]*?)\*\//g)].map((match) => match[1])
  const found = []
  let last
  for (const { end, start, type, value } of parseSync(file, text).comments) {
    const isNext = type === "Line" && last?.type === "Line" && text.slice(last.end, start).trim() === ""
    if (isNext) found[found.length - 1] += `\n${value}`
    else found.push(value)
    last = { end, type }
  }
  return found
}

/** A line of a comment without its stars; one that is but a rule is empty. */
const lineOf = (line) => /^[\s*/=-]*$/.test(line) ? "" : line.replace(/^\s*(?:\*|!)?\s?/, "").trimEnd()

/** What a file says of code that it has from others. */
const noticesIn = (file) =>
  commentsOf(file)
    .filter((comment) => /\bcopyright\b.*\d{4}|\bcopyright \(c\)|\(c\) ?\d{4}|@licen[cs]e\b/i.test(comment))
    .map((comment) => comment.split("\n").map(lineOf).join("\n").trim())

const readPackage = (directory, files, own) => {
  const { license, name, version } = JSON.parse(fs.readFileSync(path.join(directory, "package.json"), "utf8"))
  if (typeof license !== "string") throw new Error(`${name} says nothing of its licence`)
  if (!isAllowed(license)) {
    throw new Error(`${name} is under ${license}, which is not among the licences that notices.mjs allows`)
  }
  const texts = textsIn(directory, /^(?:licen[cs]e|copying)/i)
  if (texts.length === 0 && own[name] !== undefined) texts.push(own[name].trim())
  if (texts.length === 0) throw new Error(`${name} has no text of its licence`)
  texts.push(...textsIn(directory, /^(?:notice|third[-_ ]?party)/i))
  for (const file of files) {
    for (const notice of noticesIn(file)) {
      if (texts.some((text) => normalized(text).includes(normalized(notice)))) continue
      texts.push(`${path.relative(directory, file).split(path.sep).join("/")} says:\n\n${notice}`)
    }
  }
  return { name, version, license, texts }
}

/**
 * The packages that files or directories of `node_modules` belong to, with the texts of each. Of files, what they say of code
 * from elsewhere is among them; other paths are left out.
 *
 * @param {Iterable<string>} places
 * @param {Record<string, string>} own the licence text of a package that carries none, by its name
 */
export const packagesOf = (places, own = {}) => {
  const packages = new Map()
  for (const place of [...places].toSorted()) {
    const directory = packageOf(place)
    if (directory === undefined) continue
    const files = packages.get(directory) ?? []
    packages.set(directory, files)
    if (fs.statSync(place).isFile()) files.push(place)
  }
  return [...packages].toSorted(([a], [b]) => a < b ? -1 : 1).map(([directory, files]) =>
    readPackage(directory, files, own)
  )
}

/** The line that a package begins with. */
export const headingOf = ({ license, name, version }) => `${name} ${version} (${license})`

/** The notices as a text file, below a line that says what has these packages inside. */
export const noticesOf = (places, title, own = {}) => {
  const parts = packagesOf(places, own).map((each) => [headingOf(each), ...each.texts].join("\n\n"))
  return `${title}\n\n${parts.join(`\n\n${"-".repeat(80)}\n\n`)}\n`
}

/** The notices as a page of Markdown, with a heading for each package. */
export const noticesPage = (places, title, own = {}) => {
  const fence = "~".repeat(8)
  const parts = packagesOf(places, own).map((each) =>
    [`## ${headingOf(each)}`, ...each.texts.map((text) => `${fence}text\n${text}\n${fence}`)].join("\n\n")
  )
  return `# ${title}\n\n${parts.join("\n\n")}\n`
}
