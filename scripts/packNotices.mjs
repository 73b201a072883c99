/** What the command has inside that is not of this package: its notices have all of it. Maps hold that no room has any. */
import * as fs from "node:fs"
import * as path from "node:path"
import { bundleCommand } from "./command.mjs"
import { headingOf, packagesOf } from "./notices.mjs"
import { SetupError } from "./run.mjs"

const noticesFile = "dist/cli/NOTICES.txt"

/** What a text of notices lacks of packages, and what it has of others. */
export const lackingOf = (notices, packages) => {
  const headings = new Set(packages.map(headingOf))
  return {
    lacking: packages.filter((each) => ![headingOf(each), ...each.texts].every((text) => notices.includes(text)))
      .map(({ name }) => name),
    needless: [...notices.matchAll(/^(?:@[\w.-]+\/)?[\w.-]+ \d+\.\d+\.\d+\S* \(.*\)$/gm)]
      .map(([line]) => line)
      .filter((line) => !headings.has(line))
  }
}

/** Of the package as it is installed, and gives the names of what is inside the command. */
export const checkNotices = async (directory) => {
  const read = (name) => fs.readFileSync(path.join(directory, name), "utf8")
  const { code, fileName, files } = await bundleCommand()
  if (read(`dist/cli/${fileName}`) !== code) {
    throw new SetupError("the packed command is not the one that its sources give, so its notices cannot be looked at")
  }
  const packages = packagesOf(files)
  const { lacking, needless } = lackingOf(read(noticesFile), packages)
  if (lacking.length > 0 || needless.length > 0) {
    throw new SetupError(
      `${noticesFile} lacks what ${lacking.join(", ") || "none"} say, and has ${
        needless.join(", ") || "nothing"
      } needlessly`
    )
  }
  if (!read("README.md").includes(noticesFile)) throw new SetupError(`the README does not say where ${noticesFile} is`)
  return packages.map(({ name }) => name)
}
