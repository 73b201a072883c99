/**
 * Pieces of any size become chunks of one size. Pure, but for the digest that goes over all of them.
 */
import { type Digest, sha256 } from "../../internal/identity/digest.ts"

/** Takes pieces and gives chunks: the digest, the size and the number of all. */
export class Chunker {
  size = 0
  chunks = 0
  private readonly digest: Digest = sha256()
  private readonly chunkSize: number
  /** What is not yet a chunk. */
  private rest: Uint8Array | undefined
  private filled = 0

  constructor(chunkSize: number) {
    this.chunkSize = chunkSize
  }

  /**
   * The whole chunks that are there with this piece. They are views of the piece where they can be: to be sent before the
   * piece's owner has it back. The next one is made when it is asked for.
   */
  *take(piece: Uint8Array): Generator<Uint8Array> {
    // Without types, a text can come here, whose length is not that of its bytes.
    if (!(piece instanceof Uint8Array)) throw new TypeError("an object is put as pieces of bytes (`Uint8Array`)")
    this.digest.update(piece)
    this.size += piece.length
    let from = 0
    while (from < piece.length) {
      if (this.filled === 0 && piece.length - from >= this.chunkSize) {
        this.chunks++
        yield piece.subarray(from, from + this.chunkSize)
        from += this.chunkSize
        continue
      }
      this.rest ??= new Uint8Array(this.chunkSize)
      const fits = Math.min(this.chunkSize - this.filled, piece.length - from)
      this.rest.set(piece.subarray(from, from + fits), this.filled)
      this.filled += fits
      from += fits
      if (this.filled < this.chunkSize) continue
      this.chunks++
      this.filled = 0
      const chunk = this.rest
      this.rest = undefined
      yield chunk
    }
  }

  /** The last chunk, where something is left. */
  last(): Uint8Array | undefined {
    if (this.filled === 0) return undefined
    this.chunks++
    return this.rest?.subarray(0, this.filled)
  }

  /** Ends it. */
  end(): string {
    return this.digest.end()
  }
}
