/**
 * `effect-nats creds`: what credentials are, without a server.
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { CredentialsUnavailable } from "../../ConnectError.ts"
import { isContent } from "../../internal/identity/creds.ts"
import { type FileText, readFile, warnOfMode } from "../../internal/wire/secretFile.ts"
import { inspect as inspectText } from "./creds/inspecting.ts"
import { inspectionJson, inspectionLines } from "./creds/report.ts"
import { exitCodes, Reported, UsageError } from "./failure.ts"
import { jsonFlag } from "./flags.ts"
import { readStdin } from "./input.ts"
import * as Output from "./output.ts"

const fileOrStdin = Argument.String("file").pipe(
  Argument.withDescription("A .creds file, a JWT or an NKey seed; - for stdin")
)

const inspect = Command.make(
  "inspect",
  { file: fileOrStdin, json: jsonFlag },
  Effect.fn(function*({ file, json }) {
    if (isContent(file)) {
      return yield* new UsageError({
        problem: "FILE is the content of a file, and must be its path: every user of this machine can read a secret " +
          "on the command line. Give it on stdin: effect-nats creds inspect -"
      })
    }
    const source = file === "-" ? "stdin" : file
    const read: Effect.Effect<FileText, { readonly problem: string }> = file === "-"
      // Nobody else can read it.
      ? Effect.map(readStdin, (text) => ({ text, mode: 0 }))
      : readFile(file, { option: "FILE", timeout: Duration.seconds(5) })
    const { mode, text } = yield* Effect.mapError(
      read,
      ({ problem }) => new CredentialsUnavailable({ source, problem })
    )
    const now = yield* Clock.currentTimeMillis
    const found = inspectText(text, source, now)
    if (found._tag === "CredentialsInvalid") return yield* found
    if (found.secret) yield* warnOfMode(file, "FILE", mode)
    if (json) yield* Output.json(inspectionJson(source, found))
    else {
      yield* Effect.forEach(inspectionLines(source, found, now), (text) => Output.line(text), { discard: true })
      for (const { _tag, message } of found.problems) {
        yield* Output.aside(`${Output.styled("bad", _tag, process.stderr)}: ${Output.shown(message)}`)
      }
    }
    if (found.problems.length > 0) return yield* new Reported({ exitCode: exitCodes.credentials })
  })
).pipe(
  Command.withDescription(
    "Tells whom credentials are of, who issued them, how long they are valid and what they allow"
  ),
  Command.withExamples([
    { command: "effect-nats creds inspect user.creds" },
    { command: "vault read -field=creds secret/nats | effect-nats creds inspect -", description: "Without a file" }
  ])
)

export const creds = Command.make("creds").pipe(
  Command.withDescription("Looks into credentials, without a server"),
  Command.withSubcommands([inspect])
)
