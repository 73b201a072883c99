/**
 * Puts a project into a directory: all of it, or nothing.
 */
import * as Schema from "effect/Schema"
import * as fs from "node:fs"
import * as path from "node:path"

/** There is something where the project should be. Nothing of it was changed. */
export class DirectoryNotEmpty extends Schema.TaggedError<DirectoryNotEmpty>()("DirectoryNotEmpty", {
  directory: Schema.String
}) {
  override get message(): string {
    return `${this.directory} is there and not empty, and was left as it is: give another place with --directory DIR, ` +
      "or move away what is in it."
  }
}

/** The system does not let the project be made. What had been made was removed. */
export class DirectoryUnusable extends Schema.TaggedError<DirectoryUnusable>()("DirectoryUnusable", {
  directory: Schema.String,
  /** What the system said, or what is in the way. */
  problem: Schema.String
}) {
  override get message(): string {
    return `The project cannot be made in ${this.directory}: ${this.problem}. Give a place that you may write to with ` +
      "--directory DIR."
  }
}

const isThere = (directory: string): boolean => {
  const found = fs.lstatSync(directory, { throwIfNoEntry: false })
  if (found === undefined) return false
  if (!found.isDirectory()) throw new DirectoryUnusable({ directory, problem: "there is a file of this name" })
  if (fs.readdirSync(directory).length > 0) throw new DirectoryNotEmpty({ directory })
  return true
}

/** Makes a directory and those above it, and gives those that it made, the outermost first. */
const makeDirectories = (directory: string): ReadonlyArray<string> => {
  const first = fs.mkdirSync(directory, { recursive: true })
  if (first === undefined) return []
  const below = path.relative(first, directory).split(path.sep).filter((name) => name !== "")
  return [first, ...below.map((_, index) => path.join(first, ...below.slice(0, index + 1)))]
}

const writeFiles = (directory: string, files: ReadonlyMap<string, string>): void => {
  for (const [name, text] of files) {
    const file = path.join(directory, ...name.split("/"))
    fs.mkdirSync(path.dirname(file), { recursive: true })
    fs.writeFileSync(file, text, { flag: "wx" })
  }
}

const tried = (remove: () => void): void => {
  try {
    remove()
  } catch {
    // What made the project fail is told, and not this.
  }
}

/** Removes what was made before a step failed, and of the directories above it those that nobody else uses meanwhile. */
const undo = (made: ReadonlyArray<string>, directories: ReadonlyArray<string>): void => {
  for (const each of made) tried(() => fs.rmSync(each, { recursive: true, force: true }))
  for (const each of directories.toReversed()) tried(() => fs.rmdirSync(each))
}

/**
 * The files are written beside where they belong and put in place at the end, in one step where nothing was there before.
 * All of it is synchronous, so that no signal comes in between.
 */
const write = (directory: string, files: ReadonlyMap<string, string>): void => {
  const existed = isThere(directory)
  const made: Array<string> = []
  const directories = existed ? [] : makeDirectories(path.dirname(directory))
  try {
    const staging = fs.mkdtempSync(path.join(existed ? directory : path.dirname(directory), ".effect-nats-init-"))
    made.push(staging)
    const project = path.join(staging, "project")
    fs.mkdirSync(project)
    writeFiles(project, files)
    if (existed) {
      for (const name of fs.readdirSync(project)) {
        fs.renameSync(path.join(project, name), path.join(directory, name))
        made.push(path.join(directory, name))
      }
    } else {
      fs.renameSync(project, directory)
      made.push(directory)
    }
    fs.rmSync(staging, { recursive: true, force: true })
  } catch (error) {
    undo(made, directories)
    throw error
  }
}

/** Makes the project. Fails where there is something already, or where the system does not let it; throws what is a fault. */
export const writeProject = (
  directory: string,
  files: ReadonlyMap<string, string>
): DirectoryNotEmpty | DirectoryUnusable | undefined => {
  try {
    write(directory, files)
    return undefined
  } catch (error) {
    if (error instanceof DirectoryNotEmpty || error instanceof DirectoryUnusable) return error
    if (!(error instanceof Error && "syscall" in error && "code" in error)) throw error
    // Another one was faster.
    if (error.code === "ENOTEMPTY") return new DirectoryNotEmpty({ directory })
    return new DirectoryUnusable({ directory, problem: `${error.syscall} gives ${error.code}` })
  }
}
