/** Replies that are refused, as another process has the shard or has replied: each is counted once, however often it is tried. */
import type * as Reply from "effect/cluster/Reply"
import * as Effect from "effect/Effect"
import type { SaveError } from "./messageWriter.ts"
import { makeRecent } from "./recent.ts"

const mostRemembered = 1_024

export const makeLateReplies = (count: () => void) => {
  const counted = makeRecent<string>(mostRemembered)
  const note = ({ id }: Reply.Encoded): void => {
    if (counted.has(id)) return
    counted.add(id)
    count()
  }
  return (
    reply: Reply.Encoded,
    saving: Effect.Effect<void, SaveError>
  ): Effect.Effect<void, SaveError> =>
    Effect.tapErrorTag(saving, ["NotTheOwner", "ReplyIsThere"], () => Effect.sync(() => note(reply)))
}
