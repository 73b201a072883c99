/**
 * How a check is told: lines for people, a document for programs.
 */
import { exitCodes, type FailureClass } from "../failure.ts"
import * as Output from "../output.ts"
import type { Source } from "../source.ts"
import type { ServerReport } from "./checking.ts"
import type { Stage, StageName } from "./stages.ts"
import { millisText } from "./times.ts"

const titles: Readonly<Record<StageName, string>> = {
  credentials: "credentials",
  lookup: "name",
  tcp: "TCP",
  info: "INFO",
  tls: "TLS",
  connect: "CONNECT",
  account: "account",
  rtt: "round trip",
  jetstream: "JetStream"
}

const marks = { ok: ["good", "ok  "], noted: ["warn", "note"], failed: ["bad", "FAIL"] } as const

const titleWidth = Math.max(...Object.values(titles).map(({ length }) => length))

const timeWidth = 7

/** One stage in one line, and what there is to say more below it. */
export const stageLine = ({ millis, more = [], stage, status, text }: Stage): string => {
  const [style, mark] = marks[status]
  const time = (millis === undefined ? "" : millisText(millis)).padStart(timeWidth)
  const first = `  ${Output.styled(style, mark)}  ${titles[stage].padEnd(titleWidth)}  ${time}  ${text}`.trimEnd()
  const indent = " ".repeat(2 + 4 + 2 + titleWidth + 2 + timeWidth + 2)
  return [first, ...more.map((line) => indent + line)].join("\n")
}

export const configurationLines = ({ label, settings }: Source): ReadonlyArray<string> => [
  `Configuration: ${Output.shown(label)}`,
  ...Output.table(settings.map(({ from, path, value }) => [path, value, Output.styled("faint", `(${from})`)]), "  "),
  ""
]

export const serverLines = ({ server, stages }: ServerReport): ReadonlyArray<string> => [
  "",
  Output.styled("strong", server),
  ...stages.map(stageLine)
]

const className = (exitCode: number): string =>
  (Object.entries(exitCodes) as ReadonlyArray<[FailureClass, number]>).find(([, code]) => code === exitCode)?.[0] ??
    "other"

const hasFailed = ({ stages }: ServerReport): boolean => stages.some(({ status }) => status === "failed")

export const resultLine = (reports: ReadonlyArray<ServerReport>, exitCode: number): string => {
  if (exitCode === 0) {
    return Output.styled(
      "good",
      reports.length === 1 ? "The server can be used." : `All ${reports.length} servers can be used.`
    )
  }
  const failed = reports.filter(hasFailed).length
  const text = reports.length === 0
    ? "Nothing was dialled"
    : reports.length === 1
    ? "The server cannot be used"
    : `${failed} of ${reports.length} servers cannot be used`
  return Output.styled("bad", `${text}: exit code ${exitCode} (${className(exitCode)}).`)
}

const stageJson = ({ detail, error, millis, stage, status, text }: Stage): object => ({
  stage,
  status,
  ...(millis === undefined ? {} : { millis: Number(millis.toFixed(3)) }),
  ...(error === undefined ? { text } : { error: { tag: error._tag, message: Output.shown(error.message) } }),
  ...(detail === undefined ? {} : { detail })
})

export const asJson = (
  { label, settings }: Source,
  credentials: Stage,
  reports: ReadonlyArray<ServerReport>,
  exitCode: number
): object => ({
  configuration: { source: label, settings },
  credentials: stageJson(credentials),
  servers: reports.map((report) => ({
    server: report.server,
    ok: !hasFailed(report),
    stages: report.stages.map(stageJson)
  })),
  exitCode
})
