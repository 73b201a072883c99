/**
 * The bytes of a frame that is not whole yet, gathered in one buffer of their own.
 */

/**
 * A frame up to this length gets its whole buffer at once, so that each byte is copied once. A longer one grows to its
 * length as its bytes come in: what a server only announces takes no memory.
 */
const wholeUpTo = 16 * 1024 * 1024

const smallest = 256

const nothing = Buffer.alloc(0)

export class Carry {
  length = 0
  private buffer = nothing

  /** Begins with the end of a chunk. `need` is the frame's length, 0 if unknown. */
  start(chunk: Buffer, from: number, need: number): void {
    this.length = 0
    this.append(chunk, from, chunk.length, need)
  }

  append(chunk: Buffer, from: number, to: number, need: number): void {
    const length = this.length + to - from
    if (length > this.buffer.length || (need > this.buffer.length && need <= wholeUpTo)) this.grow(length, need)
    chunk.copy(this.buffer, this.length, from, to)
    this.length = length
  }

  /** What is there, without a copy. */
  bytes(): Buffer {
    return this.buffer.subarray(0, this.length)
  }

  /** The bytes have been handed over and belong to others now. */
  release(): void {
    this.length = 0
    this.buffer = nothing
  }

  private grow(length: number, need: number): void {
    const doubled = Math.max(length, this.buffer.length * 2, smallest)
    const capacity = need === 0 ? doubled : need <= wholeUpTo ? need : Math.min(need, Math.max(doubled, wholeUpTo))
    const larger = Buffer.allocUnsafe(capacity)
    this.buffer.copy(larger, 0, 0, this.length)
    this.buffer = larger
  }
}
