/**
 * Forms of a message: for people, as bytes, for programs.
 */
import { isUtf8 } from "node:buffer"
import type { NatsMessage } from "../../../NatsMessage.ts"
import * as Output from "../output.ts"

/** A message in the form that it is written in; `index` counts from 1. */
export type Form = (message: NatsMessage, index: number) => string | Uint8Array

/** A payload as people can see it: bytes that are no text as `\xff`, line breaks and tabs as they are. */
const payloadText = (data: Uint8Array): string => {
  if (!isUtf8(data)) return Buffer.from(data).toString("latin1").replace(/[^\x20-\x7e]/g, hex)
  const text = Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("utf8")
  return text.split("\n").map((line) =>
    line.split("\t").map((part) => Output.shown(part, Number.POSITIVE_INFINITY)).join("\t")
  ).join("\n")
}

const hex = (character: string): string => `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`

const headerLines = ({ headers }: NatsMessage): ReadonlyArray<string> =>
  Object.entries(headers).flatMap(([name, values]) =>
    values.map((value) => `${Output.shown(name)}: ${Output.shown(value, Number.POSITIVE_INFINITY)}`)
  )

const statusText = ({ description, status }: NatsMessage): string =>
  description === undefined ? `status ${status}` : `status ${status} ${Output.shown(description)}`

const heading = (message: NatsMessage, index: number): string => {
  const { data, reply, status, subject } = message
  const notes = [
    ...(reply === undefined ? [] : [`reply ${Output.shown(reply)}`]),
    ...(status === undefined ? [] : [statusText(message)]),
    ...(data.length === 0 ? ["empty"] : isUtf8(data) ? [] : [`binary, ${data.length} bytes`])
  ]
  const number = Output.styled("faint", `[#${index}]`)
  return `${number} ${Output.styled("strong", Output.shown(subject))}${
    notes.length === 0 ? "" : ` (${notes.join("; ")})`
  }`
}

/**
 * A line with number and subject, and below it, behind two blanks, the headers where they are asked for and the payload. So
 * nothing in a payload looks like another message.
 */
const blockForm = (withHeaders: boolean): Form => (message, index) => {
  const headers = withHeaders ? headerLines(message) : []
  const payload = message.data.length === 0 ? [] : payloadText(message.data).split("\n")
  const lines = [...headers, ...(headers.length > 0 && payload.length > 0 ? [""] : []), ...payload]
  return [heading(message, index), ...lines.map((line) => line === "" ? "" : `  ${line}`), "", ""].join("\n")
}

const lineBreak = Buffer.from("\n")

/** The bytes of the payload, and a line break. */
const rawForm: Form = ({ data }) => Buffer.concat([data, lineBreak])

/** The payload alone, as people can see it. */
const plainForm: Form = ({ data }) => `${payloadText(data)}\n`

/** One line of JSON. A payload that is no UTF-8 is in Base64. */
const jsonForm: Form = (message) => {
  const { data, description, headers, reply, status, subject } = message
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
  const json = JSON.stringify({
    subject,
    ...(reply === undefined ? {} : { reply }),
    ...(status === undefined ? {} : { status, description }),
    ...(Object.keys(headers).length === 0 ? {} : { headers }),
    ...(isUtf8(data) ? { payload: bytes.toString("utf8") } : { payloadBase64: bytes.toString("base64") }),
    at: new Date().toISOString()
  })
  return `${Output.safeJson(json)}\n`
}

export interface FormOptions {
  readonly json: boolean
  readonly raw: boolean
  readonly headers: boolean
}

/** Of messages of a subscription. */
export const messageForm = ({ headers, json, raw }: FormOptions): Form =>
  json ? jsonForm : raw ? rawForm : blockForm(headers)

/** Of a reply: its payload, which is exact where no terminal shows it, and headers above it as HTTP has them. */
export const replyForm = ({ headers, json, raw }: FormOptions): Form => {
  if (json) return jsonForm
  const form = raw || process.stdout.isTTY !== true ? rawForm : plainForm
  if (!headers) return form
  return (message, index) =>
    Buffer.concat([
      Buffer.from([...headerLines(message), "", ""].join("\n")),
      Buffer.from(form(message, index))
    ])
}
