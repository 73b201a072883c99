/** The pages of the site, as Markdown: those of the repository, and those that are made of its sources. */
import * as fs from "node:fs"
import * as path from "node:path"
import { writeApi } from "./api.mjs"
import { examples, folders, guide, migration, project } from "./contents.mjs"
import { writeErrors } from "./errorPages.mjs"
import { examplePlaces, writeExamples } from "./examplePages.mjs"
import { makeLinks } from "./links.mjs"

const markdownIn = (directory) =>
  fs.existsSync(directory) ? fs.readdirSync(directory).filter((name) => name.endsWith(".md")).toSorted() : []

const titleOf = (text) => /^# (.*)$/m.exec(text)[1].replaceAll("`", "")

/** Where each page of the repository is on the site, by its file. */
const placesOf = (root) => {
  const places = new Map(project.map(({ file, name }) => [file, `/project/${name}`]))
  for (const name of guide.flatMap(({ pages }) => pages)) places.set(`docs/${name}.md`, `/guide/${name}`)
  for (const name of migration) places.set(`docs/${name}.md`, `/migration/${name}`)
  places.set("docs/how-to.md", "/how-to/")
  for (const name of markdownIn(path.join(root, "docs", "how-to"))) {
    places.set(`docs/how-to/${name}`, `/how-to/${path.basename(name, ".md")}`)
  }
  const wanted = markdownIn(path.join(root, "docs")).map((name) => `docs/${name}`)
  const missing = wanted.filter((file) => !places.has(file))
  if (missing.length > 0) throw new Error(`scripts/site/contents.mjs lacks ${missing.join(", ")}`)
  for (const file of places.keys()) {
    if (!fs.existsSync(path.join(root, file))) {
      throw new Error(`scripts/site/contents.mjs names ${file}, which is not there`)
    }
  }
  return places
}

/** A row of the sidebar for each module, below its room. */
const apiGroups = (modules) =>
  [...Map.groupBy(modules, ({ specifier }) => path.posix.dirname(specifier))].map(([text, group]) => ({
    text,
    items: group.map(({ file }) => ({ text: path.basename(file), link: `/api/${file}` }))
  }))

/** The tasks as their page lists them: a group for each table. */
const tasks = (text) =>
  text.split(/^## /m).slice(1).map((section) => ({
    text: section.split("\n", 1)[0],
    items: [...section.matchAll(/^\| \[([^\]]+)\]\(([^)]+)\)/gm)].map(([, task, target]) => ({
      text: task.replaceAll("`", ""),
      link: target.startsWith("#") ? `/how-to/${target}` : target
    }))
  })).filter(({ items }) => items.length > 0)

/** How to install it, and the first program, as the README has them. */
const firstProgram = (root) => {
  const text = fs.readFileSync(path.join(root, "README.md"), "utf8")
  const part = text.slice(text.indexOf("## Install"), text.indexOf("## What it has"))
  return part.replaceAll("](#", "](README.md#")
}

/** Writes all pages below `directory`, and what the generator needs beside them into `work`. */
export const writePages = async (root, directory, work) => {
  const places = placesOf(root)
  const texts = new Map([...places].map(([file, place]) => [place, fs.readFileSync(path.join(root, file), "utf8")]))
  const titles = new Map([...texts].map(([place, text]) => [place, titleOf(text)]))
  const linked = makeLinks(
    root,
    new Map([...places, ...examplePlaces(root)]),
    titles,
    path.join(directory, "public", "files")
  )
  const write = (name, text) => {
    const file = path.join(directory, `${name}.md`)
    fs.mkdirSync(path.dirname(file), { recursive: true })
    fs.writeFileSync(file, text)
  }
  for (const [file, place] of places) {
    write(place.endsWith("/") ? `${place}index` : place, linked(texts.get(place), file))
  }
  const items = (section, names) =>
    names.map((name) => ({ text: titles.get(`/${section}/${name}`), link: `/${section}/${name}` }))
  const modules = await writeApi(root, path.join(directory, "api"), path.join(work, "reference"))
  writeErrors(root, directory, linked)
  writeExamples(root, path.join(directory, "examples"))
  const api = apiGroups(modules)
  const rooms = api.map(({ items, text }) =>
    `## ${text}\n\n${items.map((each) => `- [${each.text}](${each.link})`).join("\n")}\n`
  )
  write(
    "api/index",
    `# API reference\n\nEvery public module, by the path that it is imported from.\n\n${rooms.join("\n")}`
  )
  const sidebar = {
    "/guide/": guide.map(({ pages, text }) => ({ text, items: items("guide", pages) })),
    "/migration/": [{ text: "Coming from elsewhere", items: items("migration", migration) }],
    "/how-to/": tasks(fs.readFileSync(path.join(directory, "how-to", "index.md"), "utf8")),
    "/api/": api,
    "/examples/": [
      { text: "Examples", link: "/examples/" },
      ...examples.map(({ programs, text }) => ({
        text,
        items: programs.map((name) => ({ text: name, link: `/examples/${name}` }))
      })),
      { text: "Files", items: folders.map(({ name }) => ({ text: name, link: `/examples/${name}` })) }
    ],
    "/project/": [{
      text: "The project",
      items: project.map(({ name, title }) => ({
        text: title ?? titles.get(`/project/${name}`),
        link: `/project/${name}`
      }))
    }]
  }
  fs.writeFileSync(path.join(work, "sidebar.json"), JSON.stringify(sidebar))
  write(
    "index",
    `${fs.readFileSync(path.join(import.meta.dirname, "home.md"), "utf8")}\n${linked(firstProgram(root), "README.md")}`
  )
}
