/**
 * What is given on stdin.
 */
import * as Effect from "effect/Effect"

/** As of files: what is larger is none of the texts that are read so. */
const largest = 1_048_576

/** All of stdin as text. Fails for more than 1 MiB. */
export const readStdin: Effect.Effect<string, { readonly problem: string }> = Effect.callback((resume) => {
  const chunks: Array<Buffer> = []
  let length = 0
  const { stdin } = process
  const onData = (chunk: Buffer): void => {
    length += chunk.length
    if (length <= largest) return void chunks.push(chunk)
    stdin.destroy()
    resume(Effect.fail({ problem: "it is larger than 1 MiB" }))
  }
  const onEnd = (): void => resume(Effect.succeed(Buffer.concat(chunks).toString("utf8")))
  const onError = (): void => resume(Effect.fail({ problem: "reading it failed" }))
  stdin.on("data", onData).once("end", onEnd).once("error", onError)
  return Effect.sync(() => {
    stdin.off("data", onData).off("end", onEnd).off("error", onError)
    stdin.destroy()
  })
})
