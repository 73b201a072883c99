/** What the set-up and the checks run, and how they say what the reader has to do. */
import { ServerProblem } from "../src/cli/internal/server/serverProblem.mjs"

export { capture, run, stopChildren, tell } from "../src/cli/internal/server/process.mjs"

/** Something the reader has to do; it is shown without a stack. */
export class SetupError extends Error {}

/** What is shown of a failure: what the reader has to know and do, or the stack of what nobody expects. */
export const shown = (error) => {
  if (error instanceof SetupError) return error.message
  if (!(error instanceof ServerProblem)) return error.stack
  if (error.remedies.length === 0) return error.message
  const remedies = error.remedies.map((each) => `\n  - ${each}`).join(", or")
  return `${error.message} Do one of these, then run the command again:${remedies}.`
}
