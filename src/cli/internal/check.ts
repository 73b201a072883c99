/**
 * `effect-nats check`: why can I not connect?
 */
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import { checkServer } from "./check/checking.ts"
import { checkCredentials } from "./check/credentials.ts"
import { asJson, configurationLines, resultLine, serverLines, stageLine } from "./check/report.ts"
import type { Stage } from "./check/stages.ts"
import { checkTls } from "./check/tlsFiles.ts"
import { classOf, exitCodes, Reported } from "./failure.ts"
import { connectionFlags, jsonFlag } from "./flags.ts"
import * as Output from "./output.ts"
import { load } from "./source.ts"

const hasFailed = ({ status }: Stage): boolean => status === "failed"

/** The code of the first failure: stages come in the order in which they are met. */
const exitCodeOf = (stages: ReadonlyArray<Stage>): number => {
  const failed = stages.find(hasFailed)
  return failed === undefined ? 0 : failed.error === undefined ? exitCodes.other : exitCodes[classOf(failed.error)]
}

export const check = Command.make(
  "check",
  { ...connectionFlags, json: jsonFlag },
  Effect.fn(function*({ json, ...options }) {
    const source = yield* load(options)
    const print = (lines: ReadonlyArray<string>): Effect.Effect<void> =>
      json ? Effect.void : Effect.forEach(lines, (text) => Output.line(text), { discard: true })
    yield* print(configurationLines(source))
    const credentials = yield* checkCredentials(source.config)
    yield* print(stageLine(credentials))
    const tls = yield* checkTls(source.config)
    const local = tls === undefined ? [credentials] : [credentials, tls]
    yield* print(local.slice(1).flatMap(stageLine))
    const reports = local.some(hasFailed) ? [] : yield* Effect.forEach(
      source.config.servers,
      (server) => Effect.tap(checkServer(source, server), (report) => print(serverLines(report)))
    )
    const exitCode = exitCodeOf([...local, ...reports.flatMap(({ stages }) => stages)])
    if (json) yield* Output.json(asJson(source, local, reports, exitCode))
    else yield* print(["", resultLine(reports, exitCode)])
    if (exitCode !== 0) return yield* new Reported({ exitCode })
  })
).pipe(
  Command.withDescription(
    "Finds out why a connection does not come about: every server of the configuration, stage by stage"
  ),
  Command.withExamples([
    { command: "effect-nats check", description: "What NATS_* or the selected context of the nats tool describe" },
    { command: "effect-nats check --server tls://nats.example.com --creds user.creds" },
    { command: "effect-nats check --json", description: "For programs; the exit code is the class of the failure" }
  ])
)
