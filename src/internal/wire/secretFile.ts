/**
 * Reads the files that credentials and TLS material are in.
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Stats } from "node:fs"
import { unframed } from "../protocol/frames.ts"
import { printable } from "../protocol/printable.ts"

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
  ENXIO: "it is a socket, and not a regular file",
  EMFILE: "too many files are open"
}

const unreadable = (cause: unknown): FileUnreadable => {
  if (cause instanceof FileUnreadable) return cause
  const code = typeof cause === "object" && cause !== null && "code" in cause ? String(cause.code) : ""
  return new FileUnreadable({ problem: problems[code] ?? `reading it failed (${code})`, cause: unframed(cause) })
}

interface Read {
  readonly text: string | undefined
  readonly mode: number
}

const irregular = (stats: Stats): string | undefined =>
  stats.isFile()
    ? undefined
    : stats.isDirectory()
    ? problems.EISDIR
    : stats.isFIFO()
    ? "it is a pipe, as those of a process substitution and of /dev/stdin are, and only a regular file is read: write the text to a file, or give it in place of the path"
    : stats.isSocket()
    ? problems.ENXIO
    : "it is a device, and not a regular file"

/**
 * One open and one read, so that a rotation in between cannot mix two files. Only a regular file is read: the open of a
 * pipe or a device does not wait for its other side, and that of a pipe would hold one of Node's few threads for ever.
 */
const readOnce = async (path: string): Promise<Read> => {
  // Loaded here: most clients have no file to read.
  const { O_NOCTTY = 0, O_NONBLOCK = 0, O_RDONLY } = process.getBuiltinModule("node:fs").constants
  const file = await process.getBuiltinModule("node:fs/promises").open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY)
  try {
    const stats = await file.stat()
    const problem = irregular(stats)
    if (problem !== undefined) throw new FileUnreadable({ problem, cause: undefined })
    const buffer = Buffer.alloc(largest + 1)
    let length = 0
    for (;;) {
      const { bytesRead } = await file.read(buffer, length, buffer.length - length, null)
      length += bytesRead
      if (bytesRead === 0 || length > largest) break
    }
    return { text: length > largest ? undefined : buffer.toString("utf8", 0, length), mode: stats.mode }
  } finally {
    await file.close()
  }
}

/** Of Node's threads (four, where nobody has set another number). Names are looked up and files read by the others. */
let threads = 2
const waiting: Array<() => void> = []

/** The paths that are being read. */
const reading = new Set<string>()

/** A read that hangs holds a thread until the system lets go of it, which may be never. */
const readInTurn = async (path: string): Promise<Read> => {
  if (threads === 0) await new Promise<void>((resume) => waiting.push(resume))
  else threads--
  reading.add(path)
  try {
    return await readOnce(path)
  } finally {
    reading.delete(path)
    const next = waiting.shift()
    if (next === undefined) threads++
    else next()
  }
}

interface Reads {
  readonly current: Promise<Read>
  /** For all that have asked since the current one began: what it reads may be older. */
  next: Promise<Read> | undefined
}

const reads = new Map<string, Reads>()

/** Never two reads of one path at once. */
const readShared = (path: string): Promise<Read> => {
  const before = reads.get(path)
  if (before !== undefined) return before.next ??= before.current.then(() => begin(path), () => begin(path))
  return begin(path)
}

const begin = (path: string): Promise<Read> => {
  const these: Reads = { current: readInTurn(path), next: undefined }
  reads.set(path, these)
  const done = (): void => {
    if (these.next === undefined) reads.delete(path)
  }
  these.current.then(done, done)
  return these.current
}

const late = (path: string, option: string, timeout: Duration.Duration): FileUnreadable =>
  new FileUnreadable({
    problem: `it was not read within ${Duration.toMillis(timeout)} ms (${option}): ${
      reading.has(path)
        ? "the file system that it is on does not answer"
        : `it waits behind ${[...reading].join(" and ")}, whose file system does not answer`
    }`,
    cause: undefined
  })

/**
 * One warning for a path that holds a secret which every user of the machine can read or write. What its group may is no
 * fault: 0440 is what Kubernetes makes of a secret volume with an `fsGroup`, 0660 what it makes of other volumes, and what
 * a umask of 002 gives, where each user has a group of their own.
 */
export const warnOfMode = Effect.fnUntraced(function*(path: string, option: string, mode: number) {
  // Windows has no such mode bits; Node reports them as if all could read.
  if (process.platform === "win32" || (mode & 0o006) === 0) return
  const warned = yield* WarnedFiles
  if (warned.has(path)) return
  warned.add(path)
  const can = [...(mode & 0o004 ? ["read"] : []), ...(mode & 0o002 ? ["write"] : [])].join(" and ")
  const shown = (mode & 0o777).toString(8).padStart(4, "0")
  yield* Effect.logWarning(
    `${
      printable(path, 512)
    } (${option}) holds a secret, and every user of this machine can ${can} it, as its mode is ${shown}: set it to 0600, or to 0640 for a group. In Kubernetes that is \`defaultMode: 0440\` of the volume, with an \`fsGroup\` for a user that is not root.`
  )
})

export interface FileText {
  readonly text: string
  /** Permissions and type, as `stat` gives them. */
  readonly mode: number
}

/**
 * A regular file of at most 1 MiB. Interruption is immediate, and so is the end of `timeout`; a read that hangs goes on,
 * and those that want the same file wait for it.
 */
export const readFile = Effect.fnUntraced(function*(
  path: string,
  options: { readonly option: string; readonly timeout: Duration.Duration }
): Effect.fn.Return<FileText, FileUnreadable> {
  const { mode, text } = yield* Effect.timeoutOrElse(
    Effect.tryPromise({ try: () => readShared(path), catch: unreadable }),
    { duration: options.timeout, orElse: () => Effect.fail(late(path, options.option, options.timeout)) }
  )
  if (text === undefined) return yield* new FileUnreadable({ problem: "it is larger than 1 MiB", cause: undefined })
  return { text, mode }
})

/** The text of a file, as `readFile` reads it. With `secret` its mode is looked at. */
export const readSecretFile = (
  path: string,
  options: { readonly secret: boolean; readonly option: string; readonly timeout: Duration.Duration }
): Effect.Effect<string, FileUnreadable> =>
  Effect.flatMap(
    readFile(path, options),
    ({ mode, text }) => options.secret ? Effect.as(warnOfMode(path, options.option, mode), text) : Effect.succeed(text)
  )
