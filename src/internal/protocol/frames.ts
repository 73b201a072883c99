/**
 * Stacks of errors that are told by their sentence. Such an error is made where the read loop, a timer or the runtime of
 * Effect happens to be: its frames are of this library, and lead nobody to what is at fault. The place in a program is told
 * by the spans and the names of `Effect.fn` that it failed in.
 */

export type ErrorClass = new(...given: ReadonlyArray<never>) => Error

interface Limited {
  stackTraceLimit?: number | undefined
}

const limited = Error as Limited

/** Where the built-ins are frozen, errors have the frames that they have. */
const isWritable = ((): boolean => {
  const limit = Object.getOwnPropertyDescriptor(Error, "stackTraceLimit")
  return limit === undefined ? Object.isExtensible(Error) : limit.writable === true || limit.set !== undefined
})()

/** A class whose errors have as `stack` their name and message, which are not looked at before that is. */
export const withoutFrames = <C extends ErrorClass>(base: C): C => {
  class Unframed extends (base as ErrorClass) {
    constructor(...given: ReadonlyArray<never>) {
      const limit = limited.stackTraceLimit
      if (isWritable) limited.stackTraceLimit = 0
      try {
        super(...given)
      } finally {
        if (isWritable) limited.stackTraceLimit = limit
      }
    }
  }
  // Engines other than V8 leave it out where it has no frames.
  Object.defineProperty(Unframed.prototype, "stack", {
    get(this: Error): string {
      return `${this.name}: ${this.message}`
    },
    set(this: Error, value: unknown) {
      Object.defineProperty(this, "stack", { value, configurable: true, writable: true })
    },
    configurable: true
  })
  return Unframed as unknown as C
}

/**
 * An error as it is thrown at who called `called`, with the frames of the caller: that is where something has to be
 * corrected.
 */
export const thrownBy = <E extends Error>(called: (...given: ReadonlyArray<never>) => unknown, error: E): E => {
  Error.captureStackTrace?.(error, called)
  return error
}

/**
 * An error of the runtime or of the operating system, as it is the cause of one of ours: without the frames, which are of
 * this library and of the runtime. It is one that nobody else has.
 */
export const unframed = <A>(cause: A): A => {
  try {
    if (!(cause instanceof Error) || typeof cause.stack !== "string") return cause
    const end = cause.stack.search(/\n\s+at /)
    if (end >= 0) {
      Object.defineProperty(cause, "stack", { value: cause.stack.slice(0, end), configurable: true, writable: true })
    }
  } catch {
    // It is frozen, or what it has throws when it is read.
  }
  return cause
}
