/**
 * The notices of what a bundle has inside: name, version and licence text of each package of which a file is in it.
 */
import * as fs from "node:fs"
import * as path from "node:path"

/** The folder of the package that a file belongs to, where it is one of `node_modules`. */
const packageOf = (file) => /^.*[\\/]node_modules[\\/](?:@[^\\/]+[\\/])?[^\\/]+(?=[\\/])/.exec(file)?.[0]

const licenceText = (directory) => {
  const name = fs.readdirSync(directory).find((each) => /^licen[cs]e(?:\.\w+)?$/i.test(each))
  return name === undefined ? undefined : fs.readFileSync(path.join(directory, name), "utf8").trim()
}

/** Fails where a package says nothing of its licence: it may not be in a bundle then. */
export const notices = (files) => {
  const directories = [...new Set(files.map(packageOf).filter((each) => each !== undefined))].toSorted()
  const parts = directories.map((directory) => {
    const { license, name, version } = JSON.parse(fs.readFileSync(path.join(directory, "package.json"), "utf8"))
    if (typeof license !== "string") throw new Error(`${name} says nothing of its licence`)
    return [`${name} ${version} (${license})`, licenceText(directory) ?? ""].join("\n\n").trim()
  })
  return `This command has inside, besides effect-nats itself:\n\n${parts.join(`\n\n${"-".repeat(80)}\n\n`)}\n`
}
