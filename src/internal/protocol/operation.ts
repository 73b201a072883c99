/**
 * The first word of a line from the server.
 */
import { CR, LF, SPACE, TAB } from "./bytes.ts"

export const Operation = {
  Garbage: -1,
  /** Right so far, but the chunk ends here. */
  Unfinished: 0,
  Msg: 1,
  HMsg: 2,
  Ping: 3,
  Pong: 4,
  Ok: 5,
  Err: 6,
  Info: 7
} as const
export type Operation = (typeof Operation)[keyof typeof Operation]

const words: ReadonlyArray<readonly [Uint8Array, Operation]> = [
  [Buffer.from("ping"), Operation.Ping],
  [Buffer.from("pong"), Operation.Pong],
  [Buffer.from("+ok"), Operation.Ok],
  [Buffer.from("-err"), Operation.Err],
  [Buffer.from("info"), Operation.Info],
  [Buffer.from("msg"), Operation.Msg],
  [Buffer.from("hmsg"), Operation.HMsg]
]

const isUpper = (byte: number): boolean => byte >= 0x41 && byte <= 0x5a

const lower = (byte: number): number => isUpper(byte) ? byte + 0x20 : byte

const endsWord = (byte: number): boolean => byte === SPACE || byte === TAB || byte === CR || byte === LF

/** Which operation begins at `start`, in any letter case. Garbage is known at its first wrong byte. */
export const classify = (chunk: Uint8Array, start: number): Operation => {
  const available = chunk.length - start
  for (const [word, operation] of words) {
    const length = Math.min(word.length, available)
    let i = 0
    while (i < length && lower(chunk[start + i]) === word[i]) i++
    if (i < length) continue
    if (available <= word.length) return Operation.Unfinished
    return endsWord(chunk[start + word.length]) ? operation : Operation.Garbage
  }
  return Operation.Garbage
}
