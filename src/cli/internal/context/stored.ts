/**
 * Where the `nats` tool keeps its contexts, which there are, and which one is selected.
 */
import * as Effect from "effect/Effect"
import * as fs from "node:fs/promises"
import * as os from "node:os"
import * as path from "node:path"
import { nearest } from "../../../internal/config/record.ts"
import { NatsConfigError } from "../../../NatsConfig.ts"
import { shown } from "../output.ts"

const directory = (): string => {
  const home = process.env["XDG_CONFIG_HOME"]
  return path.join(home === undefined || home === "" ? path.join(os.homedir(), ".config") : home, "nats")
}

export const contextError = (source: string, problem: string, at = ""): NatsConfigError =>
  new NatsConfigError({ source, problems: [{ path: at, problem }] })

const codeOf = (error: unknown): string =>
  typeof error === "object" && error !== null && "code" in error ? String(error.code) : "unknown"

/** Has the name of the selected context. */
export const selectionFile = (): string => path.join(directory(), "context.txt")

/** The name of the selected context, if there is one. */
export const selectedContext: Effect.Effect<string | undefined, NatsConfigError> = Effect.suspend(() => {
  const file = selectionFile()
  return Effect.tryPromise({ try: () => fs.readFile(file, "utf8"), catch: codeOf }).pipe(
    Effect.map((text) => text.trim() === "" ? undefined : text.trim()),
    Effect.catch((code) =>
      code === "ENOENT" || code === "ENOTDIR"
        ? Effect.undefined
        : Effect.fail(
          contextError(
            file,
            `has the name of the selected context, and cannot be read (${code}): mend it, or give --context or --config`
          )
        )
    )
  )
})

/** As the tool lists them: in the order of their names, without files that are empty. */
const names: Effect.Effect<ReadonlyArray<string>> = Effect.promise(async () => {
  try {
    const entries = await fs.readdir(path.join(directory(), "context"), { withFileTypes: true })
    return entries.filter((entry) => !entry.isDirectory() && entry.name.endsWith(".json"))
      .map(({ name }) => name.slice(0, -".json".length)).toSorted()
  } catch {
    return []
  }
})

const listed = 20

/** What is said where there is no context of a name. */
const noSuch = (name: string): Effect.Effect<string> =>
  Effect.map(names, (known) => {
    const near = nearest(name, known)
    const list = known.slice(0, listed).map((each) => shown(each, 64)).join(", ")
    const more = known.length > listed ? ` and ${known.length - listed} more` : ""
    return known.length === 0
      ? `is not there, and neither is any other context in ${path.join(directory(), "context")}`
      : `is not there${near === undefined ? "" : `: did you mean ${shown(near, 64)}?`}${
        near === undefined ? ":" : ""
      } There ${known.length === 1 ? "is" : "are"} ${list}${more}`
  })

/** The file of a context: by its name, which is `from` somewhere, or by its path, as the tool takes it, too. */
export const fileOf = (name: string, from: string): Effect.Effect<string, NatsConfigError> =>
  Effect.gen(function*() {
    if (name.endsWith(".json") && (yield* exists(name))) return name
    // A name is shown, and what is none may be anything.
    if (!/^[\w.@+-]{1,64}$/.test(name) || name.includes("..")) {
      return yield* contextError(from, "is no name of a context: it is one word, as `nats context ls` shows it")
    }
    const file = path.join(directory(), "context", `${name}.json`)
    if (!(yield* exists(file))) return yield* contextError(`context ${name}`, yield* noSuch(name))
    return file
  })

/** A file that this user may not look for is there: reading it tells more. */
const exists = (file: string): Effect.Effect<boolean> =>
  Effect.promise(() => fs.stat(file).then(() => true, (error) => !["ENOENT", "ENOTDIR"].includes(codeOf(error))))
