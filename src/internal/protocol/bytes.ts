/**
 * The bytes that the protocol is made of, and numbers written in them.
 */
export const TAB = 0x09
export const LF = 0x0a
export const CR = 0x0d
export const SPACE = 0x20
export const ZERO = 0x30

/** Fifteen digits, the longest number that is surely a safe integer. */
const maxDigits = 15

/** The decimal number from `start` to `end`, or -1 if there is none or it is too long to be exact. */
export const readNumber = (bytes: Uint8Array, start: number, end: number): number => {
  if (end === start || end - start > maxDigits) return -1
  let value = 0
  for (let i = start; i < end; i++) {
    const digit = bytes[i] - ZERO
    if (digit < 0 || digit > 9) return -1
    value = value * 10 + digit
  }
  return value
}
