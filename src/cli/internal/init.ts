/**
 * `effect-nats init`: a new project with a service.
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as path from "node:path"
import { UsageError } from "./failure.ts"
import { jsonFlag, textFlag } from "./flags.ts"
import { parseName } from "./init/naming.ts"
import { projectFiles } from "./init/project.ts"
import { readTemplate } from "./init/template.ts"
import { writeProject } from "./init/writing.ts"
import * as Output from "./output.ts"

/** The directory as one goes there from here. */
const wayTo = (directory: string): string => {
  const way = path.relative(process.cwd(), directory)
  const shown = Output.shown(
    way === "" ? "." : way.startsWith("..") ? directory : way.startsWith("-") ? `./${way}` : way
  )
  return /^[\w@%+=:,./-]+$/.test(shown) ? shown : `'${shown.replaceAll("'", `'\\''`)}'`
}

/** What to do next, each with why. */
const nextSteps = (directory: string): ReadonlyArray<readonly [command: string, why: string]> => [
  ...(directory === process.cwd() ? [] : [[`cd ${wayTo(directory)}`, ""] as const]),
  ["npm install", ""],
  ["npm test", "# on a real nats-server, which is fetched where there is none"],
  ["npm run nats", "# a nats-server with JetStream on 127.0.0.1:4222, in a terminal of its own"],
  ["npm start", "# the service, with probes and metrics on port 8080"]
]

const requestOf = (service: string): string => `npx effect-nats request ${service}.greet '{"name":"Ada"}'`

export const init = Command.make(
  "init",
  {
    name: Argument.String("name").pipe(
      Argument.withDescription("The name of the package and of the service, as \"orders\" or \"@acme/orders\"")
    ),
    directory: textFlag("directory", "DIR", "The folder to make, in place of one with the name of the service"),
    json: jsonFlag
  },
  Effect.fn(function*(given) {
    const name = parseName(given.name)
    if (name instanceof UsageError) return yield* name
    if (given.directory === "") {
      return yield* new UsageError({ problem: "--directory is empty: give the folder to make." })
    }
    const directory = path.resolve(given.directory ?? name.service)
    const files = projectFiles(readTemplate(), name)
    const problem = yield* Effect.sync(() => writeProject(directory, files))
    if (problem !== undefined) return yield* problem
    const steps = nextSteps(directory)
    if (given.json) {
      return yield* Output.json({
        name: name.package,
        service: name.service,
        directory,
        files: [...files.keys()],
        next: [...steps.map(([command]) => command), requestOf(name.service)]
      })
    }
    yield* Output.line(`Made the service ${name.service} in ${wayTo(directory)}: ${files.size} files. Next:`)
    yield* Output.line()
    for (const row of [...Output.table(steps, "  "), `  ${requestOf(name.service)}`]) yield* Output.line(row)
    yield* Output.line()
    yield* Output.line("README.md has the rest.")
  })
).pipe(
  Command.withDescription(
    "Makes a new project: a service with its contract, configuration, probes, metrics, test and Dockerfile"
  ),
  Command.withExamples([
    { command: "npx effect-nats init orders" },
    { command: "effect-nats init @acme/orders --directory services/orders" }
  ])
)
