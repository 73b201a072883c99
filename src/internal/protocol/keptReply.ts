/**
 * What an error keeps of the reply that told it. It is held beside the error and not in it, so that neither a log nor the
 * JSON of the error has it.
 */

type Headers = Readonly<Record<string, ReadonlyArray<string>>>

export interface KeptReply {
  /** At most `longestBody` bytes of it. */
  readonly body: Uint8Array
  readonly headers: Headers
}

/** Of a body, in bytes. */
const longestBody = 64 * 1024
/** Of all names and values together, in characters. */
const longestHeaders = 16 * 1024

const replies = new WeakMap<object, KeptReply>()

const noHeaders: Headers = Object.freeze({})

const bounded = (headers: Headers): Headers => {
  const kept: Record<string, ReadonlyArray<string>> = Object.create(null)
  let left = longestHeaders
  for (const name of Object.keys(headers)) {
    const values = headers[name]
    for (const value of values) left -= value.length
    left -= name.length
    if (left < 0) break
    kept[name] = values
  }
  return kept
}

/** Copies: the reply is a view of far more bytes than its own. */
export const keepReply = (error: object, body: Uint8Array, headers: Headers): void => {
  replies.set(error, { body: Uint8Array.prototype.slice.call(body, 0, longestBody), headers: bounded(headers) })
}

export const keptBody = (error: object): string => {
  const kept = replies.get(error)
  return kept === undefined ? "" : Buffer.from(kept.body.buffer, 0, kept.body.length).toString("utf8")
}

export const keptHeaders = (error: object): Headers => replies.get(error)?.headers ?? noHeaders
