/**
 * The payload of what a command sends: its argument, or stdin.
 */
import * as Effect from "effect/Effect"
import type { PlatformError } from "effect/PlatformError"
import * as Schema from "effect/Schema"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import * as fs from "node:fs"

/** No server can be configured to take more in one message. */
const mostBytes = 64 * 1024 * 1024

/** What stdin has for one message is more than any server takes. */
export class InputTooLarge extends Schema.TaggedError<InputTooLarge>()("InputTooLarge", {
  /** The line at fault, counted from 1, where each line is a message. */
  line: Schema.optionalKey(Schema.Number)
}) {
  override get message(): string {
    return this.line === undefined
      ? "stdin has more than 64 MiB, which no server takes in one message: send less, or --lines for a message a line."
      : `Line ${this.line} of stdin has more than 64 MiB, which no server takes in one message: send shorter lines.`
  }
}

/** Whether somebody gives something on stdin without being asked for it. */
const isPiped = (): boolean => {
  try {
    const stat = fs.fstatSync(0)
    return stat.isFIFO() || stat.isFile() || stat.isSocket()
  } catch {
    return false
  }
}

export const isFromStdin = (payload: string | undefined): boolean =>
  payload === "-" || (payload === undefined && isPiped())

/** The payload as one message. */
export const readPayload = (
  payload: string | undefined
): Effect.Effect<string | Uint8Array, PlatformError | InputTooLarge, Stdio.Stdio> =>
  isFromStdin(payload) ? readAll : Effect.succeed(payload ?? "")

const readAll: Effect.Effect<Uint8Array, PlatformError | InputTooLarge, Stdio.Stdio> = Effect.gen(function*() {
  const { stdin } = yield* Stdio.Stdio
  const chunks: Array<Uint8Array> = []
  let size = 0
  yield* Stream.runForEach(stdin, (chunk) => {
    chunks.push(chunk)
    size += chunk.length
    return size > mostBytes ? Effect.fail(new InputTooLarge({})) : Effect.void
  })
  return Buffer.concat(chunks)
})

/** Cuts bytes into lines. It keeps the begun one, and no more. */
class Lines {
  private begun: Array<Uint8Array> = []
  private size = 0
  private count = 0

  push(chunk: Uint8Array): Effect.Effect<ReadonlyArray<Uint8Array>, InputTooLarge> {
    const lines: Array<Uint8Array> = []
    let from = 0
    for (;;) {
      const end = chunk.indexOf(0x0a, from)
      if (end < 0) break
      lines.push(this.line(chunk.subarray(from, end)))
      from = end + 1
    }
    if (from < chunk.length) {
      this.begun.push(chunk.subarray(from))
      this.size += chunk.length - from
    }
    return this.size > mostBytes ? Effect.fail(new InputTooLarge({ line: this.count + 1 })) : Effect.succeed(lines)
  }

  /** A last line that no line break ends. */
  get rest(): ReadonlyArray<Uint8Array> {
    return this.size === 0 ? [] : [this.line(new Uint8Array())]
  }

  private line(end: Uint8Array): Uint8Array {
    this.count++
    if (this.size === 0) return end
    const line = Buffer.concat([...this.begun, end])
    this.begun = []
    this.size = 0
    return line
  }
}

/** Each line of stdin, without its line break; an empty one, too. Arrays have what came together. */
export const readLines: Stream.Stream<Uint8Array, PlatformError | InputTooLarge, Stdio.Stdio> = Stream.unwrap(
  Effect.map(Stdio.Stdio, ({ stdin }) => {
    const lines = new Lines()
    return stdin.pipe(
      Stream.mapEffect((chunk) => lines.push(chunk)),
      Stream.flatMap(Stream.fromIterable),
      Stream.concat(Stream.suspend(() => Stream.fromIterable(lines.rest)))
    )
  })
)
