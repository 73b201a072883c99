/** Links between files of the repository, as links between pages of the site. */
import * as fs from "node:fs"
import * as path from "node:path"

/**
 * @param {string} root
 * @param {ReadonlyMap<string, string>} pages where each file of the repository is on the site
 * @param {ReadonlyMap<string, string>} titles of the pages, by their place
 * @param {string} files where what is no page is copied to, to be fetched
 */
export const makeLinks = (root, pages, titles, files) => {
  /** The place of a file on the site. What is no page is given as it is. */
  const placeOf = (target, from) => {
    const page = pages.get(target)
    if (page !== undefined) return page
    const source = path.join(root, target)
    if (!fs.existsSync(source)) throw new Error(`${from}: there is no ${target}`)
    if (fs.statSync(source).isDirectory()) throw new Error(`${from}: ${target} is a folder without a page`)
    if (target.endsWith(".md")) throw new Error(`${from}: scripts/site/contents.mjs lacks ${target}`)
    const name = path.extname(target) === "" ? `${target}.txt` : target
    fs.mkdirSync(path.dirname(path.join(files, name)), { recursive: true })
    fs.copyFileSync(source, path.join(files, name))
    return `/files/${name}`
  }
  const link = (target, from) => {
    if (/^([a-z]+:|#|\/)/.test(target)) return target
    const [file, hash] = target.split("#")
    const place = placeOf(
      path.posix.normalize(path.posix.join(path.posix.dirname(from), file)).replace(/\/$/, ""),
      from
    )
    return hash === undefined ? place : `${place}#${hash}`
  }
  /** The text of a page with its links, but for what stands in code. */
  return (text, from) => {
    let fence
    return text.split("\n").map((line) => {
      const marks = /^\s*(`{3,}|~{3,})/.exec(line)?.[1]
      if (fence === undefined) fence = marks
      // Code can have shorter fences inside.
      else if (marks?.startsWith(fence) && line.trim() === marks) fence = undefined
      if (fence !== undefined) return line
      const linked = line.replace(
        /`[^`]*`|\]\(([^)\s]+)\)/g,
        (all, target) => target === undefined ? all : `](${link(target, from)})`
      )
      // Here a page has a title, and no file.
      return linked.replace(
        /\[`?[\w./-]+\.md`?\]\(([^)#]+)/g,
        (all, place) => titles.has(place) ? `[${titles.get(place)}](${place}` : all
      )
    }).join("\n")
  }
}
