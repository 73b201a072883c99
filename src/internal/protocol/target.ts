/**
 * Where the parser puts the messages of one subscription.
 *
 * The parser calls `accept` for each message of a chunk and `commit` once after the chunk (or before the next control
 * line), so that a reader is woken once and sees an array. The arguments are positions in the chunk and not one object for
 * the frame: an object costs 5 to 8 % of a message that is received.
 */
export interface MessageTarget {
  /** Owned by the parser: `true` between the first `accept` and the `commit` that follows. */
  touched: boolean
  /**
   * All positions are offsets into `chunk`. `replyStart === replyEnd` when there is no reply subject. Headers are
   * `headerStart` to `payloadStart`, equal when there are none; the payload is `payloadStart` to `payloadEnd`.
   * `chunk` is never written again, so that it can be kept.
   */
  accept(
    chunk: Buffer,
    subjectStart: number,
    subjectEnd: number,
    replyStart: number,
    replyEnd: number,
    headerStart: number,
    payloadStart: number,
    payloadEnd: number
  ): void
  commit(): void
}
