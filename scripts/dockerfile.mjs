/**
 * A Dockerfile, followed in directories: its COPY lines and what it installs, and what it would start. What it does not
 * know, it refuses. It stands in for Docker where the question is whether the lines fit the files.
 */
import * as fs from "node:fs"
import * as path from "node:path"
import { SetupError } from "./run.mjs"

/**
 * What there is to start.
 *
 * @typedef {object} Image
 * @property {string} directory its working directory
 * @property {Record<string, string>} variables those of ENV
 * @property {string} user
 * @property {ReadonlyArray<string>} command
 * @property {ReadonlyArray<string>} healthCheck
 */

/** The instructions of a file, without comments, each in one line. */
export const readDockerfile = (file) =>
  fs.readFileSync(file, "utf8").split("\n").filter((line) => !/^\s*#/.test(line)).join("\n")
    .replace(/\\\n\s*/g, "").split("\n").filter((line) => line.trim() !== "")
    .map((line) => {
      const [name, ...words] = line.split(" ")
      return { name, words, text: words.join(" ") }
    })

/** Whether `.dockerignore` keeps a file of the top from the image: of its patterns, names and `*`, the last one decides. */
const isIgnored = (context, name) => {
  const file = path.join(context, ".dockerignore")
  const patterns = fs.readFileSync(file, "utf8").split("\n").map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"))
  const last = patterns.findLast((pattern) => ["*", name].includes(pattern.replace(/^!/, "")))
  return last !== undefined && !last.startsWith("!")
}

const asList = (text) => {
  try {
    return JSON.parse(text)
  } catch {
    throw new SetupError(`${text} is no list, so that a shell would keep the signals`)
  }
}

/**
 * Follows the instructions: `context` is where the files are, `directory` where the stages will be, `beside` what else is
 * put next to the working directory of each, and `execute` runs the words of a RUN line.
 *
 * @returns {Promise<Image>} the last stage
 */
export const buildImage = async (instructions, { beside, context, directory, execute }) => {
  /** @type {Array<any>} */
  const stages = []
  for (const { name, text, words } of instructions) {
    const stage = stages.at(-1)
    const inStage = (file) => path.resolve(stage.directory, file)
    switch (name) {
      case "FROM": {
        if (!/^node:\d+-slim( AS \w+)?$/.test(text)) throw new SetupError(`FROM ${text} is no image of Node`)
        stages.push({ name: words[2], root: path.join(directory, String(stages.length)), variables: {} })
        break
      }
      case "WORKDIR": {
        stage.directory = path.join(stage.root, text)
        fs.mkdirSync(stage.directory, { recursive: true })
        for (const file of beside) fs.copyFileSync(file, path.join(stage.directory, "..", path.basename(file)))
        break
      }
      case "COPY": {
        const from = words[0].startsWith("--from=")
          ? stages.find((each) => `--from=${each.name}` === words[0])
          : undefined
        const sources = words.slice(words[0].startsWith("--") ? 1 : 0, -1)
        const target = words.at(-1)
        for (const source of sources) {
          if (from === undefined && isIgnored(context, source)) throw new SetupError(`.dockerignore has ${source}`)
          const file = from === undefined ? path.join(context, source) : path.join(from.root, source)
          if (!fs.existsSync(file)) throw new SetupError(`COPY of ${source}: there is no such file`)
          const destination = target.endsWith("/") ? path.join(target, path.basename(source)) : target
          // What an earlier stage has is for this one alone, and may be large.
          if (from !== undefined) fs.renameSync(file, inStage(destination))
          else fs.cpSync(file, inStage(destination), { recursive: true })
        }
        break
      }
      case "RUN":
        await execute(words, stage.directory)
        break
      case "ENV":
        for (const word of words) stage.variables[word.slice(0, word.indexOf("="))] = word.slice(word.indexOf("=") + 1)
        break
      case "USER":
        stage.user = text
        break
      case "HEALTHCHECK":
        stage.healthCheck = asList(text.slice(text.indexOf("CMD ") + "CMD ".length))
        break
      case "CMD":
        stage.command = asList(text)
        break
      case "EXPOSE":
        break
      default:
        throw new SetupError(`${name} is not known here`)
    }
  }
  const image = stages.at(-1)
  if (image?.user === undefined || ["root", "0"].includes(image.user)) throw new SetupError("the image runs as root")
  if (image.command === undefined || image.healthCheck === undefined) {
    throw new SetupError("the image says not what it starts, or how it is watched")
  }
  return image
}
