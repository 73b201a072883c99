/**
 * Runs a command to its end: the command line in, an exit code out.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Cause from "effect/Cause"
import * as CliConfig from "effect/cli/CliConfig"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { version } from "../../internal/wire/version.ts"
import { NatsConfigError } from "../../NatsConfig.ts"
import { command } from "./command.ts"
import { classOf, exitCodes, type Failure, isFailure, UsageError } from "./failure.ts"
import * as Logs from "./logs.ts"
import * as Output from "./output.ts"
import { problemOf, rowOfLetters, secretOnCommandLine } from "./usage.ts"

/** Exit codes of what a signal has ended, as shells have them. */
const signals = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const

/** Of a reader that has gone, as `head` does when it has enough. */
const brokenPipe = 141

/** Tells a failure: a sentence for people, and with `--json` one line for programs, which ends a stream of lines, too. */
export const tell = (failure: Failure, asJson: boolean): Effect.Effect<number> => {
  const failureClass = classOf(failure)
  const exitCode = exitCodes[failureClass]
  const tag = failure._tag
  const text = Output.messageOf(failure)
  const said = asJson
    ? Output.json({ error: { tag, class: failureClass, message: text, ...problemsOf(failure) }, exitCode }, true)
    : Output.aside(`${Output.styled("bad", tag, process.stderr)}: ${listed(failure) ?? text}`)
  return Effect.as(said, exitCode)
}

/** Several problems of a configuration, each in a line of its own, as one line of them all is not read. */
const listed = (failure: Failure): string | undefined => {
  if (!(failure instanceof NatsConfigError) || failure.problems.length < 2) return undefined
  const lines = failure.problems.map(({ path, problem }) => `  ${Output.shown(path)}: ${Output.shown(problem)}`)
  return [`The NATS configuration (${Output.shown(failure.source)}) is invalid:`, ...lines].join("\n")
}

/** Of a configuration: where it is from, and each problem at its path. */
const problemsOf = (failure: Failure): object =>
  "problems" in failure
    ? { ...("source" in failure ? { source: failure.source } : {}), problems: failure.problems }
    : {}

/** A fault of this program. What it holds is not shown: it may be anything. */
const tellDefect = (cause: Cause.Cause<unknown>): Effect.Effect<number> => {
  const defect = Cause.squash(cause)
  const where = defect instanceof Error ? (defect.stack ?? "").split("\n").filter((line) => /^\s+at /.test(line)) : []
  const name = defect instanceof Error ? defect.name : typeof defect
  return Effect.as(
    Output.aside(
      [`This is a fault of effect-nats (${Output.shown(name, 64)}); please report it:`, ...where.slice(0, 8)].join("\n")
    ),
    exitCodes.other
  )
}

const presenter = CliOutput.layerPresenter({
  present: (event) => {
    switch (event._tag) {
      case "Help":
        return Effect.flatMap(CliOutput.Formatter, (formatter) => Output.line(formatter.formatHelpDoc(event.helpDoc)))
      case "Version":
        return Output.line(version)
      case "InvalidInvocation":
        return Effect.void
    }
  }
})

/** The built-in options, but for `--version`, which is one of `server`, and those that nobody needs here. */
const builtIns = CliConfig.layer({ builtIns: [GlobalFlag.Help, GlobalFlag.Completions] })

const layer = Layer.mergeAll(NodeServices.layer, Logs.warnings, presenter, builtIns)

/** The exit code of a command line. */
export const run = (args: ReadonlyArray<string>): Effect.Effect<number> => {
  const end = args.indexOf("--")
  const asJson = (end < 0 ? args : args.slice(0, end)).includes("--json")
  const refused = secretOnCommandLine(args) ?? rowOfLetters(args)
  if (refused !== undefined) return tell(refused, asJson)
  // As many a command has it.
  if (args[0] === "help") return run([...args.slice(1), "--help"])
  if (args.length === 1 && /^(?:--version|-v|version)$/.test(args[0])) return Effect.as(Output.line(version), 0)
  return Command.runWith(command, { version })(args).pipe(
    Effect.provide(layer),
    Effect.matchCauseEffect({
      onSuccess: () => Effect.succeed(0),
      onFailure: (cause): Effect.Effect<number> => {
        if (Cause.hasInterruptsOnly(cause)) return Effect.failCause(cause as Cause.Cause<never>)
        const error = Cause.findErrorOption(cause)
        const failure: unknown = error._tag === "Some" ? error.value : undefined
        if (!isFailure(failure)) return tellDefect(cause)
        if (failure._tag === "Reported" && "exitCode" in failure) return Effect.succeed(Number(failure.exitCode))
        if (failure._tag === "ShowHelp" && "errors" in failure) return invalid(failure as never, asJson)
        return tell(failure, asJson)
      }
    })
  )
}

const invalid = (
  { commandPath, errors }: { readonly commandPath: ReadonlyArray<string>; readonly errors: ReadonlyArray<never> },
  asJson: boolean
): Effect.Effect<number> => {
  if (errors.length === 0) return Effect.succeed(0)
  const problems = errors.map(problemOf)
  const help = `"${commandPath.join(" ")} --help" shows what there is.`
  return tell(new UsageError({ problem: [...problems, help].join(" ") }), asJson)
}

/** How long what a signal has ended waits for the reader of its output, in milliseconds. */
const lastWords = 1000

/** Runs the command line of this process. A signal interrupts it, and what it began is closed. */
export const main = (args: ReadonlyArray<string>): void => {
  let signal: keyof typeof signals | undefined
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (signal !== undefined) process.exit(signals[signal])
    if (error.code === "EPIPE") process.exit(brokenPipe)
    // What should have been read there is missing, as on a full disk.
    process.stderr.write(
      `OutputLost: stdout cannot be written to (${error.code ?? error.name}): it has not all of it.\n`
    )
    process.exit(exitCodes.other)
  })
  // Nobody reads what is said. What is done goes on.
  process.stderr.on("error", () => {})
  // Before the command begins: some do all of their work at once.
  for (const name of Object.keys(signals) as Array<keyof typeof signals>) {
    process.on(name, () => {
      // Who asks a second time does not want to wait.
      if (signal !== undefined) process.exit(signals[name])
      signal = name
      Effect.runFork(Fiber.interrupt(fiber))
    })
  }
  const fiber = Effect.runFork(run(args))
  fiber.addObserver((exit) => {
    const code = signal === undefined ? Exit.isSuccess(exit) ? exit.value : exitCodes.other : signals[signal]
    if (signal !== undefined) setTimeout(() => process.exit(code), lastWords)
    // An exit cuts off what a pipe has not taken yet.
    Effect.runFork(Output.flushed).addObserver(() => process.exit(code))
  })
}
