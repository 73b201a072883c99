/**
 * A callback that runs when the read loop is done with what it has. A fiber that is resumed runs at once, and nothing of
 * the user's may run inside the read loop.
 */
export const afterReadLoop = <A>(resume: (value: A) => void): (value: A) => void => (value) => {
  queueMicrotask(() => resume(value))
}
