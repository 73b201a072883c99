/**
 * Reads the files that credentials and TLS material are in.
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"

/** Why a file could not be read, without content. */
export class FileUnreadable extends Data.TaggedError("effect-nats/FileUnreadable")<{
  readonly problem: string
  readonly cause: unknown
}> {}

/** Paths that were warned of. One set per process by default, so that a path is warned of once. */
export const WarnedFiles = Context.Reference<Set<string>>("effect-nats/WarnedFiles", { defaultValue: () => new Set() })

/** A larger file is no PEM and no creds file. */
const largest = 1_048_576

const problems: { readonly [code: string]: string } = {
  ENOENT: "there is no such file",
  ENOTDIR: "there is no such file",
  EACCES: "this user may not read it",
  EPERM: "this user may not read it",
  EISDIR: "it is a directory",
  ELOOP: "it is a symbolic link that leads nowhere",
  ENAMETOOLONG: "its name is too long",
  EMFILE: "too many files are open"
}

const unreadable = (cause: unknown): FileUnreadable => {
  const code = typeof cause === "object" && cause !== null && "code" in cause ? String(cause.code) : ""
  return new FileUnreadable({ problem: problems[code] ?? `reading it failed (${code})`, cause })
}

interface Read {
  readonly text: string | undefined
  readonly mode: number
}

/** One open and one read, so that a rotation in between cannot mix two files. */
const readOnce = async (path: string): Promise<Read> => {
  // Loaded here: most clients have no file to read.
  const file = await process.getBuiltinModule("node:fs/promises").open(path, "r")
  try {
    const { mode } = await file.stat()
    const buffer = Buffer.alloc(largest + 1)
    let length = 0
    for (;;) {
      const { bytesRead } = await file.read(buffer, length, buffer.length - length, null)
      length += bytesRead
      if (bytesRead === 0 || length > largest) break
    }
    return { text: length > largest ? undefined : buffer.toString("utf8", 0, length), mode }
  } finally {
    await file.close()
  }
}

/**
 * The text of a file of at most 1 MiB. With `secret`, a file that its group or others can read gives one warning that
 * names it. Interruption is immediate.
 */
export const readSecretFile = Effect.fnUntraced(function*(
  path: string,
  options: { readonly secret: boolean; readonly option: string }
): Effect.fn.Return<string, FileUnreadable> {
  const { mode, text } = yield* Effect.tryPromise({ try: () => readOnce(path), catch: unreadable })
  if (text === undefined) return yield* new FileUnreadable({ problem: "it is larger than 1 MiB", cause: undefined })
  // Windows has no such mode bits; Node reports them as if all could read.
  if (options.secret && process.platform !== "win32" && (mode & 0o044) !== 0) {
    const warned = yield* WarnedFiles
    if (!warned.has(path)) {
      warned.add(path)
      yield* Effect.logWarning(
        `${path} (${options.option}) holds a secret and can be read by other users of this machine: set its mode to 600.`
      )
    }
  }
  return text
})
