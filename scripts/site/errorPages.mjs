/** The errors by their tag: what the tables of `docs/errors.md` say of each, with its place in the reference. */
import * as fs from "node:fs"
import * as path from "node:path"
import { publicModules } from "../publicPaths.mjs"

const cells = (line) => line.split(/(?<!\\)\|/).slice(1, -1).map((cell) => cell.trim())

/** The rows of all tables that begin with `error`, with the title that they stand below. */
const rowsOf = (text) => {
  const rows = []
  let title = ""
  let isTable = false
  for (const line of text.split("\n")) {
    const heading = /^#{2,3} (.*)$/.exec(line)
    if (heading !== null) title = heading[1]
    if (!line.startsWith("|")) isTable = false
    else if (cells(line)[0] === "error" && cells(line)[1] === "when") isTable = true
    else if (isTable && !cells(line)[0].startsWith("---")) {
      const [tag, when, what, retryable] = cells(line)
      rows.push({ tag: tag.replaceAll("`", ""), when, what, retryable, title })
    }
  }
  return rows
}

/** Where the reference has each name: `/api/ConnectError#connectionrefused`. */
const placesOf = (api) => {
  const places = new Map()
  for (const { file } of publicModules) {
    const page = fs.readFileSync(path.join(api, `${file}.md`), "utf8")
    for (const [, name, id] of page.matchAll(/^### (\w+) \{#([^}]+)\}$/gm)) {
      if (!places.has(name)) places.set(name, { file, link: `/api/${file}#${id}` })
    }
  }
  return places
}

const sentence = (text) =>
  text === "" ? "" : `${text[0].toUpperCase()}${text.slice(1)}${/[.:!?]$/.test(text) ? "" : "."}`

export const writeErrors = (root, pages, linked) => {
  const rows = rowsOf(fs.readFileSync(path.join(root, "docs", "errors.md"), "utf8"))
  if (rows.length < 60) throw new Error(`docs/errors.md has only ${rows.length} errors in its tables`)
  const places = placesOf(path.join(pages, "api"))
  const sections = Map.groupBy(rows, ({ title }) => title)
  const text = [...sections].map(([title, entries]) =>
    [
      `## ${title}`,
      ...entries.map(({ retryable, tag, what, when }) => {
        const place = places.get(tag)
        if (place === undefined) throw new Error(`docs/errors.md names ${tag}, and no public module has it`)
        return [
          `<div class="error-entry" data-tag="${tag}">`,
          `### ${tag}`,
          sentence(when),
          `**What to do:** ${sentence(what)}`,
          `<span class="error-facts">Retryable: ${retryable}. Fields and type: [${place.file}](${place.link}).</span>`,
          "</div>"
        ].join("\n\n")
      })
    ].join("\n\n")
  ).join("\n\n")
  const directory = path.join(pages, "errors")
  fs.mkdirSync(directory, { recursive: true })
  const opening = [
    "---\noutline: 2\n---",
    "# Errors by tag",
    "Each cause has a tag of its own, the one that `Effect.catchTag` takes. What all of them have in common, and what each " +
    "operation can fail with: [Errors](/guide/errors).",
    "<ErrorFilter />"
  ]
  fs.writeFileSync(path.join(directory, "index.md"), linked(`${opening.join("\n\n")}\n\n${text}\n`, "docs/errors.md"))
}
