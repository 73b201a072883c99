/**
 * How a check is told: lines for people, a document for programs.
 */
import { exitCodes, type FailureClass } from "../failure.ts"
import * as Output from "../output.ts"
import type { Source } from "../source.ts"
import { millisText } from "../times.ts"
import type { ServerReport } from "./checking.ts"
import type { Stage, StageError, StageName } from "./stages.ts"

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

const textIndent = 2 + 4 + 2 + titleWidth + 2 + timeWidth + 2

/** As wide as the terminal, and where there is none as wide as it can be read. */
const lineWidth = (): number => Math.max(process.stdout.columns ?? 120, 72)

/** A text in lines of at most `width`, broken at spaces. A word that is longer stays whole: it may be copied. */
export const wrapped = (text: string, width: number): ReadonlyArray<string> => {
  const lines: Array<string> = []
  let line = ""
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line)
      line = word
    } else {
      line = line === "" ? word : `${line} ${word}`
    }
  }
  return [...lines, line]
}

/** One stage in one line or more, and what there is to say of it below. */
export const stageLine = ({ millis, more = [], stage, status, text }: Stage): ReadonlyArray<string> => {
  const [style, mark] = marks[status]
  const time = (millis === undefined ? "" : millisText(millis)).padStart(timeWidth)
  const width = lineWidth() - textIndent
  const indent = " ".repeat(textIndent)
  const [first, ...others] = wrapped(text, width)
  return [
    `  ${Output.styled(style, mark)}  ${titles[stage].padEnd(titleWidth)}  ${time}  ${first}`.trimEnd(),
    ...others.map((line) => indent + line),
    ...more.flatMap((each) =>
      wrapped(each, width - 2).map((line, index) => `${indent}${index === 0 ? "" : "  "}${line}`)
    )
  ]
}

/** A value that is longer than this pushes no column. */
const widestValue = 48

export const configurationLines = ({ label, settings }: Source): ReadonlyArray<string> => {
  const rows = settings.map((setting) => ({ ...setting, from: Output.shown(setting.from, 256) }))
  const widest = (lengths: ReadonlyArray<number>, most: number): number =>
    Math.max(0, ...lengths.filter((length) => length <= most))
  const pathWidth = widest(rows.map(({ path }) => path.length), 64)
  const valueWidth = widest(rows.map(({ value }) => value.length), widestValue)
  return [
    `Configuration: ${Output.shown(label)}`,
    ...rows.map(({ from, path, value }) =>
      `  ${path.padEnd(pathWidth)}  ${value.padEnd(valueWidth)}  ${Output.styled("faint", `(${from})`)}`
    ),
    ""
  ]
}

export const serverLines = ({ server, stages }: ServerReport): ReadonlyArray<string> => [
  "",
  Output.styled("strong", server),
  ...stages.flatMap(stageLine)
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

/** The fields of a typed error that a program may look at, such as `code` and `stage`. */
const fieldsOf = (error: StageError): object =>
  Object.fromEntries(
    Object.entries(error).filter(([name, value]) =>
      name !== "_tag" && name !== "message" && (typeof value === "string" || typeof value === "number" ||
        typeof value === "boolean")
    ).map(([name, value]) => [name, typeof value === "string" ? Output.shown(value) : value])
  )

const errorJson = (error: StageError): object => ({
  tag: error._tag,
  message: Output.messageOf(error),
  ...(error.isRetryable === undefined ? {} : { retryable: error.isRetryable }),
  fields: fieldsOf(error)
})

const stageJson = ({ detail, error, millis, more = [], stage, status, text }: Stage): object => ({
  stage,
  status,
  ...(millis === undefined ? {} : { millis: rounded(millis) }),
  ...(error === undefined ? { text, ...(more.length === 0 ? {} : { more }) } : { error: errorJson(error) }),
  ...(detail === undefined ? {} : { detail })
})

const rounded = (millis: number): number => Number(millis.toFixed(3))

/** `local` are the stages before any dial. */
export const asJson = (
  { label, notes, settings }: Source,
  local: ReadonlyArray<Stage>,
  reports: ReadonlyArray<ServerReport>,
  exitCode: number
): object => ({
  configuration: { source: label, settings, notes },
  ...Object.fromEntries(local.map((stage) => [stage.stage, stageJson(stage)])),
  servers: reports.map((report) => ({
    server: report.server,
    ok: !hasFailed(report),
    millis: rounded(report.millis),
    stages: report.stages.map(stageJson)
  })),
  exitCode
})
